package sim_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/lab/ether"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/machinetest"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
	"github.com/hagane-cloud/hagane/lab/vswitch"
)

const tenantVLAN = 200

func rig(t *testing.T, bus machine.BusKind) (*vswitch.Switch, *vswitch.Port, *sim.Machine) {
	t.Helper()
	sw := vswitch.New("lab", ether.MAC{2, 0xff})
	port, err := sw.AddPort("r1p01")
	if err != nil {
		t.Fatal(err)
	}
	if err := port.SetConfig(vswitch.Config{Access: machinetest.VLAN}); err != nil {
		t.Fatal(err)
	}
	seed := machine.Seed(1)
	m, err := sim.New(machine.Spec{
		Name: "n1", Manufacturer: "Hagane", Product: "Rack 1", Serial: seed.Serial("HG", "n1"), UUID: seed.UUID("n1"),
		Mode: machine.UEFI, CPUs: 2, MemoryMB: 2048,
		Disks: []machine.DiskSpec{{Bus: bus, Bytes: 8 << 30, Serial: "D0"}},
		NICs:  []machine.NICSpec{{MAC: seed.MAC("n1/0"), Port: "r1p01"}},
	}, t.TempDir(), []*vswitch.Port{port}, sim.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			text, _ := os.ReadFile(m.Status().Console)
			t.Logf("console:\n%s", text)
		}
	})
	return sw, port, m
}

// cloud is the other side of the agent: it hands out the given orders in turn and keeps the answers.
type cloud struct {
	mu     sync.Mutex
	claim  protocol.Claim
	orders []protocol.Order
	beats  map[string]protocol.Beat
	image  []byte
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.URL.Path {
	case "/script":
		_, _ = io.WriteString(w, "#!ipxe\nset base http://198.18.0.1\nkernel ${base}/vmlinuz console=ttyS0 hagane.api=${base}/agent/v1 hagane.claim=s3cret || goto failed\ninitrd --name i ${base}/initramfs || goto failed\nboot\n:failed\nexit\n")
	case "/agent/v1/claim":
		_ = json.NewDecoder(r.Body).Decode(&c.claim)
		_ = json.NewEncoder(w).Encode(protocol.Claimed{Token: "t", Node: "n1", BeatSeconds: 1, HoldSeconds: 1, GiveUpSeconds: 20})
	case "/agent/v1/heartbeat":
		var beat protocol.Beat
		_ = json.NewDecoder(r.Body).Decode(&beat)
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
	case "/image":
		_, _ = w.Write(c.image)
	default:
		_, _ = w.Write(make([]byte, 1<<20))
	}
}

// image is a disk image with a master boot record of one partition and something in it.
func image() []byte {
	b := make([]byte, 8<<20)
	copy(b[446:], []byte{0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0x30, 0, 0}) // Linux, from sector 2048, 12288 long
	b[510], b[511] = 0x55, 0xaa
	for i := 1 << 20; i < 4<<20; i++ {
		b[i] = byte(i)
	}
	return b
}

func deployOrders(t *testing.T, img []byte, mac string, key ssh.PublicKey) []protocol.Order {
	t.Helper()
	sum := sha512.Sum512(img)
	meta, _ := json.Marshal(map[string]any{
		"uuid": "u", "hostname": "web-1", "public_keys": map[string]string{"k": string(ssh.MarshalAuthorizedKey(key))},
	})
	network := fmt.Sprintf(`{"links":[{"id":"l0","type":"phy","ethernet_mac_address":%q}],
		"networks":[{"id":"n0","link":"l0","type":"ipv4","ip_address":"10.0.0.5","netmask":"255.255.255.0","routes":[]}],"services":[]}`, mac)
	return []protocol.Order{
		{ID: "1", Inspect: &protocol.Inspect{}},
		{ID: "2", Erase: &protocol.Erase{}},
		{ID: "3", Write: &protocol.Write{URL: "http://198.18.0.1/image", SHA512: hex.EncodeToString(sum[:]), Size: int64(len(img))}},
		{ID: "4", ConfigDrive: &protocol.ConfigDrive{Files: map[string][]byte{
			"openstack/latest/meta_data.json": meta, "openstack/latest/network_data.json": []byte(network),
			"openstack/latest/user_data": []byte("#!/bin/sh\necho hello\n"),
		}}},
		{ID: "5", Shutdown: &protocol.Shutdown{Reboot: true}},
	}
}

func TestWholeLife(t *testing.T) {
	for _, bus := range []machine.BusKind{machine.Virtio, machine.NVMe} {
		t.Run(string(bus), func(t *testing.T) { wholeLife(t, bus) })
	}
}

func wholeLife(t *testing.T, bus machine.BusKind) {
	sw, port, m := rig(t, bus)
	_, private, _ := ed25519.GenerateKey(nil)
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	c := &cloud{beats: map[string]protocol.Beat{}, image: image()}
	c.orders = deployOrders(t, c.image, m.Spec().NICs[0].MAC.String(), signer.PublicKey())
	machinetest.StartBootServer(t, sw, m.Spec().NICs[0].MAC, c)
	if err := m.SetBoot(t.Context(), machine.Boot{Device: machine.Network, Mode: machine.UEFI}); err != nil {
		t.Fatal(err)
	}
	if err := m.Power(t.Context(), machine.PowerOn); err != nil {
		t.Fatal(err)
	}
	machinetest.Until(t, 60*time.Second, "the deploy to end with a reboot", func() bool { return m.Status().Boots == 2 })
	c.mu.Lock()
	for id, beat := range c.beats {
		if beat.Error != "" {
			t.Errorf("order %s: %s", id, beat.Error)
		}
	}
	inv := c.beats["1"].Result.Inventory
	if c.claim.Secret != "s3cret" || inv == nil || len(inv.NICs) != 1 || inv.NICs[0].LLDP == nil || inv.NICs[0].LLDP.Port != "r1p01" {
		t.Errorf("claim %+v inventory %+v", c.claim, inv)
	}
	c.mu.Unlock()
	if b, err := m.Blank(t.Context(), 0); err != nil || b.Blank || b.Allocated > 80<<20 {
		t.Errorf("%+v %v", b, err)
	}

	if err := port.SetConfig(vswitch.Config{Access: tenantVLAN}); err != nil {
		t.Fatal(err)
	}
	host := machinetest.Host(t, sw, tenantVLAN, 9, "10.0.0.254/24")
	var client *ssh.Client
	machinetest.Until(t, 20*time.Second, "SSH", func() bool {
		conn, err := host.DialContext(t.Context(), "tcp", "10.0.0.5:22")
		if err != nil {
			return false
		}
		login, channels, requests, err := ssh.NewClientConn(conn, "10.0.0.5:22", &ssh.ClientConfig{
			User: "hagane", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
		if err != nil {
			return false
		}
		client = ssh.NewClient(login, channels, requests)
		return true
	})
	for command, want := range map[string]string{"hostname": "web-1\n", "cat /run/hagane/user-data": "#!/bin/sh\necho hello\n", "hostname; hostname": "web-1\nweb-1\n"} {
		if got := output(t, client, command); got != want {
			t.Errorf("%s: %q", command, got)
		}
	}
	if got := output(t, client, "uptime"); !strings.HasPrefix(got, "up ") {
		t.Errorf("uptime: %q", got)
	}
	_ = client.Close()
	if err := m.Power(t.Context(), machine.SoftOff); err != nil {
		t.Fatal(err)
	}
	machinetest.Until(t, 10*time.Second, "the system to shut down", func() bool { return !m.Status().On })
	if st := m.Status(); st.Ended != "powered off by its operating system" {
		t.Errorf("%+v", st)
	}
}

func output(t *testing.T, client *ssh.Client, command string) string {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var out bytes.Buffer
	session.Stdout = &out
	if err := session.Run(command); err != nil {
		t.Errorf("%s: %v", command, err)
	}
	return out.String()
}

func TestNothingBoots(t *testing.T) {
	_, _, m := rig(t, machine.Virtio)
	if err := m.SetBoot(t.Context(), machine.Boot{Device: machine.Disk, Persistent: true}); err != nil {
		t.Fatal(err)
	}
	for _, a := range []machine.Action{machine.Reset, machine.SoftOff, machine.PowerOn, machine.Reset} {
		if err := m.Power(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	if st := m.Status(); !st.On || st.Boots != 2 || st.Boot.Device != machine.Disk {
		t.Errorf("%+v", st)
	}
	if err := m.Power(t.Context(), machine.PowerOff); err != nil {
		t.Fatal(err)
	}
	if st := m.Status(); st.On || st.Ended != "powered off by its BMC" {
		t.Errorf("%+v", st)
	}
	if b, err := m.Blank(t.Context(), 0); err != nil || !b.Blank || b.Allocated != 0 {
		t.Errorf("%+v %v", b, err)
	}
}

func TestPowerOffWhileAskingForAnAddress(t *testing.T) {
	_, _, m := rig(t, machine.Virtio) // no boot server: nobody answers
	if err := m.SetBoot(t.Context(), machine.Boot{Device: machine.Network}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := m.Power(t.Context(), machine.PowerOn); err != nil {
		t.Fatal(err)
	}
	if err := m.Power(t.Context(), machine.PowerOff); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("pulling the plug took %v", took)
	}
}
