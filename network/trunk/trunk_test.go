package trunk_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/netstack"
	"github.com/hagane-cloud/hagane/netboot"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/network/trunk"
	"github.com/hagane-cloud/hagane/network/trunk/trunktest"
)

const patience = time.Minute // of what takes moments, on machines that do much else at the time

// station is the client's MAC. It begins as ours do, so that the test's own switch, which is a trunk too, takes frames for it.
var station = net.HardwareAddr{2, 'H', 0, 0, 0, 5}

func TestParse(t *testing.T) {
	for text, want := range map[string]trunk.Spec{"eth1": {NIC: "eth1"}, "eth1:7": {NIC: "eth1", Native: 7}, "enp129s0f1np1:4094": {NIC: "enp129s0f1np1", Native: 4094}} {
		if got, err := trunk.Parse(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ":7", "eth1:", "eth1:0", "eth1:4095", "eth1:x", "eth1:7:8", "a/b", "a b", "abcdefghijklmnop"} {
		if got, err := trunk.Parse(text); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// newTrunk is a trunk that ends with the test.
func newTrunk(t *testing.T, text string) *trunk.Trunk {
	t.Helper()
	spec, err := trunk.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	tr := trunk.New(spec, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

// plug is a cable of a trunk.
func plug(t *testing.T, tr *trunk.Trunk, vlan int) io.ReadWriteCloser {
	t.Helper()
	cable, err := tr.Uplink(t.Context(), vlan)
	if err != nil {
		t.Fatal(err)
	}
	return cable
}

// host is a stack on a cable of a trunk, at the metadata's address.
func host(t *testing.T, tr *trunk.Trunk, vlan int) *netstack.Host {
	t.Helper()
	h, err := netstack.New(plug(t, tr, vlan), netstack.Config{MAC: tr.MAC("n"), Addr: netboot.MetadataAddress, Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// serve serves a network on which the client is a server with the address 10.0.0.5.
func serve(t *testing.T, h *netstack.Host) {
	t.Helper()
	none := fault.Errorf(fault.NotFound, "nobody")
	n := &netboot.Tenant{Network: "n", Log: slog.New(slog.DiscardHandler),
		Lease: func(_ context.Context, _, mac string) (network.Lease, error) {
			if mac != station.String() {
				return network.Lease{}, none
			}
			return network.Lease{Address: netip.MustParsePrefix("10.0.0.5/24"), MTU: 1500, Subnet: network.Subnet{CIDR: "10.0.0.0/24"}}, nil
		},
		Metadata: func(_ context.Context, _ string, a netip.Addr) (map[string][]byte, error) {
			if a.String() != "10.0.0.5" {
				return nil, none
			}
			return map[string][]byte{"openstack/latest/meta_data.json": []byte(`{"uuid":"it is me"}`)}, nil
		}}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- n.Serve(ctx, h) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// TestTaggedVLAN has a client in a tagged VLAN get its address by DHCP and read its metadata. Between the trunk and the client is a switch of
// two trunks, one with the client's untagged frames and one with the VLAN's; the client's kernel leaves check sums to its NIC.
func TestTaggedVLAN(t *testing.T) {
	if !trunktest.Inside(t) {
		return
	}
	client := trunktest.NewSpace(t)
	trunktest.Veth(t, "trunk0", nil, "switch0", nil)
	trunktest.Veth(t, "switch1", client, "nic0", station)
	toClient, toCloud := plug(t, newTrunk(t, "switch1:9"), 9), plug(t, newTrunk(t, "switch0"), 7)
	var forwarding sync.WaitGroup
	forwarding.Go(func() { _, _ = io.Copy(toClient, toCloud) })
	forwarding.Go(func() { _, _ = io.Copy(toCloud, toClient) })
	defer forwarding.Wait()
	defer func() { _, _ = toClient.Close(), toCloud.Close() }()

	tr := newTrunk(t, "trunk0")
	serve(t, host(t, tr, 7))
	other := plug(t, tr, 8)
	heard := make(chan int, 1)
	go func() {
		n, _ := other.Read(make([]byte, 2000))
		heard <- n
	}()
	client.Address(t, "nic0", station)
	if got := client.Metadata(t, "openstack/latest/meta_data.json"); !strings.Contains(got, "it is me") {
		t.Errorf("metadata: %s", got)
	}
	_ = other.Close()
	if n := <-heard; n > 0 {
		t.Errorf("%d bytes came out in another VLAN", n)
	}
}

// TestOffload sends much in both directions between the trunk's stack and a kernel on a veth that leaves check sums and cutting into segments
// to the other side, in the native VLAN.
func TestOffload(t *testing.T) {
	if !trunktest.Inside(t) {
		return
	}
	client := trunktest.NewSpace(t)
	trunktest.Veth(t, "trunk0", client, "nic0", station)
	tr := newTrunk(t, "trunk0:7")
	h := host(t, tr, 7)
	serve(t, h)
	client.Address(t, "nic0", station)
	if got := client.Metadata(t, "openstack/latest/meta_data.json"); !strings.Contains(got, "it is me") {
		t.Errorf("metadata: %s", got)
	}
	l, err := h.Listen(7)
	if err != nil {
		t.Fatal(err)
	}
	echoed := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = io.Copy(c, c)
			_ = c.Close()
		}
		echoed <- err
	}()
	conn := client.Dial(t.Context(), t, "169.254.169.254:7")
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	sent := make([]byte, 1<<20)
	_, _ = rand.Read(sent)
	go func() {
		_, _ = conn.Write(sent)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes came back, %v", len(got), len(sent), err)
	}
	if err := <-echoed; err != nil {
		t.Error(err)
	}
}

// TestStationsOfOneVLAN has two stations of ours in one VLAN, of which neither hears the other by the NIC.
func TestStationsOfOneVLAN(t *testing.T) {
	if !trunktest.Inside(t) {
		return
	}
	trunktest.Veth(t, "trunk0", nil, "switch0", nil)
	tr := newTrunk(t, "trunk0")
	var hosts []*netstack.Host
	for i := range byte(2) {
		h, err := netstack.New(plug(t, tr, 7), netstack.Config{MAC: net.HardwareAddr{2, 'H', 0, 0, 0, i}, Addr: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, i + 1}), 24), Verify: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		hosts = append(hosts, h)
	}
	l, err := hosts[1].Listen(7)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := hosts[0].DialContext(t.Context(), "tcp", "10.0.0.2:7")
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// TestInterfaceGoes has the NIC go down, away and come back.
func TestInterfaceGoes(t *testing.T) {
	if !trunktest.Inside(t) {
		return
	}
	tr := newTrunk(t, "trunk0")
	refused := func(words string) {
		t.Helper()
		if _, err := tr.Uplink(t.Context(), 7); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want an Unavailable fault with %q", err, words)
		}
	}
	ended := func(cable io.Reader) {
		t.Helper()
		if _, err := io.Copy(io.Discard, cable); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the cable ended with %v", err)
		}
	}
	refused("there is no network interface trunk0")
	trunktest.Veth(t, "trunk0", nil, "switch0", nil)
	link, err := netlink.LinkByName("trunk0")
	if err != nil {
		t.Fatal(err)
	}
	cable := plug(t, tr, 7)
	if _, err := tr.Uplink(t.Context(), 4095); !fault.Is(err, fault.Invalid) {
		t.Errorf("VLAN 4095: %v", err)
	}
	if err := netlink.LinkSetDown(link); err != nil {
		t.Fatal(err)
	}
	ended(cable)
	refused("ip link set trunk0 up")
	trunktest.Up(t, "trunk0")
	before := tr.MAC("n").String()
	cable = plug(t, tr, 7)
	if after := tr.MAC("n").String(); after != before || after == tr.MAC("m").String() {
		t.Errorf("our MAC was %s and is %s; on another network %s", before, after, tr.MAC("m"))
	}
	if err := netlink.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	ended(cable)
	refused("there is no network interface trunk0")
	trunktest.Veth(t, "trunk0", nil, "switch0", nil)
	cable = plug(t, tr, 7)
	if err := cable.Close(); err != nil {
		t.Error(err)
	}
	_ = plug(t, tr, 7) // it was unplugged
}

// TestRights gives up the right to packet sockets on one thread.
func TestRights(t *testing.T) {
	if !trunktest.Inside(t) {
		return
	}
	if err := trunk.Rights(); err != nil {
		t.Fatal(err)
	}
	trunktest.NewSpace(t).Do(t, func() error {
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&head, &none[0]); err != nil {
			return err
		}
		if err := trunk.Rights(); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "CAP_NET_RAW") {
			t.Errorf("without rights: %v", err)
		}
		return nil
	})
}
