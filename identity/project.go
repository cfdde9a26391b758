package identity

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// Bounds of projects. Keystone's tree is as deep by default.
const (
	deepestProject = 5 // generations below a domain
	mostTags       = 80
	longestTag     = 255
)

// selectProjects begins a query for projects with their domains.
func selectProjects(q bun.IDB, dst any) *bun.SelectQuery {
	return q.NewSelect().Model(dst).ColumnExpr("?TableColumns").
		ColumnExpr("COALESCE(d.name, '') AS domain_name").ColumnExpr("COALESCE(d.enabled, TRUE) AS domain_enabled").
		Join("LEFT JOIN project AS d ON d.id = project.domain_id")
}

func projectByID(ctx context.Context, q bun.IDB, id string) (Project, error) {
	var p Project
	err := selectProjects(q, &p).Where("project.id = ?", id).Scan(ctx)
	return p, missing(err, "project", id)
}

// Project returns a project, or a domain, by id.
func (s *Service) Project(ctx context.Context, id string) (Project, error) {
	return projectByID(ctx, s.db.Read(), id)
}

// Domain returns a domain by id.
func (s *Service) Domain(ctx context.Context, id string) (Project, error) {
	p, err := s.Project(ctx, id)
	if err != nil || !p.IsDomain {
		return p, fault.Errorf(fault.NotFound, "no domain %q", id)
	}
	return p, nil
}

// TagFilter selects projects by their tags: all of All, one of Any, not all of NotAll, none of NotAny.
type TagFilter struct{ All, Any, NotAll, NotAny []string }

// Projects returns projects and domains.
func (s *Service) Projects(ctx context.Context, q Query, tags TagFilter) ([]Project, error) {
	var ps []Project
	sel := q.page(selectProjects(s.db.Read(), &ps), "project")
	for _, t := range tags.All {
		sel = sel.Where("?", tagged(t))
	}
	for _, list := range []struct {
		tags []string
		join string
		not  bool
	}{{tags.Any, " OR ", false}, {tags.NotAll, " AND ", true}, {tags.NotAny, " OR ", true}} {
		if len(list.tags) == 0 {
			continue
		}
		words, args := make([]string, len(list.tags)), make([]any, len(list.tags))
		for i, t := range list.tags {
			words[i], args[i] = "?", tagged(t)
		}
		cond := "(" + strings.Join(words, list.join) + ")"
		if list.not {
			cond = "NOT " + cond
		}
		sel = sel.Where(cond, args...)
	}
	return ps, fault.Wrap("listing projects", sel.Scan(ctx))
}

// tagged is the condition that a project has a tag. Tags are kept as a JSON list of strings.
func tagged(tag string) schema.QueryWithArgs {
	raw, _ := json.Marshal(tag) // a string can always be encoded
	return bun.SafeQuery("replace(COALESCE(project.tags, ''), ?, '') <> COALESCE(project.tags, '')", string(raw))
}

// ProjectsOf returns the enabled projects, or the domains, that a user has a role on, by whatever way.
func (s *Service) ProjectsOf(ctx context.Context, user string, domains bool, q Query) ([]Project, error) {
	var ps []Project
	sel := q.page(selectProjects(s.db.Read(), &ps), "project").Where("project.is_domain = ?", domains).
		Where("project.enabled AND COALESCE(d.enabled, TRUE)").
		Where("project.id IN (SELECT target FROM (?) AS mine)", effectiveGrants("a.actor = ? OR m.account_id = ?", user, user))
	return ps, fault.Wrap("listing a user's projects", sel.Scan(ctx))
}

// CreateProject makes a project, or a domain if IsDomain. Its name must be new in its domain. Without a domain
// it is in its parent's, or in the default one.
func (s *Service) CreateProject(ctx context.Context, p Project) (Project, error) {
	if err := checkProject(&p); err != nil {
		return p, err
	}
	if p.IsDomain && p.DomainID+p.ParentID != "" {
		return p, fault.Field("domain_id", "a domain is in no other one: leave domain_id and parent_id out")
	}
	p.ID, p.CreatedAt = secret.Token(), db.Now()
	return p, s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := place(ctx, tx, &p); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&p).Exec(ctx)
		return duplicate(err, p.what()+" "+p.Name)
	})
}

func (p Project) what() string {
	if p.IsDomain {
		return "domain"
	}
	return "project"
}

// place finds a new project's domain and parent.
func place(ctx context.Context, tx db.Tx, p *Project) error {
	if p.IsDomain {
		return nil
	}
	if p.ParentID == "" {
		p.ParentID = p.DomainID
	}
	if p.ParentID == "" {
		p.ParentID = DomainID
	}
	parent, err := projectByID(ctx, tx, p.ParentID)
	if err != nil {
		return fault.Field("parent_id", "no project or domain %q", p.ParentID)
	}
	domain := parent.DomainID
	if parent.IsDomain {
		domain = parent.ID
	}
	if p.DomainID == "" {
		p.DomainID = domain
	}
	if p.DomainID != domain {
		return fault.Field("domain_id", "must be the domain of the parent, %q", domain)
	}
	up, err := ancestors(ctx, tx, parent.ID)
	if err != nil {
		return err
	}
	if len(up) > deepestProject {
		return fault.Errorf(fault.Denied, "projects can be %d generations deep", deepestProject)
	}
	if slices.ContainsFunc(up, func(a Project) bool { return !a.IsDomain && !a.Enabled }) {
		return fault.Errorf(fault.Denied, "the parent project, or one above it, is disabled; enable it first")
	}
	return nil
}

func checkProject(p *Project) error {
	if err := checkName(p.Name); err != nil {
		return err
	}
	if p.IsDomain && p.ID != DomainID && strings.EqualFold(p.Name, DomainName) {
		return fault.Errorf(fault.Conflict, "the name %s always means the domain %s", p.Name, DomainID)
	}
	if err := checkTags(p.Tags); err != nil {
		return err
	}
	if err := checkOptions(p.Options); err != nil {
		return err
	}
	return checkExtras(p.Description, p.Extra)
}

func checkTags(tags []string) error {
	if len(tags) > mostTags {
		return fault.Field("tags", "a project can have %d tags", mostTags)
	}
	for i, t := range tags {
		if t == "" || len(t) > longestTag || strings.ContainsAny(t, ",/") {
			return fault.Field("tags", "a tag has 1 to %d characters, none of them a comma or slash", longestTag)
		}
		if slices.Contains(tags[:i], t) {
			return fault.Field("tags", "the tag %q is there twice", t)
		}
	}
	return nil
}

// ancestors returns a project and all above it, the domain last.
func ancestors(ctx context.Context, q bun.IDB, id string) ([]Project, error) {
	var ps []Project
	err := selectProjects(q, &ps).Join(`JOIN (WITH RECURSIVE up (id, parent_id, height) AS (SELECT id, parent_id, 0 FROM project WHERE id = ?
			UNION ALL SELECT p.id, p.parent_id, up.height + 1 FROM project AS p JOIN up ON p.id = up.parent_id) SELECT id, height FROM up) AS up ON up.id = project.id`, id).
		OrderExpr("up.height").Scan(ctx)
	return ps, fault.Wrap("reading what is above a project", err)
}

// Ancestors returns the projects above one, nearest first; a domain is none of them.
func (s *Service) Ancestors(ctx context.Context, id string) ([]Project, error) {
	ps, err := ancestors(ctx, s.db.Read(), id)
	if err != nil || len(ps) == 0 {
		return nil, err
	}
	return slices.DeleteFunc(ps[1:], func(p Project) bool { return p.IsDomain }), nil
}

// descendants is a selection of the ids of a project or domain and all below it.
func descendants(id string) schema.QueryWithArgs {
	return bun.SafeQuery("WITH RECURSIVE down (id) AS (SELECT ? UNION ALL SELECT p.id FROM project AS p JOIN down ON p.parent_id = down.id) SELECT id FROM down", id)
}

// Descendants returns the projects below one.
func (s *Service) Descendants(ctx context.Context, id string) ([]Project, error) {
	var ps []Project
	err := selectProjects(s.db.Read(), &ps).Where("project.id IN (?)", descendants(id)).Where("project.id <> ?", id).OrderExpr("project.name, project.id").Scan(ctx)
	return ps, fault.Wrap("reading what is below a project", err)
}

// UpdateProject writes a project or domain that the caller has read and changed; disabling it ends its tokens.
func (s *Service) UpdateProject(ctx context.Context, p Project) error {
	if err := checkProject(&p); err != nil {
		return err
	}
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		old, err := projectByID(ctx, tx, p.ID)
		if err != nil {
			return err
		}
		if immutable(old.Options) && immutable(p.Options) {
			return fault.Errorf(fault.Denied, "the %s is immutable; take that option away first", p.what())
		}
		if old.Enabled != p.Enabled {
			if err := toggle(ctx, tx, p); err != nil {
				return err
			}
		}
		_, err = tx.NewUpdate().Model(&p).Column("name", "description", "enabled", "tags", "options", "extra").Where("id = ?", p.ID).Exec(ctx)
		return duplicate(err, p.what()+" "+p.Name)
	})
}

// toggle checks that a project may be enabled or disabled, and ends the tokens of one that is disabled.
func toggle(ctx context.Context, tx db.Tx, p Project) error {
	if p.Enabled {
		up, err := ancestors(ctx, tx, p.ID)
		if err == nil && slices.ContainsFunc(up, func(a Project) bool { return a.ID != p.ID && !a.IsDomain && !a.Enabled }) {
			err = fault.Errorf(fault.Denied, "a project above %s is disabled; enable it first", p.ID)
		}
		return err
	}
	if p.ID == DomainID {
		return fault.Errorf(fault.Denied, "the domain %s can not be disabled: the operators are at home in it", DomainID)
	}
	if !p.IsDomain {
		n, err := tx.NewSelect().Model((*Project)(nil)).Where("id IN (?)", descendants(p.ID)).Where("id <> ? AND enabled", p.ID).Count(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.Errorf(fault.Denied, "%d projects below %s are enabled; disable them first", n, p.ID)
		}
		return revoke(ctx, tx, Revocation{Target: p.ID}, "target = ?", p.ID)
	}
	return revoke(ctx, tx, Revocation{Target: p.ID, Domain: true},
		"target IN (SELECT id FROM project WHERE id = ? OR domain_id = ?) OR account_id IN (SELECT id FROM account WHERE domain_id = ?)", p.ID, p.ID, p.ID)
}

// DeleteProject forgets a project and ends its tokens. What it owns is the caller's concern. One with projects
// below it, and a domain that is enabled, are Denied; a domain takes all that is in it along.
func (s *Service) DeleteProject(ctx context.Context, id string) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		p, err := projectByID(ctx, tx, id)
		if err != nil {
			return err
		}
		switch {
		case immutable(p.Options):
			return fault.Errorf(fault.Denied, "the %s is immutable; take that option away first", p.what())
		case p.IsDomain && p.Enabled:
			return fault.Errorf(fault.Denied, "the domain is enabled; disable it first")
		case p.IsDomain:
			return deleteDomain(ctx, tx, id)
		}
		n, err := tx.NewSelect().Model((*Project)(nil)).Where("parent_id = ?", id).Count(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.Errorf(fault.Denied, "the project has %d below it; delete them first", n)
		}
		return deleteProjects(ctx, tx, Revocation{Target: id}, "id = ?", id)
	})
}

func deleteDomain(ctx context.Context, tx db.Tx, id string) error {
	if err := forgetActors(ctx, tx, "SELECT id FROM account WHERE domain_id = ? UNION SELECT id FROM user_group WHERE domain_id = ?", id, id); err != nil {
		return err
	}
	for _, model := range []any{(*User)(nil), (*Group)(nil), (*Role)(nil)} {
		if _, err := tx.NewDelete().Model(model).Where("domain_id = ?", id).Exec(ctx); err != nil {
			return err
		}
	}
	return deleteProjects(ctx, tx, Revocation{Target: id, Domain: true}, "id = ? OR domain_id = ?", id, id)
}

// deleteProjects forgets projects with all that refers to them; which is a condition on the table project.
func deleteProjects(ctx context.Context, tx db.Tx, gone Revocation, which string, args ...any) error {
	var ids []string
	if err := tx.NewSelect().Model((*Project)(nil)).Column("id").Where(which, args...).Scan(ctx, &ids); err != nil {
		return err
	}
	if err := revoke(ctx, tx, gone, "target IN (?)", bun.In(ids)); err != nil {
		return err
	}
	for _, sql := range []string{
		"DELETE FROM assignment WHERE target IN (?)", "DELETE FROM trust WHERE project_id IN (?)", "DELETE FROM credential WHERE project_id IN (?)",
		"DELETE FROM quota_limit WHERE project_id IN (?)", "DELETE FROM quota_limit WHERE domain_id IN (?)",
		"UPDATE account SET default_project_id = '' WHERE default_project_id IN (?)", "DELETE FROM project WHERE id IN (?)",
	} {
		if _, err := tx.NewRaw(sql, bun.In(ids)).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}
