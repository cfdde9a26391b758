package netboot

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

// newTenant serves a network on which one server has the address 10.0.0.5.
func newTenant() *Tenant {
	return &Tenant{Network: "n", Log: slog.New(slog.DiscardHandler),
		Lease: func(_ context.Context, n, mac string) (network.Lease, error) {
			if n != "n" || mac != known {
				return network.Lease{}, fault.Errorf(fault.NotFound, "no such port")
			}
			return network.Lease{Address: netip.MustParsePrefix("10.0.0.5/24"), MTU: 1400,
				Port: network.Port{DHCPOptions: []network.Option{{Name: "bootfile-name", Value: "http://10.0.0.9/x", Version: 4}, {Name: "224", Value: "own", Version: 4},
					{Name: "domain-name", Value: "six", Version: 6}, {Name: "51", Value: "x", Version: 4}}},
				Subnet: network.Subnet{CIDR: "10.0.0.0/24", Gateway: "10.0.0.1", DNS: []string{"10.0.0.2", "fd00::2"}, NTP: []string{"10.0.0.3"},
					Routes: []network.Route{{Destination: netip.MustParsePrefix("10.8.0.0/16"), NextHop: netip.MustParseAddr("10.0.0.8")}}}}, nil
		},
		Metadata: func(_ context.Context, n string, a netip.Addr) (map[string][]byte, error) {
			if a.String() != "10.0.0.5" {
				return nil, fault.Errorf(fault.NotFound, "no server at %s", a)
			}
			return map[string][]byte{"openstack/latest/meta_data.json": []byte(`{"uuid":"u","hostname":"web","availability_zone":"z","public_keys":{"mine":"ssh-ed25519 AAAA"}}`),
				"openstack/latest/network_data.json": []byte(`{}`), "openstack/latest/user_data": []byte("#!/bin/sh"), "openstack/content/0000": []byte("file")}, nil
		}}
}

func (t *Tenant) ask(tt *testing.T, kind dhcpv4.MessageType, mac string, mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	tt.Helper()
	hw, err := net.ParseMAC(mac)
	if err != nil {
		tt.Fatal(err)
	}
	req, err := dhcpv4.New(append(mods, dhcpv4.WithHwAddr(hw), dhcpv4.WithMessageType(kind))...)
	if err != nil {
		tt.Fatal(err)
	}
	resp, err := t.answer(tt.Context(), req)
	if err != nil {
		tt.Fatal(err)
	}
	return resp
}

func TestTenantDHCP(t *testing.T) {
	s := newTenant()
	offer := s.ask(t, dhcpv4.MessageTypeDiscover, known)
	if offer == nil || offer.MessageType() != dhcpv4.MessageTypeOffer || offer.YourIPAddr.String() != "10.0.0.5" || offer.SubnetMask().String() != "ffffff00" {
		t.Fatalf("offered %v", offer)
	}
	if id := offer.ServerIdentifier().String(); id != "169.254.169.254" {
		t.Errorf("the server is %s", id)
	}
	if r := offer.Router(); len(r) != 1 || r[0].String() != "10.0.0.1" {
		t.Errorf("routers %v", r)
	}
	if d := offer.DNS(); len(d) != 1 || d[0].String() != "10.0.0.2" {
		t.Errorf("name servers %v", d)
	}
	var routes []string
	for _, r := range offer.ClasslessStaticRoute() {
		routes = append(routes, r.Dest.String()+" "+r.Router.String())
	}
	if got, want := strings.Join(routes, ", "), "169.254.169.254/32 0.0.0.0, 10.8.0.0/16 10.0.0.8, 0.0.0.0/0 10.0.0.1"; got != want {
		t.Errorf("routes %s, want %s", got, want)
	}
	if mtu := offer.Options.Get(dhcpv4.OptionInterfaceMTU); len(mtu) != 2 || int(mtu[0])<<8|int(mtu[1]) != 1400 {
		t.Errorf("MTU %v", mtu)
	}
	if offer.BootFileName != "http://10.0.0.9/x" || string(offer.Options.Get(dhcpv4.GenericOptionCode(224))) != "own" || offer.DomainName() != "" {
		t.Errorf("the port's own options: %v", offer)
	}
	if lease := offer.IPAddressLeaseTime(0); lease != tenantLease {
		t.Errorf("lease %s: an option of the port's changed it", lease)
	}
	wants := func(ip string) dhcpv4.Modifier {
		return dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.ParseIP(ip)))
	}
	for _, tt := range []struct {
		name string
		kind dhcpv4.MessageType
		mac  string
		mods []dhcpv4.Modifier
		want dhcpv4.MessageType
	}{
		{"request", dhcpv4.MessageTypeRequest, known, []dhcpv4.Modifier{wants("10.0.0.5")}, dhcpv4.MessageTypeAck},
		{"another address", dhcpv4.MessageTypeRequest, known, []dhcpv4.Modifier{wants("10.0.0.6")}, dhcpv4.MessageTypeNak},
		{"another server", dhcpv4.MessageTypeRequest, known, []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(10, 0, 0, 1)))}, dhcpv4.MessageTypeNone},
		{"release", dhcpv4.MessageTypeRelease, known, nil, dhcpv4.MessageTypeNone},
		{"a stranger", dhcpv4.MessageTypeDiscover, unknown, nil, dhcpv4.MessageTypeNone},
	} {
		got := s.ask(t, tt.kind, tt.mac, tt.mods...)
		if got == nil && tt.want != dhcpv4.MessageTypeNone || got != nil && got.MessageType() != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, got, tt.want)
		}
	}
	if nak := s.ask(t, dhcpv4.MessageTypeRequest, known, wants("10.0.0.6")); !nak.YourIPAddr.IsUnspecified() {
		t.Errorf("a refusal has the address %s", nak.YourIPAddr)
	}
}

func TestMetadata(t *testing.T) {
	s := newTenant()
	get := func(path, from string, header ...string) (int, string) {
		req := httptest.NewRequest("GET", path, nil)
		req.RemoteAddr = from + ":1234"
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		s.serveMetadata(w, req)
		return w.Code, w.Body.String()
	}
	for _, tt := range []struct{ path, want string }{
		{"/", "2009-04-04\nlatest"},
		{"/openstack", "2012-08-10\n2015-10-15\n2018-08-27\ncontent\nlatest"},
		{"/openstack/", "2012-08-10\n2015-10-15\n2018-08-27\ncontent\nlatest"},
		{"/openstack/2018-08-27", "meta_data.json\nnetwork_data.json\nuser_data"},
		{"/openstack/latest/user_data", "#!/bin/sh"},
		{"/openstack/content/0000", "file"},
		{"/latest", "meta-data/\nuser-data"},
		{"/latest/user-data", "#!/bin/sh"},
		{"/latest/meta-data/", "hostname\ninstance-id\nlocal-hostname\nlocal-ipv4\nplacement/\npublic-keys/"},
		{"/2009-04-04/meta-data/instance-id", "u"},
		{"/latest/meta-data/local-ipv4", "10.0.0.5"},
		{"/latest/meta-data/placement/availability-zone", "z"},
		{"/latest/meta-data/public-keys/", "0=mine"},
		{"/latest/meta-data/public-keys/0", "openssh-key"},
		{"/latest/meta-data/public-keys/0/openssh-key", "ssh-ed25519 AAAA"},
	} {
		if code, got := get(tt.path, "10.0.0.5"); code != http.StatusOK || got != tt.want {
			t.Errorf("%s: %d %q, want %q", tt.path, code, got, tt.want)
		}
	}
	if code, _ := get("/latest/meta-data/ami-id", "10.0.0.5"); code != http.StatusNotFound {
		t.Errorf("what is not there: %d", code)
	}
	if code, body := get("/openstack/latest/user_data", "10.0.0.6"); code != http.StatusNotFound || strings.Contains(body, "#!") {
		t.Errorf("a stranger got %d %s", code, body)
	}
	if code, _ := get("/openstack/latest/user_data", "10.0.0.5", "X-Forwarded-For", "10.0.0.6"); code != http.StatusForbidden {
		t.Errorf("a proxy got %d", code)
	}
}
