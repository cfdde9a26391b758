package netboot

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/node"
)

func TestMain(m *testing.M) {
	code := m.Run()
	dbtest.Stop()
	os.Exit(code)
}

const known, unknown = "02:00:00:00:00:01", "02:00:00:00:00:99"

// nodes knows one machine, whose run wants the agent.
type nodes struct{ Nodes }

func (nodes) Known(_ context.Context, mac string) (bool, error) { return mac != unknown, nil }

func (nodes) BootFor(_ context.Context, mac string) (node.Boot, error) {
	if mac != known {
		return node.Boot{}, nil
	}
	return node.Boot{Node: "n", Secret: "s3cret"}, nil
}

func (nodes) Claim(context.Context, protocol.Claim) (protocol.Claimed, error) {
	return protocol.Claimed{}, errors.New("not asked here")
}

func newServer(d *db.DB) *Server {
	return New(Options{Network: "provisioning", Address: netip.MustParsePrefix("198.18.0.1/29"), DB: d, Nodes: nodes{}, Log: slog.New(slog.DiscardHandler)})
}

func ask(t *testing.T, s *Server, mac string, mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	t.Helper()
	hw, err := net.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	req, err := dhcpv4.NewDiscovery(hw, mods...)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.answer(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// TestBootFile asks as firmware of each kind does.
func TestBootFile(t *testing.T) {
	s := New(Options{Network: "provisioning", Address: netip.MustParsePrefix("198.18.0.1/24"), DB: dbtest.SQLite(t), Nodes: nodes{}, Log: slog.New(slog.DiscardHandler)})
	pxe := func(arch iana.Arch) []dhcpv4.Modifier {
		return []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptClassIdentifier("PXEClient:Arch:0")), dhcpv4.WithOption(dhcpv4.OptClientArch(arch))}
	}
	for _, tt := range []struct {
		name string
		mods []dhcpv4.Modifier
		want string
	}{
		{"BIOS", pxe(iana.INTEL_X86PC), "undionly.kpxe"},
		{"UEFI", pxe(iana.EFI_X86_64), "snponly.efi"},
		{"UEFI, as some firmware names it", pxe(iana.EFI_BC), "snponly.efi"},
		{"iPXE", append(pxe(iana.INTEL_X86PC), dhcpv4.WithUserClass("iPXE", false)), "http://198.18.0.1/boot/02-00-00-00-00-01"},
		{"iPXE by its features", append(pxe(iana.EFI_X86_64), dhcpv4.WithGeneric(dhcpv4.GenericOptionCode(175), []byte{1})), "http://198.18.0.1/boot/02-00-00-00-00-01"},
		{"UEFI HTTP boot", []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptClassIdentifier("HTTPClient:Arch:00016"))}, "http://198.18.0.1/boot/ipxe.efi"},
		{"an operating system", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ask(t, s, known, tt.mods...)
			if got == nil || got.BootFileName != tt.want {
				t.Fatalf("told %v, want the boot file %q", got, tt.want)
			}
			if tt.name == "UEFI HTTP boot" && got.ClassIdentifier() != "HTTPClient" {
				t.Errorf("the class is %q, want HTTPClient", got.ClassIdentifier())
			}
		})
	}
	if got := ask(t, s, unknown); got != nil {
		t.Errorf("an unknown machine was answered: %v", got)
	}
}

// TestLeases gives every machine an address of its own, the same again, until there are none.
func TestLeases(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := New(Options{Network: "provisioning", Address: netip.MustParsePrefix("198.18.0.1/28"), DB: d, Nodes: nodes{}, Log: slog.New(slog.DiscardHandler)})
		first := ask(t, s, known).YourIPAddr.String()
		if again := ask(t, s, known).YourIPAddr.String(); again != first || first != "198.18.0.10" {
			t.Errorf("the first machine has %s, then %s; want 198.18.0.10 twice", first, again)
		}
		if other := ask(t, s, "02:00:00:00:00:02").YourIPAddr.String(); other == first {
			t.Errorf("two machines have %s", first)
		}
		for _, mac := range []string{"02:00:00:00:00:03", "02:00:00:00:00:04", "02:00:00:00:00:05"} {
			ask(t, s, mac)
		}
		req, err := dhcpv4.NewDiscovery(net.HardwareAddr{2, 0, 0, 0, 0, 6})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.answer(t.Context(), req); err == nil {
			t.Error("a sixth machine got an address out of five")
		}
	})
}

// TestStatic gives machines that use no DHCP their addresses out of the same range.
func TestStatic(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := New(Options{Network: "provisioning", Address: netip.MustParsePrefix("198.18.0.1/28"), DB: d, Nodes: nodes{}, Log: slog.New(slog.DiscardHandler)})
		leases := Leases{Network: s.Network, Address: s.Address, DB: d}
		asked := ask(t, s, known).YourIPAddr.String()
		told, err := leases.Static(t.Context(), "02:00:00:00:00:02")
		if err != nil || told.String() != "198.18.0.11/28" {
			t.Errorf("told %s, %v beside %s by DHCP", told, err, asked)
		}
		if got := ask(t, s, "02:00:00:00:00:02").YourIPAddr.String(); got != told.Addr().String() {
			t.Errorf("the same machine has %s by DHCP and %s without", got, told)
		}
		// A lease by DHCP is too short for a machine that never asks again.
		if again, err := leases.Static(t.Context(), known); err != nil || again.Addr().String() != asked {
			t.Errorf("told %s, %v after %s by DHCP", again, err, asked)
		}
		var l Lease
		if err := d.Read().NewSelect().Model(&l).Where("mac = ?", known).Scan(t.Context()); err != nil || time.Until(l.ExpiresAt) < staticTime-time.Hour {
			t.Errorf("the address is lent until %s, %v", l.ExpiresAt, err)
		}
	})
}

// TestScript gives a boot script, and the secret in it, only to the machine that has the address.
func TestScript(t *testing.T) {
	s := newServer(dbtest.SQLite(t))
	s.Address = netip.MustParsePrefix("198.18.0.1/24")
	addr := ask(t, s, known).YourIPAddr.String()
	get := func(path, from string) *httptest.ResponseRecorder {
		req := httptest.NewRequest("GET", path, nil)
		req.RemoteAddr = from + ":1234"
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, req)
		return w
	}
	path := "/boot/02-00-00-00-00-01"
	if w := get(path, addr); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "hagane.claim=s3cret") || !strings.HasPrefix(w.Body.String(), "#!ipxe\n") {
		t.Errorf("the machine got %d %s", w.Code, w.Body)
	}
	if w := get(path, "198.18.0.77"); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "s3cret") {
		t.Errorf("a stranger got %d %s", w.Code, w.Body)
	}
	other := ask(t, s, "02:00:00:00:00:02").YourIPAddr.String()
	if w := get(path, other); w.Code != http.StatusForbidden {
		t.Errorf("another machine got %d %s", w.Code, w.Body)
	}
	if w := get("/boot/02-00-00-00-00-02", other); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "sanboot") {
		t.Errorf("a machine with nothing to do got %d %s", w.Code, w.Body)
	}
}
