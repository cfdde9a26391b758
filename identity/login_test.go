package identity_test

import (
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

func login(t *testing.T, s *identity.Service, l identity.Login) error {
	t.Helper()
	_, _, err := s.Authenticate(t.Context(), l)
	return err
}

// TestLockOut lets nobody guess on for long, and tells the guesser nothing.
func TestLockOut(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		s := service(t, d, identity.Policy{Tries: 3, LockOut: time.Hour})
		password := "the right word"
		u := must(s.CreateUser(ctx, identity.User{Name: "u", Enabled: true}, &password))(t)
		must(s.CreateUser(ctx, identity.User{Name: "robot", Enabled: true, Options: identity.Extra{"ignore_lockout_failure_attempts": true}}, &password))(t)
		right, wrong := byPassword("u", password), byPassword("u", "a wrong word")
		for range 2 {
			if err := login(t, s, wrong); !fault.Is(err, fault.Unauthentic) {
				t.Fatal(err)
			}
		}
		if err := login(t, s, right); err != nil {
			t.Fatalf("two wrong passwords locked the user out: %v", err)
		}
		var last error
		for range 3 {
			last = login(t, s, wrong)
		}
		err := login(t, s, right)
		if !fault.Is(err, fault.Unauthentic) || err.Error() != last.Error() {
			t.Errorf("a user who is locked out is told %v, and a wrong password %v", err, last)
		}
		if err := s.ChangePassword(ctx, u.ID, password, "another word"); !fault.Is(err, fault.Unauthentic) {
			t.Errorf("a user who is locked out changed the password: %v", err)
		}
		for range 5 {
			_ = login(t, s, byPassword("robot", "a wrong word"))
		}
		if err := login(t, s, byPassword("robot", password)); err != nil {
			t.Errorf("a user who is never to be locked out: %v", err)
		}
		// The lock ends by itself, and the count begins anew.
		later := service(t, d, identity.Policy{Tries: 3, LockOut: time.Nanosecond})
		if err := login(t, later, wrong); !fault.Is(err, fault.Unauthentic) {
			t.Fatal(err)
		}
		if err := login(t, s, right); err != nil {
			t.Errorf("after the lock-out: %v", err)
		}
		// The operator's new password ends it too.
		for range 3 {
			_ = login(t, s, wrong)
		}
		fresh := "a fresh word"
		must(s.UpdateUser(ctx, must(s.User(ctx, u.ID))(t), &fresh))(t)
		if err := login(t, s, byPassword("u", fresh)); err != nil {
			t.Errorf("after a new password: %v", err)
		}
	})
}

// TestPasswordAge makes users change a password that is too old, and lets them.
func TestPasswordAge(t *testing.T) {
	ctx := t.Context()
	s := service(t, dbtest.SQLite(t), identity.Policy{PasswordAge: time.Nanosecond, PasswordMin: 12})
	password, short := "the first word", "short word"
	if _, err := s.CreateUser(ctx, identity.User{Name: "short", Enabled: true}, &short); fault.FieldOf(err) != "password" {
		t.Errorf("a short password: %v", err)
	}
	u := must(s.CreateUser(ctx, identity.User{Name: "u", Enabled: true}, &password))(t)
	if u.PasswordExpiresAt.IsZero() {
		t.Error("the password has no end")
	}
	expired := login(t, s, byPassword("u", password))
	if wrong := login(t, s, byPassword("u", "a wrong word here")); !fault.Is(expired, fault.Unauthentic) || wrong.Error() == expired.Error() {
		t.Errorf("an expired password is told as %v", expired)
	}
	if err := s.ChangePassword(ctx, u.ID, password, "the second word"); err != nil {
		t.Errorf("an expired password could not be changed: %v", err)
	}
	u.Options = identity.Extra{"ignore_password_expiry": true}
	must(s.UpdateUser(ctx, u, &password))(t)
	if err := login(t, s, byPassword("u", password)); err != nil {
		t.Errorf("a user whose password never expires: %v", err)
	}
	u.Options = identity.Extra{"lock_password": true}
	must(s.UpdateUser(ctx, u, &password))(t)
	if err := s.ChangePassword(ctx, u.ID, password, "the third word"); !fault.Is(err, fault.Invalid) {
		t.Errorf("a locked password was changed: %v", err)
	}
	u.Options = identity.Extra{"unheard_of": true}
	if _, err := s.UpdateUser(ctx, u, nil); fault.FieldOf(err) != "options" {
		t.Errorf("an unknown option: %v", err)
	}
}

// TestSeveralMethods asks for what a user's rules ask for.
func TestSeveralMethods(t *testing.T) {
	ctx := t.Context()
	s := service(t, dbtest.SQLite(t), identity.Policy{})
	password := "one of two"
	rules := []any{[]any{"password", "totp"}, []any{"password", "retina"}}
	u := must(s.CreateUser(ctx, identity.User{Name: "u", Enabled: true, Options: identity.Extra{"multi_factor_auth_rules": rules}}, &password))(t)
	key := "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	c := must(s.CreateCredential(ctx, identity.Credential{AccountID: u.ID, Kind: "totp", Text: key}))(t)
	if string(c.Blob) == key {
		t.Error("the key lies open in the database")
	}
	l := byPassword("u", password)
	if err := login(t, s, l); !fault.Is(err, fault.Unauthentic) {
		t.Errorf("the password alone: %v", err)
	}
	l.Passcode = "000000x"
	if err := login(t, s, l); !fault.Is(err, fault.Unauthentic) {
		t.Errorf("a wrong passcode: %v", err)
	}
	l.Passcode = identity.Passcode(key, time.Now())
	_, caller, err := s.Authenticate(ctx, l)
	if err != nil || len(caller.Token.Methods) != 2 {
		t.Errorf("both: %v, %v", caller.Token.Methods, err)
	}
	u.Options["multi_factor_auth_enabled"] = false
	must(s.UpdateUser(ctx, u, nil))(t)
	if err := login(t, s, byPassword("u", password)); err != nil {
		t.Errorf("the rules are off: %v", err)
	}
}

// TestNamesInDomains keeps users and projects of one name in two domains apart.
func TestNamesInDomains(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, s := t.Context(), service(t, d, identity.Policy{})
		acme := must(s.CreateProject(ctx, identity.Project{Name: "acme", IsDomain: true, Enabled: true}))(t)
		words := map[string]string{identity.DomainID: "word of default", acme.ID: "word of acme"}
		projects := map[string]identity.Project{}
		for domain, word := range words {
			u := must(s.CreateUser(ctx, identity.User{Name: "same", DomainID: domain, Enabled: true}, &word))(t)
			projects[domain] = must(s.CreateProject(ctx, identity.Project{Name: "same", DomainID: domain, Enabled: true}))(t)
			if err := s.Grant(ctx, identity.Grant{Actor: u.ID, Target: projects[domain].ID, RoleID: identity.Member}); err != nil {
				t.Fatal(err)
			}
		}
		in := func(domain identity.DomainRef, word string) identity.Login {
			return identity.Login{User: identity.UserRef{Name: "same", Domain: domain}, Password: &word, Scope: identity.Scope{ProjectName: "same", Domain: domain}}
		}
		for _, tt := range []struct {
			domain identity.DomainRef
			id     string
		}{{identity.DomainRef{}, identity.DomainID}, {identity.DomainRef{Name: "default"}, identity.DomainID}, {identity.DomainRef{ID: acme.ID}, acme.ID}, {identity.DomainRef{Name: "acme"}, acme.ID}} {
			_, c, err := s.Authenticate(ctx, in(tt.domain, words[tt.id]))
			if err != nil || c.ProjectID() != projects[tt.id].ID || c.User.DomainID != tt.id {
				t.Errorf("%+v: %+v, %v", tt.domain, c, err)
			}
		}
		if err := login(t, s, in(identity.DomainRef{Name: "acme"}, words[identity.DomainID])); !fault.Is(err, fault.Unauthentic) {
			t.Errorf("the other one's password: %v", err)
		}
		text, _, err := s.Authenticate(ctx, in(identity.DomainRef{Name: "acme"}, words[acme.ID]))
		if err != nil {
			t.Fatal(err)
		}
		acme.Enabled = false
		if err := s.UpdateProject(ctx, acme); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Validate(ctx, text); !fault.Is(err, fault.Unauthentic) {
			t.Errorf("a token of a disabled domain: %v", err)
		}
		if err := login(t, s, in(identity.DomainRef{Name: "acme"}, words[acme.ID])); !fault.Is(err, fault.Unauthentic) {
			t.Errorf("a login in a disabled domain: %v", err)
		}
	})
}
