package server

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Policy says how the servers of a group are to lie to each other.
type Policy string

// The policies. A server is a node of its own, so any two are apart: anti-affinity always holds, and affinity never
// can with more than one.
const (
	Affinity         Policy = "affinity"
	AntiAffinity     Policy = "anti-affinity"
	SoftAffinity     Policy = "soft-affinity"
	SoftAntiAffinity Policy = "soft-anti-affinity"
)

// Policies are all policies.
var Policies = []Policy{Affinity, AntiAffinity, SoftAffinity, SoftAntiAffinity}

// Group is a set of servers with a policy.
type Group struct {
	bun.BaseModel `bun:"table:server_group"`

	ID, ProjectID, UserID, Name string
	Policy                      Policy
	Most                        int // servers on one host, which is never more than one here; 0: nothing was said
	CreatedAt                   time.Time

	Members []ID `bun:"-"`
}

// CreateGroup makes a group of servers.
func (s *Service) CreateGroup(ctx context.Context, g Group) (Group, error) {
	switch {
	case g.Name == "" || len(g.Name) > 255:
		return g, fault.Field("name", "must have 1 to 255 characters")
	case !slices.Contains(Policies, g.Policy):
		return g, fault.Field("policy", "must be one of %v", Policies)
	case g.Most < 0 || (g.Most > 0 && g.Policy != AntiAffinity):
		return g, fault.Field("rules", "max_server_per_host must be 1 or more, and goes with anti-affinity only")
	}
	g.ID, g.CreatedAt, g.Members = uuid.NewString(), db.Now(), []ID{}
	return g, s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := s.spend(ctx, tx, g.ProjectID, need{resource: "server_groups", n: 1}); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&g).Exec(ctx)
		return err
	})
}

// Group returns a group of a project; project "" reads any.
func (s *Service) Group(ctx context.Context, project, id string) (Group, error) {
	g, err := group(ctx, s.db.Read(), project, id)
	if err != nil {
		return g, err
	}
	gs := []Group{g}
	err = s.fillGroups(ctx, gs)
	return gs[0], err
}

func group(ctx context.Context, q bun.IDB, project, id string) (Group, error) {
	var g Group
	err := q.NewSelect().Model(&g).Where("id = ?", id).Scan(ctx)
	if db.None(err) || (err == nil && project != "" && g.ProjectID != project) {
		return g, fault.Errorf(fault.NotFound, "no server group %s", id)
	}
	return g, fault.Wrap("reading server group "+id, err)
}

// Groups returns the groups of a project, or of all when it is "", oldest first; limit 0 is no limit.
func (s *Service) Groups(ctx context.Context, project string, offset, limit int) ([]Group, error) {
	gs := []Group{}
	q := s.db.Read().NewSelect().Model(&gs).OrderExpr("created_at, id").Offset(int64(offset))
	if project != "" {
		q = q.Where("project_id = ?", project)
	}
	if limit > 0 || offset > 0 { // SQLite takes no offset without a limit
		q = q.Limit(int64(limit))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fault.E(fault.Internal, "listing server groups", err)
	}
	return gs, s.fillGroups(ctx, gs)
}

func (s *Service) fillGroups(ctx context.Context, gs []Group) error {
	at := map[string]*Group{}
	ids := []string{}
	for i := range gs {
		gs[i].Members = []ID{}
		at[gs[i].ID] = &gs[i]
		ids = append(ids, gs[i].ID)
	}
	if len(ids) == 0 {
		return nil
	}
	var members []Server
	err := s.db.Read().NewSelect().Model(&members).Column("id", "group_id").Where("group_id IN (?)", bun.In(ids)).OrderExpr("created_at, id").Scan(ctx)
	for _, m := range members {
		at[m.GroupID].Members = append(at[m.GroupID].Members, m.ID)
	}
	return fault.Wrap("reading the members of server groups", err)
}

// DeleteGroup forgets a group. Its servers stay.
func (s *Service) DeleteGroup(ctx context.Context, project, id string) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if _, err := group(ctx, tx, project, id); err != nil {
			return err
		}
		if _, err := tx.NewUpdate().Model((*Server)(nil)).Set("group_id = ''").Where("group_id = ?", id).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewDelete().Model((*Group)(nil)).Where("id = ?", id).Exec(ctx)
		return err
	})
}

// admit checks that n more servers of a project may be in a group, in the caller's transaction.
func (s *Service) admit(ctx context.Context, tx db.Tx, project, id string, n int) error {
	if id == "" {
		return nil
	}
	if _, err := tx.NewRaw("UPDATE server_group SET id = id WHERE id = ?", id).Exec(ctx); err != nil { // others wait
		return err
	}
	g, err := group(ctx, tx, project, id)
	if err != nil {
		return fault.Field("os:scheduler_hints", "group: no server group %s", id)
	}
	members := func(q bun.IDB) *bun.SelectQuery {
		return q.NewSelect().Model((*Server)(nil)).ColumnExpr("COUNT(*)").Where("group_id = ?", id)
	}
	if g.Policy == Affinity {
		have, err := number(ctx, members(tx))
		if err != nil {
			return err
		}
		if have+n > 1 {
			return fault.Errorf(fault.Conflict, "the policy affinity can not be kept: each server is a node of its own, and the group %s would have %d; use soft-affinity", g.Name, have+n)
		}
	}
	return s.spend(ctx, tx, project, need{"server_group_members", n, members})
}
