package identity

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// Service keeps users, projects, roles and tokens.
type Service struct {
	db     *db.DB
	nobody string // a hash that no password has
	seen   cache
}

// NewService makes the service.
func NewService(d *db.DB) *Service { return &Service{db: d, nobody: hashPassword(secret.Token())} }

// Bootstrap makes the administrator and the project "admin" when there is no user yet; it returns
// the administrator's new password, or "".
func (s *Service) Bootstrap(ctx context.Context) (string, error) {
	n, err := s.db.Read().NewSelect().Model((*User)(nil)).Count(ctx)
	if err != nil || n > 0 {
		return "", fault.Wrap("counting users", err)
	}
	password := secret.Token()
	p, err := s.CreateProject(ctx, Project{Name: adminProject, Description: "the operators' project", Enabled: true})
	if err != nil {
		return "", err
	}
	u, err := s.CreateUser(ctx, User{Name: "admin", DefaultProjectID: p.ID, Enabled: true}, password)
	if err != nil {
		return "", err
	}
	for _, target := range []string{p.ID, System} {
		if err := s.Grant(ctx, Grant{AccountID: u.ID, Target: target, Role: Admin}); err != nil {
			return "", err
		}
	}
	return password, nil
}

// change runs a transaction that may take rights away, and forgets whom we have seen.
func (s *Service) change(ctx context.Context, fn func(ctx context.Context, tx db.Tx) error) error {
	defer s.seen.clear()
	return s.db.Tx(ctx, fn)
}

func checkName(name string) error {
	if strings.TrimSpace(name) == "" || len(name) > 255 {
		return fault.Field("name", "must have 1 to 255 characters")
	}
	return nil
}

// CreateProject makes a project. Its name must be new.
func (s *Service) CreateProject(ctx context.Context, p Project) (Project, error) {
	if err := checkName(p.Name); err != nil {
		return p, err
	}
	p.ID, p.CreatedAt = secret.Token(), db.Now()
	return p, s.insert(ctx, &p, "project "+p.Name)
}

// CreateUser makes a user. The name must be new.
func (s *Service) CreateUser(ctx context.Context, u User, password string) (User, error) {
	if err := checkName(u.Name); err != nil {
		return u, err
	}
	if err := checkNewPassword(password); err != nil {
		return u, err
	}
	u.ID, u.CreatedAt, u.Password = secret.Token(), db.Now(), hashPassword(password)
	return u, s.insert(ctx, &u, "user "+u.Name)
}

func (s *Service) insert(ctx context.Context, model any, what string) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(model).Exec(ctx)
		if db.Duplicate(err) {
			return fault.Errorf(fault.Conflict, "the %s exists already", what)
		}
		return err
	})
}

// Grant gives a role; giving it twice is no error.
func (s *Service) Grant(ctx context.Context, g Grant) error {
	if !slices.Contains(Roles, g.Role) {
		return fault.Errorf(fault.NotFound, "no role %q", g.Role)
	}
	if err := s.exist(ctx, g); err != nil {
		return err
	}
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&g).On("CONFLICT DO NOTHING").Exec(ctx)
		return err
	})
}

func (s *Service) exist(ctx context.Context, g Grant) error {
	if _, err := s.user(ctx, "id", g.AccountID); err != nil {
		return err
	}
	if g.Target == System {
		return nil
	}
	_, err := s.projectBy(ctx, "id", g.Target)
	return err
}

// Ungrant takes a role away, and ends the user's tokens on that target.
func (s *Service) Ungrant(ctx context.Context, g Grant) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		res, err := tx.NewDelete().Model((*Grant)(nil)).Where("account_id = ? AND target = ? AND role = ?", g.AccountID, g.Target, g.Role).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err == nil && n == 0 {
			return fault.Errorf(fault.NotFound, "the user does not have that role there")
		}
		_, err = tx.NewDelete().Model((*Token)(nil)).Where("account_id = ? AND target = ?", g.AccountID, g.Target).Exec(ctx)
		return err
	})
}

// Grants returns the grants of a user, of a target, or all; "" does not select.
func (s *Service) Grants(ctx context.Context, user, target string) ([]Grant, error) {
	var gs []Grant
	q := s.db.Read().NewSelect().Model(&gs).OrderExpr("account_id, target, role")
	if user != "" {
		q = q.Where("account_id = ?", user)
	}
	if target != "" {
		q = q.Where("target = ?", target)
	}
	return gs, fault.Wrap("reading grants", q.Scan(ctx))
}

func (s *Service) user(ctx context.Context, column, value string) (User, error) {
	var u User
	err := s.db.Read().NewSelect().Model(&u).Where("? = ?", bun.Ident(column), value).Scan(ctx)
	return u, missing(err, "user", value)
}

func (s *Service) projectBy(ctx context.Context, column, value string) (Project, error) {
	var p Project
	err := s.db.Read().NewSelect().Model(&p).Where("? = ?", bun.Ident(column), value).Scan(ctx)
	return p, missing(err, "project", value)
}

func missing(err error, what, which string) error {
	if db.None(err) {
		return fault.Errorf(fault.NotFound, "no %s %q", what, which)
	}
	return fault.Wrap("reading the "+what, err)
}

// User returns a user by id.
func (s *Service) User(ctx context.Context, id string) (User, error) { return s.user(ctx, "id", id) }

// Project returns a project by id.
func (s *Service) Project(ctx context.Context, id string) (Project, error) {
	return s.projectBy(ctx, "id", id)
}

// Users returns all users, or those of a name.
func (s *Service) Users(ctx context.Context, name string) ([]User, error) {
	var us []User
	q := s.db.Read().NewSelect().Model(&us).Order("name")
	if name != "" {
		q = q.Where("name = ?", name)
	}
	return us, fault.Wrap("listing users", q.Scan(ctx))
}

// Projects returns all projects, those of a name, or those that a user has a role on; "" does not select.
func (s *Service) Projects(ctx context.Context, name, user string) ([]Project, error) {
	var ps []Project
	q := s.db.Read().NewSelect().Model(&ps).Order("name")
	if name != "" {
		q = q.Where("name = ?", name)
	}
	if user != "" {
		q = q.Where("id IN (SELECT target FROM grants WHERE account_id = ?)", user)
	}
	return ps, fault.Wrap("listing projects", q.Scan(ctx))
}

// UpdateProject writes a project that the caller has read and changed; disabling it ends its tokens.
func (s *Service) UpdateProject(ctx context.Context, p Project) error {
	if err := checkName(p.Name); err != nil {
		return err
	}
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		if _, err := tx.NewUpdate().Model(&p).Column("name", "description", "enabled").Where("id = ?", p.ID).Exec(ctx); err != nil {
			if db.Duplicate(err) {
				return fault.Errorf(fault.Conflict, "the project %s exists already", p.Name)
			}
			return err
		}
		if p.Enabled {
			return nil
		}
		_, err := tx.NewDelete().Model((*Token)(nil)).Where("target = ?", p.ID).Exec(ctx)
		return err
	})
}

// UpdateUser writes a user that the caller has read and changed, with a new password if one is given.
// A new password, or disabling, ends the user's tokens.
func (s *Service) UpdateUser(ctx context.Context, u User, password *string) error {
	if err := checkName(u.Name); err != nil {
		return err
	}
	if password != nil {
		if err := checkNewPassword(*password); err != nil {
			return err
		}
		u.Password = hashPassword(*password)
	}
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model(&u).Column("name", "email", "description", "password", "enabled", "default_project_id").Where("id = ?", u.ID).Exec(ctx)
		if db.Duplicate(err) {
			return fault.Errorf(fault.Conflict, "the user %s exists already", u.Name)
		}
		if err != nil || (password == nil && u.Enabled) {
			return err
		}
		_, err = tx.NewDelete().Model((*Token)(nil)).Where("account_id = ?", u.ID).Exec(ctx)
		return err
	})
}

// ChangePassword lets a user replace the password by proving the old one.
func (s *Service) ChangePassword(ctx context.Context, id, old, password string) error {
	u, err := s.user(ctx, "id", id)
	if err != nil || !checkPassword(u.Password, old) {
		return errWho
	}
	return s.UpdateUser(ctx, u, &password)
}

// DeleteUser forgets a user with tokens, grants and application credentials.
func (s *Service) DeleteUser(ctx context.Context, id string) error {
	return s.delete(ctx, (*User)(nil), "user", id)
}

// DeleteProject forgets a project and ends its tokens. What it owns is the caller's concern.
func (s *Service) DeleteProject(ctx context.Context, id string) error {
	if err := s.delete(ctx, (*Project)(nil), "project", id); err != nil {
		return err
	}
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		if _, err := tx.NewDelete().Model((*Token)(nil)).Where("target = ?", id).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewDelete().Model((*Grant)(nil)).Where("target = ?", id).Exec(ctx)
		return err
	})
}

func (s *Service) delete(ctx context.Context, model any, what, id string) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		res, err := tx.NewDelete().Model(model).Where("id = ?", id).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err == nil && n == 0 {
			return fault.Errorf(fault.NotFound, "no %s %q", what, id)
		}
		return nil
	})
}

// CreateAppCredential makes an application credential of the caller on the caller's project and
// returns its secret, which is kept nowhere. An empty list of roles takes all the caller has.
func (s *Service) CreateAppCredential(ctx context.Context, c Caller, cred AppCredential, text string) (AppCredential, string, error) {
	if err := checkName(cred.Name); err != nil {
		return cred, "", err
	}
	if c.Project == nil {
		return cred, "", fault.Errorf(fault.Denied, "an application credential needs a token that is scoped to a project")
	}
	if text == "" {
		text = secret.Token() + secret.Token()
	}
	if len(cred.Roles) == 0 {
		cred.Roles = c.Roles
	}
	for _, r := range cred.Roles {
		if !c.Has(r) {
			return cred, "", fault.Field("roles", "the caller does not have the role %q", r)
		}
	}
	if !cred.ExpiresAt.IsZero() && cred.ExpiresAt.Before(time.Now()) {
		return cred, "", fault.Field("expires_at", "lies in the past")
	}
	cred.ID, cred.AccountID, cred.ProjectID = secret.Token(), c.User.ID, c.Project.ID
	cred.Secret, cred.CreatedAt = hashPassword(text), db.Now()
	return cred, text, s.insert(ctx, &cred, "application credential "+cred.Name)
}

// AppCredentials returns the application credentials of a user, or those of a name.
func (s *Service) AppCredentials(ctx context.Context, user, name string) ([]AppCredential, error) {
	var cs []AppCredential
	q := s.db.Read().NewSelect().Model(&cs).Where("account_id = ?", user).Order("name")
	if name != "" {
		q = q.Where("name = ?", name)
	}
	return cs, fault.Wrap("listing application credentials", q.Scan(ctx))
}

// DeleteAppCredential forgets one and ends its tokens.
func (s *Service) DeleteAppCredential(ctx context.Context, user, id string) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		res, err := tx.NewDelete().Model((*AppCredential)(nil)).Where("id = ? AND account_id = ?", id, user).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err == nil && n == 0 {
			return fault.Errorf(fault.NotFound, "no application credential %q", id)
		}
		_, err = tx.NewDelete().Model((*Token)(nil)).Where("app_cred = ?", id).Exec(ctx)
		return err
	})
}
