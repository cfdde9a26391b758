package identity

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// Service keeps users, groups, projects, domains, roles, tokens and the catalog.
type Service struct {
	db     *db.DB
	box    *secret.Box
	policy Policy
	nobody string // a hash that no password has
	seen   cache
	graph  moment[roleGraph]
	added  moment[addedCatalog]
	own    Catalog // what the cloud itself offers
}

// NewService makes the service. The box seals credentials.
func NewService(d *db.DB, box *secret.Box, p Policy) *Service {
	return &Service{db: d, box: box, policy: p.complete(), nobody: p.complete().hash(secret.Token())}
}

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
	u, err := s.CreateUser(ctx, User{Name: "admin", DefaultProjectID: p.ID, Enabled: true}, &password)
	if err != nil {
		return "", err
	}
	for _, target := range []string{p.ID, System} {
		if err := s.Grant(ctx, Grant{Actor: u.ID, Target: target, RoleID: Admin}); err != nil {
			return "", err
		}
	}
	return password, nil
}

// change runs a transaction that may take rights away, and forgets what we have seen.
func (s *Service) change(ctx context.Context, fn func(ctx context.Context, tx db.Tx) error) error {
	defer func() {
		s.graph.clear()
		s.added.clear()
		s.seen.clear()
	}()
	return s.db.Tx(ctx, fn)
}

func (s *Service) insert(ctx context.Context, model any, what string) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(model).Exec(ctx)
		return duplicate(err, what)
	})
}

func duplicate(err error, what string) error {
	if db.Duplicate(err) {
		return fault.Errorf(fault.Conflict, "the %s exists already", what)
	}
	return err
}

// delete forgets one row by id.
func (s *Service) delete(ctx context.Context, model any, what, id string) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error { return remove(ctx, tx, model, what, id) })
}

func remove(ctx context.Context, tx db.Tx, model any, what, id string) error {
	res, err := tx.NewDelete().Model(model).Where("id = ?", id).Exec(ctx)
	return affected(res, err, "no %s %q", what, id)
}

// affected is NotFound, in the words given, when a statement met no row.
func affected(res interface{ RowsAffected() (int64, error) }, err error, words string, args ...any) error {
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err == nil && n == 0 {
		return fault.Errorf(fault.NotFound, words, args...)
	}
	return nil
}

// one reads one row by id.
func one[T any](ctx context.Context, q bun.IDB, what, id string) (T, error) {
	var v T
	err := q.NewSelect().Model(&v).Where("id = ?", id).Scan(ctx)
	return v, missing(err, what, id)
}

// update writes columns of a row that the caller has read and changed.
func (s *Service) update(ctx context.Context, model any, id, what string, columns ...string) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model(model).Column(columns...).Where("id = ?", id).Exec(ctx)
		return duplicate(err, what)
	})
}

func missing(err error, what, which string) error {
	if db.None(err) {
		return fault.Errorf(fault.NotFound, "no %s %q", what, which)
	}
	return fault.Wrap("reading the "+what, err)
}

func checkName(name string) error {
	if strings.TrimSpace(name) == "" || len(name) > 255 {
		return fault.Field("name", "must have 1 to 255 characters")
	}
	return nil
}

// mostExtra bounds what clients may keep with a thing.
const mostExtra = 16 << 10

// checkExtras refuses more than there is room for.
func checkExtras(description string, extras ...Extra) error {
	if len(description) > mostExtra {
		return fault.Field("description", "must have at most %d bytes", mostExtra)
	}
	for _, e := range extras {
		raw, err := json.Marshal(e)
		if err != nil || len(raw) > mostExtra {
			return fault.Errorf(fault.Invalid, "the further attributes and options must have at most %d bytes together", mostExtra)
		}
	}
	return nil
}

// immutable reports whether something has the option that keeps it from being changed or deleted.
func immutable(options Extra) bool { v, _ := options["immutable"].(bool); return v }

// checkOptions refuses options other than immutable, which is true, false or null.
func checkOptions(options Extra) error {
	for name, v := range options {
		if _, ok := v.(bool); name != "immutable" || (!ok && v != nil) {
			return fault.Field("options", "the one option there is here is immutable, true or false")
		}
	}
	return nil
}
