package netboot

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sync/errgroup"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

// MetadataAddress is ours on every tenant's network: where OpenStack and EC2 have their metadata. We answer DHCP from it
// too, so that we take no address of a tenant's. Its prefix is all addresses: everything on the wire is our neighbour.
var MetadataAddress = netip.MustParsePrefix("169.254.169.254/0")

// Tenant serves one tenant's network: DHCP for the ports of servers, and their metadata.
type Tenant struct {
	Network string // its id
	// Lease tells what a MAC of the network is told by DHCP; NotFound is not answered.
	Lease func(ctx context.Context, network, mac string) (network.Lease, error)
	// Metadata returns the files of the config drive of the server with an address on the network.
	Metadata func(ctx context.Context, network string, a netip.Addr) (map[string][]byte, error)
	Log      *slog.Logger
}

// Serve answers on a wire, on which we are MetadataAddress, until ctx ends or the wire breaks.
func (t *Tenant) Serve(ctx context.Context, w Wire) error {
	web, err := w.Listen(portHTTP)
	if err != nil {
		return fault.Wrap("listening for HTTP", err)
	}
	dhcp, err := w.ListenPacket(portDHCP)
	if err != nil {
		return errors.Join(fault.Wrap("listening for DHCP", err), web.Close())
	}
	g, gctx := errgroup.WithContext(ctx)
	hs := &http.Server{Handler: http.HandlerFunc(t.serveMetadata), ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 30 * time.Second,
		MaxHeaderBytes: 16 << 10, BaseContext: func(net.Listener) context.Context { return gctx }}
	g.Go(func() error { return hs.Serve(web) })
	g.Go(func() error { return serveDHCP(gctx, dhcp, t.Log, t.answer) })
	g.Go(func() error {
		<-gctx.Done()
		_ = hs.Close()
		_ = dhcp.Close()
		return nil
	})
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return fault.E(fault.Unavailable, "serving the network "+t.Network, err)
	}
	return nil
}

// tenantLease is how long an address is given for. It is the port's in any case; the time is how soon a changed gateway or
// name server is heard of.
const tenantLease = time.Hour

// answer makes the answer to a request; nil when there is none to be given.
func (t *Tenant) answer(ctx context.Context, req *dhcpv4.DHCPv4) (*dhcpv4.DHCPv4, error) {
	us := MetadataAddress.Addr()
	kind := answerTo(req, us)
	if kind == dhcpv4.MessageTypeNone {
		return nil, nil
	}
	l, err := t.Lease(ctx, t.Network, req.ClientHWAddr.String())
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	mods := []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptServerIdentifier(us.AsSlice()))}
	if refuses(req, kind, l.Address.Addr()) {
		kind = dhcpv4.MessageTypeNak
	} else {
		mods = append(mods, t.told(req, l)...)
	}
	resp, err := dhcpv4.NewReplyFromRequest(req, append(mods, dhcpv4.WithMessageType(kind))...)
	return resp, fault.Wrap("making a DHCP answer", err)
}

// told is what a lease tells a client.
func (t *Tenant) told(req *dhcpv4.DHCPv4, l network.Lease) []dhcpv4.Modifier {
	mods := []dhcpv4.Modifier{dhcpv4.WithYourIP(l.Address.Addr().AsSlice()), dhcpv4.WithNetmask(net.CIDRMask(l.Address.Bits(), 32)),
		dhcpv4.WithLeaseTime(uint32(tenantLease / time.Second)),
		dhcpv4.WithGeneric(dhcpv4.OptionInterfaceMTU, []byte{byte(l.MTU >> 8), byte(l.MTU)}),
		dhcpv4.WithOption(dhcpv4.OptClasslessStaticRoute(routesOf(l.Subnet)...))}
	if l.Subnet.Gateway != "" {
		mods = append(mods, dhcpv4.WithRouter(net.ParseIP(l.Subnet.Gateway)))
	}
	if dns := addressesOf(l.Subnet.DNS); len(dns) > 0 {
		mods = append(mods, dhcpv4.WithDNS(dns...))
	}
	if ntp := addressesOf(l.Subnet.NTP); len(ntp) > 0 {
		mods = append(mods, dhcpv4.WithOption(dhcpv4.OptNTPServers(ntp...)))
	}
	for _, o := range l.Port.DHCPOptions {
		if o.Version == 4 {
			mods = append(mods, extra(req, o)...)
		}
	}
	return mods
}

// routesOf are the routes of option 121 (RFC 3442): a client that reads it does not look at the router option. The
// metadata's address is on the wire itself, which the router 0.0.0.0 says.
func routesOf(sub network.Subnet) []*dhcpv4.Route {
	route := func(to netip.Prefix, via net.IP) *dhcpv4.Route {
		return &dhcpv4.Route{Dest: &net.IPNet{IP: to.Addr().AsSlice(), Mask: net.CIDRMask(to.Bits(), 32)}, Router: via}
	}
	us := MetadataAddress.Addr()
	routes := []*dhcpv4.Route{route(netip.PrefixFrom(us, 32), net.IPv4zero)}
	for _, r := range sub.Routes {
		routes = append(routes, route(r.Destination, r.NextHop.AsSlice()))
	}
	if sub.Gateway != "" {
		routes = append(routes, route(netip.PrefixFrom(netip.IPv4Unspecified(), 0), net.ParseIP(sub.Gateway)))
	}
	return routes
}

func addressesOf(texts []string) []net.IP {
	var out []net.IP
	for _, text := range texts {
		if ip := net.ParseIP(text).To4(); ip != nil {
			out = append(out, ip)
		}
	}
	return out
}

// extra is an option that the tenant gave the port, by its name in dnsmasq, which OpenStack uses, or its number. Others
// are left out.
func extra(req *dhcpv4.DHCPv4, o network.Option) []dhcpv4.Modifier {
	switch o.Name {
	case "bootfile-name", "67":
		mods := []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptBootFileName(o.Value)), func(d *dhcpv4.DHCPv4) { d.BootFileName = o.Value }}
		if class := req.ClassIdentifier(); len(class) >= 10 && class[:10] == "HTTPClient" {
			mods = append(mods, dhcpv4.WithOption(dhcpv4.OptClassIdentifier("HTTPClient"))) // UEFI 2.10, section 24.7
		}
		return mods
	case "tftp-server", "server-ip-address", "66", "150":
		mods := []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptTFTPServerName(o.Value))}
		if ip := net.ParseIP(o.Value).To4(); ip != nil {
			mods = append(mods, dhcpv4.WithServerIP(ip))
		}
		return mods
	case "domain-name", "15":
		return []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptDomainName(o.Value))}
	}
	// A number: a text for a site's own purposes. Those below 224 have forms of their own (RFC 3942).
	if n, err := strconv.Atoi(o.Name); err == nil && slices.Contains([]int{12, 17, 43, 60}, n) || err == nil && n >= 224 && n <= 254 {
		return []dhcpv4.Modifier{dhcpv4.WithGeneric(dhcpv4.GenericOptionCode(n), []byte(o.Value))}
	}
	return nil
}
