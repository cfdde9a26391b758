package server

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/secret"
)

// Service keeps servers, flavors and key pairs.
type Service struct {
	db       *db.DB
	box      *secret.Box
	nodes    *node.Service
	images   *image.Service
	networks *network.Service
	log      *slog.Logger

	// MediaBase returns the base URL by which BMCs fetch attached images.
	MediaBase func() string
}

// NewService makes the service and makes it the tenant of the nodes.
func NewService(d *db.DB, box *secret.Box, nodes *node.Service, images *image.Service, networks *network.Service, log *slog.Logger) *Service {
	s := &Service{db: d, box: box, nodes: nodes, images: images, networks: networks, log: log}
	nodes.SetTenant(s)
	return s
}

// Delete gives a server up. It is gone when its node is off and cut from its networks.
func (s *Service) Delete(ctx context.Context, project string, id ID) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		srv, err := unlocked(ctx, tx, project, id)
		if err != nil {
			return err
		}
		if srv.Deleting {
			return nil
		}
		if srv.NodeID == "" {
			return s.forget(ctx, tx, srv)
		}
		busy, err := s.rescuing(ctx, srv)
		if err != nil {
			return err
		}
		if srv.State == Building || srv.State == Rebuilding || busy {
			// What comes of the abort is told to Deployed or Rescued, which see that the server is to go.
			if err := s.nodes.Abort(ctx, tx, srv.NodeID, "the tenant deletes the server"); err != nil {
				return err
			}
		} else if err := s.nodes.Undeploy(ctx, tx, srv.NodeID); err != nil {
			return err
		}
		if _, err := tx.NewUpdate().Model(srv).Set("deleting = ?", true).Set("updated_at = ?", db.Now()).WherePK().Exec(ctx); err != nil {
			return err
		}
		return note(ctx, tx, id, "delete")
	})
}

func (s *Service) forget(ctx context.Context, tx db.Tx, srv *Server) error {
	if err := s.networks.Unbind(ctx, tx, string(srv.ID)); err != nil {
		return err
	}
	_, err := tx.NewDelete().Model(srv).WherePK().Exec(ctx)
	return err
}

// pressed are the names of power actions in a server's record of what was asked of it.
var pressed = map[bmc.Action]string{bmc.PowerOn: "start", bmc.PowerOff: "stop", bmc.SoftOff: "stop", bmc.Reset: "reboot"}

// SetPower changes a server's power.
func (s *Service) SetPower(ctx context.Context, project string, id ID, a bmc.Action) error {
	return s.onHardware(ctx, project, id, func(ctx context.Context, tx db.Tx, srv *Server) error {
		if err := s.unrescued(ctx, srv, pressed[a]); err != nil {
			return err
		}
		if err := s.nodes.SetPower(ctx, tx, srv.NodeID, a); err != nil {
			return err
		}
		return note(ctx, tx, id, pressed[a])
	})
}

// Change is what may be changed of a server at any time; nil leaves a field.
type Change struct{ Name, Description, Hostname *string }

// Edit changes a server's name, description or host name. The system that runs on it reads the latter when it is
// deployed or asks for its metadata.
func (s *Service) Edit(ctx context.Context, project string, id ID, c Change) error {
	switch {
	case c.Name != nil && (*c.Name == "" || len(*c.Name) > 255):
		return fault.Field("name", "must have 1 to 255 characters")
	case c.Description != nil && len(*c.Description) > 255:
		return fault.Field("description", "must have at most 255 bytes")
	case c.Hostname != nil:
		if err := checkHostname(*c.Hostname); err != nil {
			return err
		}
	}
	return s.change(ctx, project, id, func(srv *Server) error {
		for field, v := range map[*string]*string{&srv.Name: c.Name, &srv.Description: c.Description, &srv.Hostname: c.Hostname} {
			if v != nil {
				*field = *v
			}
		}
		return nil
	}, "name", "description", "hostname")
}

func checkHostname(name string) error {
	if name != "" && hostname(name) != strings.ToLower(name) {
		return fault.Field("hostname", "must have 1 to 63 letters, digits and inner hyphens")
	}
	return nil
}

// HostName is what the server calls itself.
func (s *Server) HostName() string {
	if s.Hostname != "" {
		return s.Hostname
	}
	return hostname(s.Name)
}

// SetMetadata replaces a server's metadata with what fn makes of it.
func (s *Service) SetMetadata(ctx context.Context, project string, id ID, fn func(m map[string]string) map[string]string) (map[string]string, error) {
	var out map[string]string
	err := s.change(ctx, project, id, func(srv *Server) error {
		if err := srv.free(project); err != nil {
			return err
		}
		m := map[string]string{}
		for k, v := range srv.Metadata {
			m[k] = v
		}
		w := Wanted{Name: "x", Networking: NoNetwork, Metadata: fn(m)}
		if err := w.check(); err != nil {
			return err
		}
		srv.Metadata, out = w.Metadata, w.Metadata
		return s.within(ctx, s.db.Read(), srv.ProjectID, "metadata_items", len(out))
	}, "metadata")
	return out, err
}

// newLabels returns tags in order, each once.
func newLabels(labels []string) (network.Labels, error) {
	out := slices.Compact(slices.Sorted(slices.Values(labels)))
	if len(out) > maxLabels {
		return nil, fault.Field("tags", "at most %d tags", maxLabels)
	}
	for _, l := range out {
		if l == "" || len(l) > maxLabel || strings.ContainsAny(l, ",/") {
			return nil, fault.Field("tags", "%q is no tag: 1 to %d bytes without commas and slashes", l, maxLabel)
		}
	}
	return out, nil
}

// EditLabels lets fn change a server's tags.
func (s *Service) EditLabels(ctx context.Context, project string, id ID, fn func(network.Labels) (network.Labels, error)) (network.Labels, error) {
	var out network.Labels
	err := s.change(ctx, project, id, func(srv *Server) error {
		labels, err := fn(srv.Labels)
		if err != nil {
			return err
		}
		out, err = newLabels(labels)
		srv.Labels = out
		return err
	}, "labels")
	return out, err
}

// Lock keeps others than operators from changing a server until Unlock. by is who locks it.
func (s *Service) Lock(ctx context.Context, project string, id ID, by Locker, why string) error {
	if len(why) > 255 {
		return fault.Field("locked_reason", "must have at most 255 bytes")
	}
	return s.change(ctx, project, id, func(srv *Server) error {
		if srv.LockedBy == ByOperator && by != ByOperator {
			return fault.Errorf(fault.Denied, "an operator locked the server")
		}
		srv.LockedBy, srv.LockedReason = by, why
		return nil
	}, "locked_by", "locked_reason")
}

// Unlock ends what Lock began. What an operator locked only one can unlock.
func (s *Service) Unlock(ctx context.Context, project string, id ID, by Locker) error {
	return s.change(ctx, project, id, func(srv *Server) error {
		if srv.LockedBy == ByOperator && by != ByOperator {
			return fault.Errorf(fault.Denied, "an operator locked the server")
		}
		srv.LockedBy, srv.LockedReason = "", ""
		return nil
	}, "locked_by", "locked_reason")
}

// free reports with a fault that a server is locked for a project; operators, for whom it is "", are not kept out.
func (s *Server) free(project string) error {
	if s.LockedBy != "" && project != "" {
		return fault.Errorf(fault.Conflict, "Instance %s is locked; unlock it first", s.ID)
	}
	return nil
}

// unlocked reads a server that its project may change.
func unlocked(ctx context.Context, q bun.IDB, project string, id ID) (*Server, error) {
	srv, err := get(ctx, q, project, id)
	if err != nil {
		return nil, err
	}
	return srv, srv.free(project)
}

// change lets fn change some columns of a server, one after the other.
func (s *Service) change(ctx context.Context, project string, id ID, fn func(*Server) error, columns ...string) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if _, err := tx.NewRaw("UPDATE server SET id = id WHERE id = ?", id).Exec(ctx); err != nil { // others wait
			return err
		}
		srv, err := get(ctx, tx, project, id)
		if err != nil {
			return err
		}
		if err := fn(srv); err != nil {
			return err
		}
		srv.UpdatedAt = db.Now()
		_, err = tx.NewUpdate().Model(srv).Column(append(columns, "updated_at")...).WherePK().Exec(ctx)
		return err
	})
}

// get reads a server of a project; project "" reads any.
func get(ctx context.Context, q bun.IDB, project string, id ID) (*Server, error) {
	srv := new(Server)
	err := q.NewSelect().Model(srv).Where("id = ?", id).Scan(ctx)
	if db.None(err) || (err == nil && project != "" && srv.ProjectID != project) {
		return nil, fault.Errorf(fault.NotFound, "no server %s", id)
	}
	return srv, fault.Wrap("reading server "+string(id), err)
}

// Get returns a server of a project; project "" reads any.
func (s *Service) Get(ctx context.Context, project string, id ID) (*Server, error) {
	return get(ctx, s.db.Read(), project, id)
}
