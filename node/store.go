package node

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// get reads one node by id.
func get(ctx context.Context, q bun.IDB, id ID) (*Node, error) {
	n := new(Node)
	err := q.NewSelect().Model(n).Where("id = ?", id).Scan(ctx)
	if db.None(err) {
		return nil, fault.Errorf(fault.NotFound, "no node %q", id)
	}
	if err != nil {
		return nil, fault.E(fault.Internal, "reading node "+string(id), err)
	}
	return n, nil
}

// Get returns a node by its id or name.
func (s *Service) Get(ctx context.Context, ref string) (*Node, error) {
	if _, err := uuid.Parse(ref); err == nil {
		return get(ctx, s.DB.Read(), ID(strings.ToLower(ref)))
	}
	n := new(Node)
	err := s.DB.Read().NewSelect().Model(n).Where("name = ?", ref).Where("name <> ''").Scan(ctx)
	if db.None(err) {
		return nil, fault.Errorf(fault.NotFound, "no node %q", ref)
	}
	if err != nil {
		return nil, fault.E(fault.Internal, "reading node "+ref, err)
	}
	return n, nil
}

// Phases returns the phase of the run of each node that has one.
func (s *Service) Phases(ctx context.Context, nodes []Node) (map[ID]workflow.Run, error) {
	var ids []workflow.RunID
	for _, n := range nodes {
		if n.RunID != "" {
			ids = append(ids, n.RunID)
		}
	}
	out := map[ID]workflow.Run{}
	if len(ids) == 0 {
		return out, nil
	}
	var runs []workflow.Run
	if err := s.DB.Read().NewSelect().Model(&runs).Where("id IN (?)", bun.In(ids)).Scan(ctx); err != nil {
		return nil, fault.E(fault.Internal, "reading runs", err)
	}
	for _, r := range runs {
		out[ID(r.Subject)] = r
	}
	return out, nil
}

// Standing returns nodes by their ids, in any order, with the runs of those that have one. Where a run ends between the two readings
// both are read again: a run that has failed comes with the node's last error.
func (s *Service) Standing(ctx context.Context, ids []ID) ([]Node, map[ID]workflow.Run, error) {
	nodes, runs, err := s.withRuns(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	var torn []ID
	for _, n := range nodes {
		if r := runs[n.ID]; n.RunID != "" && (r.Phase == workflow.Done || (r.Phase == workflow.Failed && n.LastError == "")) {
			torn = append(torn, n.ID)
			delete(runs, n.ID)
		}
	}
	if len(torn) == 0 {
		return nodes, runs, nil
	}
	again, now, err := s.withRuns(ctx, torn)
	maps.Copy(runs, now)
	return append(slices.DeleteFunc(nodes, func(n Node) bool { return slices.Contains(torn, n.ID) }), again...), runs, err
}

func (s *Service) withRuns(ctx context.Context, ids []ID) ([]Node, map[ID]workflow.Run, error) {
	nodes, err := s.ByIDs(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	runs, err := s.Phases(ctx, nodes)
	return nodes, runs, err
}

// Events returns what happened to a node, newest first.
func (s *Service) Events(ctx context.Context, id ID, limit int) ([]Event, error) {
	var events []Event
	err := s.DB.Read().NewSelect().Model(&events).Where("node_id = ?", id).OrderExpr("at DESC").Limit(int64(limit)).Scan(ctx)
	return events, fault.Wrap("reading events", err)
}

func ports(ctx context.Context, q bun.IDB, id ID) ([]Port, error) {
	var ps []Port
	err := q.NewSelect().Model(&ps).Where("node_id = ?", id).OrderExpr("created_at, id").Scan(ctx)
	if err != nil {
		return nil, fault.E(fault.Internal, "reading the ports of node "+string(id), err)
	}
	return ps, nil
}

// agentOf reads the conversation with a node's agent; nil when there never was one.
func agentOf(ctx context.Context, q bun.IDB, id ID) (*Agent, error) {
	a := new(Agent)
	err := q.NewSelect().Model(a).Where("node_id = ?", id).Scan(ctx)
	if db.None(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.E(fault.Internal, "reading the agent of node "+string(id), err)
	}
	return a, nil
}

// changed turns "no row was updated" into a Conflict.
func changed(res sql.Result, err error, why string) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return errors.Join(fault.Errorf(fault.Internal, "the database does not count"), err)
	}
	if n == 0 {
		return fault.Errorf(fault.Conflict, "%s", why)
	}
	return nil
}
