package identity

import (
	"context"
	"slices"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// TokenTime is how long a token is valid.
const TokenTime = 8 * time.Hour

// Authenticate checks credentials and issues a token. The returned string is the token; it is kept nowhere.
func (s *Service) Authenticate(ctx context.Context, l Login) (string, Caller, error) {
	p, err := s.who(ctx, l)
	if err != nil {
		return "", Caller{}, err
	}
	target, err := s.target(ctx, l.Scope, p)
	if err != nil {
		return "", Caller{}, err
	}
	now := db.Now()
	text := secret.Token()
	t := Token{Hash: secret.Hash(text), AccountID: p.user.ID, Target: target, Methods: p.methods, AuditID: secret.Token()[:22], IssuedAt: now, ExpiresAt: now.Add(TokenTime)}
	if p.cred != nil {
		t.AppCred = p.cred.ID
		t.ExpiresAt = sooner(t.ExpiresAt, p.cred.ExpiresAt.Time)
	}
	if p.token != nil {
		// A token that was got with a token lives no longer than that: otherwise it could be renewed for ever.
		t.ExpiresAt, t.AuditParent = p.token.ExpiresAt, p.token.AuditID
		if p.token.AuditParent != "" {
			t.AuditParent = p.token.AuditParent
		}
	}
	if l.Scope.Trust != "" {
		return s.issueForTrust(ctx, text, t, l.Scope.Trust)
	}
	caller, err := s.scoped(ctx, &t, l.Scope, p)
	if err != nil {
		return "", Caller{}, err
	}
	return text, caller, s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&t).Exec(ctx)
		return err
	})
}

func sooner(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// scoped returns whom a new token speaks for. Without a scope that is the user on the default project, or on nothing
// where the user has no role there.
func (s *Service) scoped(ctx context.Context, t *Token, sc Scope, p proven) (Caller, error) {
	if !sc.given() && t.Target == "" && p.user.DefaultProjectID != "" {
		byDefault := *t
		byDefault.Target = p.user.DefaultProjectID
		c, err := s.caller(ctx, byDefault)
		if !fault.Is(err, fault.Unauthentic) {
			*t = byDefault
			return c, err
		}
	}
	return s.caller(ctx, *t)
}

// issueForTrust issues a token that a trust gives to its trustee.
func (s *Service) issueForTrust(ctx context.Context, text string, t Token, trust string) (string, Caller, error) {
	var caller Caller
	err := s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		tr, err := s.ofTrust(ctx, tx, trust, t.AccountID)
		if err != nil {
			return err
		}
		t.Trust, t.Target, t.ExpiresAt = tr.ID, tr.ProjectID, sooner(t.ExpiresAt, tr.ExpiresAt.Time)
		if tr.Impersonation {
			t.AccountID = tr.TrustorID
		}
		_, err = tx.NewInsert().Model(&t).Exec(ctx)
		return err
	})
	if err != nil {
		return "", caller, err
	}
	if caller, err = s.caller(ctx, t); err != nil {
		return "", caller, fault.Errorf(fault.Denied, "the trust is worth nothing: its maker has lost the roles, or someone in it is disabled")
	}
	return text, caller, nil
}

// token finds a token that is still valid.
func (s *Service) token(ctx context.Context, text string) (Token, error) {
	return s.tokenUntil(ctx, text, db.Now())
}

// tokenUntil finds a token that did not expire before a time.
func (s *Service) tokenUntil(ctx context.Context, text string, at time.Time) (Token, error) {
	var t Token
	err := s.db.Read().NewSelect().Model(&t).Where("hash = ?", secret.Hash(text)).Scan(ctx)
	if db.None(err) || (err == nil && t.ExpiresAt.Before(at)) {
		return t, fault.Errorf(fault.Unauthentic, "the token is not valid or has expired; authenticate again")
	}
	if err != nil {
		return t, fault.E(fault.Unavailable, "looking for the token", err)
	}
	return t, nil
}

// Validate returns whom a token speaks for.
func (s *Service) Validate(ctx context.Context, text string) (Caller, error) {
	hash := secret.Hash(text)
	if c, ok := s.seen.get(hash); ok {
		return c, nil
	}
	before := s.seen.generation()
	t, err := s.token(ctx, text)
	if err != nil {
		return Caller{}, err
	}
	c, err := s.caller(ctx, t)
	if err == nil {
		s.seen.put(hash, c, before)
	}
	return c, err
}

// ValidateExpired is Validate for a token that may have expired lately: a long work that began with a valid token ends with it.
func (s *Service) ValidateExpired(ctx context.Context, text string) (Caller, error) {
	t, err := s.tokenUntil(ctx, text, db.Now().Add(-AllowExpired))
	if err != nil {
		return Caller{}, err
	}
	return s.caller(ctx, t)
}

// caller returns whom a token speaks for, by the rights of this moment. A token whose user, project or domain is
// disabled or whose last role was taken away speaks for nobody.
func (s *Service) caller(ctx context.Context, t Token) (Caller, error) {
	c := Caller{Token: t, System: t.Target == System}
	var err error
	if c.User, err = s.User(ctx, t.AccountID); err != nil || !c.User.Enabled || !c.User.DomainEnabled {
		return c, errWho
	}
	if t.Target == "" {
		return c, nil
	}
	if !c.System {
		p, err := s.Project(ctx, t.Target)
		if err != nil || !p.Enabled || !p.DomainEnabled {
			return c, errWho
		}
		if p.IsDomain {
			c.Domain = &p
		} else {
			c.Project = &p
		}
	}
	held, limit, err := s.rights(ctx, &c)
	if err != nil {
		return c, err
	}
	g, err := s.graph.get(ctx, s.loadGraph)
	if err != nil {
		return c, err
	}
	c.Roles = g.effective(held)
	if limit != nil {
		allowed := g.closure(*limit)
		c.Roles = slices.DeleteFunc(c.Roles, func(r Role) bool { return !slices.Contains(allowed, r.ID) })
	}
	if len(c.Roles) == 0 {
		return c, fault.Errorf(fault.Unauthentic, "the user has no role on what the token was asked for")
	}
	return c, nil
}

// rights returns the roles that a caller's token rests on, and those that it is limited to where it was issued for an application credential
// or a trust.
func (s *Service) rights(ctx context.Context, c *Caller) (held []string, limit *[]string, err error) {
	holder := c.User.ID
	if c.Token.AppCred != "" {
		cred, err := one[AppCredential](ctx, s.db.Read(), "application credential", c.Token.AppCred)
		if err != nil {
			return nil, nil, errWho
		}
		if cred.Rules != nil {
			if cred.Access, err = s.AccessRules(ctx, cred.AccountID); err != nil {
				return nil, nil, err
			}
			cred.Access = slices.DeleteFunc(cred.Access, func(r AccessRule) bool { return !slices.Contains(cred.Rules, r.ID) })
		}
		c.AppCred, limit = &cred, &cred.Roles
	}
	if c.Token.Trust != "" {
		t, err := one[Trust](ctx, s.db.Read(), "trust", c.Token.Trust)
		if err != nil || (!t.ExpiresAt.IsZero() && t.ExpiresAt.Before(db.Now())) {
			return nil, nil, errWho
		}
		for _, id := range []string{t.TrustorID, t.TrusteeID} {
			if u, err := s.User(ctx, id); err != nil || !u.Enabled || !u.DomainEnabled {
				return nil, nil, errWho
			}
		}
		c.Trust, limit, holder = &t, &t.Roles, t.TrustorID
	}
	held, err = s.heldOn(ctx, holder, c)
	return held, limit, err
}
