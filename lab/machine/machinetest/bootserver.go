// Package machinetest is what tests of machines share: a boot server on the lab's switch.
package machinetest

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/pin/tftp/v3"

	"github.com/hagane-cloud/hagane/lab/netstack"
	"github.com/hagane-cloud/hagane/lab/vswitch"
)

// VLAN is where the boot server is.
const VLAN = 100

// ScriptURL is what iPXE is told to boot.
const ScriptURL = "http://198.18.0.1/script"

// BootServer is the least that one machine can boot from: DHCP with one address, iPXE by TFTP and an HTTP
// server. Fetched tells every path that was asked for, those by TFTP as "tftp NAME".
type BootServer struct {
	Fetched chan string
	mac     net.HardwareAddr
}

// StartBootServer plugs a boot server for the NIC mac into sw; handler answers HTTP. It ends with the test.
func StartBootServer(t *testing.T, sw *vswitch.Switch, mac net.HardwareAddr, handler http.Handler) *BootServer {
	t.Helper()
	s := &BootServer{Fetched: make(chan string, 1000), mac: mac}
	host := Host(t, sw, VLAN, 1, "198.18.0.1/24")
	dhcp, err := host.ListenPacket(67)
	if err != nil {
		t.Fatal(err)
	}
	trivial, err := host.ListenPacket(69)
	if err != nil {
		t.Fatal(err)
	}
	web, err := host.Listen(80)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wait.Go(func() { sw.AnnounceUntil(ctx) })
	wait.Go(func() { s.serveDHCP(t, dhcp) })
	files := tftp.NewServer(s.readTFTP, nil)
	files.EnableSinglePort() // its other mode opens sockets of the test's own host
	wait.Go(func() { _ = files.Serve(trivial) })
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Fetched <- r.URL.Path
		handler.ServeHTTP(w, r)
	})}
	wait.Go(func() { _ = server.Serve(web) })
	t.Cleanup(func() {
		cancel()
		_ = dhcp.Close()
		files.Shutdown()
		_ = trivial.Close()
		_ = server.Close()
		wait.Wait()
	})
	return s
}

// Host plugs a host with the address into a VLAN of sw; last is the last byte of its MAC address. It ends with the test.
func Host(t *testing.T, sw *vswitch.Switch, vlan int, last byte, addr string) *netstack.Host {
	t.Helper()
	port, err := sw.AddUplink(vlan)
	if err != nil {
		t.Fatal(err)
	}
	host, err := netstack.NewOn(port, netstack.Config{MAC: net.HardwareAddr{2, 0, 0, 0, 0, last}, Addr: netip.MustParsePrefix(addr)})
	if err != nil {
		t.Fatal(err)
	}
	port.Plug(host)
	t.Cleanup(func() {
		port.Unplug()
		_ = host.Close()
	})
	return host
}

func (s *BootServer) serveDHCP(t *testing.T, conn net.PacketConn) {
	buf := make([]byte, 2048)
	for {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		req, err := dhcpv4.FromBytes(buf[:n])
		if err != nil || !bytes.Equal(req.ClientHWAddr, s.mac) {
			continue
		}
		kind := dhcpv4.MessageTypeOffer
		if req.MessageType() == dhcpv4.MessageTypeRequest {
			kind = dhcpv4.MessageTypeAck
		}
		file := "snponly.efi"
		if slices.Contains(req.ClientArch(), iana.INTEL_X86PC) {
			file = "undionly.kpxe"
		}
		if string(req.Options.Get(dhcpv4.OptionUserClassInformation)) == "iPXE" {
			file = ScriptURL
		}
		t.Logf("DHCP %s, arch %v, class %v: %s", req.MessageType(), req.ClientArch(), req.UserClass(), file)
		server := net.IPv4(198, 18, 0, 1)
		answer, err := dhcpv4.NewReplyFromRequest(req, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(net.IPv4(198, 18, 0, 50)),
			dhcpv4.WithServerIP(server), dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithLeaseTime(3600),
			dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server)),
			dhcpv4.WithOption(dhcpv4.OptBootFileName(file)), dhcpv4.WithOption(dhcpv4.OptTFTPServerName(server.String())))
		if err != nil {
			continue
		}
		answer.BootFileName = file
		_, _ = conn.WriteTo(answer.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: 68})
	}
}

// readTFTP serves the iPXE of Debian's and Ubuntu's package ipxe.
func (s *BootServer) readTFTP(name string, to io.ReaderFrom) error {
	s.Fetched <- "tftp " + name
	f, err := os.Open(filepath.Join("/usr/lib/ipxe", filepath.Base(name)))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = to.ReadFrom(f)
	return err
}

// Wait returns when path was fetched.
func (s *BootServer) Wait(t *testing.T, path string, within time.Duration) {
	t.Helper()
	start, late := time.Now(), time.After(within)
	for {
		select {
		case got := <-s.Fetched:
			t.Logf("%6.1f s: %s", time.Since(start).Seconds(), got)
			if got == path {
				return
			}
		case <-late:
			t.Fatalf("nobody fetched %s within %v", path, within)
		}
	}
}

// Until returns when cond holds; it looks often and fails the test after a while.
func Until(t *testing.T, within time.Duration, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited %v in vain for %s", within, what)
		case <-tick.C:
		}
	}
}
