package identity

import (
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// TokenTime is how long a token is valid.
const TokenTime = 8 * time.Hour

// Credentials are what someone authenticates with: exactly one of the groups is set.
type Credentials struct {
	UserID, UserName, Password    string // password
	Token                         string // token
	AppCredID, AppCredName        string // application credential; the name goes with a user
	AppCredSecret                 string
	ProjectID, ProjectName        string // scope
	SystemScope, Unscoped, Domain bool
}

// errWho is the one answer to every failed authentication: what was wrong is nobody's business.
var errWho = fault.Errorf(fault.Unauthentic, "the credentials are not valid")

// Authenticate checks credentials and issues a token. The returned string is the token; it is kept nowhere.
func (s *Service) Authenticate(ctx context.Context, c Credentials) (string, Caller, error) {
	u, cred, methods, err := s.who(ctx, c)
	if err != nil {
		return "", Caller{}, err
	}
	target, err := s.scope(ctx, c, u, cred)
	if err != nil {
		return "", Caller{}, err
	}
	now := db.Now()
	text := secret.Token()
	t := Token{Hash: secret.Hash(text), AccountID: u.ID, Target: target, Methods: methods, AuditID: secret.Token()[:22], IssuedAt: now, ExpiresAt: now.Add(TokenTime)}
	if cred != nil {
		t.AppCred = cred.ID
		if !cred.ExpiresAt.IsZero() && cred.ExpiresAt.Before(t.ExpiresAt) {
			t.ExpiresAt = cred.ExpiresAt.Time
		}
	}
	if c.Token != "" {
		// A token that was got with a token lives no longer than that: otherwise it could be renewed for ever.
		old, err := s.token(ctx, c.Token)
		if err != nil {
			return "", Caller{}, err
		}
		t.ExpiresAt = old.ExpiresAt
	}
	caller, err := s.caller(ctx, t)
	if err != nil {
		return "", Caller{}, err
	}
	if target != "" && len(caller.Roles) == 0 {
		return "", Caller{}, fault.Errorf(fault.Unauthentic, "the user has no role on what the token was asked for")
	}
	return text, caller, s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&t).Exec(ctx)
		return err
	})
}

func (s *Service) who(ctx context.Context, c Credentials) (User, *AppCredential, []string, error) {
	switch {
	case c.Token != "":
		t, err := s.token(ctx, c.Token)
		if err != nil {
			return User{}, nil, nil, err
		}
		if t.AppCred != "" {
			return User{}, nil, nil, fault.Errorf(fault.Denied, "a token of an application credential can not be exchanged")
		}
		u, err := s.user(ctx, "id", t.AccountID)
		return u, nil, slices.Compact(append(t.Methods, "token")), err
	case c.AppCredSecret != "":
		u, cred, err := s.byAppCredential(ctx, c)
		return u, cred, []string{"application_credential"}, err
	}
	u, err := s.named(ctx, c)
	hash := u.Password
	if err != nil {
		hash = s.nobody // as slow as for a user that exists
	}
	if ok := checkPassword(hash, c.Password); !ok || err != nil || !u.Enabled {
		return User{}, nil, nil, errWho
	}
	return u, nil, []string{"password"}, nil
}

func (s *Service) named(ctx context.Context, c Credentials) (User, error) {
	if c.UserID != "" {
		return s.user(ctx, "id", c.UserID)
	}
	return s.user(ctx, "name", c.UserName)
}

func (s *Service) byAppCredential(ctx context.Context, c Credentials) (User, *AppCredential, error) {
	cred := new(AppCredential)
	q := s.db.Read().NewSelect().Model(cred)
	if c.AppCredID != "" {
		q = q.Where("id = ?", c.AppCredID)
	} else {
		u, err := s.named(ctx, c)
		if err != nil {
			return User{}, nil, errWho
		}
		q = q.Where("account_id = ?", u.ID).Where("name = ?", c.AppCredName)
	}
	if err := q.Scan(ctx); err != nil {
		checkPassword(s.nobody, c.AppCredSecret)
		return User{}, nil, errWho
	}
	if !checkPassword(cred.Secret, c.AppCredSecret) || (!cred.ExpiresAt.IsZero() && cred.ExpiresAt.Before(time.Now())) {
		return User{}, nil, errWho
	}
	u, err := s.user(ctx, "id", cred.AccountID)
	if err != nil || !u.Enabled {
		return User{}, nil, errWho
	}
	return u, cred, nil
}

// scope returns the target of a new token.
func (s *Service) scope(ctx context.Context, c Credentials, u User, cred *AppCredential) (string, error) {
	switch {
	case cred != nil:
		return cred.ProjectID, nil
	case c.SystemScope:
		return System, nil
	case c.Unscoped:
		return "", nil
	}
	id := c.ProjectID
	if id == "" && c.ProjectName != "" {
		p, err := s.projectBy(ctx, "name", c.ProjectName)
		if err != nil {
			return "", errWho
		}
		id = p.ID
	}
	if id == "" {
		return u.DefaultProjectID, nil
	}
	if _, err := s.projectBy(ctx, "id", id); err != nil {
		return "", errWho
	}
	return id, nil
}

// token finds a token that is still valid.
func (s *Service) token(ctx context.Context, text string) (Token, error) {
	var t Token
	err := s.db.Read().NewSelect().Model(&t).Where("hash = ?", secret.Hash(text)).Scan(ctx)
	if db.None(err) || (err == nil && t.ExpiresAt.Before(time.Now())) {
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

func (s *Service) caller(ctx context.Context, t Token) (Caller, error) {
	c := Caller{Token: t, System: t.Target == System}
	var err error
	if c.User, err = s.user(ctx, "id", t.AccountID); err != nil || !c.User.Enabled {
		return c, errWho
	}
	if t.Target == "" {
		return c, nil
	}
	if !c.System {
		p, err := s.projectBy(ctx, "id", t.Target)
		if err != nil || !p.Enabled {
			return c, errWho
		}
		c.Project = &p
	}
	var held []Role
	if err := s.db.Read().NewSelect().Model((*Grant)(nil)).Column("role").
		Where("account_id = ?", c.User.ID).Where("target = ?", t.Target).Scan(ctx, &held); err != nil {
		return c, fault.E(fault.Unavailable, "reading roles", err)
	}
	var limit []Role
	if t.AppCred != "" {
		var cred AppCredential
		if err := s.db.Read().NewSelect().Model(&cred).Where("id = ?", t.AppCred).Scan(ctx); err != nil {
			return c, errWho
		}
		limit = cred.Roles
	}
	c.Roles = effective(held)
	if t.AppCred != "" {
		allowed := effective(limit)
		c.Roles = slices.DeleteFunc(c.Roles, func(r Role) bool { return !slices.Contains(allowed, r) })
	}
	return c, nil
}

// effective returns roles with all that they imply, mightiest first.
func effective(roles []Role) []Role {
	var out []Role
	for _, r := range Roles {
		if slices.ContainsFunc(roles, func(held Role) bool { return slices.Contains(implied(held), r) }) {
			out = append(out, r)
		}
	}
	return out
}

// Revoke ends a token.
func (s *Service) Revoke(ctx context.Context, text string) error {
	return s.drop(ctx, func(q *bun.DeleteQuery) *bun.DeleteQuery { return q.Where("hash = ?", secret.Hash(text)) })
}

// Expire drops the tokens that are past their time. It is a reconciler.
func (s *Service) Expire(ctx context.Context) error {
	return s.drop(ctx, func(q *bun.DeleteQuery) *bun.DeleteQuery { return q.Where("expires_at < ?", db.Now()) })
}

func (s *Service) drop(ctx context.Context, which func(*bun.DeleteQuery) *bun.DeleteQuery) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := which(tx.NewDelete().Model((*Token)(nil))).Exec(ctx)
		return err
	})
}
