package server

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// mostNodes is how many nodes are tried before a server is in error.
const mostNodes = 3

// Deployed hears from a node how the deployment ended, in the transaction that ends it.
func (s *Service) Deployed(ctx context.Context, tx db.Tx, owner string, n node.ID, failure string) error {
	srv, err := get(ctx, tx, "", ID(owner))
	if fault.Is(err, fault.NotFound) {
		// An operator's instance stays as it is, with the failure as its evidence.
		if alone, err := s.nodes.Standalone(ctx, tx, n); err != nil || alone {
			return err
		}
		return s.nodes.Undeploy(ctx, tx, n)
	}
	if err != nil || srv.NodeID != n {
		return err
	}
	switch {
	case srv.Deleting:
		return s.nodes.Undeploy(ctx, tx, n)
	case failure == "":
		_, err := tx.NewUpdate().Model(srv).Set("state = ?", Active).Set("updated_at = ?", db.Now()).Set("launched_at = COALESCE(launched_at, ?)", db.Now()).WherePK().Exec(ctx)
		return err
	case srv.State == Rebuilding:
		return s.rebuilt(ctx, tx, srv, failure)
	}
	return s.moveOn(ctx, tx, srv, n, failure)
}

// moveOn gives a node that failed back and tries another one. The node is held, with the evidence, unless the image
// is to blame: then no node would do, and none is at fault.
func (s *Service) moveOn(ctx context.Context, tx db.Tx, srv *Server, n node.ID, failure string) error {
	lost, err := s.imageTrouble(ctx, tx, srv)
	if err != nil {
		return err
	}
	if lost == nil {
		hold := node.Hold{Category: "fault", By: "hagane", Reason: fmt.Sprintf("failed to deploy the server %s: %s", srv.ID, failure)}
		if err := s.nodes.PutHold(ctx, tx, n, hold); err != nil {
			return err
		}
	}
	if err := s.nodes.Undeploy(ctx, tx, n); err != nil {
		return err
	}
	srv.Tried, srv.NodeID = append(srv.Tried, n), ""
	if lost != nil {
		return s.fail(ctx, tx, srv, fault.Message(lost))
	}
	if len(srv.Tried) < mostNodes {
		err := s.buildAgain(ctx, tx, srv)
		if err == nil {
			s.log.Warn("a node failed to deploy; another one is tried", "server", srv.ID, "failed", n, "node", srv.NodeID, "why", failure)
			return nil
		}
		if k := fault.KindOf(err); k != fault.Conflict && k != fault.NotFound && k != fault.Invalid {
			return err
		}
		failure = fmt.Sprintf("%s; no other node could be tried: %s", failure, fault.Message(err))
	}
	return s.fail(ctx, tx, srv, fmt.Sprintf("%d of %d nodes failed; the last: %s", len(srv.Tried), mostNodes, failure))
}

// imageTrouble says why a server's image can not be deployed any more; nil if it can.
func (s *Service) imageTrouble(ctx context.Context, tx db.Tx, srv *Server) (trouble, err error) {
	img, err := s.images.GetTx(ctx, tx, srv.ImageID)
	if fault.Is(err, fault.NotFound) {
		return err, nil
	}
	if err != nil {
		return nil, err
	}
	return s.images.Usable(img), nil
}

// fail puts a server in error. Its ports let go of the NICs that they had.
func (s *Service) fail(ctx context.Context, tx db.Tx, srv *Server, why string) error {
	if err := s.networks.Loosen(ctx, tx, string(srv.ID)); err != nil {
		return err
	}
	srv.State, srv.Fault, srv.FaultAt, srv.UpdatedAt = Failed, why, bun.NullTime{Time: db.Now()}, db.Now()
	if _, err := tx.NewUpdate().Model(srv).Column("state", "fault", "fault_at", "node_id", "tried", "updated_at").WherePK().Exec(ctx); err != nil {
		return err
	}
	return failLast(ctx, tx, srv.ID, "create", why)
}

// buildAgain builds a server on another node.
func (s *Service) buildAgain(ctx context.Context, tx db.Tx, srv *Server) error {
	p, err := s.private(srv)
	if err != nil {
		return err
	}
	f, err := flavor(ctx, tx, "", srv.FlavorID)
	if err != nil {
		return err
	}
	img, err := s.images.GetTx(ctx, tx, srv.ImageID)
	if err != nil {
		return err
	}
	return s.build(ctx, tx, srv, f, img, p)
}

// Undeployed hears from a node that it is off and cut from the tenant's networks for good.
func (s *Service) Undeployed(ctx context.Context, tx db.Tx, owner string, n node.ID, failure string) error {
	srv, err := get(ctx, tx, "", ID(owner))
	if fault.Is(err, fault.NotFound) {
		if failure != "" {
			return nil
		}
		return s.networks.Unbind(ctx, tx, owner)
	}
	if err != nil || srv.NodeID != n {
		return err
	}
	if failure == "" {
		return s.forget(ctx, tx, srv)
	}
	// It stays the tenant's, and in error, until an operator or another delete gets it off.
	srv.State, srv.Deleting, srv.Fault, srv.FaultAt = Failed, false, "the server could not be deleted: "+failure, bun.NullTime{Time: db.Now()}
	if _, err = tx.NewUpdate().Model(srv).Column("state", "deleting", "fault", "fault_at").WherePK().Exec(ctx); err != nil {
		return err
	}
	return failLast(ctx, tx, srv.ID, "delete", failure)
}
