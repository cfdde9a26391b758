package scci

import (
	"context"
	"net/url"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
)

// The values of the configuration space for the remote CD image (numbers as in Fujitsu's Ansible modules).
const (
	cdServer    = "1A60"
	cdUser      = "1A61"
	cdPassword  = "1A62"
	cdDomain    = "1A63"
	cdShareKind = "1A64" // 0 NFS, 1 CIFS
	cdShare     = "1A65"
	cdImage     = "1A66"
	cdNumber    = "1A68"
	mediaOn     = "1A80"
	cdSlot      = "CD"
)

// Media reads the remote CD from the configuration space, which holds what is to be connected. Whether a connection
// stands is not told: it may break without a word.
func (d *driver) Media(ctx context.Context) ([]bmc.Slot, error) {
	v, err := d.values(ctx, "reading the remote image", 0, cdServer, cdShareKind, cdShare, cdImage)
	if err != nil {
		return nil, err
	}
	s := bmc.Slot{ID: cdSlot, Media: []bmc.Medium{bmc.CD}, Inserted: v[cdServer] != "" && v[cdImage] != ""}
	if s.Inserted {
		scheme := "nfs"
		if v[cdShareKind] == "1" {
			scheme = "cifs"
		}
		s.Image = scheme + "://" + v[cdServer] + "/" + strings.Trim(v[cdShare], "/") + "/" + v[cdImage]
	}
	return []bmc.Slot{s}, nil
}

// Insert connects an image of an NFS or CIFS share: nfs://server/share/image.iso, cifs://domain;user:password@server/share/image.iso.
func (d *driver) Insert(ctx context.Context, m bmc.Medium, image string) (string, error) {
	u, err := url.Parse(image)
	if err != nil || m != bmc.CD || (u.Scheme != "nfs" && u.Scheme != "cifs" && u.Scheme != "smb") {
		return "", bmc.Fail(bmc.Failure{Class: bmc.Refused}, "an iRMC of this age takes CD images from nfs and cifs shares, not a %s by http", m)
	}
	at := strings.LastIndexByte(u.Path, '/')
	if at < 1 || u.Host == "" || at == len(u.Path)-1 {
		return "", bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the image's URL names no server, share and file")
	}
	kind, share := "0", u.Path[:at]
	if u.Scheme != "nfs" {
		kind, share = "1", strings.Trim(share, "/")
	}
	slots, err := d.Media(ctx)
	if err != nil {
		return "", err
	}
	if slots[0].Inserted {
		if err := d.Eject(ctx, cdSlot); err != nil {
			return "", err
		}
	}
	user, domain := u.User.Username(), ""
	if before, after, ok := strings.Cut(user, ";"); ok {
		domain, user = before, after
	}
	password, _ := u.User.Password()
	d.client.Hide(password)
	err = d.write(ctx, "setting the remote image", put(mediaOn, 0, "1"), put(cdNumber, 0, "1"), put(cdServer, 0, u.Host), put(cdDomain, 0, domain),
		put(cdShareKind, 0, kind), put(cdShare, 0, share), put(cdImage, 0, u.Path[at+1:]), put(cdUser, 0, user), put(cdPassword, 0, password))
	if err != nil {
		return "", err
	}
	if err := d.connect(ctx, "1"); err != nil {
		return "", err
	}
	return cdSlot, d.settle(ctx, "the remote image", func() (bool, error) {
		now, err := d.Media(ctx)
		return err == nil && now[0].Inserted, err
	})
}

func (d *driver) connect(ctx context.Context, on string) error {
	_, err := d.exec(ctx, "connecting the remote image", command{code: "ConnectRemoteCdImage", value: "0", set: true, data: on, kind: "integer"})
	return err
}

// Eject disconnects the image and forgets it. An iRMC without an image calls the disconnection an error, so it is looked first.
func (d *driver) Eject(ctx context.Context, slot string) error {
	if slot != "" && slot != cdSlot {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "SCCI has the slot %s, and no %q", cdSlot, slot)
	}
	now, err := d.Media(ctx)
	if err != nil || !now[0].Inserted {
		return err
	}
	if err := d.connect(ctx, "0"); err != nil {
		return err
	}
	if err := d.write(ctx, "forgetting the remote image", put(cdServer, 0, ""), put(cdShare, 0, ""), put(cdImage, 0, ""), put(cdUser, 0, ""), put(cdPassword, 0, "")); err != nil {
		return err
	}
	return d.settle(ctx, "no remote image", func() (bool, error) {
		now, err := d.Media(ctx)
		return err == nil && !now[0].Inserted, err
	})
}
