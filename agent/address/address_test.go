package address

import (
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestApply gives an address to a NIC in a network of its own.
func TestApply(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making a network namespace needs root")
	}
	runtime.LockOSThread() // and never unlock it: the thread ends with the test, and its network with it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip(err)
	}
	nic := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "nic0"}, PeerName: "peer0"}
	if err := netlink.LinkAdd(nic); err != nil {
		t.Skip(err)
	}
	link, err := netlink.LinkByName("nic0")
	if err != nil {
		t.Fatal(err)
	}
	f := Fixed{Address: netip.MustParsePrefix("198.18.0.10/16"), Gateway: netip.MustParseAddr("198.18.0.1")}
	for range 2 { // it may be told again
		if err := f.apply(link); err != nil {
			t.Fatal(err)
		}
	}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil || len(addrs) != 1 || addrs[0].IPNet.String() != "198.18.0.10/16" {
		t.Errorf("the NIC has %v, %v", addrs, err)
	}
	routes, err := netlink.RouteList(link, netlink.FAMILY_V4)
	if err != nil || len(routes) != 2 {
		t.Fatalf("routes: %v, %v", routes, err)
	}
	for _, r := range routes {
		if r.Gw != nil && !r.Gw.Equal(f.Gateway.AsSlice()) {
			t.Errorf("the way out is %v", r)
		}
	}
}
