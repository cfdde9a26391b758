package identity

import (
	"cmp"
	"context"
	"slices"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// Implication says that whoever has a role has another one with it.
type Implication struct {
	bun.BaseModel `bun:"table:implication"`

	PriorID, ImpliedID string
}

// roleGraph is all roles and what they imply.
type roleGraph struct {
	roles   map[string]Role
	implies map[string][]string
}

func (s *Service) loadGraph(ctx context.Context) (roleGraph, error) {
	g := roleGraph{roles: map[string]Role{}, implies: map[string][]string{}}
	var roles []Role
	if err := s.db.Read().NewSelect().Model(&roles).Scan(ctx); err != nil {
		return g, fault.E(fault.Unavailable, "reading roles", err)
	}
	var rules []Implication
	if err := s.db.Read().NewSelect().Model(&rules).OrderExpr("prior_id, implied_id").Scan(ctx); err != nil {
		return g, fault.E(fault.Unavailable, "reading what roles imply", err)
	}
	for _, r := range roles {
		g.roles[r.ID] = r
	}
	for _, r := range rules {
		g.implies[r.PriorID] = append(g.implies[r.PriorID], r.ImpliedID)
	}
	return g, nil
}

// closure returns the ids of roles with all that they imply.
func (g roleGraph) closure(ids []string) []string {
	todo, seen := slices.Clone(ids), map[string]bool{}
	var out []string
	for len(todo) > 0 {
		id := todo[0]
		todo = todo[1:]
		if _, ok := g.roles[id]; !ok || seen[id] {
			continue
		}
		seen[id] = true
		out = append(out, id)
		todo = append(todo, g.implies[id]...)
	}
	return out
}

// effective returns the roles that a token has of those that its user holds: with all that they imply, but without
// those of a domain, which are worth only what they imply.
func (g roleGraph) effective(held []string) []Role {
	var out []Role
	for _, id := range g.closure(held) {
		if r := g.roles[id]; r.DomainID == "" {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Role) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return out
}

// Role returns a role by id.
func (s *Service) Role(ctx context.Context, id string) (Role, error) {
	return one[Role](ctx, s.db.Read(), "role", id)
}

// Roles returns roles.
func (s *Service) Roles(ctx context.Context, q Query) ([]Role, error) {
	var rs []Role
	return rs, fault.Wrap("listing roles", q.page(s.db.Read().NewSelect().Model(&rs), "role").Scan(ctx))
}

// RolesByID returns the roles with the ids, those that there are.
func (s *Service) RolesByID(ctx context.Context, ids []string) ([]Role, error) {
	g, err := s.graph.get(ctx, s.loadGraph)
	var rs []Role
	for _, id := range ids {
		if r, ok := g.roles[id]; ok {
			rs = append(rs, r)
		}
	}
	return rs, err
}

// CreateRole makes a role, of a domain if it names one. Its name must be new there.
func (s *Service) CreateRole(ctx context.Context, r Role) (Role, error) {
	if err := checkRole(r); err != nil {
		return r, err
	}
	if r.DomainID != "" {
		if _, err := s.Domain(ctx, r.DomainID); err != nil {
			return r, fault.Field("domain_id", "no domain %q", r.DomainID)
		}
	}
	r.ID, r.CreatedAt = secret.Token(), db.Now()
	return r, s.insert(ctx, &r, "role "+r.Name)
}

func checkRole(r Role) error {
	if err := checkName(r.Name); err != nil {
		return err
	}
	if err := checkOptions(r.Options); err != nil {
		return err
	}
	return checkExtras(r.Description, r.Extra)
}

// builtIn are the roles that the cloud itself asks for.
var builtIn = []string{Admin, Member, Reader, ServiceRole}

// UpdateRole writes a role that the caller has read and changed. An immutable one is Denied, unless that option is taken away,
// which it can not be from the cloud's own roles.
func (s *Service) UpdateRole(ctx context.Context, r Role) error {
	if err := checkRole(r); err != nil {
		return err
	}
	old, err := s.Role(ctx, r.ID)
	if err != nil {
		return err
	}
	if slices.Contains(builtIn, r.ID) || (immutable(old.Options) && immutable(r.Options)) {
		return fault.Errorf(fault.Denied, "the role %s is immutable", old.Name)
	}
	return s.update(ctx, &r, r.ID, "role "+r.Name, "name", "description", "options", "extra")
}

// DeleteRole forgets a role with all grants of it.
func (s *Service) DeleteRole(ctx context.Context, id string) error {
	r, err := s.Role(ctx, id)
	if err != nil {
		return err
	}
	if immutable(r.Options) {
		return fault.Errorf(fault.Denied, "the role %s is immutable", r.Name)
	}
	return s.delete(ctx, (*Role)(nil), "role", id)
}

// Implications returns what roles imply: of one role if prior is given.
func (s *Service) Implications(ctx context.Context, prior string) ([]Implication, error) {
	var is []Implication
	q := s.db.Read().NewSelect().Model(&is).OrderExpr("prior_id, implied_id")
	if prior != "" {
		q = q.Where("prior_id = ?", prior)
	}
	return is, fault.Wrap("listing what roles imply", q.Scan(ctx))
}

// Imply lets a role imply another. A role of a domain can be implied only by one of that domain; admin by none, and
// nothing may imply itself by a detour.
func (s *Service) Imply(ctx context.Context, prior, implied string) error {
	g, err := s.loadGraph(ctx)
	if err != nil {
		return err
	}
	p, ok1 := g.roles[prior]
	i, ok2 := g.roles[implied]
	switch {
	case !ok1 || !ok2:
		return fault.Errorf(fault.NotFound, "no role %q or %q", prior, implied)
	case implied == Admin:
		return fault.Errorf(fault.Denied, "the role %s can not be implied", i.Name)
	case slices.Contains(builtIn, prior) && !slices.Contains(g.implies[prior], implied):
		return fault.Errorf(fault.Denied, "the role %s is immutable: what it implies is fixed", p.Name)
	case i.DomainID != "" && i.DomainID != p.DomainID:
		return fault.Errorf(fault.Denied, "the role %s is of a domain and can be implied by that domain's roles only", i.Name)
	case slices.Contains(g.closure([]string{implied}), prior):
		return fault.Errorf(fault.Denied, "the role %s implies %s already: that would be a circle", i.Name, p.Name)
	}
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&Implication{PriorID: prior, ImpliedID: implied}).On("CONFLICT DO NOTHING").Exec(ctx)
		return err
	})
}

// Unimply takes an implication away; those among the cloud's own roles stay.
func (s *Service) Unimply(ctx context.Context, prior, implied string) error {
	if slices.Contains(builtIn, prior) {
		return fault.Errorf(fault.Denied, "what the role %s implies is fixed", prior)
	}
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		res, err := tx.NewDelete().Model((*Implication)(nil)).Where("prior_id = ? AND implied_id = ?", prior, implied).Exec(ctx)
		return affected(res, err, "the role %q does not imply %q", prior, implied)
	})
}
