package identity_test

import (
	"slices"
	"testing"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

// TestProjectTree keeps projects within their domain, within bounds, and enabled from above.
func TestProjectTree(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, s := t.Context(), service(t, d, identity.Policy{})
		acme := must(s.CreateProject(ctx, identity.Project{Name: "acme", IsDomain: true, Enabled: true}))(t)
		parent, chain := acme, []identity.Project(nil)
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			parent = must(s.CreateProject(ctx, identity.Project{Name: name, ParentID: parent.ID, Enabled: true}))(t)
			if parent.DomainID != acme.ID {
				t.Fatalf("%s is in the domain %q", name, parent.DomainID)
			}
			chain = append(chain, parent)
		}
		if _, err := s.CreateProject(ctx, identity.Project{Name: "f", ParentID: parent.ID, Enabled: true}); !fault.Is(err, fault.Denied) {
			t.Errorf("six generations: %v", err)
		}
		if _, err := s.CreateProject(ctx, identity.Project{Name: "x", ParentID: parent.ID, DomainID: identity.DomainID}); fault.FieldOf(err) != "domain_id" {
			t.Errorf("a parent of another domain: %v", err)
		}
		if _, err := s.CreateProject(ctx, identity.Project{Name: "a", DomainID: acme.ID}); !fault.Is(err, fault.Conflict) {
			t.Errorf("a name twice in a domain: %v", err)
		}
		up := must(s.Ancestors(ctx, chain[2].ID))(t)
		if len(up) != 2 || up[0].ID != chain[1].ID || up[1].ID != chain[0].ID {
			t.Errorf("above c are %+v", up)
		}
		if down := must(s.Descendants(ctx, chain[2].ID))(t); len(down) != 2 || down[0].Name != "d" {
			t.Errorf("below c are %+v", down)
		}
		off := chain[3]
		off.Enabled = false
		if err := s.UpdateProject(ctx, off); !fault.Is(err, fault.Denied) {
			t.Errorf("a project with an enabled one below it was disabled: %v", err)
		}
		if err := s.DeleteProject(ctx, off.ID); !fault.Is(err, fault.Denied) {
			t.Errorf("a project with one below it was deleted: %v", err)
		}
		for _, p := range []identity.Project{chain[4], chain[3]} {
			p.Enabled = false
			if err := s.UpdateProject(ctx, p); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.UpdateProject(ctx, chain[4]); !fault.Is(err, fault.Denied) {
			t.Errorf("a project below a disabled one was enabled: %v", err)
		}
	})
}

// TestDeletingADomain takes all that is in it along, and nothing else.
func TestDeletingADomain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, s := t.Context(), service(t, d, identity.Policy{})
		must(s.Bootstrap(ctx))(t)
		acme := must(s.CreateProject(ctx, identity.Project{Name: "acme", IsDomain: true, Enabled: true}))(t)
		p := must(s.CreateProject(ctx, identity.Project{Name: "p", DomainID: acme.ID, Enabled: true}))(t)
		u := must(s.CreateUser(ctx, identity.User{Name: "u", DomainID: acme.ID, Enabled: true}, nil))(t)
		g := must(s.CreateGroup(ctx, identity.Group{Name: "g", DomainID: acme.ID}))(t)
		r := must(s.CreateRole(ctx, identity.Role{Name: "r", DomainID: acme.ID}))(t)
		admin := must(s.Users(ctx, identity.Query{}.And("name", "admin"), ""))(t)[0]
		for _, grant := range []identity.Grant{{Actor: u.ID, Target: identity.System, RoleID: identity.Reader}, {Actor: g.ID, IsGroup: true, Target: p.ID, RoleID: r.ID}, {Actor: admin.ID, Target: p.ID, RoleID: identity.Member}} {
			if err := s.Grant(ctx, grant); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.DeleteProject(ctx, acme.ID); !fault.Is(err, fault.Denied) {
			t.Errorf("an enabled domain was deleted: %v", err)
		}
		acme.Enabled = false
		if err := s.UpdateProject(ctx, acme); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteProject(ctx, acme.ID); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"domain": second(s.Project(ctx, acme.ID)), "project": second(s.Project(ctx, p.ID)), "user": second(s.User(ctx, u.ID)),
			"group": second(s.Group(ctx, g.ID)), "role": second(s.Role(ctx, r.ID)),
		} {
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("the %s is still there: %v", what, err)
			}
		}
		if left := must(s.Assignments(ctx, identity.AssignmentQuery{}))(t); len(left) != 2 { // the administrator's
			t.Errorf("these grants are left: %+v", left)
		}
		home := must(s.Domain(ctx, identity.DomainID))(t)
		home.Enabled = false
		if err := s.UpdateProject(ctx, home); !fault.Is(err, fault.Denied) {
			t.Errorf("the operators' domain was disabled: %v", err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// TestLists selects, orders and pages in the database.
func TestLists(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, s := t.Context(), service(t, d, identity.Policy{})
		for _, name := range []string{"Anna", "anton", "Berta", "100%", "a_c"} {
			must(s.CreateProject(ctx, identity.Project{Name: name, Enabled: name != "Berta", Tags: []string{"all", "of " + name}}))(t)
		}
		names := func(q identity.Query, tags identity.TagFilter) (out []string) {
			t.Helper()
			for _, p := range must(s.Projects(ctx, q.And("is_domain", false), tags))(t) {
				out = append(out, p.Name)
			}
			return out
		}
		for _, tt := range []struct {
			op, value string
			want      int
		}{{"", "Anna", 1}, {"contains", "nn", 1}, {"contains", "N", 0}, {"icontains", "N", 2}, {"startswith", "a", 2}, {"istartswith", "A", 3}, {"endswith", "a", 2}, {"iequals", "ANNA", 1}, {"contains", "%", 1}, {"contains", "_", 1}} {
			if got := names(identity.Query{Where: []identity.Cond{{Column: "name", Op: tt.op, Value: tt.value}}}, identity.TagFilter{}); len(got) != tt.want {
				t.Errorf("name %s %q: %v, want %d", tt.op, tt.value, got, tt.want)
			}
		}
		if got := names(identity.Query{}.And("enabled", false), identity.TagFilter{}); len(got) != 1 {
			t.Errorf("disabled: %v", got)
		}
		for want, tags := range map[int]identity.TagFilter{1: {All: []string{"all", "of Anna"}}, 2: {Any: []string{"of Anna", "of a_c", "none"}}, 4: {NotAll: []string{"all", "of Anna"}}, 3: {NotAny: []string{"of Anna", "of a_c"}}} {
			if got := names(identity.Query{}, tags); len(got) != want {
				t.Errorf("%+v: %v, want %d", tags, got, want)
			}
		}
		var paged []string
		for marker := ""; ; {
			page := must(s.Projects(ctx, identity.Query{Marker: marker, Limit: 2}.And("is_domain", false), identity.TagFilter{}))(t)
			for _, p := range page {
				paged, marker = append(paged, p.Name), p.ID
			}
			if len(page) < 2 {
				break
			}
		}
		if all := names(identity.Query{}, identity.TagFilter{}); len(paged) != 5 || !slices.Equal(paged, all) {
			t.Errorf("by pages %v, at once %v", paged, all)
		}
	})
}
