package network_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/network"
)

func TestMain(m *testing.M) {
	code := m.Run()
	dbtest.Stop()
	os.Exit(code)
}

// site is a service on a fresh database, and two projects.
type site struct {
	*testing.T
	*network.Service
}

const (
	mine   = "11111111111111111111111111111111"
	theirs = "22222222222222222222222222222222"
)

// each runs fn on both databases.
func each(t *testing.T, fn func(s site)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		fn(site{t, network.NewService(network.Options{DB: d, VLANLo: 100, VLANHi: 199, Systems: []network.System{{Name: "provisioning", VLAN: 101}}})})
	})
}

// must unwraps what has to work.
func must[T any](s site, v T, err error) T {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
	return v
}

// refused fails unless err is a problem of a type.
func (s site) refused(err error, kind string) {
	s.Helper()
	var p *network.Problem
	if !errors.As(err, &p) || p.Type != kind {
		s.Errorf("got %v (%T), want a %s", err, err, kind)
	}
}

func (s site) network(project, name string) network.Network {
	s.Helper()
	ns, err := s.CreateNetworks(s.Context(), []network.Network{{ProjectID: project, Name: name, AdminUp: true, PortSecurity: true}})
	return must(s, ns, err)[0]
}

func (s site) subnet(n network.Network, cidr string) network.Subnet {
	s.Helper()
	subs, err := s.CreateSubnets(s.Context(), network.Owner(n.ProjectID), []network.NewSubnet{{Subnet: network.Subnet{NetworkID: n.ID, CIDR: cidr, DHCP: true}}})
	return must(s, subs, err)[0]
}

// port asks for a port of a project; its answer is for the caller to judge.
func (s site) port(project string, p network.Port) (network.Port, error) {
	s.Helper()
	p.ProjectID, p.AdminUp = project, true
	ps, err := s.CreatePorts(s.Context(), network.Owner(project), []network.NewPort{{Port: p}})
	return ps[0], err
}

func (s site) names(o network.Owner, w network.Query) []string {
	s.Helper()
	ns, err := s.Networks(s.Context(), o, w)
	var names []string
	for _, n := range must(s, ns, err) {
		names = append(names, n.Name)
	}
	return names
}

func (s site) same(what string, got, want []string) {
	s.Helper()
	if !slices.Equal(got, want) {
		s.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func where(pairs ...string) network.Query {
	w := network.Query{Where: map[string][]string{}}
	for i := 0; i < len(pairs); i += 2 {
		w.Where[pairs[i]] = append(w.Where[pairs[i]], pairs[i+1])
	}
	return w
}

func TestFilters(t *testing.T) {
	each(t, func(s site) {
		a, _ := s.network(mine, "a"), s.network(mine, "b")
		s.network(theirs, "c")
		if _, err := s.EditNetwork(s.Context(), mine, a.ID, 0, func(n *network.Network) error { n.AdminUp, n.MTU = false, 9000; return nil }); err != nil {
			s.Fatal(err)
		}
		for _, tt := range []struct {
			owner network.Owner
			w     network.Query
			want  []string
		}{
			{mine, network.Query{}, []string{"a", "b"}},
			{"", network.Query{}, []string{"a", "b", "c"}},
			{mine, where("name", "a"), []string{"a"}},
			{mine, where("name", "a", "name", "b", "name", "c"), []string{"a", "b"}},
			{mine, where("id", a.ID, "name", "b"), nil},
			{mine, where("admin_state_up", "False"), []string{"a"}},
			{mine, where("mtu", "1500"), []string{"b"}},
			{mine, where("status", "ACTIVE"), []string{"a", "b"}},
			{mine, where("status", "DOWN"), nil},
			{mine, where("router:external", "true"), nil},
			{mine, where("router:external", "false"), []string{"a", "b"}},
			{"", where("project_id", theirs), []string{"c"}},
			{"", where("provider:segmentation_id", "100"), []string{"a"}},
			{mine, network.Query{Since: a.UpdatedAt.AddDate(0, 0, 1)}, nil},
			{mine, network.Query{Since: a.CreatedAt}, []string{"a", "b"}},
		} {
			s.same(fmt.Sprintf("%q %v", tt.owner, tt.w), s.names(tt.owner, tt.w), tt.want)
		}
		for _, bad := range []network.Query{where("colour", "red"), where("mtu", "large"), {Sort: []network.Order{{By: "colour"}}}, {Sort: []network.Order{{By: "status"}}}} {
			if _, err := s.Networks(s.Context(), mine, bad); err == nil {
				s.Errorf("%v was not refused", bad)
			}
		}
		_, err := s.Networks(s.Context(), theirs, network.Query{After: a.ID, Limit: 1})
		s.refused(err, "NetworkNotFound")
	})
}

func TestPages(t *testing.T) {
	each(t, func(s site) {
		at := map[string]string{}
		for _, name := range []string{"c", "a", "b", "a", "e"} {
			n := s.network(mine, name)
			at[n.ID] = name
		}
		for _, sort := range [][]network.Order{nil, {{By: "name"}}, {{By: "name", Descending: true}, {By: "mtu"}}, {{By: "mtu"}, {By: "name"}, {By: "created_at", Descending: true}}} {
			whole := s.names(mine, network.Query{Sort: sort})
			var forwards, backwards []string
			var last string
			for {
				page := must1(s)(s.Networks(s.Context(), mine, network.Query{Sort: sort, Limit: 2, After: last}))
				if len(page) == 0 {
					break
				}
				for _, n := range page {
					forwards, last = append(forwards, n.Name), n.ID
				}
			}
			s.same(fmt.Sprint("pages by ", sort), forwards, whole)
			backwards = []string{at[last]}
			for {
				page := must1(s)(s.Networks(s.Context(), mine, network.Query{Sort: sort, Limit: 2, After: last, Reverse: true}))
				if len(page) == 0 {
					break
				}
				var names []string
				for _, n := range page {
					names = append(names, n.Name)
				}
				backwards, last = append(names, backwards...), page[0].ID
			}
			s.same(fmt.Sprint("pages backwards by ", sort), backwards, whole)
		}
	})
}

// must1 is must for a call as an argument.
func must1(s site) func([]network.Network, error) []network.Network {
	return func(v []network.Network, err error) []network.Network { s.Helper(); return must(s, v, err) }
}

func TestRevisions(t *testing.T) {
	each(t, func(s site) {
		n := s.network(mine, "n")
		name := func(to string) func(*network.Network) error {
			return func(n *network.Network) error { n.Name = to; return nil }
		}
		got, err := s.EditNetwork(s.Context(), mine, n.ID, n.Revision, name("x"))
		if must(s, got, err).Revision != n.Revision+1 {
			s.Errorf("revision %d after %d", got.Revision, n.Revision)
		}
		_, err = s.EditNetwork(s.Context(), mine, n.ID, n.Revision, name("y"))
		s.refused(err, "RevisionNumberConstraintFailed")
		s.refused(s.DeleteNetwork(s.Context(), mine, n.ID, n.Revision), "RevisionNumberConstraintFailed")
		s.subnet(n, "10.0.0.0/24")
		after := must1(s)(s.Networks(s.Context(), mine, where("id", n.ID)))[0]
		if after.Name != "x" || after.Revision != got.Revision+1 || len(after.Subnets) != 1 {
			s.Errorf("after a subnet: %+v", after)
		}
		if err := s.DeleteNetwork(s.Context(), mine, n.ID, after.Revision); err != nil {
			s.Error(err)
		}
	})
}

func TestTags(t *testing.T) {
	each(t, func(s site) {
		a, b, none := s.network(mine, "a"), s.network(mine, "b"), s.network(mine, "none")
		set := func(id string, words ...string) error {
			_, err := s.EditLabels(s.Context(), "networks", mine, id, func(network.Labels) (network.Labels, error) { return words, nil })
			return err
		}
		if err := errors.Join(set(a.ID, "red", "green", "red", "100%_x"), set(b.ID, "green", "blue", "Red")); err != nil {
			s.Fatal(err)
		}
		for _, tt := range []struct {
			w    network.Query
			want []string
		}{
			{network.Query{Tags: []string{"red", "green"}}, []string{"a"}},
			{network.Query{Tags: []string{"red", "blue"}}, nil},
			{network.Query{Tags: []string{"gree"}}, nil},
			{network.Query{Tags: []string{"%"}}, nil},
			{network.Query{Tags: []string{"100%_x"}}, []string{"a"}},
			{network.Query{AnyTag: []string{"red", "blue"}}, []string{"a", "b"}},
			{network.Query{NotTags: []string{"green", "red"}}, []string{"b", "none"}},
			{network.Query{NotAnyTag: []string{"green", "red"}}, []string{"none"}},
			{network.Query{Tags: []string{"green"}, NotAnyTag: []string{"Red"}}, []string{"a"}},
		} {
			s.same(fmt.Sprintf("%+v", tt.w), s.names(mine, tt.w), tt.want)
		}
		got, err := s.Network(s.Context(), mine, a.ID)
		s.same("labels", must(s, got, err).Labels, []string{"100%_x", "green", "red"})
		if err := set(a.ID, "a,b"); err == nil {
			s.Error("a tag with a comma was taken")
		}
		if _, err := s.EditLabels(s.Context(), "networks", theirs, a.ID, func(l network.Labels) (network.Labels, error) { return l, nil }); err == nil {
			s.Error("another project could set tags")
		}
		tag := func(n *network.Network) error { n.Tags = map[string]string{"k": "v"}; return nil }
		_, err = s.EditNetwork(s.Context(), mine, a.ID, 0, tag)
		s.refused(err, "TagConflict")
		if _, err := s.EditNetwork(s.Context(), mine, none.ID, 0, tag); err != nil {
			s.Error(err)
		}
		s.refused(set(none.ID, "word"), "TagConflict")
	})
}

func TestVLANs(t *testing.T) {
	each(t, func(s site) {
		if a, b := s.network(mine, "a").VLAN, s.network(mine, "b").VLAN; a != 100 || b != 102 {
			s.Errorf("VLANs %d and %d, want 100 and 102: 101 is the cloud's own", a, b)
		}
		at := func(vlan int) error {
			_, err := s.CreateNetworks(s.Context(), []network.Network{{ProjectID: mine, VLAN: vlan}})
			return err
		}
		if err := at(2000); err != nil {
			s.Error(err)
		}
		s.refused(at(2000), "VlanIdInUse")
		if err := at(101); err == nil {
			s.Error("the cloud's own VLAN was given away")
		}
		// All or none.
		_, err := s.CreateNetworks(s.Context(), []network.Network{{ProjectID: mine, Name: "bulk"}, {ProjectID: mine, Name: "bulk", VLAN: 2000}})
		s.refused(err, "VlanIdInUse")
		s.same("bulk", s.names(mine, where("name", "bulk")), nil)
	})
}

func TestSharing(t *testing.T) {
	each(t, func(s site) {
		n := s.network(mine, "n")
		sub := s.subnet(n, "10.0.0.0/24")
		see := func(want ...string) {
			s.Helper()
			s.same("what the other sees", s.names(theirs, network.Query{}), want)
		}
		see()
		ps, err := s.CreatePolicies(s.Context(), mine, []network.Policy{{Record: network.Record{ProjectID: mine}, ObjectType: "network", ObjectID: n.ID, Action: "access_as_shared", Target: theirs}})
		policy := must(s, ps, err)[0]
		see("n")
		if _, err := s.Subnet(s.Context(), theirs, sub.ID); err != nil {
			s.Error(err)
		}
		if err := s.DeleteNetwork(s.Context(), theirs, n.ID, 0); err == nil {
			s.Error("the other could delete it")
		}
		p, err := s.port(theirs, network.Port{NetworkID: n.ID})
		must(s, p, err)
		s.refused(s.DeletePolicy(s.Context(), mine, policy.ID), "RbacPolicyInUse")
		if _, err := s.RetargetPolicy(s.Context(), mine, policy.ID, "*"); err == nil {
			s.Error("a tenant could share with all")
		}
		all, err := s.RetargetPolicy(s.Context(), "", policy.ID, "*")
		if must(s, all, err); !must1(s)(s.Networks(s.Context(), mine, where("id", n.ID)))[0].Shared {
			s.Error("it is not shared")
		}
		if err := s.DeletePort(s.Context(), theirs, p.ID, 0); err != nil {
			s.Error(err)
		}
		if _, err := s.EditNetwork(s.Context(), "", n.ID, 0, func(n *network.Network) error { n.Shared = false; return nil }); err != nil {
			s.Error(err)
		}
		see()
	})
}
