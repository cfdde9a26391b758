package node

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Chassis is an enclosure that nodes stand in.
type Chassis struct {
	bun.BaseModel `bun:"table:chassis"`

	ID          string                     `bun:",pk" json:"uuid"`
	Description string                     `json:"description"`
	Extra       map[string]json.RawMessage `json:"extra"`
	CreatedAt   time.Time                  `json:"-"`
	UpdatedAt   time.Time                  `json:"-"`
}

func (c *Chassis) identity() (*string, string) { return &c.ID, "chassis" }

func (c *Chassis) stamp(created bool) { stamp(&c.CreatedAt, &c.UpdatedAt, created) }

func stamp(createdAt, updatedAt *time.Time, created bool) {
	*updatedAt = db.Now()
	if created {
		*createdAt = *updatedAt
	}
}

func (c *Chassis) check(context.Context, *Service) error {
	if len(c.Description) > 255 {
		return fault.Field("description", "must have at most 255 bytes")
	}
	return nil
}

// CreateChassis writes a chassis down.
func (s *Service) CreateChassis(ctx context.Context, c Chassis) (Chassis, error) {
	return create[Chassis](ctx, s, c)
}

// Chassis returns a chassis.
func (s *Service) Chassis(ctx context.Context, id string) (Chassis, error) {
	return read[Chassis](ctx, s, id)
}

// ListChassis returns a page of all chassis.
func (s *Service) ListChassis(ctx context.Context, p Page) ([]Chassis, error) {
	return list[Chassis](ctx, s, p, all)
}

// UpdateChassis writes a chassis that the caller has read and changed.
func (s *Service) UpdateChassis(ctx context.Context, c Chassis) (Chassis, error) {
	return save[Chassis](ctx, s, c)
}

// DeleteChassis forgets a chassis in which there is no node.
func (s *Service) DeleteChassis(ctx context.Context, id string) error {
	n, err := s.DB.Read().NewSelect().Model((*Node)(nil)).Where("chassis_id = ?", id).Count(ctx)
	if err != nil {
		return fault.E(fault.Internal, "counting the nodes of a chassis", err)
	}
	if n > 0 {
		return fault.Errorf(fault.Conflict, "there are %d nodes in the chassis; take them out first", n)
	}
	return remove[Chassis](ctx, s, id)
}
