package network_test

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/network/fabric"
	"github.com/hagane-cloud/hagane/network/fabric/fake"
	"github.com/hagane-cloud/hagane/secret"
)

// guarded is a switch that remembers filters, and complains about a tenant's VLAN that is open without one.
type guarded struct {
	*fake.Switch
	t *testing.T

	opening atomic.Bool // a filter may go from a port without port security

	mu      sync.Mutex
	filters map[string]map[int]fabric.Filter
	sets    int
}

func (g *guarded) SetFilter(ctx context.Context, name string, vlan int, f *fabric.Filter) error {
	if p, err := g.Port(ctx, name); err == nil && f == nil && p.Access == vlan && !g.opening.Load() {
		g.t.Errorf("%s lost its filter in VLAN %d while it was there", name, vlan)
	}
	if err := g.Switch.SetFilter(ctx, name, vlan, f); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sets++
	if g.filters[name] == nil {
		g.filters[name] = map[int]fabric.Filter{}
	}
	delete(g.filters[name], vlan)
	if f != nil {
		g.filters[name][vlan] = *f
	}
	return nil
}

func (g *guarded) SetPort(ctx context.Context, name string, c fabric.Config) error {
	g.mu.Lock()
	_, ok := g.filters[name][c.Access]
	g.mu.Unlock()
	if own := c.Access == 0 || c.Access == 101; ok == own {
		g.t.Errorf("%s was put into VLAN %d; has a filter: %t", name, c.Access, ok)
	}
	return g.Switch.SetPort(ctx, name, c)
}

// filter is what is in force at a port.
func (g *guarded) filter(name string, vlan int) fabric.Filter {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.filters[name][vlan]
}

func (g *guarded) changes() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sets
}

// ward is a site with a switch that has filters, and servers' ports.
type ward struct {
	site
	*guarded
	db    *db.DB
	plugs []network.Plug
}

func eachWard(t *testing.T, ports int, fn func(w *ward)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		box, err := secret.Open(filepath.Join(t.TempDir(), "key"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for i := range ports {
			names = append(names, fmt.Sprintf("p%d", i))
		}
		w := &ward{guarded: &guarded{Switch: fake.New(names...), t: t, filters: map[string]map[int]fabric.Filter{}}, db: d}
		w.site = site{t, network.NewService(network.Options{DB: d, Box: box, VLANLo: 100, VLANHi: 199, Systems: []network.System{{Name: "provisioning", VLAN: 101}},
			Open: func(context.Context, fabric.Access) (fabric.Driver, error) { return w.guarded, nil }})}
		if err := w.SetSwitch(t.Context(), network.Switch{Name: "sw", Driver: "fake", Address: "x"}, ""); err != nil {
			t.Fatal(err)
		}
		fn(w)
	})
}

// serve makes a port that a server uses at the next switch port, and returns it.
func (w *ward) serve(n network.Network, p network.Port) network.Port {
	w.Helper()
	p.NetworkID = n.ID
	made, err := w.port(n.ProjectID, p)
	must(w.site, made, err)
	i := len(w.plugs)
	plug := network.Plug{Switch: "sw", Port: fmt.Sprintf("p%d", i), MAC: fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8, i&255), VLAN: n.VLAN}
	w.plugs = append(w.plugs, plug)
	if err := w.db.Tx(w.Context(), func(ctx context.Context, tx db.Tx) error {
		var err error
		made, _, err = w.Bind(ctx, tx, network.Owner(n.ProjectID), made.ID, "server-"+plug.Port, plug.MAC)
		return err
	}); err != nil {
		w.Fatal(err)
	}
	return made
}

func (w *ward) place(i, vlan int) {
	w.Helper()
	p := w.plugs[i]
	if err := w.Place(w.Context(), p.Switch, p.Port, p.MAC, vlan); err != nil {
		w.Fatal(err)
	}
}

func (w *ward) keep() {
	w.Helper()
	if err := w.KeepFilters(w.Context(), func(context.Context) ([]network.Plug, error) { return w.plugs, nil }); err != nil {
		w.Fatal(err)
	}
}

// has compares the rules in force at a port, in words, with what is wanted.
func (w *ward) has(i int, want ...string) {
	w.Helper()
	var got []string
	for _, r := range w.filter(w.plugs[i].Port, w.plugs[i].VLAN).Rules {
		way := map[bool]string{true: "in", false: "out"}[r.In]
		remotes := make([]string, len(r.Remotes))
		for i, p := range r.Remotes {
			remotes[i] = p.String()
		}
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %d %d %d-%d %s", way, r.Version, r.Protocol, r.Low, r.High, strings.Join(remotes, ","))))
	}
	slices.Sort(got)
	slices.Sort(want)
	w.same(fmt.Sprintf("rules at %s", w.plugs[i].Port), got, want)
}

const out4, out6 = "out 4 0 -1--1", "out 6 0 -1--1"

// TestPlaceFiltersFirst moves a server's port through the networks: the filter is there before the tenant's VLAN is, and is on no other.
func TestPlaceFiltersFirst(t *testing.T) {
	eachWard(t, 2, func(w *ward) {
		n := w.network(mine, "n")
		w.subnet(n, "10.0.0.0/24")
		p := w.serve(n, network.Port{Pairs: []network.Pair{{Address: "192.0.2.0/28", MAC: "00:00:5e:00:01:01"}}})
		for _, vlan := range []int{101, n.VLAN, n.VLAN, 0, n.VLAN, 101, 0, n.VLAN} { // SetPort complains
			w.place(0, vlan)
			have, err := w.Switch.Port(w.Context(), "p0")
			if own := vlan == 0 || vlan == 101; must(w.site, have, err).Access != vlan || (len(have.Filters) == 0) != own || (have.Filters[n.VLAN] == "") != own {
				w.Errorf("in VLAN %d: %+v", vlan, have)
			}
		}
		f := w.filter("p0", n.VLAN)
		want := []fabric.Pair{{MAC: p.MAC, Prefix: netip.MustParsePrefix(p.FixedIPs[0].Address + "/32")}, {MAC: "00:00:5e:00:01:01", Prefix: netip.MustParsePrefix("192.0.2.0/28")}}
		if f.MAC != p.MAC || !slices.Equal(f.Addresses, want) {
			w.Errorf("%+v, not %+v", f, want)
		}
		w.has(0, out4, out6, "in 4 0 -1--1 "+p.FixedIPs[0].Address+"/32,192.0.2.0/28")
		if err := w.Place(w.Context(), "sw", "p1", "02:99:00:00:00:00", n.VLAN); err != nil {
			w.Fatal(err)
		}
		if f := w.filter("p1", n.VLAN); f.MAC != "02:99:00:00:00:00" || len(f.Rules)+len(f.Addresses) > 0 {
			w.Errorf("a NIC without a network port may %+v", f)
		}
	})
}

// TestFiltersFollowTheDatabase changes all that filters are made of, with servers on the network.
func TestFiltersFollowTheDatabase(t *testing.T) {
	eachWard(t, 3, func(w *ward) {
		n := w.network(mine, "n")
		w.subnet(n, "10.0.0.0/24")
		fixed := func(a string) []network.FixedIP { return []network.FixedIP{{Address: a}} }
		web, err := w.CreateGroups(w.Context(), []network.Group{{Record: network.Record{ProjectID: mine}, Name: "web", Stateful: true}})
		must(w.site, web, err)
		list, err := w.CreateAddressGroups(w.Context(), []network.AddressGroup{{Record: network.Record{ProjectID: mine}, Name: "l", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}})
		must(w.site, list, err)
		one := w.serve(n, network.Port{FixedIPs: fixed("10.0.0.11")})
		two := w.serve(n, network.Port{FixedIPs: fixed("10.0.0.12"), Groups: []string{web[0].ID}})
		w.place(0, n.VLAN)
		w.place(1, n.VLAN)
		w.keep()
		w.has(0, out4, out6, "in 4 0 -1--1 10.0.0.11/32")
		w.has(1, out4, out6)
		before := w.changes()
		w.keep()
		if w.changes() != before {
			w.Error("filters were set though nothing has changed")
		}
		rules, err := w.CreateRules(w.Context(), mine, []network.Rule{
			{GroupID: web[0].ID, Direction: network.Ingress, EtherType: network.IPv4, Protocol: "tcp", PortMin: 80, PortMax: 81},
			{GroupID: web[0].ID, Direction: network.Ingress, EtherType: network.IPv4, Protocol: "icmp", PortMin: 8, PortMax: -1, RemotePrefix: "10.0.0.0/8"},
			{GroupID: web[0].ID, Direction: network.Ingress, EtherType: network.IPv4, Protocol: "udp", PortMin: 53, PortMax: 53, RemoteGroup: one.Groups[0]},
			{GroupID: web[0].ID, Direction: network.Ingress, EtherType: network.IPv4, PortMin: -1, PortMax: -1, RemoteAddressGroup: list[0].ID},
			{GroupID: web[0].ID, Direction: network.Ingress, EtherType: network.IPv6, PortMin: -1, PortMax: -1, RemoteAddressGroup: list[0].ID}})
		must(w.site, rules, err)
		w.keep()
		known := []string{out4, out6, "in 4 6 80-81", "in 4 1 8--1 10.0.0.0/8"}
		w.has(1, append(known, "in 4 17 53-53 10.0.0.11/32", "in 4 0 -1--1 192.0.2.1/32")...)
		third := w.serve(n, network.Port{FixedIPs: fixed("10.0.0.13")})
		w.keep()
		w.has(0, out4, out6, "in 4 0 -1--1 10.0.0.11/32,10.0.0.13/32")
		w.has(1, append(known, "in 4 17 53-53 10.0.0.11/32,10.0.0.13/32", "in 4 0 -1--1 192.0.2.1/32")...)
		edit := func(id string, fn func(p *network.Port)) {
			w.Helper()
			if _, err := w.EditPort(w.Context(), mine, id, 0, func(p *network.Port) error { fn(p); return nil }); err != nil {
				w.Fatal(err)
			}
			w.keep()
		}
		edit(third.ID, func(p *network.Port) { p.FixedIPs = fixed("10.0.0.14") })
		w.has(0, out4, out6, "in 4 0 -1--1 10.0.0.11/32,10.0.0.14/32")
		edit(third.ID, func(p *network.Port) { p.Groups = []string{} })
		w.has(0, out4, out6, "in 4 0 -1--1 10.0.0.11/32")
		if _, err := w.AddAddresses(w.Context(), mine, list[0].ID, []netip.Prefix{netip.MustParsePrefix("fd00::/64")}); err != nil {
			w.Fatal(err)
		}
		if err := w.DeleteRule(w.Context(), mine, rules[0].ID, 0); err != nil {
			w.Fatal(err)
		}
		w.keep()
		w.has(1, out4, out6, "in 4 1 8--1 10.0.0.0/8", "in 4 17 53-53 10.0.0.11/32", "in 4 0 -1--1 192.0.2.1/32", "in 6 0 -1--1 fd00::/64")
		edit(two.ID, func(p *network.Port) { p.Groups = []string{} })
		w.has(1)
		edit(one.ID, func(p *network.Port) { p.Pairs = []network.Pair{{Address: "10.0.0.99"}} })
		if f := w.filter("p0", n.VLAN); len(f.Addresses) != 2 {
			w.Errorf("%+v", f.Addresses)
		}
		w.opening.Store(true)
		edit(two.ID, func(p *network.Port) { p.PortSecurity = false })
		w.opening.Store(false)
		have, err := w.Switch.Port(w.Context(), "p1")
		if must(w.site, have, err); len(have.Filters) > 0 {
			w.Errorf("without port security there is a filter: %+v", have)
		}
		edit(two.ID, func(p *network.Port) { p.PortSecurity, p.Groups = true, []string{web[0].ID} })
		if f := w.filter("p1", n.VLAN); len(f.Rules) != 6 {
			w.Errorf("%+v", f)
		}
	})
}

// TestFiltersThatCanNotBeSet has the switch refuse, and lose a filter.
func TestFiltersThatCanNotBeSet(t *testing.T) {
	eachWard(t, 1, func(w *ward) {
		n := w.network(mine, "n")
		w.subnet(n, "10.0.0.0/24")
		p := w.serve(n, network.Port{})
		w.place(0, n.VLAN)
		w.keep()
		rule := network.Rule{GroupID: p.Groups[0], Direction: network.Ingress, EtherType: network.IPv4, Protocol: "tcp", PortMin: 22, PortMax: 22}
		if _, err := w.CreateRules(w.Context(), mine, []network.Rule{rule}); err != nil {
			w.Fatal(err)
		}
		w.Fail(fault.Errorf(fault.Unavailable, "no answer"))
		err := w.KeepFilters(w.Context(), func(context.Context) ([]network.Plug, error) { return w.plugs, nil })
		if behind, _ := w.Behind(); behind != 1 || err == nil {
			w.Errorf("%d behind, %v", behind, err)
		}
		w.Fail(nil)
		w.keep()
		if behind, _ := w.Behind(); behind != 0 || len(w.filter("p0", n.VLAN).Rules) != 4 {
			w.Errorf("%d behind, %+v", behind, w.filter("p0", n.VLAN))
		}
		w.opening.Store(true)
		if err := w.guarded.SetFilter(w.Context(), "p0", n.VLAN, nil); err != nil {
			w.Fatal(err)
		}
		w.opening.Store(false)
		w.serve(n, network.Port{}) // any change has all compared with the switch
		w.keep()
		if f := w.filter("p0", n.VLAN); len(f.Rules) != 4 {
			w.Errorf("the switch lost a filter and has %+v", f)
		}
	})
}

// counting counts queries.
type counting struct{ n int }

func (c *counting) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }
func (c *counting) AfterQuery(context.Context, *bun.QueryEvent)                        { c.n++ }

// TestManyMembersFewQueries has 120 servers in one group.
func TestManyMembersFewQueries(t *testing.T) {
	const servers = 120
	eachWard(t, servers, func(w *ward) {
		n := w.network(mine, "n")
		w.subnet(n, "10.0.0.0/24")
		for i := range servers {
			w.serve(n, network.Port{})
			if err := w.Switch.SetPort(w.Context(), w.plugs[i].Port, fabric.Config{Access: n.VLAN}); err != nil {
				w.Fatal(err)
			}
		}
		c := &counting{}
		w.db.Read().(*bun.DB).AddQueryHook(c)
		w.keep()
		if f := w.filter("p7", n.VLAN); w.changes() != servers || len(f.Rules) != 3 || len(f.Rules[2].Remotes) != servers {
			w.Errorf("%d ports have a filter; one has %d rules", w.changes(), len(f.Rules))
		}
		if c.n > 20 {
			w.Errorf("%d queries for %d servers", c.n, servers)
		}
	})
}
