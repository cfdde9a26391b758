package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

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

// chooseFrom is how many candidates are read at a time: most often the first fits.
const chooseFrom = 16

// Choose lends an available node that fits to owner, in the caller's transaction: of those that fit, the one that has
// been idle for longest, so that wear is even. Two callers never get the same. When nothing fits, the error says why.
func (s *Service) Choose(ctx context.Context, tx db.Tx, w Want, owner string) (*Node, []Port, error) {
	// Who chooses at the same time takes another one; only when there seems to be none is it waited for whether that one is kept.
	for _, wait := range []bool{false, true} {
		for from := int64(0); ; from += chooseFrom {
			some, err := s.candidates(ctx, tx, w, from)
			if err != nil {
				return nil, nil, err
			}
			for i := range some {
				ps, lent, err := s.lend(ctx, tx, &some[i], w, owner, wait)
				if err != nil {
					return nil, nil, err
				}
				if lent {
					return &some[i], ps, nil
				}
			}
			if len(some) < chooseFrom {
				break
			}
		}
	}
	return nil, nil, s.whyNone(ctx, tx, w)
}

// candidates returns nodes that are free, a few from a place in their order on.
func (s *Service) candidates(ctx context.Context, tx db.Tx, w Want, from int64) (some []Node, err error) {
	q := tx.NewSelect().Model(&some).ExcludeColumn(w.unread()...).Where("state = ?", Available).Where("resource_class = ?", w.ResourceClass).Where("owner = ''")
	if w.Zone != "" {
		q = q.Where("zone = ?", w.Zone)
	}
	if len(w.Among) > 0 {
		q = q.Where("id IN (?)", bun.List(w.Among))
	}
	err = q.OrderExpr("state_at, id").Limit(chooseFrom).Offset(from).Scan(ctx)
	return some, fault.Wrap("looking for a node", err)
}

// unread names the columns of a node that need not be read to know whether it fits.
func (w Want) unread() []string {
	if layout.Empty(w.Layout) {
		return []string{"identity", "gate", "inventory"}
	}
	return []string{"identity", "gate"}
}

// lend gives a node to owner and returns its ports, unless it does not fit or is somebody else's now.
func (s *Service) lend(ctx context.Context, tx db.Tx, n *Node, w Want, owner string, wait bool) (ps []Port, lent bool, err error) {
	if s.unfit(n, w) != "" {
		return nil, false, nil
	}
	if ps, err = ports(ctx, tx, n.ID); err != nil || !enough(ps, w.NICs) {
		return nil, false, err
	}
	if !wait {
		var id ID
		err := tx.SkipLocked(tx.NewSelect().Model((*Node)(nil)).Column("id").Where("id = ?", n.ID)).Scan(ctx, &id)
		if db.None(err) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, fault.E(fault.Internal, "lending a node", err)
		}
	}
	// The condition decides the race on PostgreSQL, where two transactions may see the same node.
	res, err := tx.NewUpdate().Model((*Node)(nil)).Set("owner = ?", owner).Where("id = ?", n.ID).Where("owner = ''").Where("state = ?", Available).Exec(ctx)
	if err != nil {
		return nil, false, fault.E(fault.Internal, "lending a node", err)
	}
	if changed, err := res.RowsAffected(); err != nil || changed == 0 {
		return nil, false, err
	}
	n.Owner = owner
	return ps, true, nil
}

// whyNone explains that no node is free.
func (s *Service) whyNone(ctx context.Context, tx db.Tx, w Want) error {
	var all []Node
	if err := tx.NewSelect().Model(&all).ExcludeColumn(w.unread()...).Where("resource_class = ?", w.ResourceClass).Scan(ctx); err != nil {
		return fault.E(fault.Internal, "looking for a node", err)
	}
	tally := map[string]int{}
	for i := range all {
		why := s.unfit(&all[i], w)
		if why == "" {
			ps, err := ports(ctx, tx, all[i].ID)
			if err != nil {
				return err
			}
			why = "in use" // by somebody who was faster
			if !enough(ps, w.NICs) {
				why = "with too few NICs"
			}
		}
		tally[why]++
	}
	return fault.Errorf(fault.Conflict, "no node is free: 0 of %d nodes match%s", len(all), explain(tally))
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
