package identity

import (
	"context"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// AppCredential lets a program act as a user on one project without the user's password. A restricted one, which is the
// default, can not make or delete application credentials and trusts.
type AppCredential struct {
	bun.BaseModel `bun:"table:app_credential"`

	ID, AccountID, ProjectID, Name, Description string
	Secret                                      string   // argon2id
	Roles                                       []string // ids
	Rules                                       []string // ids of access rules; nil: everything is allowed
	Unrestricted                                bool
	ExpiresAt                                   bun.NullTime
	CreatedAt                                   time.Time

	Access []AccessRule `bun:"-"` // the rules themselves, where they were asked for
}

// AccessRule allows requests of a method (GET) to a path of a service's type. In the path * stands for a part between slashes, as does {name},
// and ** for anything.
type AccessRule struct {
	bun.BaseModel `bun:"table:access_rule"`

	ID, AccountID, Service, Method, Path string
}

func (r AccessRule) allows(service, method, p string) bool {
	return r.Service == service && r.Method == method && pathFits(strings.Split(strings.Trim(r.Path, "/"), "/"), strings.Split(strings.Trim(p, "/"), "/"))
}

func pathFits(pattern, parts []string) bool {
	for i, want := range pattern {
		if want == "**" {
			return true
		}
		if i >= len(parts) {
			return false
		}
		if strings.HasPrefix(want, "{") && strings.HasSuffix(want, "}") {
			want = "*"
		}
		if ok, err := path.Match(want, parts[i]); err != nil || !ok {
			return false
		}
	}
	return len(pattern) == len(parts)
}

// Allowed reports whether the access rules of the caller's application credential, if it has any, allow a request.
func (c Caller) Allowed(service, method, path string) bool {
	if c.AppCred == nil || c.AppCred.Rules == nil {
		return true
	}
	return slices.ContainsFunc(c.AppCred.Access, func(r AccessRule) bool { return r.allows(service, method, path) })
}

func (s *Service) byAppCredential(ctx context.Context, r AppCredRef) (User, *AppCredential, error) {
	cred := new(AppCredential)
	q := s.db.Read().NewSelect().Model(cred)
	if r.ID != "" {
		q = q.Where("id = ?", r.ID)
	} else {
		u, err := s.userBy(ctx, r.User)
		if err != nil {
			samePassword(s.nobody, r.Secret)
			return User{}, nil, errWho
		}
		q = q.Where("account_id = ?", u.ID).Where("name = ?", r.Name)
	}
	if err := q.Scan(ctx); err != nil {
		samePassword(s.nobody, r.Secret)
		return User{}, nil, errWho
	}
	if !samePassword(cred.Secret, r.Secret) || (!cred.ExpiresAt.IsZero() && cred.ExpiresAt.Before(db.Now())) {
		return User{}, nil, errWho
	}
	u, err := s.User(ctx, cred.AccountID)
	if err != nil || !u.Enabled || !u.DomainEnabled {
		return User{}, nil, errWho
	}
	return u, cred, nil
}

// mostRules bounds the access rules of an application credential.
const mostRules = 100

// CreateAppCredential makes an application credential of the caller on the caller's project, with the access rules that cred.Access
// lists, and returns its secret, which is kept nowhere. An empty list of roles takes all the caller has.
func (s *Service) CreateAppCredential(ctx context.Context, c Caller, cred AppCredential, text string) (AppCredential, string, error) {
	if err := s.checkAppCredential(ctx, c, &cred); err != nil {
		return cred, "", err
	}
	if err := s.room(ctx, (*AppCredential)(nil), "account_id", c.User.ID, "application credentials"); err != nil {
		return cred, "", err
	}
	if text == "" {
		text = secret.Token() + secret.Token()
	}
	if len(text) > longestPassword {
		return cred, "", fault.Field("secret", "must have at most %d bytes", longestPassword)
	}
	cred.ID, cred.AccountID, cred.ProjectID = secret.Token(), c.User.ID, c.Project.ID
	cred.Secret, cred.CreatedAt = s.policy.hash(text), db.Now()
	return cred, text, s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		for i := range cred.Access {
			if err := keepRule(ctx, tx, c.User.ID, &cred.Access[i]); err != nil {
				return err
			}
			cred.Rules = append(cred.Rules, cred.Access[i].ID)
		}
		_, err := tx.NewInsert().Model(&cred).Exec(ctx)
		return duplicate(err, "application credential "+cred.Name)
	})
}

func (s *Service) checkAppCredential(ctx context.Context, c Caller, cred *AppCredential) error {
	if err := checkName(cred.Name); err != nil {
		return err
	}
	if err := checkExtras(cred.Description); err != nil {
		return err
	}
	if c.Delegated() {
		return fault.Errorf(fault.Denied, "a restricted application credential, or a trust, can not be used to make application credentials")
	}
	if c.Project == nil {
		return fault.Errorf(fault.Denied, "an application credential needs a token that is scoped to a project")
	}
	if len(cred.Roles) == 0 {
		for _, r := range c.Roles {
			cred.Roles = append(cred.Roles, r.ID)
		}
	}
	for _, r := range cred.Roles {
		if !c.Has(r) {
			return fault.Field("roles", "the caller does not have the role %q", r)
		}
	}
	if !cred.ExpiresAt.IsZero() && cred.ExpiresAt.Before(db.Now()) {
		return fault.Field("expires_at", "lies in the past")
	}
	if len(cred.Access) > mostRules {
		return fault.Field("access_rules", "there can be %d rules", mostRules)
	}
	for _, r := range cred.Access {
		if r.ID == "" && (r.Service == "" || r.Method == "" || !strings.HasPrefix(r.Path, "/")) {
			return fault.Field("access_rules", "a rule needs service, method and a path that begins with a slash, or the id of one")
		}
		if len(r.Service)+len(r.Method)+len(r.Path) > 255 {
			return fault.Field("access_rules", "a rule has at most 255 characters")
		}
	}
	return nil
}

// keepRule finds the caller's rule that is the same, or makes it.
func keepRule(ctx context.Context, tx db.Tx, user string, r *AccessRule) error {
	var have AccessRule
	q := tx.NewSelect().Model(&have).Where("account_id = ?", user)
	if r.ID != "" {
		q = q.Where("id = ?", r.ID)
	} else {
		q = q.Where("service = ? AND method = ? AND path = ?", r.Service, r.Method, r.Path)
	}
	err := q.Scan(ctx)
	if err == nil || !db.None(err) {
		*r = have
		return err
	}
	if r.ID != "" {
		return fault.Field("access_rules", "no access rule %q", r.ID)
	}
	r.ID, r.AccountID = secret.Token(), user
	_, err = tx.NewInsert().Model(r).Exec(ctx)
	return err
}

// AppCredentials returns the application credentials of a user, those of a name if one is given, with their rules.
func (s *Service) AppCredentials(ctx context.Context, user, name string) ([]AppCredential, error) {
	var cs []AppCredential
	q := s.db.Read().NewSelect().Model(&cs).Where("account_id = ?", user).Order("name")
	if name != "" {
		q = q.Where("name = ?", name)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fault.Wrap("listing application credentials", err)
	}
	rules, err := s.AccessRules(ctx, user)
	for i := range cs {
		for _, r := range rules {
			if slices.Contains(cs[i].Rules, r.ID) {
				cs[i].Access = append(cs[i].Access, r)
			}
		}
	}
	return cs, err
}

// AppCredential returns one of a user's.
func (s *Service) AppCredential(ctx context.Context, user, id string) (AppCredential, error) {
	cs, err := s.AppCredentials(ctx, user, "")
	for _, c := range cs {
		if c.ID == id {
			return c, nil
		}
	}
	if err == nil {
		err = fault.Errorf(fault.NotFound, "no application credential %q", id)
	}
	return AppCredential{}, err
}

// DeleteAppCredential forgets one and ends its tokens.
func (s *Service) DeleteAppCredential(ctx context.Context, user, id string) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		res, err := tx.NewDelete().Model((*AppCredential)(nil)).Where("id = ? AND account_id = ?", id, user).Exec(ctx)
		if err := affected(res, err, "no application credential %q", id); err != nil {
			return err
		}
		_, err = tx.NewDelete().Model((*Token)(nil)).Where("app_cred <> '' AND app_cred = ?", id).Exec(ctx)
		return err
	})
}

// AccessRules returns the access rules of a user.
func (s *Service) AccessRules(ctx context.Context, user string) ([]AccessRule, error) {
	var rs []AccessRule
	err := s.db.Read().NewSelect().Model(&rs).Where("account_id = ?", user).OrderExpr("service, path, method").Scan(ctx)
	return rs, fault.Wrap("listing access rules", err)
}

// DeleteAccessRule forgets a rule of a user; one in use is Denied.
func (s *Service) DeleteAccessRule(ctx context.Context, user, id string) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		var cs []AppCredential
		if err := tx.NewSelect().Model(&cs).Where("account_id = ?", user).Scan(ctx); err != nil {
			return err
		}
		if slices.ContainsFunc(cs, func(c AppCredential) bool { return slices.Contains(c.Rules, id) }) {
			return fault.Errorf(fault.Denied, "the access rule is in use by an application credential")
		}
		res, err := tx.NewDelete().Model((*AccessRule)(nil)).Where("id = ? AND account_id = ?", id, user).Exec(ctx)
		return affected(res, err, "no access rule %q", id)
	})
}
