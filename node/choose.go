package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/agent/layout"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Want says what kind of node is wanted.
type Want struct {
	ResourceClass string
	Zone          string         // "" is any
	Traits        []string       // all of them
	NICs          map[string]int // how many ports of each plane
	Not           []ID           // nodes that were tried already
	Among         []ID           // only these, unless it is empty
	Project       string         // who wants it: a node of another project is not for it
	Layout        *protocol.Layout
	ImageBytes    int64 // of the image that goes beside the layout
}

// Choose lends an available node that fits to owner, in the caller's transaction: of those that fit, the one that has
// been idle for longest, so that wear is even. Two callers never get the same. When nothing fits, the error says why.
func (s *Service) Choose(ctx context.Context, tx db.Tx, w Want, owner string) (*Node, []Port, error) {
	var all []Node
	left := []string{"inventory", "identity", "gate"}
	if !layout.Empty(w.Layout) {
		left = left[1:]
	}
	q := tx.NewSelect().Model(&all).ExcludeColumn(left...).Where("resource_class = ?", w.ResourceClass).OrderExpr("state_at, id")
	if err := q.Scan(ctx); err != nil {
		return nil, nil, fault.E(fault.Internal, "looking for a node", err)
	}
	tally := map[string]int{}
	for i := range all {
		n := &all[i]
		if why := s.unfit(n, w); why != "" {
			tally[why]++
			continue
		}
		ps, err := ports(ctx, tx, n.ID)
		if err != nil {
			return nil, nil, err
		}
		if !enough(ps, w.NICs) {
			tally["with too few NICs"]++
			continue
		}
		// The condition decides the race on PostgreSQL, where two transactions may see the same node.
		res, err := tx.NewUpdate().Model((*Node)(nil)).Set("owner = ?", owner).Where("id = ?", n.ID).
			Where("owner = ''").Where("state = ?", Available).Exec(ctx)
		if err != nil {
			return nil, nil, fault.E(fault.Internal, "lending a node", err)
		}
		if changed, err := res.RowsAffected(); err != nil || changed == 0 {
			tally["in use"]++
			continue
		}
		n.Owner = owner
		return n, ps, nil
	}
	return nil, nil, fault.Errorf(fault.Conflict, "no node is free: 0 of %d nodes match%s", len(all), explain(tally))
}

// unfit says why a node can not be lent; "" if it can.
func (s *Service) unfit(n *Node, w Want) string {
	switch {
	case slices.Contains(w.Not, n.ID):
		return "tried already"
	case w.Zone != "" && n.Zone != w.Zone:
		return "in other zones"
	case slices.ContainsFunc(w.Traits, func(t string) bool { return !slices.Contains(n.Traits, t) }):
		return "without the traits"
	case n.Owner != "":
		return "in use"
	case len(w.Among) > 0 && !slices.Contains(w.Among, n.ID):
		return "not among the candidates"
	case !n.lendable(w.Project):
		return "kept for other projects"
	case n.Retired:
		return "retired"
	case len(n.Holds) > 0:
		return "held"
	case n.State != Available:
		return string(n.State)
	case layout.Empty(w.Layout) || n.Driver == "fake":
		return ""
	case n.Inventory == nil:
		return "not inspected"
	}
	if err := layout.Fits(w.Layout, n.disks(), n.RootHint, w.ImageBytes); err != nil {
		return "without the disks: " + fault.Message(err)
	}
	return ""
}

// lendable reports whether a project may have the node: one that belongs or is leased to a project is for that one alone.
func (n *Node) lendable(project string) bool {
	if n.Lessee != "" {
		return n.Lessee == project
	}
	return n.Project == "" || n.Project == project
}

func enough(ps []Port, nics map[string]int) bool {
	have := map[string]int{}
	for _, p := range ps {
		have[p.Plane]++
	}
	for plane, n := range nics {
		if have[plane] < n {
			return false
		}
	}
	return true
}

func explain(tally map[string]int) string {
	var parts []string
	for why, n := range tally {
		parts = append(parts, fmt.Sprintf("%d %s", n, why))
	}
	if len(parts) == 0 {
		return ""
	}
	slices.Sort(parts)
	return " (" + strings.Join(parts, ", ") + ")"
}

// GiveBack ends the loan of a node on which nothing was begun.
func (s *Service) GiveBack(ctx context.Context, tx db.Tx, id ID) error {
	_, err := tx.NewUpdate().Model((*Node)(nil)).Set("owner = ''").Where("id = ?", id).Where("state = ?", Available).Exec(ctx)
	return err
}

// Stock reports how many nodes of a class could be lent now.
func (s *Service) Stock(ctx context.Context, w Want) (int, error) {
	var all []Node
	err := s.DB.Read().NewSelect().Model(&all).Where("resource_class = ?", w.ResourceClass).Where("state = ?", Available).Scan(ctx)
	if err != nil {
		return 0, fault.E(fault.Internal, "counting nodes", err)
	}
	n := 0
	for i := range all {
		if s.unfit(&all[i], w) == "" {
			n++
		}
	}
	return n, nil
}

// Zones returns the availability zones in which there are nodes.
func (s *Service) Zones(ctx context.Context) ([]string, error) {
	zones := []string{}
	err := s.DB.Read().NewSelect().Model((*Node)(nil)).ColumnExpr("DISTINCT zone").Order("zone").Scan(ctx, &zones)
	if len(zones) == 0 {
		zones = []string{defaultZone}
	}
	return zones, fault.Wrap("listing zones", err)
}
