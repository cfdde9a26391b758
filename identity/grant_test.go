package identity_test

import (
	"slices"
	"testing"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

func roleNames(c identity.Caller) []string {
	var names []string
	for _, r := range c.Roles {
		names = append(names, r.Name)
	}
	return names
}

// TestInheritedAndImpliedRoles gives a role to a group on a domain, to be inherited, and follows it down to a project.
func TestInheritedAndImpliedRoles(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, s := t.Context(), service(t, d, identity.Policy{})
		password := "some word"
		acme := must(s.CreateProject(ctx, identity.Project{Name: "acme", IsDomain: true, Enabled: true}))(t)
		top := must(s.CreateProject(ctx, identity.Project{Name: "top", DomainID: acme.ID, Enabled: true}))(t)
		leaf := must(s.CreateProject(ctx, identity.Project{Name: "leaf", ParentID: top.ID, Enabled: true}))(t)
		u := must(s.CreateUser(ctx, identity.User{Name: "u", DomainID: acme.ID, Enabled: true}, &password))(t)
		crew := must(s.CreateGroup(ctx, identity.Group{Name: "crew", DomainID: acme.ID}))(t)
		if err := s.AddToGroup(ctx, u.ID, crew.ID); err != nil {
			t.Fatal(err)
		}
		// A role of the domain, which is worth the two that it implies.
		worker := must(s.CreateRole(ctx, identity.Role{Name: "admin", DomainID: acme.ID}))(t)
		auditor := must(s.CreateRole(ctx, identity.Role{Name: "auditor"}))(t)
		for _, implied := range []string{identity.Member, auditor.ID} {
			if err := s.Imply(ctx, worker.ID, implied); err != nil {
				t.Fatal(err)
			}
		}
		down := identity.Grant{Actor: crew.ID, IsGroup: true, Target: acme.ID, RoleID: worker.ID, Inherited: true}
		if err := s.Grant(ctx, down); err != nil {
			t.Fatal(err)
		}
		l := identity.Login{User: identity.UserRef{ID: u.ID}, Password: &password}
		text, c, err := s.Authenticate(ctx, on(l, leaf.ID))
		if want := []string{"auditor", "member", "reader"}; err != nil || !slices.Equal(roleNames(c), want) || c.Has(identity.Admin) {
			t.Fatalf("the roles are %v, %v, want %v", roleNames(c), err, want)
		}
		toDomain := l
		toDomain.Scope = identity.Scope{ToDomain: true, Domain: identity.DomainRef{ID: acme.ID}}
		if err := login(t, s, toDomain); !fault.Is(err, fault.Unauthentic) {
			t.Errorf("an inherited role was worth something on the domain itself: %v", err)
		}
		as := must(s.Assignments(ctx, identity.AssignmentQuery{User: u.ID, Effective: true}))(t)
		if len(as) != 6 { // three roles on two projects
			t.Errorf("%d effective assignments: %+v", len(as), as)
		}
		ps := must(s.ProjectsOf(ctx, u.ID, false, identity.Query{}))(t)
		if len(ps) != 2 || ps[0].ID != leaf.ID || ps[1].ID != top.ID {
			t.Errorf("the user's projects are %+v", ps)
		}
		given := must(s.Assignments(ctx, identity.AssignmentQuery{Target: acme.ID, Subtree: true}))(t)
		if len(given) != 1 || given[0].ActorName != "crew" || !given[0].Inherited || !given[0].TargetIsDomain {
			t.Errorf("what was given is %+v", given)
		}
		if err := s.RemoveFromGroup(ctx, u.ID, crew.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Validate(ctx, text); !fault.Is(err, fault.Unauthentic) {
			t.Errorf("out of the group the token still works: %v", err)
		}
		if err := s.AddToGroup(ctx, u.ID, crew.ID); err != nil {
			t.Fatal(err)
		}
		text, _, err = s.Authenticate(ctx, on(l, top.ID))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Ungrant(ctx, down); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Validate(ctx, text); !fault.Is(err, fault.Unauthentic) {
			t.Errorf("without the group's role the token still works: %v", err)
		}
	})
}

// TestRoleRules keeps the cloud's own roles as they are and what roles imply free of circles.
func TestRoleRules(t *testing.T) {
	ctx, s := t.Context(), service(t, dbtest.SQLite(t), identity.Policy{})
	a := must(s.CreateRole(ctx, identity.Role{Name: "a"}))(t)
	b := must(s.CreateRole(ctx, identity.Role{Name: "b", Options: identity.Extra{"immutable": true}}))(t)
	if err := s.Imply(ctx, a.ID, b.ID); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"a circle":                 s.Imply(ctx, b.ID, a.ID),
		"itself":                   s.Imply(ctx, a.ID, a.ID),
		"admin is implied":         s.Imply(ctx, a.ID, identity.Admin),
		"reader implies":           s.Imply(ctx, identity.Reader, a.ID),
		"member implies no reader": s.Unimply(ctx, identity.Member, identity.Reader),
		"admin is deleted":         s.DeleteRole(ctx, identity.Admin),
		"admin is renamed":         s.UpdateRole(ctx, identity.Role{ID: identity.Admin, Name: "root", Options: identity.Extra{}}),
		"immutable is deleted":     s.DeleteRole(ctx, b.ID),
	} {
		if !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v, want denied", what, err)
		}
	}
	if err := s.UpdateRole(ctx, identity.Role{ID: b.ID, Name: "b"}); err != nil {
		t.Errorf("the option immutable could not be taken away: %v", err)
	}
	if err := s.DeleteRole(ctx, b.ID); err != nil {
		t.Error(err)
	}
}

// TestTrusts lets a user act for another, no longer and no further than was said.
func TestTrusts(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, s := t.Context(), service(t, d, identity.Policy{})
		password := "some word"
		p := must(s.CreateProject(ctx, identity.Project{Name: "p", Enabled: true}))(t)
		user := func(name string) identity.User {
			return must(s.CreateUser(ctx, identity.User{Name: name, Enabled: true}, &password))(t)
		}
		owner, helper, third := user("owner"), user("helper"), user("third")
		g := identity.Grant{Actor: owner.ID, Target: p.ID, RoleID: identity.Member}
		if err := s.Grant(ctx, g); err != nil {
			t.Fatal(err)
		}
		_, c, err := s.Authenticate(ctx, on(byPassword("owner", password), p.ID))
		if err != nil {
			t.Fatal(err)
		}
		want := identity.Trust{TrustorID: owner.ID, TrusteeID: helper.ID, Impersonation: true, Roles: []string{identity.Reader}, RedelegationCount: 1}
		more := want
		more.Roles = []string{identity.Admin}
		if _, err := s.CreateTrust(ctx, c, more); !fault.Is(err, fault.Denied) {
			t.Errorf("a role that the trustor does not have: %v", err)
		}
		tr := must(s.CreateTrust(ctx, c, want))(t)
		with := func(name, trust string) identity.Login {
			l := byPassword(name, password)
			l.Scope = identity.Scope{Trust: trust}
			return l
		}
		if err := login(t, s, with("third", tr.ID)); !fault.Is(err, fault.Denied) {
			t.Errorf("someone else used the trust: %v", err)
		}
		text, hc, err := s.Authenticate(ctx, with("helper", tr.ID))
		if err != nil || hc.User.ID != owner.ID || hc.ProjectID() != p.ID || !slices.Equal(roleNames(hc), []string{"reader"}) {
			t.Fatalf("the trustee acts as %+v, %v", hc, err)
		}
		if err := login(t, s, identity.Login{Token: text}); !fault.Is(err, fault.Denied) {
			t.Errorf("the trust's token was exchanged: %v", err)
		}
		if _, _, err := s.CreateAppCredential(ctx, hc, identity.AppCredential{Name: "x"}, ""); !fault.Is(err, fault.Denied) {
			t.Errorf("an application credential was made with a trust: %v", err)
		}
		next := identity.Trust{TrustorID: owner.ID, TrusteeID: third.ID, Impersonation: true, Roles: []string{identity.Reader}}
		if _, err := s.CreateTrust(ctx, hc, identity.Trust{TrustorID: owner.ID, TrusteeID: third.ID, Impersonation: true, Roles: []string{identity.Member}}); !fault.Is(err, fault.Denied) {
			t.Errorf("more than the trust was handed on: %v", err)
		}
		child := must(s.CreateTrust(ctx, hc, next))(t)
		childText, cc, err := s.Authenticate(ctx, with("third", child.ID))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.CreateTrust(ctx, cc, next); !fault.Is(err, fault.Denied) {
			t.Errorf("a third generation: %v", err)
		}
		if err := s.DeleteTrust(ctx, tr.ID); err != nil {
			t.Fatal(err)
		}
		for _, dead := range []string{text, childText} {
			if _, err := s.Validate(ctx, dead); !fault.Is(err, fault.Unauthentic) {
				t.Errorf("the trust's end left a token: %v", err)
			}
		}
		once := want
		once.RedelegationCount = 0
		once.RemainingUses.Int64, once.RemainingUses.Valid = 1, true
		tr = must(s.CreateTrust(ctx, c, once))(t)
		if text, _, err = s.Authenticate(ctx, with("helper", tr.ID)); err != nil {
			t.Fatal(err)
		}
		if err := login(t, s, with("helper", tr.ID)); !fault.Is(err, fault.Denied) {
			t.Errorf("a trust for one use was used twice: %v", err)
		}
		if err := s.Ungrant(ctx, g); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Validate(ctx, text); !fault.Is(err, fault.Unauthentic) {
			t.Errorf("the trustor has lost the role, and the token works: %v", err)
		}
	})
}
