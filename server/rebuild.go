package server

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/secret"
)

// Anew says how a server is to be deployed anew; what is nil stays as it is.
type Anew struct {
	ImageID                     string
	Name, Description, Hostname *string
	KeyName                     *string // "" takes the key away
	Metadata                    map[string]string
	UserData                    *[]byte
	Personality                 []File
	AdminPass                   string // random when empty
}

// Rebuild writes an image to a server's disk anew, on the node that it has: what was on the disk is lost. It returns the
// server and the administrator's password. When it fails the server is in error, and another rebuild may cure it.
func (s *Service) Rebuild(ctx context.Context, project, user string, id ID, a Anew) (*Server, string, error) {
	srv, err := s.Get(ctx, project, id)
	if err != nil {
		return nil, "", err
	}
	img, err := s.images.Get(ctx, srv.ProjectID, a.ImageID)
	if err != nil {
		return nil, "", err
	}
	if err := s.images.Usable(img); err != nil {
		return nil, "", err
	}
	if err := s.checkLayout(srv.Layout, img); err != nil {
		return nil, "", err
	}
	key := ""
	if a.KeyName != nil && *a.KeyName != "" {
		if key, err = s.publicKey(ctx, srv.ProjectID, user, *a.KeyName); err != nil {
			return nil, "", err
		}
	}
	if a.AdminPass == "" {
		a.AdminPass = secret.Token()[:16]
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if srv, err = unlocked(ctx, tx, project, id); err != nil {
			return err
		}
		if srv.Deleting || srv.NodeID == "" || (srv.State != Active && srv.State != Failed) {
			return fault.Errorf(fault.Conflict, "Cannot 'rebuild' instance %s: it is %s; a server that is active, or in error on a node of its own, can be rebuilt", id, srv.State)
		}
		p, err := s.private(srv)
		if err != nil {
			return err
		}
		if a.KeyName != nil {
			p.PublicKey = key
		}
		return s.redeploy(ctx, tx, srv, img, a, p)
	})
	return srv, a.AdminPass, err
}

// renew puts what is wanted anew into a server and what of it is sealed, and checks it.
func (a Anew) renew(srv *Server, p *Private) error {
	for _, f := range []struct{ to, given *string }{{&srv.Name, a.Name}, {&srv.Description, a.Description}, {&srv.Hostname, a.Hostname}, {&srv.KeyName, a.KeyName}} {
		if f.given != nil {
			*f.to = *f.given
		}
	}
	if a.Metadata != nil {
		srv.Metadata = a.Metadata
	}
	if a.UserData != nil {
		p.UserData = *a.UserData
	}
	if a.Personality != nil {
		p.Personality = a.Personality
	}
	p.AdminPass = a.AdminPass
	w := Wanted{Name: srv.Name, Networking: NoNetwork, Metadata: srv.Metadata, UserData: p.UserData, Personality: p.Personality, AdminPass: p.AdminPass,
		Description: srv.Description, Hostname: srv.Hostname}
	return w.check()
}

// redeploy starts to deploy a server anew, in the caller's transaction.
func (s *Service) redeploy(ctx context.Context, tx db.Tx, srv *Server, img image.Image, a Anew, p Private) error {
	if err := a.renew(srv, &p); err != nil {
		return err
	}
	if err := s.within(ctx, tx, srv.ProjectID, "metadata_items", len(srv.Metadata)); err != nil {
		return err
	}
	var err error
	if srv.Sealed, err = s.seal(srv.ID, p); err != nil {
		return err
	}
	n, err := s.nodes.Get(ctx, string(srv.NodeID))
	if err != nil {
		return err
	}
	ports, err := s.nodes.PortsTx(ctx, tx, srv.NodeID)
	if err != nil {
		return err
	}
	links, nets, err := s.bind(ctx, tx, srv, ports)
	if err != nil {
		return err
	}
	files, err := configDrive(srv, p, nets, n.Zone)
	if err != nil {
		return err
	}
	d := node.Deployment{ImageID: img.ID, Image: node.Image{SHA512: img.RawSHA512, Size: img.RawSize}, Links: links, Layout: srv.Layout, Tenant: string(srv.ProjectID)}
	if err := s.nodes.Redeploy(ctx, tx, srv.NodeID, string(srv.ID), d, files); err != nil {
		return err
	}
	srv.State, srv.ImageID, srv.Fault, srv.FaultAt, srv.UpdatedAt = Rebuilding, img.ID, "", bun.NullTime{}, db.Now()
	_, err = tx.NewUpdate().Model(srv).Column("state", "image_id", "fault", "fault_at", "updated_at", "name", "description", "hostname", "key_name", "metadata",
		"sealed").WherePK().Exec(ctx)
	if err != nil {
		return err
	}
	return note(ctx, tx, srv.ID, "rebuild")
}

// rebuilt records that a rebuild failed. The server stays on its node: its tenant asked for that one's disk to be written.
func (s *Service) rebuilt(ctx context.Context, tx db.Tx, srv *Server, failure string) error {
	srv.State, srv.Fault, srv.FaultAt, srv.UpdatedAt = Failed, fmt.Sprintf("the server could not be rebuilt: %s", failure), bun.NullTime{Time: db.Now()}, db.Now()
	if _, err := tx.NewUpdate().Model(srv).Column("state", "fault", "fault_at", "updated_at").WherePK().Exec(ctx); err != nil {
		return err
	}
	return failLast(ctx, tx, srv.ID, "rebuild", srv.Fault)
}
