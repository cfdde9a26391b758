package identity_test

import (
	"os"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

func TestMain(m *testing.M) {
	code := m.Run()
	dbtest.Stop()
	os.Exit(code)
}

// TestTokens follows a token from its issue over a restart to its revocation.
func TestTokens(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		s := identity.NewService(d)
		password, err := s.Bootstrap(ctx)
		if err != nil || password == "" {
			t.Fatalf("no administrator was made: %v", err)
		}
		if again, err := s.Bootstrap(ctx); err != nil || again != "" {
			t.Fatalf("a second administrator was made: %v", err)
		}
		login := func(user, password string) (string, identity.Caller, error) {
			return s.Authenticate(ctx, identity.Credentials{UserName: user, Password: password})
		}
		for _, bad := range [][2]string{{"admin", "wrong"}, {"nobody", password}, {"admin", ""}} {
			if _, _, err := login(bad[0], bad[1]); !fault.Is(err, fault.Unauthentic) {
				t.Errorf("%v: %v, want unauthenticated", bad, err)
			}
		}
		text, c, err := login("admin", password)
		if err != nil || !c.Operator() || !c.Has(identity.Reader) {
			t.Fatalf("the administrator is %+v, %v", c, err)
		}
		later := identity.NewService(d) // the process was started anew
		if c, err := later.Validate(ctx, text); err != nil || c.User.Name != "admin" {
			t.Errorf("after a restart the token speaks for %+v, %v", c.User, err)
		}
		if err := s.Revoke(ctx, text); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Validate(ctx, text); !fault.Is(err, fault.Unauthentic) {
			t.Errorf("a revoked token: %v, want unauthenticated", err)
		}
	})
}

// TestTakingRightsAway ends tokens with the rights that they carry.
func TestTakingRightsAway(t *testing.T) {
	d := dbtest.SQLite(t)
	ctx, s := t.Context(), identity.NewService(d)
	p, err := s.CreateProject(ctx, identity.Project{Name: "p", Enabled: true})
	if err != nil {
		t.Fatal(err)
	}
	u, err := s.CreateUser(ctx, identity.User{Name: "u", Enabled: true}, "first password")
	if err != nil {
		t.Fatal(err)
	}
	g := identity.Grant{AccountID: u.ID, Target: p.ID, Role: identity.Member}
	token := func(password string) string {
		t.Helper()
		if err := s.Grant(ctx, g); err != nil {
			t.Fatal(err)
		}
		text, c, err := s.Authenticate(ctx, identity.Credentials{UserName: "u", Password: password, ProjectID: p.ID})
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
	text := token("first password")
	if err := s.Ungrant(ctx, g); err != nil {
		t.Fatal(err)
	}
	dead("the role was taken away", text)
	text = token("first password")
	if err := s.ChangePassword(ctx, u.ID, "not the password", "second password"); !fault.Is(err, fault.Unauthentic) {
		t.Errorf("a password was changed with a wrong one: %v", err)
	}
	if err := s.ChangePassword(ctx, u.ID, "first password", "second password"); err != nil {
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
	ctx, s := t.Context(), identity.NewService(dbtest.SQLite(t))
	password, err := s.Bootstrap(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, admin, err := s.Authenticate(ctx, identity.Credentials{UserName: "admin", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	cred, text, err := s.CreateAppCredential(ctx, admin, identity.AppCredential{Name: "robot", Roles: []identity.Role{identity.Reader}}, "")
	if err != nil {
		t.Fatal(err)
	}
	token, c, err := s.Authenticate(ctx, identity.Credentials{AppCredID: cred.ID, AppCredSecret: text})
	if err != nil {
		t.Fatal(err)
	}
	// The role that was held back is not there by another way either.
	if c.Operator() || c.Has(identity.Member) {
		t.Errorf("a reader's credential carries %v", c.Roles)
	}
	if _, _, err := s.Authenticate(ctx, identity.Credentials{AppCredID: cred.ID, AppCredSecret: "wrong"}); !fault.Is(err, fault.Unauthentic) {
		t.Errorf("a wrong secret: %v", err)
	}
	if _, _, err := s.Authenticate(ctx, identity.Credentials{Token: token}); !fault.Is(err, fault.Denied) {
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
}
