package server

import (
	"cmp"
	"context"
	"slices"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// Chassis is a node that an operator has leased to a project, which can ask for a server on just that one.
type Chassis struct {
	Node   *node.Node
	Flavor *Flavor // of its servers; nil when no flavor is for nodes like it
	Server *Server // of the project, that is on it; nil when none
}

// Chassis returns what is leased to a project, by age.
func (s *Service) Chassis(ctx context.Context, project string) ([]Chassis, error) {
	if project == "" {
		return nil, nil
	}
	nodes, err := s.nodes.List(ctx, node.Filter{Lessee: project})
	if err != nil {
		return nil, err
	}
	flavors, err := s.Flavors(ctx, FlavorQuery{})
	if err != nil {
		return nil, err
	}
	var out []Chassis
	for i := range nodes {
		c := Chassis{Node: &nodes[i], Flavor: flavorFor(&nodes[i], flavors)}
		if c.Node.Owner != "" {
			c.Server, err = s.Get(ctx, project, ID(c.Node.Owner))
			if err != nil && !fault.Is(err, fault.NotFound) { // an operator's instance, or another project's before the lease
				return nil, err
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// OneChassis returns one of those that are leased to a project.
func (s *Service) OneChassis(ctx context.Context, project, id string) (Chassis, error) {
	all, err := s.Chassis(ctx, project)
	if err != nil {
		return Chassis{}, err
	}
	if i := slices.IndexFunc(all, func(c Chassis) bool { return string(c.Node.ID) == id }); i >= 0 {
		return all[i], nil
	}
	return Chassis{}, fault.Errorf(fault.NotFound, "no chassis %s", id)
}

// flavorFor returns the flavor that says most about a node; nil when none is for it.
func flavorFor(n *node.Node, flavors []Flavor) *Flavor {
	var fitting []Flavor
	for _, f := range flavors {
		if f.ResourceClass == n.ResourceClass && !slices.ContainsFunc(f.Traits, func(t string) bool { return !slices.Contains(n.Traits, t) }) {
			fitting = append(fitting, f)
		}
	}
	if len(fitting) == 0 {
		return nil
	}
	best := slices.MinFunc(fitting, func(a, b Flavor) int {
		return cmp.Or(cmp.Compare(len(b.Traits), len(a.Traits)), cmp.Compare(a.Name, b.Name))
	})
	return &best
}

// flavorOf is the flavor of a request: the one that it names, or that of the chassis that it names.
func (s *Service) flavorOf(ctx context.Context, w *Wanted) (Flavor, error) {
	if w.ChassisID == "" {
		whose := w.ProjectID
		if w.Operator {
			whose = ""
		}
		return s.Flavor(ctx, whose, w.FlavorID)
	}
	if w.FlavorID != "" {
		return Flavor{}, fault.Field("chassis_id", "give either a chassis or a flavor")
	}
	c, err := s.OneChassis(ctx, w.ProjectID, w.ChassisID)
	if err != nil {
		return Flavor{}, err
	}
	if c.Flavor == nil {
		return Flavor{}, fault.Errorf(fault.Conflict, "no flavor is for nodes of the resource class %q, as the chassis is; ask the operator to make one", c.Node.ResourceClass)
	}
	return *c.Flavor, nil
}
