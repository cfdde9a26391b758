package machinetest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/vswitch"
)

// TenantVLAN is where a machine is put after its deploy.
const TenantVLAN = 200

// Content is what a machine is to boot and to be given.
type Content struct {
	Kernel, Initramfs func(w http.ResponseWriter, r *http.Request)
	Image             func(w http.ResponseWriter, r *http.Request)
	Write             protocol.Write // without the URL: encoding, hash and size of the image
	Within            time.Duration  // for each part of its life
}

// cloud is the other side of the agent: it hands out orders in turn and keeps the answers.
type cloud struct {
	content Content

	mu     sync.Mutex
	claim  protocol.Claim
	orders []protocol.Order
	beats  map[string]protocol.Beat
}

const script = `#!ipxe
set base http://198.18.0.1
kernel ${base}/vmlinuz initrd=i console=ttyS0,115200 hagane.api=${base}/agent/v1 hagane.claim=s3cret hagane.mac=${mac} || goto failed
initrd --name i ${base}/initramfs || goto failed
boot
:failed
exit
`

// ServeHTTP answers a machine.
func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/script":
		_, _ = io.WriteString(w, script)
	case "/vmlinuz":
		c.content.Kernel(w, r)
	case "/initramfs":
		c.content.Initramfs(w, r)
	case "/image":
		c.content.Image(w, r)
	case "/agent/v1/claim":
		c.mu.Lock()
		defer c.mu.Unlock()
		_ = json.NewDecoder(r.Body).Decode(&c.claim)
		_ = json.NewEncoder(w).Encode(protocol.Claimed{Token: "t", Node: "n1", BeatSeconds: 1, HoldSeconds: 1, GiveUpSeconds: 60})
	case "/agent/v1/heartbeat":
		c.heartbeat(w, r)
	default:
		_, _ = io.Copy(io.Discard, r.Body)
	}
}

func (c *cloud) heartbeat(w http.ResponseWriter, r *http.Request) {
	var beat protocol.Beat
	_ = json.NewDecoder(r.Body).Decode(&beat)
	c.mu.Lock()
	defer c.mu.Unlock()
	if beat.Done {
		c.beats[beat.Order] = beat
		if len(c.orders) > 0 && c.orders[0].ID == beat.Order {
			c.orders = c.orders[1:]
		}
	}
	var out protocol.Orders
	if len(c.orders) > 0 {
		out.Order = &c.orders[0]
	}
	_ = json.NewEncoder(w).Encode(out)
}

func orders(write protocol.Write, mac string, key ssh.PublicKey) []protocol.Order {
	write.URL = "http://198.18.0.1/image"
	meta, _ := json.Marshal(map[string]any{ // plain strings: it can not fail
		"uuid": "6e0f0f4b-7d3a-4f0c-9a5c-000000000001", "hostname": "web-1", "name": "web-1",
		"public_keys": map[string]string{"k": string(ssh.MarshalAuthorizedKey(key))},
	})
	network := fmt.Sprintf(`{"links":[{"id":"l0","type":"phy","ethernet_mac_address":%q,"mtu":1500}],
		"networks":[{"id":"n0","link":"l0","type":"ipv4","ip_address":"10.0.0.5","netmask":"255.255.255.0","routes":[]}],"services":[]}`, mac)
	return []protocol.Order{
		{ID: "1", Inspect: &protocol.Inspect{}},
		{ID: "2", Erase: &protocol.Erase{}},
		{ID: "3", Write: &write},
		{ID: "4", ConfigDrive: &protocol.ConfigDrive{Files: map[string][]byte{
			"openstack/latest/meta_data.json": meta, "openstack/latest/network_data.json": []byte(network),
			"openstack/latest/user_data": []byte(UserData),
		}}},
		{ID: "5", Shutdown: &protocol.Shutdown{Reboot: true}},
	}
}

// UserData is what a machine is given to do.
const UserData = "#!/bin/sh\necho hello\n"

// WholeLife takes a machine through a deploy: network boot, the agent's orders, a reboot from the disk, SSH
// in the tenant's network, and the power button. port is the machine's, to which nobody else may be plugged.
func WholeLife(t *testing.T, sw *vswitch.Switch, port *vswitch.Port, m machine.Machine, content Content) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	mac := m.Spec().NICs[0].MAC
	c := &cloud{content: content, beats: map[string]protocol.Beat{}, orders: orders(content.Write, mac.String(), signer.PublicKey())}
	if err := port.SetConfig(vswitch.Config{Access: VLAN}); err != nil {
		t.Fatal(err)
	}
	StartBootServer(t, sw, mac, c)
	if err := m.SetBoot(t.Context(), machine.Boot{Device: machine.Network}); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := m.Power(t.Context(), machine.PowerOn); err != nil {
		t.Fatal(err)
	}
	Until(t, content.Within, "the claim", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.claim.Secret != "" })
	t.Logf("%.1f s: claimed", time.Since(begun).Seconds())
	Until(t, content.Within, "the deploy to end with a reboot", func() bool { return m.Status().Boots == 2 })
	t.Logf("%.1f s: deployed", time.Since(begun).Seconds())
	c.check(t)
	if b, err := m.Blank(t.Context(), 0); err != nil || b.Blank {
		t.Errorf("%+v %v", b, err)
	}
	if err := port.SetConfig(vswitch.Config{Access: TenantVLAN}); err != nil {
		t.Fatal(err)
	}
	client := login(t, sw, signer, content.Within)
	t.Logf("%.1f s: logged in", time.Since(begun).Seconds())
	for command, want := range map[string]string{"hostname": "web-1\n", "cat /run/hagane/user-data": UserData, "hostname; hostname": "web-1\nweb-1\n"} {
		if got := output(t, client, command); got != want {
			t.Errorf("%s: %q", command, got)
		}
	}
	if got := output(t, client, "uptime"); !strings.Contains(got, "up ") {
		t.Errorf("uptime: %q", got)
	}
	_ = client.Close()
	if err := m.Power(t.Context(), machine.SoftOff); err != nil {
		t.Fatal(err)
	}
	Until(t, content.Within, "the system to shut down", func() bool { return !m.Status().On })
	if st := m.Status(); st.Ended != "powered off by its operating system" {
		t.Errorf("%+v", st)
	}
}

// check looks at what the agent reported.
func (c *cloud) check(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, beat := range c.beats {
		if beat.Error != "" {
			t.Errorf("order %s: %s", id, beat.Error)
		}
	}
	if erased := c.beats["2"].Result.Erased; len(erased) != 1 || !erased[0].Verified {
		t.Errorf("erased %+v", erased)
	}
	inv := c.beats["1"].Result.Inventory
	if inv == nil || len(inv.NICs) != 1 || inv.NICs[0].LLDP == nil || inv.NICs[0].LLDP.Chassis != "lab" || inv.NICs[0].LLDP.Port != "r1p01" {
		t.Errorf("inventory %+v", inv)
	}
}

func login(t *testing.T, sw *vswitch.Switch, signer ssh.Signer, within time.Duration) *ssh.Client {
	t.Helper()
	host := Host(t, sw, TenantVLAN, 9, "10.0.0.254/24")
	var client *ssh.Client
	Until(t, within, "SSH", func() bool {
		conn, err := host.DialContext(t.Context(), "tcp", "10.0.0.5:22")
		if err != nil {
			return false
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		login, channels, requests, err := ssh.NewClientConn(conn, "10.0.0.5:22", &ssh.ClientConfig{
			User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
		if err != nil {
			_ = conn.Close()
			return false
		}
		client = ssh.NewClient(login, channels, requests)
		return true
	})
	return client
}

func output(t *testing.T, client *ssh.Client, command string) string {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	var out bytes.Buffer
	session.Stdout = &out
	if err := session.Run(command); err != nil {
		t.Errorf("%s: %v", command, err)
	}
	return out.String()
}
