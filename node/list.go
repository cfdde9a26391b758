package node

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// Filter selects nodes; zero fields do not.
type Filter struct {
	Driver, ResourceClass, Owner string
	Chassis, ConductorGroup      string
	Project, Lessee, Fault       string
	Seen                         string // by a project: nodes that it owns or leases
	Described                    string // a part of the description
	Parent                       ID
	State                        State
	Conductor                    string   // name of who keeps them
	Provision                    string   // Ironic's name of the state
	Shards                       []string // any of these
	Associated, Held, Retired    *bool
	Protected, Sharded           *bool

	Marker string // id or name of the last node of the page before
	Limit  int
	Sort   string // one of SortKeys; "" is by age
	Down   bool   // from the greatest to the least
}

// SortKeys are the columns that lists can be sorted by, with Ironic's names for them.
var SortKeys = map[string]string{
	"uuid": "id", "name": "name", "created_at": "created_at", "updated_at": "updated_at", "provision_state": "state", "provision_updated_at": "state_at",
	"power_state": "power", "resource_class": "resource_class", "driver": "driver", "instance_uuid": "owner", "description": "description",
	"owner": "project", "lessee": "lessee", "shard": "shard", "conductor_group": "conductor_group", "chassis_uuid": "chassis_id",
	"retired": "retired", "protected": "protected", "last_error": "last_error",
}

// List returns the nodes that match, ordered by age and id unless a key is given.
func (s *Service) List(ctx context.Context, f Filter) ([]Node, error) {
	var nodes []Node
	q, err := s.listing(ctx, s.DB.Read().NewSelect().Model(&nodes), f)
	if err != nil {
		return nil, err
	}
	return nodes, fault.Wrap("listing nodes", q.Scan(ctx))
}

// Head is what tells one writing of a node from another: while it is the same, so is all that is kept of the node.
type Head struct {
	bun.BaseModel `bun:"table:node,alias:node"`

	ID        ID `bun:",pk"`
	Rev       int64
	CreatedAt time.Time // a node that was deleted and enrolled anew with its id is another one
	RunID     workflow.RunID
	Project   string
	Lessee    string
}

// Heads is List for the heads alone.
func (s *Service) Heads(ctx context.Context, f Filter) ([]Head, error) {
	var heads []Head
	q, err := s.listing(ctx, s.DB.Read().NewSelect().Model(&heads), f)
	if err != nil {
		return nil, err
	}
	return heads, fault.Wrap("listing nodes", q.Scan(ctx))
}

// HeadOf returns the head of a node by its id or name.
func (s *Service) HeadOf(ctx context.Context, ref string) (Head, error) {
	var h Head
	var created bun.NullTime
	by := "name = ? AND name <> ''"
	if _, err := uuid.Parse(ref); err == nil {
		by, ref = "id = ?", strings.ToLower(ref)
	}
	err := s.DB.Often(ctx, "SELECT id, rev, created_at, run_id, project, lessee FROM node WHERE "+by, []any{ref}, &h.ID, &h.Rev, &created, &h.RunID, &h.Project, &h.Lessee)
	if db.None(err) {
		return h, fault.Errorf(fault.NotFound, "no node %q", ref)
	}
	h.CreatedAt = created.Time
	return h, fault.Wrap("reading node "+ref, err)
}

// ByIDs returns nodes by their ids, in any order.
func (s *Service) ByIDs(ctx context.Context, ids []ID) ([]Node, error) {
	var nodes []Node
	switch len(ids) {
	case 0:
		return nodes, nil
	case 1:
		var n Node
		err := s.DB.ByID(ctx, &n, ids[0])
		if db.None(err) {
			return nodes, nil
		}
		return []Node{n}, fault.Wrap("reading node "+string(ids[0]), err)
	}
	return nodes, fault.Wrap("reading nodes", s.DB.Read().NewSelect().Model(&nodes).Where("id IN (?)", bun.In(ids)).Scan(ctx))
}

// listing makes the query of a list.
func (s *Service) listing(ctx context.Context, q *bun.SelectQuery, f Filter) (*bun.SelectQuery, error) {
	q = f.match(q.Limit(int64(f.Limit)))
	if f.Conductor != "" {
		kept, err := s.keptBy(ctx, f.Conductor)
		if err != nil {
			return nil, err
		}
		q = q.Where("id IN (?)", bun.In(append(kept, ""))) // a list must not be empty
	}
	key := "created_at"
	if f.Sort != "" {
		column, ok := SortKeys[f.Sort]
		if !ok {
			return nil, fault.Field("sort_key", "nodes can not be sorted by %q", f.Sort)
		}
		key = column
	}
	direction, beyond := "ASC", ">"
	if f.Down {
		direction, beyond = "DESC", "<"
	}
	q = q.OrderExpr("? "+direction+", id "+direction, bun.Ident(key))
	if f.Marker != "" {
		m, err := s.Get(ctx, f.Marker)
		if err != nil {
			return nil, fault.Field("marker", "no node %q", f.Marker)
		}
		q = q.Where("(?, id) "+beyond+" (SELECT ?, id FROM node WHERE id = ?)", bun.Ident(key), bun.Ident(key), m.ID)
	}
	return q, nil
}

// keptBy returns the ids of the nodes that a conductor keeps.
func (s *Service) keptBy(ctx context.Context, conductor string) ([]ID, error) {
	crew, err := s.Engine.Crew(ctx)
	if err != nil {
		return nil, err
	}
	var all []struct {
		ID             ID
		ConductorGroup string
	}
	if err := s.DB.Read().NewSelect().Model((*Node)(nil)).Column("id", "conductor_group").Scan(ctx, &all); err != nil {
		return nil, fault.E(fault.Internal, "listing nodes by their conductors", err)
	}
	var kept []ID
	for _, n := range all {
		if crew.Keeper(n.ConductorGroup, string(n.ID)) == conductor {
			kept = append(kept, n.ID)
		}
	}
	return kept, nil
}

// match restricts a query to what the filter selects.
func (f Filter) match(q *bun.SelectQuery) *bun.SelectQuery {
	for _, c := range []struct{ column, want string }{
		{"driver", f.Driver}, {"resource_class", f.ResourceClass}, {"state", string(f.State)}, {"owner", f.Owner}, {"chassis_id", f.Chassis},
		{"conductor_group", f.ConductorGroup}, {"project", f.Project}, {"lessee", f.Lessee}, {"parent_id", string(f.Parent)},
	} {
		if c.want != "" {
			q = q.Where("? = ?", bun.Ident(c.column), c.want)
		}
	}
	for _, c := range []struct {
		want    *bool
		yes, no string
	}{
		{f.Associated, "owner <> ''", "owner = ''"}, {f.Held, "holds NOT IN ('[]', 'null', '')", "holds IN ('[]', 'null', '')"},
		{f.Retired, "retired", "NOT retired"}, {f.Protected, "protected", "NOT protected"}, {f.Sharded, "shard <> ''", "shard = ''"},
	} {
		if c.want != nil {
			q = q.Where(map[bool]string{true: c.yes, false: c.no}[*c.want])
		}
	}
	if f.Seen != "" {
		q = q.Where("project = ? OR lessee = ?", f.Seen, f.Seen)
	}
	if f.Fault != "" {
		q = q.Where("holds LIKE ?", `%"category":"`+likeless(f.Fault)+`"%`)
	}
	if f.Described != "" {
		q = q.Where("description LIKE ?", "%"+likeless(f.Described)+"%")
	}
	if len(f.Shards) > 0 {
		q = q.Where("shard IN (?)", bun.In(f.Shards))
	}
	if f.Provision != "" {
		q = provisioned(q, f.Provision)
	}
	return q
}

// likeless takes the wildcards out of a pattern.
func likeless(text string) string {
	return strings.NewReplacer("%", "", "_", "", `\`, "").Replace(text)
}

// provisioned selects the nodes in what Ironic calls a state: ours, with the phase of its run.
func provisioned(q *bun.SelectQuery, name string) *bun.SelectQuery {
	return q.WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
		q = q.Where("state = ? AND run_id = ''", name)
		for state, names := range projection {
			var phases []workflow.Phase
			for _, p := range []workflow.Phase{workflow.Queued, workflow.Running, workflow.Waits, workflow.Held, workflow.Aborting, workflow.Failed} {
				if names.of(p) == name {
					phases = append(phases, p)
				}
			}
			if len(phases) > 0 {
				q = q.WhereOr("state = ? AND run_id IN (SELECT id FROM run WHERE phase IN (?))", state, bun.In(phases))
			}
		}
		return q
	})
}

// Shard is how many nodes bear a shard's name.
type Shard struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// Shards counts the nodes of each shard; those of none are under "".
func (s *Service) Shards(ctx context.Context) ([]Shard, error) {
	out := []Shard{}
	err := s.DB.Read().NewSelect().Model((*Node)(nil)).ColumnExpr("shard AS name, COUNT(*) AS count").Group("shard").Order("shard").Scan(ctx, &out)
	return out, fault.Wrap("counting shards", err)
}

// ByID returns nodes by their ids, without what is known of their hardware.
func (s *Service) ByID(ctx context.Context, ids []ID) (map[ID]*Node, error) {
	out := map[ID]*Node{}
	for some := range slices.Chunk(ids, 500) {
		var nodes []Node
		err := s.DB.Read().NewSelect().Model(&nodes).ExcludeColumn("inventory", "identity", "gate").Where("id IN (?)", bun.In(some)).Scan(ctx)
		if err != nil {
			return nil, fault.E(fault.Internal, "reading nodes", err)
		}
		for i := range nodes {
			out[nodes[i].ID] = &nodes[i]
		}
	}
	return out, nil
}

// WithPower is a query for the ids of the nodes that were last seen with a power state, for use within other queries.
func (s *Service) WithPower(p bmc.Power) *bun.SelectQuery {
	return s.DB.Read().NewSelect().Model((*Node)(nil)).Column("id").Where("power = ?", p)
}

// In is a query for the ids of the nodes in any of some states, for use within other queries.
func (s *Service) In(states ...State) *bun.SelectQuery {
	return s.DB.Read().NewSelect().Model((*Node)(nil)).Column("id").Where("state IN (?)", bun.In(states))
}

// Restarting is a query for the ids of the nodes that are being reset or restarted, for use within other queries.
func (s *Service) Restarting() *bun.SelectQuery {
	return s.DB.Read().NewSelect().Model((*Node)(nil)).Column("id").Where("power_target = ?", bmc.Reset)
}
