package node

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Allocation is a claim on a node by someone who deploys it without a server of ours.
type Allocation struct {
	bun.BaseModel `bun:"table:allocation"`

	ID            string                     `bun:",pk" json:"uuid"`
	Name          string                     `json:"name"`
	NodeID        ID                         `json:"node"`
	ResourceClass string                     `json:"resource_class"`
	Traits        []string                   `json:"traits"`
	Candidates    []string                   `json:"candidate_nodes"`
	Project       string                     `json:"owner"`
	State         string                     `json:"-"` // allocating, active or error
	LastError     string                     `json:"-"`
	Extra         map[string]json.RawMessage `json:"extra"`
	CreatedAt     time.Time                  `json:"-"`
	UpdatedAt     time.Time                  `json:"-"`
}

// The states of an allocation.
const (
	Allocating   = "allocating" // a conductor will look for a node within moments
	Allocated    = "active"
	NotAllocated = "error"
)

func (a *Allocation) identity() (*string, string) { return &a.ID, "allocation" }

func (a *Allocation) stamp(created bool) { stamp(&a.CreatedAt, &a.UpdatedAt, created) }

// mostAllocations bounds what a project has: one that found no node is kept as well, until it is deleted.
const mostAllocations = 1000

// room is Denied when a project has as many allocations as it may have. Those of no project are an operator's.
func room(ctx context.Context, tx db.Tx, project string) error {
	if project == "" {
		return nil
	}
	n, err := tx.NewSelect().Model((*Allocation)(nil)).Where("project = ?", project).Count(ctx)
	if err != nil {
		return fault.E(fault.Internal, "counting allocations", err)
	}
	if n >= mostAllocations {
		return fault.Errorf(fault.Denied, "the project has %d allocations already; delete some first", n)
	}
	return nil
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,255}$`)

func (a *Allocation) check(_ context.Context, _ *Service) error {
	if _, err := uuid.Parse(a.Name); a.Name != "" && (err == nil || !nameForm.MatchString(a.Name)) {
		return fault.Field("name", "must be 1 to 255 letters, digits, dots, hyphens, underscores and tildes, and no UUID")
	}
	return nil
}

// Allocate asks for a node that fits: free, available, of the class, with the traits, and one of the candidates where
// there are any. A conductor claims it soon. With backfill the node is the given one, which may be active already, and is claimed
// at once.
func (s *Service) Allocate(ctx context.Context, a Allocation) (Allocation, error) {
	backfill := a.NodeID != ""
	if a.ResourceClass == "" && !backfill {
		return a, fault.Field("resource_class", "is missing")
	}
	for i, ref := range a.Candidates {
		n, err := s.Get(ctx, ref)
		if err != nil {
			return a, fault.Field("candidate_nodes", "there is no node %q", ref)
		}
		a.Candidates[i] = string(n.ID)
	}
	if a.ID == "" {
		a.ID = uuid.NewString()
	} else if _, err := uuid.Parse(a.ID); err != nil {
		return a, fault.Field("uuid", "%q is not a UUID", a.ID)
	}
	if err := a.check(ctx, s); err != nil {
		return a, err
	}
	a.stamp(true)
	err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := room(ctx, tx, a.Project); err != nil {
			return err
		}
		a.State, a.LastError = Allocating, ""
		if backfill {
			n, err := s.backfill(ctx, tx, &a)
			if err != nil {
				return err
			}
			if err := s.allocated(ctx, tx, &a, n); err != nil {
				return err
			}
		}
		_, err := tx.NewInsert().Model(&a).Exec(ctx)
		if db.Duplicate(err) {
			return fault.Errorf(fault.Conflict, "there is an allocation with the name %q or the UUID %s already", a.Name, a.ID)
		}
		return err
	})
	return a, err
}

// allocated claims a node for an allocation.
func (s *Service) allocated(ctx context.Context, tx db.Tx, a *Allocation, n *Node) error {
	a.State, a.NodeID, a.ResourceClass = Allocated, n.ID, n.ResourceClass
	_, err := tx.NewUpdate().Model((*Node)(nil)).Set("allocation_id = ?", a.ID).Where("id = ?", n.ID).Exec(ctx)
	return err
}

// AllocatePending claims nodes for the allocations that wait, eldest first. One for which there is none is kept, in error with the
// reason. It is a reconciler.
func (s *Service) AllocatePending(ctx context.Context) error {
	var ids []string
	err := s.DB.Read().NewSelect().Model((*Allocation)(nil)).Column("id").Where("state = ?", Allocating).Order("created_at", "id").Scan(ctx, &ids)
	if err != nil {
		return fault.E(fault.Unavailable, "looking for allocations that wait", err)
	}
	for _, id := range ids {
		if err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error { return s.allocatePending(ctx, tx, id) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) allocatePending(ctx context.Context, tx db.Tx, id string) error {
	// The update locks the row: another conductor that has the same one in hand waits, and then finds it decided.
	res, err := tx.NewUpdate().Model((*Allocation)(nil)).Set("updated_at = ?", db.Now()).Where("id = ? AND state = ?", id, Allocating).Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	a := new(Allocation)
	if err := tx.NewSelect().Model(a).Where("id = ?", id).Scan(ctx); err != nil {
		return err
	}
	want := Want{ResourceClass: a.ResourceClass, Traits: a.Traits, Project: a.Project}
	for _, c := range a.Candidates {
		want.Among = append(want.Among, ID(c))
	}
	n, _, err := s.Choose(ctx, tx, want, a.ID)
	switch {
	case err == nil:
		err = s.allocated(ctx, tx, a, n)
	case fault.Is(err, fault.Conflict):
		a.State, a.LastError = NotAllocated, fmt.Sprintf("of resource class %s %s", a.ResourceClass, fault.Message(err))
		err = nil
	}
	if err != nil {
		return err
	}
	_, err = tx.NewUpdate().Model(a).Column("node_id", "resource_class", "state", "last_error").WherePK().Exec(ctx)
	return err
}

// backfill claims a node by its id: one that is available or was adopted.
func (s *Service) backfill(ctx context.Context, tx db.Tx, a *Allocation) (*Node, error) {
	n, err := s.Get(ctx, string(a.NodeID))
	if err != nil {
		return nil, fault.Field("node", "there is no node %q", a.NodeID)
	}
	if n, err = get(ctx, tx, n.ID); err != nil {
		return nil, err
	}
	if n.AllocationID != "" || (n.State == Available && n.Owner != "") || (n.State != Available && n.State != Active) {
		return nil, fault.Errorf(fault.Conflict, "the node %s is %s and can not be allocated", n.Name, n.State)
	}
	if n.Owner == "" {
		n.Owner = a.ID
	}
	_, err = tx.NewUpdate().Model(n).Column("owner").WherePK().Exec(ctx)
	return n, err
}

// endAllocation forgets the allocation of a node that goes back.
func (s *Service) endAllocation(ctx context.Context, tx db.Tx, n *Node) error {
	if n.AllocationID == "" {
		return nil
	}
	_, err := tx.NewDelete().Model((*Allocation)(nil)).Where("id = ?", n.AllocationID).Exec(ctx)
	n.AllocationID = ""
	return err
}

// Allocation returns an allocation by its id or name.
func (s *Service) Allocation(ctx context.Context, ref string) (Allocation, error) {
	return read[Allocation](ctx, s, ref, "name")
}

// AllocationOf returns the allocation of a node.
func (s *Service) AllocationOf(ctx context.Context, n *Node) (Allocation, error) {
	if n.AllocationID == "" {
		return Allocation{}, fault.Errorf(fault.NotFound, "the node %s has no allocation", n.ID)
	}
	return s.Allocation(ctx, n.AllocationID)
}

// AllocationFilter selects allocations; zero fields do not.
type AllocationFilter struct {
	Node          ID
	ResourceClass string
	State         string
	Project       string
}

// Allocations returns a page of the allocations.
func (s *Service) Allocations(ctx context.Context, f AllocationFilter, p Page) ([]Allocation, error) {
	return list[Allocation](ctx, s, p, func(q *bun.SelectQuery) *bun.SelectQuery {
		for column, v := range map[string]string{"node_id": string(f.Node), "resource_class": f.ResourceClass, "state": f.State, "project": f.Project} {
			if v != "" {
				q = q.Where(column+" = ?", v)
			}
		}
		return q
	})
}

// UpdateAllocation writes the name and the extra data of an allocation that the caller has read and changed.
func (s *Service) UpdateAllocation(ctx context.Context, a Allocation) (Allocation, error) {
	return save[Allocation](ctx, s, a)
}

// Deallocate gives a claim up. The node must not be deployed.
func (s *Service) Deallocate(ctx context.Context, ref string) error {
	a, err := s.Allocation(ctx, ref)
	if err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		// The update locks the row: a conductor that decides the allocation now waits, or has been waited for.
		if _, err := tx.NewUpdate().Model((*Allocation)(nil)).Set("updated_at = ?", db.Now()).Where("id = ?", a.ID).Exec(ctx); err != nil {
			return err
		}
		if err := tx.NewSelect().Model(&a).WherePK().Scan(ctx); err != nil {
			if db.None(err) {
				return nil
			}
			return err
		}
		if a.NodeID != "" {
			if err := s.disown(ctx, tx, a); err != nil {
				return err
			}
		}
		_, err := tx.NewDelete().Model(&a).WherePK().Exec(ctx)
		return err
	})
}

func (s *Service) disown(ctx context.Context, tx db.Tx, a Allocation) error {
	n, err := get(ctx, tx, a.NodeID)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil || n.AllocationID != a.ID {
		return err
	}
	if n.State != Available && n.State != Active {
		return fault.Errorf(fault.Conflict, "the node %s is %s; the allocation can be deleted when it is at rest", n.Name, n.State)
	}
	if n.State == Active && n.Owner == a.ID {
		return fault.Errorf(fault.Conflict, "the node %s is active with this allocation; undeploy it first", n.Name)
	}
	n.AllocationID = ""
	if n.Owner == a.ID {
		n.Owner = ""
	}
	_, err = tx.NewUpdate().Model(n).Column("allocation_id", "owner").WherePK().Exec(ctx)
	return err
}
