package identity_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
	"github.com/hagane-cloud/hagane/secret"
)

func TestMain(m *testing.M) {
	code := m.Run()
	dbtest.Stop()
	os.Exit(code)
}

func service(t *testing.T, d *db.DB, p identity.Policy) *identity.Service {
	t.Helper()
	box, err := secret.Open(filepath.Join(t.TempDir(), "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	p.HashKiB = 64 // nobody guesses here
	return identity.NewService(d, box, p)
}

// must fails the test on an error.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func byPassword(name, password string) identity.Login {
	return identity.Login{User: identity.UserRef{Name: name}, Password: &password}
}

// on returns a login that asks for a project.
func on(l identity.Login, project string) identity.Login {
	l.Scope = identity.Scope{ProjectID: project}
	return l
}

// TestTokens follows a token from its issue over a restart to its revocation.
func TestTokens(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		s := service(t, d, identity.Policy{})
		password, err := s.Bootstrap(ctx)
		if err != nil || password == "" {
			t.Fatalf("no administrator was made: %v", err)
		}
		if again, err := s.Bootstrap(ctx); err != nil || again != "" {
			t.Fatalf("a second administrator was made: %v", err)
		}
		for _, bad := range [][2]string{{"admin", "wrong"}, {"nobody", password}, {"admin", ""}} {
			if _, _, err := s.Authenticate(ctx, byPassword(bad[0], bad[1])); !fault.Is(err, fault.Unauthentic) {
				t.Errorf("%v: %v, want unauthenticated", bad, err)
			}
		}
		text, c, err := s.Authenticate(ctx, byPassword("admin", password))
		if err != nil || !c.Operator() || !c.Has(identity.Reader) {
			t.Fatalf("the administrator is %+v, %v", c, err)
		}
		later := service(t, d, identity.Policy{}) // the process was started anew
		if c, err := later.Validate(ctx, text); err != nil || c.User.Name != "admin" {
			t.Errorf("after a restart the token speaks for %+v, %v", c.User, err)
		}
		exchanged, c2, err := s.Authenticate(ctx, identity.Login{Token: text, Scope: identity.Scope{System: true}})
		if err != nil || !c2.System || !c2.Operator() || !c2.Token.ExpiresAt.Equal(c.Token.ExpiresAt) || c2.Token.AuditParent != c.Token.AuditID {
			t.Errorf("the token was exchanged for %+v, %v", c2, err)
		}
		if err := s.Revoke(ctx, c.Token); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Validate(ctx, text); !fault.Is(err, fault.Unauthentic) {
			t.Errorf("a revoked token: %v, want unauthenticated", err)
		}
		if _, err := s.Validate(ctx, exchanged); err != nil {
			t.Errorf("the token that was got with it: %v", err)
		}
		rs, err := s.Revocations(ctx, time.Now().Add(-time.Minute))
		if err != nil || len(rs) != 1 || rs[0].AuditID != c.Token.AuditID {
			t.Errorf("what was ended: %+v, %v", rs, err)
		}
	})
}

// TestAnotherProcess sees within moments what a process on the same database has changed, though it remembers callers and roles.
func TestAnotherProcess(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		here, there := service(t, d, identity.Policy{}), service(t, d, identity.Policy{})
		password := "some word"
		p := must(here.CreateProject(ctx, identity.Project{Name: "p", Enabled: true}))(t)
		u := must(here.CreateUser(ctx, identity.User{Name: "u", Enabled: true}, &password))(t)
		r := must(here.CreateRole(ctx, identity.Role{Name: "r"}))(t)
		if err := here.Grant(ctx, identity.Grant{Actor: u.ID, Target: p.ID, RoleID: r.ID}); err != nil {
			t.Fatal(err)
		}
		text, _, err := there.Authenticate(ctx, on(byPassword("u", password), p.ID))
		if err != nil {
			t.Fatal(err)
		}
		until := func(what string, ok func(c identity.Caller, err error) bool) {
			t.Helper()
			for deadline := time.Now().Add(5 * time.Second); !ok(there.Validate(ctx, text)); <-time.After(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("another process never saw %s", what)
				}
			}
		}
		until("the token", func(_ identity.Caller, err error) bool { return err == nil })
		if err := here.Imply(ctx, r.ID, identity.Reader); err != nil {
			t.Fatal(err)
		}
		until("what the role implies now", func(c identity.Caller, err error) bool { return err == nil && c.Has(identity.Reader) })
		u.Enabled = false
		must(here.UpdateUser(ctx, u, nil))(t)
		until("that the user is disabled", func(_ identity.Caller, err error) bool { return fault.Is(err, fault.Unauthentic) })
	})
}

// TestTakingRightsAway ends tokens with the rights that they carry.
func TestTakingRightsAway(t *testing.T) {
	d := dbtest.SQLite(t)
	ctx, s := t.Context(), service(t, d, identity.Policy{})
	p := must(s.CreateProject(ctx, identity.Project{Name: "p", Enabled: true}))(t)
	first := "first password"
	u := must(s.CreateUser(ctx, identity.User{Name: "u", Enabled: true}, &first))(t)
	g := identity.Grant{Actor: u.ID, Target: p.ID, RoleID: identity.Member}
	token := func(password string) string {
		t.Helper()
		if err := s.Grant(ctx, g); err != nil {
			t.Fatal(err)
		}
		text, c, err := s.Authenticate(ctx, on(byPassword("u", password), p.ID))
		if err != nil || c.Operator() || c.Has(identity.Admin) || !c.Has(identity.Member) {
			t.Fatalf("the caller is %+v, %v", c, err)
		}
		if _, err := s.Validate(ctx, text); err != nil {
			t.Fatal(err)
		}
		return text
	}
	dead := func(what, text string) {
		t.Helper()
		if _, err := s.Validate(ctx, text); !fault.Is(err, fault.Unauthentic) {
			t.Errorf("after %s the token still works (%v)", what, err)
		}
	}
	text := token(first)
	if err := s.Ungrant(ctx, g); err != nil {
		t.Fatal(err)
	}
	dead("the role was taken away", text)
	text = token(first)
	if err := s.ChangePassword(ctx, u.ID, "not the password", "second password"); !fault.Is(err, fault.Unauthentic) {
		t.Errorf("a password was changed with a wrong one: %v", err)
	}
	if err := s.ChangePassword(ctx, u.ID, first, "second password"); err != nil {
		t.Fatal(err)
	}
	dead("the password was changed", text)
	text = token("second password")
	p.Enabled = false
	if err := s.UpdateProject(ctx, p); err != nil {
		t.Fatal(err)
	}
	dead("the project was disabled", text)
}

// TestAppCredentials limits what a program may do for a user.
func TestAppCredentials(t *testing.T) {
	ctx, s := t.Context(), service(t, dbtest.SQLite(t), identity.Policy{})
	password := must(s.Bootstrap(ctx))(t)
	_, admin, err := s.Authenticate(ctx, byPassword("admin", password))
	if err != nil {
		t.Fatal(err)
	}
	rule := identity.AccessRule{Service: "network", Method: "GET", Path: "/v2.0/ports/{id}"}
	cred, text, err := s.CreateAppCredential(ctx, admin, identity.AppCredential{Name: "robot", Roles: []string{identity.Reader}, Access: []identity.AccessRule{rule}}, "")
	if err != nil {
		t.Fatal(err)
	}
	token, c, err := s.Authenticate(ctx, identity.Login{AppCred: &identity.AppCredRef{ID: cred.ID, Secret: text}})
	if err != nil {
		t.Fatal(err)
	}
	// The role that was held back is not there by another way either.
	if c.Operator() || c.Has(identity.Member) {
		t.Errorf("a reader's credential carries %v", c.Roles)
	}
	if !c.Allowed("network", "GET", "/v2.0/ports/7") || c.Allowed("network", "PUT", "/v2.0/ports/7") || c.Allowed("network", "GET", "/v2.0/ports/7/x") || c.Allowed("image", "GET", "/v2.0/ports/7") {
		t.Error("the access rule allows the wrong requests")
	}
	if _, _, err := s.CreateAppCredential(ctx, c, identity.AppCredential{Name: "child"}, ""); !fault.Is(err, fault.Denied) {
		t.Errorf("a restricted credential made another: %v", err)
	}
	if _, err := s.CreateTrust(ctx, c, identity.Trust{TrustorID: admin.User.ID, TrusteeID: admin.User.ID, Roles: []string{identity.Reader}}); !fault.Is(err, fault.Denied) {
		t.Errorf("a restricted credential made a trust: %v", err)
	}
	wrong := identity.Login{AppCred: &identity.AppCredRef{ID: cred.ID, Secret: "wrong"}}
	if _, _, err := s.Authenticate(ctx, wrong); !fault.Is(err, fault.Unauthentic) {
		t.Errorf("a wrong secret: %v", err)
	}
	if _, _, err := s.Authenticate(ctx, identity.Login{Token: token}); !fault.Is(err, fault.Denied) {
		t.Errorf("the credential's token was exchanged: %v", err)
	}
	if err := s.DeleteAppCredential(ctx, admin.User.ID, cred.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Validate(ctx, token); !fault.Is(err, fault.Unauthentic) {
		t.Errorf("the token of a deleted credential still works (%v)", err)
	}
	past := bun.NullTime{Time: time.Now().Add(-time.Hour)}
	if _, _, err := s.CreateAppCredential(ctx, admin, identity.AppCredential{Name: "late", ExpiresAt: past}, ""); !fault.Is(err, fault.Invalid) {
		t.Errorf("a credential that has expired was made: %v", err)
	}
	free, secretText, err := s.CreateAppCredential(ctx, admin, identity.AppCredential{Name: "free", Unrestricted: true}, "")
	if err != nil {
		t.Fatal(err)
	}
	_, c, err = s.Authenticate(ctx, identity.Login{AppCred: &identity.AppCredRef{Name: free.Name, User: identity.UserRef{Name: "admin"}, Secret: secretText}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.CreateAppCredential(ctx, c, identity.AppCredential{Name: "child"}, ""); err != nil {
		t.Errorf("an unrestricted credential could not make another: %v", err)
	}
}

// TestMostOfAUser makes application credentials and trusts until the user has as many as one may have, and one again when one is deleted.
func TestMostOfAUser(t *testing.T) {
	ctx, s := t.Context(), service(t, dbtest.SQLite(t), identity.Policy{})
	password := must(s.Bootstrap(ctx))(t)
	_, c, err := s.Authenticate(ctx, byPassword("admin", password))
	if err != nil {
		t.Fatal(err)
	}
	const most = 200
	credential := func(n int) (identity.AppCredential, error) {
		cred, _, err := s.CreateAppCredential(ctx, c, identity.AppCredential{Name: strconv.Itoa(n)}, "short")
		return cred, err
	}
	trust := func() (identity.Trust, error) {
		return s.CreateTrust(ctx, c, identity.Trust{TrustorID: c.User.ID, TrusteeID: c.User.ID, Roles: []string{identity.Reader}})
	}
	var last identity.AppCredential
	for n := range most {
		last = must(credential(n))(t)
		must(trust())(t)
	}
	if _, err := credential(most); !fault.Is(err, fault.Denied) || !strings.Contains(fault.Message(err), "200 application credentials already") {
		t.Errorf("one application credential more: %v", err)
	}
	if _, err := trust(); !fault.Is(err, fault.Denied) {
		t.Errorf("one trust more: %v", err)
	}
	if err := s.DeleteAppCredential(ctx, c.User.ID, last.ID); err != nil {
		t.Fatal(err)
	}
	must(credential(most))(t)
}

// BenchmarkToken measures what a request costs whose token was not seen within the last second, and what one whose token was.
func BenchmarkToken(b *testing.B) {
	box, err := secret.Open(filepath.Join(b.TempDir(), "secret.key"))
	if err != nil {
		b.Fatal(err)
	}
	ctx, s := b.Context(), identity.NewService(dbtest.SQLite(b), box, identity.Policy{})
	password, err := s.Bootstrap(ctx)
	if err != nil {
		b.Fatal(err)
	}
	text, _, err := s.Authenticate(ctx, byPassword("admin", password))
	if err != nil {
		b.Fatal(err)
	}
	for name, validate := range map[string]func() error{
		"new":  func() error { _, err := s.ValidateExpired(ctx, text); return err },
		"seen": func() error { _, err := s.Validate(ctx, text); return err },
		"issue": func() error {
			_, _, err := s.Authenticate(ctx, identity.Login{Token: text, Scope: identity.Scope{System: true}})
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := validate(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
