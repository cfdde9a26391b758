package node

import (
	"context"
	"encoding/json"
	"net"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/fault"
)

// PortGroup is a bond of ports, as the operator wired it.
type PortGroup struct {
	bun.BaseModel `bun:"table:port_group"`

	ID         string                     `bun:",pk" json:"uuid"`
	NodeID     ID                         `json:"node_uuid"`
	Name       string                     `json:"name"`
	MAC        string                     `json:"address"` // "" takes that of the first port
	Mode       string                     `json:"mode"`    // of the kernel's bonding driver
	Standalone bool                       `json:"standalone_ports_supported"`
	Properties map[string]json.RawMessage `json:"properties"`
	Extra      map[string]json.RawMessage `json:"extra"`
	CreatedAt  time.Time                  `json:"-"`
	UpdatedAt  time.Time                  `json:"-"`
}

func (g *PortGroup) identity() (*string, string) { return &g.ID, "port group" }

func (g *PortGroup) stamp(created bool) { stamp(&g.CreatedAt, &g.UpdatedAt, created) }

func (g *PortGroup) check(ctx context.Context, s *Service) error {
	n, err := s.Get(ctx, string(g.NodeID))
	if err != nil {
		return fault.Field("node_uuid", "there is no node %q", g.NodeID)
	}
	g.NodeID = n.ID
	if _, err := uuid.Parse(g.Name); err == nil || len(g.Name) > 255 {
		return fault.Field("name", "must be at most 255 characters, and no UUID")
	}
	if g.Mode == "" {
		g.Mode = "active-backup"
	}
	if g.MAC != "" {
		mac, err := net.ParseMAC(g.MAC)
		if err != nil {
			return fault.Field("address", "%q is not a MAC address", g.MAC)
		}
		g.MAC = mac.String()
	}
	return nil
}

// CreatePortGroup writes a port group down.
func (s *Service) CreatePortGroup(ctx context.Context, g PortGroup) (PortGroup, error) {
	return create[PortGroup](ctx, s, g)
}

// PortGroup returns a port group by its id or name.
func (s *Service) PortGroup(ctx context.Context, ref string) (PortGroup, error) {
	return read[PortGroup](ctx, s, ref, "name")
}

// PortGroups returns a page of the port groups of a node, or of all nodes, with an address where one is given.
func (s *Service) PortGroups(ctx context.Context, node ID, mac string, p Page) ([]PortGroup, error) {
	return list[PortGroup](ctx, s, p, func(q *bun.SelectQuery) *bun.SelectQuery {
		if node != "" {
			q = q.Where("node_id = ?", node)
		}
		if mac != "" {
			q = q.Where("mac = ?", mac)
		}
		return q
	})
}

// UpdatePortGroup writes a port group that the caller has read and changed.
func (s *Service) UpdatePortGroup(ctx context.Context, g PortGroup) (PortGroup, error) {
	return save[PortGroup](ctx, s, g)
}

// DeletePortGroup forgets a port group that no port is in.
func (s *Service) DeletePortGroup(ctx context.Context, ref string) error {
	g, err := s.PortGroup(ctx, ref)
	if err != nil {
		return err
	}
	n, err := s.DB.Read().NewSelect().Model((*Port)(nil)).Where("group_id = ?", g.ID).Count(ctx)
	if err != nil {
		return fault.E(fault.Internal, "counting the ports of a group", err)
	}
	if n > 0 {
		return fault.Errorf(fault.Conflict, "there are %d ports in the group; take them out first", n)
	}
	return remove[PortGroup](ctx, s, g.ID)
}
