package server

import (
	"context"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/secret"
)

// Rescue boots the rescue system on a server, and returns the password by which it is entered: the given one, or a random
// one. What is on its disks stays as it is. A server whose rescue failed can be rescued again.
func (s *Service) Rescue(ctx context.Context, project string, id ID, password string) (string, error) {
	if password == "" {
		password = secret.Token()[:16]
	}
	err := s.onHardware(ctx, project, id, func(ctx context.Context, tx db.Tx, srv *Server) error {
		n, err := s.nodes.Get(ctx, string(srv.NodeID))
		if err != nil {
			return err
		}
		if n.State == node.Rescue {
			return fault.Errorf(fault.Conflict, "Cannot 'rescue' instance %s while it is in vm_state rescued", id)
		}
		if err := s.nodes.RescueTx(ctx, tx, srv.NodeID, password); err != nil {
			return err
		}
		return note(ctx, tx, id, "rescue")
	})
	return password, err
}

// Unrescue boots what is on the server's disk again.
func (s *Service) Unrescue(ctx context.Context, project string, id ID) error {
	return s.onHardware(ctx, project, id, func(ctx context.Context, tx db.Tx, srv *Server) error {
		if err := s.nodes.UnrescueTx(ctx, tx, srv.NodeID); err != nil {
			return err
		}
		return note(ctx, tx, id, "unrescue")
	})
}

// unrescued says with a fault that a server is in the rescue system, or on its way there or back: what is not to be done then.
func (s *Service) unrescued(ctx context.Context, srv *Server, doing string) error {
	n, err := s.nodes.Get(ctx, string(srv.NodeID))
	if err != nil {
		return err
	}
	if n.State == node.Rescue || n.Astray() {
		return fault.Errorf(fault.Conflict, "Cannot '%s' instance %s while it is in vm_state rescued; unrescue it first", doing, srv.ID)
	}
	return nil
}

// rescuing reports whether a server is on its way into the rescue system or out of it.
func (s *Service) rescuing(ctx context.Context, srv *Server) (bool, error) {
	n, err := s.nodes.Get(ctx, string(srv.NodeID))
	if err != nil {
		return false, err
	}
	return (n.State == node.Rescuing || n.State == node.Unrescuing) && !n.Astray(), nil
}

// Rescued hears from a node that it is in the rescue system, or out of it.
func (s *Service) Rescued(ctx context.Context, tx db.Tx, owner string, n node.ID, failure string) error {
	srv, err := get(ctx, tx, "", ID(owner))
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil || srv.NodeID != n {
		return err
	}
	if srv.Deleting {
		return s.nodes.Undeploy(ctx, tx, n)
	}
	srv.UpdatedAt = db.Now()
	if _, err := tx.NewUpdate().Model(srv).Column("updated_at").WherePK().Exec(ctx); err != nil || failure == "" {
		return err
	}
	at, err := s.nodes.Get(ctx, string(n))
	if err != nil {
		return err
	}
	return failLast(ctx, tx, srv.ID, map[bool]string{true: "unrescue", false: "rescue"}[at.State == node.Unrescuing], failure)
}
