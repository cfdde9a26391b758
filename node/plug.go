package node

import (
	"context"
	"slices"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// Plug is a node's NIC that a deployment links to a tenant's network, at its switch port.
type Plug struct {
	Switch, Port, MAC string
	VLAN              int
}

// Plugs returns the plugs of deployments, on nodes that a conductor looks after. Whether the switch carries the VLAN yet, or still,
// is for the node's run to say.
func (s *Service) Plugs(ctx context.Context, h workflow.Holder) ([]Plug, error) {
	keeps, err := s.Engine.Keeps(ctx, h)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		NodeID               ID
		ConductorGroup       string
		Links                []Link
		MAC                  string `bun:"mac"`
		SwitchName, PortName string
	}
	err = s.DB.Read().NewSelect().TableExpr("deployment AS d").Join("JOIN node AS n ON n.id = d.node_id").Join("JOIN node_port AS p ON p.node_id = d.node_id").
		ColumnExpr("d.node_id, n.conductor_group, d.links, p.mac, p.switch AS switch_name, p.port AS port_name").
		Where("p.switch <> '' AND p.port <> ''").OrderExpr("p.switch, p.port").Scan(ctx, &rows)
	if err != nil {
		return nil, fault.E(fault.Internal, "reading what is plugged into tenants' networks", err)
	}
	var out []Plug
	for _, r := range rows {
		i := slices.IndexFunc(r.Links, func(l Link) bool { return l.MAC == r.MAC })
		if i >= 0 && keeps(r.ConductorGroup, string(r.NodeID)) {
			out = append(out, Plug{r.SwitchName, r.PortName, r.MAC, r.Links[i].VLAN})
		}
	}
	return out, nil
}
