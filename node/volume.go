package node

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/fault"
)

// The kinds of volume record.
const (
	Connector = "connector" // by what a node names itself to storage: an IQN, a WWN, an address
	Target    = "target"    // a volume that a node may boot from
)

// Volume is a node's side of remote storage. Nothing attaches volumes yet: these records are for those who do.
type Volume struct {
	bun.BaseModel `bun:"table:volume"`

	ID         string `bun:",pk"`
	Kind       string
	NodeID     ID
	Type       string // of a connector: iqn, ip, mac, wwnn, wwpn, port, portgroup; of a target: iscsi, fibre_channel …
	Value      string // of a connector: its id; of a target: boot index and volume, separated by a slash
	Properties map[string]json.RawMessage
	Extra      map[string]json.RawMessage
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

func (v *Volume) identity() (*string, string) { return &v.ID, "volume " + v.Kind }

func (v *Volume) stamp(created bool) { stamp(&v.CreatedAt, &v.UpdatedAt, created) }

func (v *Volume) check(ctx context.Context, s *Service) error {
	n, err := s.Get(ctx, string(v.NodeID))
	if err != nil {
		return fault.Field("node_uuid", "there is no node %q", v.NodeID)
	}
	v.NodeID = n.ID
	if v.Type == "" || len(v.Type) > 64 || v.Value == "" || len(v.Value) > 512 {
		return fault.Field("type", "a volume %s needs a type and an id", v.Kind)
	}
	return nil
}

// CreateVolume writes a volume record down.
func (s *Service) CreateVolume(ctx context.Context, v Volume) (Volume, error) {
	return create[Volume](ctx, s, v)
}

// Volume returns a volume record of a kind.
func (s *Service) Volume(ctx context.Context, kind, id string) (Volume, error) {
	v, err := read[Volume](ctx, s, id)
	if err == nil && v.Kind != kind {
		return v, fault.Errorf(fault.NotFound, "there is no volume %s %q", kind, id)
	}
	return v, err
}

// Volumes returns a page of the volume records of a kind, of a node or of all.
func (s *Service) Volumes(ctx context.Context, kind string, node ID, p Page) ([]Volume, error) {
	return list[Volume](ctx, s, p, func(q *bun.SelectQuery) *bun.SelectQuery {
		if node != "" {
			q = q.Where("node_id = ?", node)
		}
		return q.Where("kind = ?", kind)
	})
}

// UpdateVolume writes a volume record that the caller has read and changed.
func (s *Service) UpdateVolume(ctx context.Context, v Volume) (Volume, error) {
	return save[Volume](ctx, s, v)
}

// DeleteVolume forgets a volume record.
func (s *Service) DeleteVolume(ctx context.Context, kind, id string) error {
	v, err := s.Volume(ctx, kind, id)
	if err != nil {
		return err
	}
	return remove[Volume](ctx, s, v.ID)
}
