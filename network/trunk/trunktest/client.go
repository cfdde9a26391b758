package trunktest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
	"unsafe"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// patience bounds the waiting for answers, on machines that do much else at the time.
const patience = time.Minute

// Address gets an interface of the namespace an address by DHCP and sets it, with the routes that came with it.
func (s *Space) Address(t *testing.T, nic string, mac net.HardwareAddr) *net.IPNet {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got *net.IPNet
	s.Do(t, func() error {
		client, err := nclient4.New(nic, nclient4.WithTimeout(time.Second), nclient4.WithRetry(int(patience/time.Second)))
		if err != nil {
			return err
		}
		defer func() { _ = client.Close() }() // nothing is left to send
		lease, err := client.Request(ctx, dhcpv4.WithHwAddr(mac))
		if err != nil {
			return err
		}
		link, err := netlink.LinkByName(nic)
		if err != nil {
			return err
		}
		got = &net.IPNet{IP: lease.ACK.YourIPAddr, Mask: lease.ACK.SubnetMask()}
		if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: got}); err != nil {
			return err
		}
		for _, r := range lease.ACK.ClasslessStaticRoute() {
			route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: r.Dest, Gw: r.Router}
			if r.Router.IsUnspecified() {
				route.Gw, route.Scope = nil, netlink.SCOPE_LINK
			}
			if err := netlink.RouteAdd(route); err != nil {
				return fmt.Errorf("route to %s: %w", r.Dest, err)
			}
		}
		return nil
	})
	return got
}

// Metadata reads a file of the metadata service from the namespace, by the kernel's TCP.
func (s *Space) Metadata(t *testing.T, path string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn := s.Dial(ctx, t, "169.254.169.254:80")
	defer func() { _ = conn.Close() }() // all was read
	_ = conn.SetDeadline(time.Now().Add(patience))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://169.254.169.254/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", path, res.Status, err)
	}
	return string(body)
}

// Finish has the kernel finish the check sums of what it sends on an interface of the namespace, in place of leaving them to the other end of a
// veth: switches in user space hand on what they get.
func (s *Space) Finish(t *testing.T, nic string) {
	t.Helper()
	s.Do(t, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		value := struct{ command, on uint32 }{command: unix.ETHTOOL_STXCSUM}
		request := struct {
			name  [unix.IFNAMSIZ]byte
			value unsafe.Pointer
			_     [16]byte
		}{value: unsafe.Pointer(&value)}
		copy(request.name[:], nic)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
			return fmt.Errorf("turning check sum offload of %s off: %w", nic, errno)
		}
		return nil
	})
}
