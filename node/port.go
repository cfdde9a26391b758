package node

import (
	"context"
	"net"
	"strings"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// CreatePort adds a network interface to a node. The MAC must be new to the cloud.
func (s *Service) CreatePort(ctx context.Context, p Port) (Port, error) {
	if err := checkPort(&p); err != nil {
		return p, err
	}
	if p.ID == "" {
		p.ID = PortID(uuid.NewString())
	}
	p.CreatedAt, p.UpdatedAt = db.Now(), db.Now()
	if p.GroupID != "" {
		g, err := s.PortGroup(ctx, p.GroupID)
		if err != nil || g.NodeID != p.NodeID {
			return p, fault.Field("portgroup_uuid", "the node has no port group %s", p.GroupID)
		}
	}
	return p, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if _, err := get(ctx, tx, p.NodeID); err != nil {
			return fault.Field("node_uuid", "no node %s", p.NodeID)
		}
		_, err := tx.NewInsert().Model(&p).Exec(ctx)
		if db.Duplicate(err) {
			return fault.Errorf(fault.Conflict, "a port with the MAC address %s or the UUID %s exists already", p.MAC, p.ID)
		}
		return err
	})
}

func checkPort(p *Port) error {
	mac, err := net.ParseMAC(p.MAC)
	if err != nil || len(mac) != 6 {
		return fault.Field("address", "%q is not a MAC address", p.MAC)
	}
	p.MAC = mac.String()
	if p.Plane == "" {
		p.Plane = "data"
	}
	if p.Plane != "data" && p.Plane != "storage" {
		return fault.Field("physical_network", "must be data or storage")
	}
	p.Switch, p.Port = p.Link["switch_info"], p.Link["port_id"]
	if p.Switch == "" {
		p.Switch = p.Link["switch_id"]
	}
	return nil
}

// UpdatePort writes p, which the caller has read and changed.
func (s *Service) UpdatePort(ctx context.Context, p Port) (Port, error) {
	if err := checkPort(&p); err != nil {
		return p, err
	}
	p.UpdatedAt = db.Now()
	return p, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := s.portIdle(ctx, tx, p.NodeID); err != nil {
			return err
		}
		_, err := tx.NewUpdate().Model(&p).WherePK().Exec(ctx)
		return err
	})
}

// DeletePort forgets a port.
func (s *Service) DeletePort(ctx context.Context, id PortID) error {
	p, err := s.Port(ctx, string(id))
	if err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := s.portIdle(ctx, tx, p.NodeID); err != nil {
			return err
		}
		_, err := tx.NewDelete().Model(p).WherePK().Exec(ctx)
		return err
	})
}

// portIdle refuses to change the wiring of a node while somebody relies on it.
func (s *Service) portIdle(ctx context.Context, tx db.Tx, id ID) error {
	n, err := get(ctx, tx, id)
	if err != nil {
		return err
	}
	live, err := s.Engine.Live(ctx, tx, string(id))
	if err != nil {
		return err
	}
	if n.Owner != "" || live != nil {
		return fault.Errorf(fault.Conflict, "the node is in use (%s): its ports can be changed when it is at rest", n.State)
	}
	return nil
}

// Port returns a port by its id or MAC.
func (s *Service) Port(ctx context.Context, ref string) (*Port, error) {
	p := new(Port)
	err := s.DB.Read().NewSelect().Model(p).Where("id = ? OR mac = ?", ref, strings.ToLower(ref)).Scan(ctx)
	if db.None(err) {
		return nil, fault.Errorf(fault.NotFound, "no port %q", ref)
	}
	if err != nil {
		return nil, fault.E(fault.Internal, "reading port "+ref, err)
	}
	return p, nil
}

// PortFilter selects ports; zero fields do not.
type PortFilter struct {
	Node  ID
	MAC   string
	Group string
	Seen  string // by a project: ports of nodes that it owns or leases
	Page  Page
}

// ListPorts returns the ports that match, by age.
func (s *Service) ListPorts(ctx context.Context, f PortFilter) ([]Port, error) {
	var ps []Port
	q := s.DB.Read().NewSelect().Model(&ps).OrderExpr("created_at, id")
	for column, v := range map[string]string{"node_id": string(f.Node), "mac": strings.ToLower(f.MAC), "group_id": f.Group} {
		if v != "" {
			q = q.Where("? = ?", bun.Ident(column), v)
		}
	}
	if f.Seen != "" {
		q = q.Where("node_id IN (SELECT id FROM node WHERE project = ? OR lessee = ?)", f.Seen, f.Seen)
	}
	if f.Page.Limit > 0 {
		q = q.Limit(int64(f.Page.Limit))
	}
	if f.Page.Marker != "" {
		q = q.Where("(created_at, id) > (SELECT created_at, id FROM node_port WHERE id = ?)", f.Page.Marker)
	}
	return ps, fault.Wrap("listing ports", q.Scan(ctx))
}

// Ports returns the ports of a node.
func (s *Service) Ports(ctx context.Context, id ID) ([]Port, error) {
	return ports(ctx, s.DB.Read(), id)
}
