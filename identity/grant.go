package identity

import (
	"context"
	"slices"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Grant gives a role; giving it twice is no error.
func (s *Service) Grant(ctx context.Context, g Grant) error {
	if err := s.exist(ctx, g); err != nil {
		return err
	}
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&g).On("CONFLICT DO NOTHING").Exec(ctx)
		return err
	})
}

// exist checks that all that a grant names is there, and fits: a role of a domain is given on that domain's projects
// only, and nothing lies below the system.
func (s *Service) exist(ctx context.Context, g Grant) error {
	role, err := s.Role(ctx, g.RoleID)
	if err != nil {
		return err
	}
	if g.IsGroup {
		_, err = s.Group(ctx, g.Actor)
	} else {
		_, err = s.User(ctx, g.Actor)
	}
	if err != nil || (g.Target == System && !g.Inherited) {
		return err
	}
	p, err := s.Project(ctx, g.Target)
	if err == nil && !p.IsDomain && role.DomainID != "" && role.DomainID != p.DomainID {
		return fault.Errorf(fault.Denied, "the role %s is of another domain than the project", role.Name)
	}
	return err
}

func (g Grant) where() (string, []any) {
	return "actor = ? AND is_group = ? AND target = ? AND role_id = ? AND inherited = ?", []any{g.Actor, g.IsGroup, g.Target, g.RoleID, g.Inherited}
}

// Ungrant takes a role away, and ends the user's tokens on that target. What a group or an inherited grant gave is
// looked up at each use of a token and so is gone as soon.
func (s *Service) Ungrant(ctx context.Context, g Grant) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		which, args := g.where()
		res, err := tx.NewDelete().Model((*Grant)(nil)).Where(which, args...).Exec(ctx)
		if err := affected(res, err, "that role is not given there"); err != nil {
			return err
		}
		if g.IsGroup || g.Inherited {
			return nil
		}
		return revoke(ctx, tx, Revocation{AccountID: g.Actor, Target: g.Target}, "account_id = ? AND target = ?", g.Actor, g.Target)
	})
}

// Granted reports with a fault whether a grant is there, exactly so.
func (s *Service) Granted(ctx context.Context, g Grant) error {
	which, args := g.where()
	n, err := s.db.Read().NewSelect().Model((*Grant)(nil)).Where(which, args...).Count(ctx)
	if err == nil && n == 0 {
		return fault.Errorf(fault.NotFound, "that role is not given there")
	}
	return fault.Wrap("reading grants", err)
}

// GrantedRoles returns the roles that were given to an actor on a target; g's role does not matter.
func (s *Service) GrantedRoles(ctx context.Context, g Grant) ([]Role, error) {
	var rs []Role
	err := s.db.Read().NewSelect().Model(&rs).OrderExpr("name, id").
		Where("id IN (SELECT role_id FROM assignment WHERE actor = ? AND is_group = ? AND target = ? AND inherited = ?)", g.Actor, g.IsGroup, g.Target, g.Inherited).Scan(ctx)
	return rs, fault.Wrap("reading grants", err)
}

// held returns the ids of the roles that a user holds on a target: given to the user or a group, there or, to be
// inherited, somewhere above.
func (s *Service) held(ctx context.Context, user, target string) ([]string, error) {
	return s.heldBelow(ctx, user, target, bun.SafeQuery(`WITH RECURSIVE up (id) AS (
		SELECT parent_id FROM project WHERE id = ? UNION ALL SELECT p.parent_id FROM project AS p JOIN up ON p.id = up.id) SELECT id FROM up`, target))
}

// heldOn is held for a target that was read already, by a plainer query where it has only a domain, or nothing, above it.
func (s *Service) heldOn(ctx context.Context, user string, c *Caller) ([]string, error) {
	switch {
	case c.Project == nil:
		return s.heldBelow(ctx, user, c.Token.Target, bun.SafeQuery("''"))
	case c.Project.ParentID == c.Project.DomainID:
		return s.heldBelow(ctx, user, c.Project.ID, bun.SafeQuery("?", c.Project.DomainID))
	}
	return s.held(ctx, user, c.Project.ID)
}

func (s *Service) heldBelow(ctx context.Context, user, target string, above schema.QueryWithArgs) ([]string, error) {
	var ids []string
	err := s.db.Read().NewRaw(`SELECT DISTINCT role_id FROM assignment WHERE (actor = ? OR actor IN (SELECT group_id FROM membership WHERE account_id = ?))
		AND ((target = ? AND NOT inherited) OR (inherited AND target IN (?)))`, user, user, target, above).Scan(ctx, &ids)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "reading roles", err)
	}
	return ids, nil
}

// OnSystem reports whether a user has a role on the system.
func (s *Service) OnSystem(ctx context.Context, user string) (bool, error) {
	held, err := s.held(ctx, user, System)
	return len(held) > 0, err
}

// effectiveGrants is a selection of all that users hold (account, target, role_id): what groups have is given to
// their members, and what is inherited to what lies below. Which is a further condition on the grant a and membership m.
func effectiveGrants(which string, args ...any) schema.QueryWithArgs {
	return bun.SafeQuery(`WITH RECURSIVE below (root, id) AS (
			SELECT parent_id, id FROM project WHERE parent_id IN (SELECT target FROM assignment WHERE inherited)
			UNION ALL SELECT below.root, p.id FROM project AS p JOIN below ON p.parent_id = below.id)
		SELECT COALESCE(m.account_id, a.actor) AS account, COALESCE(b.id, a.target) AS target, a.role_id AS role_id
		FROM assignment AS a LEFT JOIN membership AS m ON a.is_group AND m.group_id = a.actor LEFT JOIN below AS b ON a.inherited AND b.root = a.target
		WHERE (NOT a.is_group OR m.account_id IS NOT NULL) AND (NOT a.inherited OR b.id IS NOT NULL) AND (`+which+`)`, args...)
}

// AssignmentQuery selects grants; empty fields do not.
type AssignmentQuery struct {
	User, Group, Role string
	Target            string // project, domain or System
	Subtree           bool   // also what lies below the target
	Inherited         bool   // only those that are inherited
	Effective         bool   // what users hold in the end, instead of what was given
	In                string // only on this domain and its projects
}

// Assignment is a grant with the names of all that it is about.
type Assignment struct {
	Actor, Target, RoleID                      string
	IsGroup, Inherited                         bool
	RoleName, RoleDomain                       string
	ActorName, ActorDomain, ActorDomainName    string
	TargetName, TargetDomain, TargetDomainName string
	TargetIsDomain                             bool
}

// Assignments returns grants.
func (s *Service) Assignments(ctx context.Context, a AssignmentQuery) ([]Assignment, error) {
	from := bun.SafeQuery("SELECT actor, is_group, target, role_id, inherited FROM assignment")
	if a.Effective {
		if a.Group != "" {
			return nil, fault.Errorf(fault.Invalid, "effective assignments are those of users: leave group.id out")
		}
		which, args := a.narrowed()
		from = bun.SafeQuery(`WITH RECURSIVE closure (account, target, role_id) AS (SELECT account, target, role_id FROM (?) AS held
				UNION SELECT c.account, c.target, i.implied_id FROM closure AS c JOIN implication AS i ON i.prior_id = c.role_id)
			SELECT account AS actor, FALSE AS is_group, target, role_id, FALSE AS inherited FROM closure`, effectiveGrants(which, args...))
	}
	q := s.db.Read().NewSelect().TableExpr("(?) AS a", from).
		ColumnExpr("a.actor, a.is_group, a.target, a.role_id, a.inherited, r.name AS role_name, r.domain_id AS role_domain").
		ColumnExpr("COALESCE(u.name, g.name) AS actor_name, ad.id AS actor_domain, ad.name AS actor_domain_name").
		ColumnExpr("COALESCE(p.name, '') AS target_name, COALESCE(p.is_domain, FALSE) AS target_is_domain, COALESCE(pd.id, '') AS target_domain, COALESCE(pd.name, '') AS target_domain_name").
		Join("JOIN role AS r ON r.id = a.role_id").
		Join("LEFT JOIN account AS u ON NOT a.is_group AND u.id = a.actor").Join("LEFT JOIN user_group AS g ON a.is_group AND g.id = a.actor").
		Join("JOIN project AS ad ON ad.id = COALESCE(u.domain_id, g.domain_id)").
		Join("LEFT JOIN project AS p ON p.id = a.target").Join("LEFT JOIN project AS pd ON pd.id = p.domain_id").
		OrderExpr("a.actor, a.target, a.role_id, a.inherited")
	for _, c := range []struct {
		value string
		cond  string
	}{{a.User, "NOT a.is_group AND a.actor = ?"}, {a.Group, "a.is_group AND a.actor = ?"}, {a.Role, "a.role_id = ?"}} {
		if c.value != "" {
			q = q.Where(c.cond, c.value)
		}
	}
	switch {
	case a.Target != "" && a.Subtree:
		q = q.Where("a.target IN (?)", descendants(a.Target))
	case a.Target != "":
		q = q.Where("a.target = ?", a.Target)
	}
	if a.Inherited {
		q = q.Where("a.inherited")
	}
	if a.Effective {
		q = q.Where("r.domain_id = ''")
	}
	if a.In != "" {
		q = q.Where("(p.id = ? OR p.domain_id = ?)", a.In, a.In)
	}
	var out []Assignment
	return out, fault.Wrap("listing assignments", q.Scan(ctx, &out))
}

// narrowed is the condition for effectiveGrants that leaves those out early that are not asked for.
func (a AssignmentQuery) narrowed() (string, []any) {
	which, args := "TRUE", []any(nil)
	if a.User != "" {
		which, args = "(a.actor = ? OR m.account_id = ?)", []any{a.User, a.User}
	}
	if a.Target != "" && !a.Subtree {
		which, args = which+" AND COALESCE(b.id, a.target) = ?", append(args, a.Target)
	}
	return which, args
}

// Delegable reports whether a domain's administrator may give a role: none that carries ServiceRole.
func (s *Service) Delegable(ctx context.Context, role string) (bool, error) {
	g, err := s.graph.get(ctx, s.loadGraph)
	return !slices.Contains(g.closure([]string{role}), ServiceRole), err
}
