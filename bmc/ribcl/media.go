package ribcl

import (
	"context"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
)

func (d *driver) slot(ctx context.Context, id string) (bmc.Slot, error) {
	c := rib("GET_VM_STATUS", "DEVICE", id)
	r, err := d.do(ctx, c)
	if err != nil {
		return bmc.Slot{}, err
	}
	e, err := r.need(c, "GET_VM_STATUS")
	if err != nil {
		return bmc.Slot{}, err
	}
	s := bmc.Slot{ID: id, Media: []bmc.Medium{bmc.CD}, Inserted: strings.EqualFold(e.Attr("IMAGE_INSERTED"), "YES"), Image: e.Attr("IMAGE_URL")}
	if id == floppySlot {
		s.Media = []bmc.Medium{bmc.USB}
	}
	return s, nil
}

func (d *driver) Media(ctx context.Context) ([]bmc.Slot, error) {
	var out []bmc.Slot
	for _, id := range []string{cdSlot, floppySlot} {
		s, err := d.slot(ctx, id)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Insert puts an image into the slot of its kind and connects it to the server; the one does not imply the other.
func (d *driver) Insert(ctx context.Context, m bmc.Medium, url string) (string, error) {
	id, ok := map[bmc.Medium]string{bmc.CD: cdSlot, bmc.USB: floppySlot}[m]
	if !ok || (!strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://")) {
		return "", bmc.Fail(bmc.Failure{Class: bmc.Refused}, "an iLO takes images of kind cd or usb from http or https URLs; this is a %s from %q", m, url)
	}
	now, err := d.slot(ctx, id)
	if err != nil {
		return "", err
	}
	if now.Inserted && now.Image != url {
		if err := d.Eject(ctx, id); err != nil {
			return "", err
		}
		now.Inserted = false
	}
	if !now.Inserted {
		if _, err := d.do(ctx, rib("INSERT_VIRTUAL_MEDIA", "DEVICE", id, "IMAGE_URL", url).change("")); err != nil {
			return "", err
		}
	}
	if _, err := d.do(ctx, rib("SET_VM_STATUS", "DEVICE", id).change(value("VM_BOOT_OPTION", "CONNECT")+value("VM_WRITE_PROTECT", "YES"))); err != nil {
		return "", err
	}
	return id, d.settle(ctx, "the image in "+id, func() (bool, error) {
		s, err := d.slot(ctx, id)
		return s.Inserted && (s.Image == "" || s.Image == url), err
	})
}

// Eject looks first: an iLO reports the ejection of nothing as an error.
func (d *driver) Eject(ctx context.Context, slot string) error {
	ids := []string{slot}
	switch slot {
	case "":
		ids = []string{cdSlot, floppySlot}
	case cdSlot, floppySlot:
	default:
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "an iLO has the slots %s and %s, and no %q", cdSlot, floppySlot, slot)
	}
	for _, id := range ids {
		now, err := d.slot(ctx, id)
		if err != nil {
			return err
		}
		if !now.Inserted {
			continue
		}
		if _, err := d.do(ctx, rib("EJECT_VIRTUAL_MEDIA", "DEVICE", id).change("")); err != nil {
			return err
		}
		if err := d.settle(ctx, id+" empty", func() (bool, error) {
			s, err := d.slot(ctx, id)
			return !s.Inserted, err
		}); err != nil {
			return err
		}
	}
	return nil
}
