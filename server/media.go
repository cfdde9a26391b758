package server

import (
	"context"
	"io"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/secret"
)

// Medium is an image that is attached to a server as a CD.
type Medium struct {
	bun.BaseModel `bun:"table:medium"`

	ServerID  ID     `bun:",pk"`
	ImageID   string `bun:",pk"`
	Token     string // fingerprint of what its URL is known by
	State     string
	CreatedAt time.Time
}

// The states of a medium.
const (
	mediumEntering = "entering"
	mediumIn       = "in"
	mediumLeaving  = "leaving"
)

// In reports whether the server sees the medium.
func (m Medium) In() bool { return m.State == mediumIn }

// Media returns what is attached to a server.
func (s *Service) Media(ctx context.Context, id ID) ([]Medium, error) {
	out := []Medium{}
	err := s.db.Read().NewSelect().Model(&out).Where("server_id = ?", id).OrderExpr("created_at").Scan(ctx)
	return out, fault.Wrap("reading the attached media", err)
}

// Attach has the BMC show an ISO image of the tenant to the server as a CD. One can be attached at a time.
func (s *Service) Attach(ctx context.Context, project string, id ID, imageID string) error {
	img, err := s.images.Get(ctx, project, imageID)
	if err != nil {
		return err
	}
	switch {
	case img.DiskFormat != "iso":
		return fault.E(fault.BadMedia, "the image "+imageID+" is no ISO (its disk format is "+img.DiskFormat+")", nil)
	case img.Status != image.Active:
		return fault.Errorf(fault.Conflict, "the image %s is %s, and must be active", imageID, img.Status)
	}
	return s.onHardware(ctx, project, id, func(ctx context.Context, tx db.Tx, srv *Server) error {
		if n, err := tx.NewSelect().Model((*Medium)(nil)).Where("server_id = ?", id).Count(ctx); err != nil {
			return fault.E(fault.Internal, "counting media", err)
		} else if n > 0 {
			return fault.Errorf(fault.Conflict, "an image is attached already; detach it first")
		}
		token := secret.Token()
		m := &Medium{ServerID: id, ImageID: imageID, Token: secret.Hash(token), State: mediumEntering, CreatedAt: db.Now()}
		if _, err := tx.NewInsert().Model(m).Exec(ctx); err != nil {
			return fault.E(fault.Internal, "recording an attachment", err)
		}
		// The name ends in .iso: Fujitsu's iRMC chooses the drive by it.
		url := s.MediaBase() + "/media/" + token + "/image.iso"
		_, err := s.nodes.Ask(ctx, tx, srv.NodeID, node.Deed{Do: node.InsertMedia, Medium: bmc.CD, URL: url})
		return err
	})
}

// Detach takes an image out of the server's drive again.
func (s *Service) Detach(ctx context.Context, project string, id ID, imageID string) error {
	return s.onHardware(ctx, project, id, func(ctx context.Context, tx db.Tx, srv *Server) error {
		res, err := tx.NewUpdate().Model((*Medium)(nil)).Set("state = ?", mediumLeaving).Where("server_id = ?", id).Where("image_id = ?", imageID).Exec(ctx)
		if err != nil {
			return fault.E(fault.Internal, "recording a detachment", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return fault.Errorf(fault.NotFound, "the image %s is not attached to the server", imageID)
		}
		_, err = s.nodes.Ask(ctx, tx, srv.NodeID, node.Deed{Do: node.EjectMedia})
		return err
	})
}

// mediumMoved records what became of an attachment or a detachment.
func (s *Service) mediumMoved(ctx context.Context, tx db.Tx, srv *Server, w node.Deed, failure string) error {
	var err error
	switch {
	case w.Do == node.InsertMedia && failure == "":
		_, err = tx.NewUpdate().Model((*Medium)(nil)).Set("state = ?", mediumIn).Where("server_id = ?", srv.ID).Exec(ctx)
	case w.Do == node.EjectMedia && failure != "":
		_, err = tx.NewUpdate().Model((*Medium)(nil)).Set("state = ?", mediumIn).Where("server_id = ?", srv.ID).Exec(ctx)
	default:
		_, err = tx.NewDelete().Model((*Medium)(nil)).Where("server_id = ?", srv.ID).Exec(ctx)
	}
	return fault.Wrap("recording what became of an attachment", err)
}

// MediumData opens the image behind a URL that a BMC was given. The token is the permission.
func (s *Service) MediumData(ctx context.Context, token string) (io.ReadSeekCloser, error) {
	var m Medium
	err := s.db.Read().NewSelect().Model(&m).Where("token = ?", secret.Hash(token)).Scan(ctx)
	if db.None(err) {
		return nil, fault.Errorf(fault.NotFound, "there is no such medium")
	}
	if err != nil {
		return nil, fault.E(fault.Internal, "looking for a medium", err)
	}
	img, err := s.images.Get(ctx, "", m.ImageID)
	if err != nil {
		return nil, err
	}
	return s.images.Data("", img)
}
