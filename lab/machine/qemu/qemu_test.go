package qemu_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/pin/tftp/v3"

	"github.com/hagane-cloud/hagane/lab/ether"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/qemu"
	"github.com/hagane-cloud/hagane/lab/netstack"
	"github.com/hagane-cloud/hagane/lab/vswitch"
)

const bootVLAN = 100

// bootServer is the least that a machine can boot from: one address, one script, one page that proves
// that the script ran.
type bootServer struct {
	host   *netstack.Host
	mac    net.HardwareAddr
	script string
	ran    chan string // paths that were fetched
}

func startBootServer(t *testing.T, sw *vswitch.Switch, mac net.HardwareAddr, script string) *bootServer {
	t.Helper()
	port, err := sw.AddUplink(bootVLAN)
	if err != nil {
		t.Fatal(err)
	}
	host, err := netstack.NewOn(port, netstack.Config{
		MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Addr: netip.MustParsePrefix("198.18.0.1/24"),
	})
	if err != nil {
		t.Fatal(err)
	}
	port.Plug(host)
	s := &bootServer{host: host, mac: mac, script: script, ran: make(chan string, 100)}
	var wait sync.WaitGroup
	dhcp, err := host.ListenPacket(67)
	if err != nil {
		t.Fatal(err)
	}
	wait.Go(func() { s.serveDHCP(t, dhcp) })
	trivial, err := host.ListenPacket(69)
	if err != nil {
		t.Fatal(err)
	}
	files := tftp.NewServer(s.readTFTP, nil)
	files.EnableSinglePort()
	wait.Go(func() { _ = files.Serve(trivial) })
	web, err := host.Listen(80)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s}
	wait.Go(func() { _ = server.Serve(web) })
	t.Cleanup(func() {
		_ = dhcp.Close()
		files.Shutdown()
		_ = trivial.Close()
		_ = server.Close()
		wait.Wait()
		_ = host.Close()
	})
	return s
}

func (s *bootServer) serveDHCP(t *testing.T, conn net.PacketConn) {
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
		if slicesContain(req.ClientArch(), iana.INTEL_X86PC) {
			file = "undionly.kpxe"
		}
		if slicesContain(req.UserClass(), "iPXE") || string(req.Options.Get(dhcpv4.OptionUserClassInformation)) == "iPXE" {
			file = "http://198.18.0.1/script"
		}
		t.Logf("dhcp %s arch %v class %v -> %s", req.MessageType(), req.ClientArch(), req.UserClass(), file)
		answer, err := dhcpv4.NewReplyFromRequest(req, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(net.IPv4(198, 18, 0, 50)),
			dhcpv4.WithServerIP(net.IPv4(198, 18, 0, 1)), dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithLeaseTime(3600),
			dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(198, 18, 0, 1))),
			dhcpv4.WithOption(dhcpv4.OptBootFileName(file)), dhcpv4.WithOption(dhcpv4.OptTFTPServerName("198.18.0.1")))
		if err != nil {
			continue
		}
		answer.BootFileName = file
		_, _ = conn.WriteTo(answer.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: 68})
	}
}

func slicesContain[T comparable](all []T, one T) bool {
	for _, x := range all {
		if x == one {
			return true
		}
	}
	return false
}

func (s *bootServer) readTFTP(name string, to io.ReaderFrom) error {
	s.ran <- "tftp " + name
	f, err := os.Open(filepath.Join("/usr/lib/ipxe", filepath.Base(name)))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = to.ReadFrom(f)
	return err
}

func (s *bootServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.ran <- r.URL.Path
	switch r.URL.Path {
	case "/script":
		_, _ = io.WriteString(w, s.script)
	case "/big":
		_, _ = w.Write(make([]byte, 32<<20))
	default:
		_, _ = io.WriteString(w, "#!ipxe\n")
	}
}

// wait returns when path was fetched.
func (s *bootServer) wait(t *testing.T, path string, within time.Duration) {
	t.Helper()
	start := time.Now()
	late := time.After(within)
	for {
		select {
		case got := <-s.ran:
			t.Logf("%6.1f s: %s", time.Since(start).Seconds(), got)
			if got == path {
				return
			}
		case <-late:
			t.Fatalf("nobody fetched %s within %v", path, within)
		}
	}
}

func rig(t *testing.T, mode machine.Mode, bus machine.BusKind, change ...func(*qemu.Options)) (*vswitch.Switch, *qemu.Machine) {
	t.Helper()
	firmware, err := qemu.FindFirmware()
	if err != nil {
		t.Skip(err)
	}
	if !firmware.Has(mode) {
		t.Skipf("no %s firmware on this host; apt-get install ovmf", mode)
	}
	if os.Getenv("HAGANE_LAB_QEMU") == "" {
		t.Skip("boots a real firmware, which takes half a minute: set HAGANE_LAB_QEMU=1 to run")
	}
	sw := vswitch.New("lab", ether.MAC{2, 0xff})
	port, err := sw.AddPort("r1p01")
	if err != nil {
		t.Fatal(err)
	}
	if err := port.SetConfig(vswitch.Config{Access: bootVLAN}); err != nil {
		t.Fatal(err)
	}
	seed := machine.Seed(1)
	accel := qemu.Accelerator(t.Context(), firmware.QEMU, filepath.Join(os.TempDir(), "hagane-test-accelerator"))
	log := slog.New(slog.NewTextHandler(testWriter{t}, nil))
	options := qemu.Options{Firmware: firmware, Accel: accel, Log: log}
	for _, f := range change {
		f(&options)
	}
	m, err := qemu.New(machine.Spec{
		Name: "n1", Manufacturer: "Hagane, Lab", Product: "Rack 1", Serial: seed.Serial("HG", "n1"), UUID: seed.UUID("n1"),
		Mode: mode, CPUs: 1, MemoryMB: 512,
		Disks: []machine.DiskSpec{{Bus: bus, Bytes: 1 << 30, Serial: "D0"}},
		NICs:  []machine.NICSpec{{MAC: seed.MAC("n1/0"), Port: "r1p01"}},
	}, t.TempDir(), []*vswitch.Port{port}, options)
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
	return sw, m
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

const script = `#!ipxe
imgfetch http://198.18.0.1/alive/${platform}
imgfree
imgfetch http://198.18.0.1/big
imgfree
imgfetch http://198.18.0.1/got
imgfree
reboot
`

func TestNetworkBootOnceThenReset(t *testing.T) {
	for _, kind := range []struct {
		mode machine.Mode
		bus  machine.BusKind
		says string
	}{{machine.BIOS, machine.NVMe, "pcbios"}, {machine.UEFI, machine.Virtio, "efi"}} {
		t.Run(string(kind.mode), func(t *testing.T) {
			sw, m := rig(t, kind.mode, kind.bus)
			s := startBootServer(t, sw, m.Spec().NICs[0].MAC, script)
			if err := m.SetBoot(t.Context(), machine.Boot{Device: machine.Network}); err != nil {
				t.Fatal(err)
			}
			if err := m.Power(t.Context(), machine.PowerOn); err != nil {
				t.Fatal(err)
			}
			s.wait(t, "/alive/"+kind.says, 2*time.Minute)
			s.wait(t, "/got", time.Minute)
			within(t, 30*time.Second, "the reset to start the machine anew", func() bool { return m.Status().Boots == 2 })
			if st := m.Status(); st.BootedFrom != machine.None || st.Boot.Device != machine.None || st.Mode != kind.mode {
				t.Errorf("the override was not used up: %+v", st)
			}
			if err := m.Power(t.Context(), machine.PowerOff); err != nil {
				t.Fatal(err)
			}
			if st := m.Status(); st.On || st.Ended != "powered off by its BMC" {
				t.Errorf("%+v", st)
			}
			if b, err := m.Blank(t.Context(), 0); err != nil || !b.Blank || b.Bytes != 1<<30 {
				t.Errorf("%+v %v", b, err)
			}
		})
	}
}

func TestFirmwarePXE(t *testing.T) {
	sw, m := rig(t, machine.UEFI, machine.NVMe, func(o *qemu.Options) { o.FirmwarePXE = true })
	s := startBootServer(t, sw, m.Spec().NICs[0].MAC, script)
	if err := m.SetBoot(t.Context(), machine.Boot{Device: machine.Network, Persistent: true}); err != nil {
		t.Fatal(err)
	}
	if err := m.Power(t.Context(), machine.PowerOn); err != nil {
		t.Fatal(err)
	}
	s.wait(t, "tftp snponly.efi", 2*time.Minute)
	s.wait(t, "/got", time.Minute)
}

func within(t *testing.T, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatal(fmt.Sprintf("waited %v in vain for %s", limit, what))
		case <-tick.C:
		}
	}
}

func TestResetAndDeath(t *testing.T) {
	_, m := rig(t, machine.BIOS, machine.Virtio)
	if err := m.Power(t.Context(), machine.Reset); err != nil { // of a machine that is off: a power on
		t.Fatal(err)
	}
	if err := m.Power(t.Context(), machine.PowerOn); err != nil {
		t.Fatal(err)
	}
	if st := m.Status(); !st.On || st.Boots != 1 {
		t.Errorf("%+v", st)
	}
	if err := m.Power(t.Context(), machine.SoftOff); err != nil { // no operating system: nothing happens
		t.Error(err)
	}
	if err := m.Power(t.Context(), machine.Reset); err != nil {
		t.Fatal(err)
	}
	if st := m.Status(); !st.On || st.Boots != 2 {
		t.Errorf("%+v", st)
	}
}
