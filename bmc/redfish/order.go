package redfish

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
)

// option takes an item of the boot order apart: NVIDIA's Vera Rubin writes "Boot0019: Ubuntu".
func option(item text) (ref, label string) {
	ref, label, _ = strings.Cut(string(item), ":")
	return ref, label
}

func (b *bootDoc) order() []string {
	if b == nil {
		return nil
	}
	var out []string
	for _, item := range b.Order {
		ref, _ := option(item)
		out = append(out, ref)
	}
	return out
}

// BootOrder reads the boot order; the pending one where it waits in a settings resource.
func (d *Driver) BootOrder(ctx context.Context) ([]string, error) {
	s, _, err := d.read(ctx)
	if err != nil {
		return nil, err
	}
	now := s.Boot.order()
	if len(now) == 0 {
		return nil, lacks("boot order")
	}
	if _, err := d.know(ctx); err != nil {
		return nil, err
	}
	pending, err := d.orderAt(ctx, d.bootPath(s))
	if err != nil || len(pending) == 0 {
		return now, err
	}
	return pending, nil
}

// orderAt reads the order that a settings resource holds; none when it has none, or is the system itself.
func (d *Driver) orderAt(ctx context.Context, at link) ([]string, error) {
	if at == link(d.system) {
		return nil, nil
	}
	var doc struct{ Boot *bootDoc }
	if _, err := d.fetch(ctx, request{method: http.MethodGet, path: string(at)}, &doc); err != nil && !absent(err) {
		return nil, err
	}
	return doc.Boot.order(), nil
}

// SetBootOrder changes the boot order; what it was before a lasting device is worth nothing any more.
func (d *Driver) SetBootOrder(ctx context.Context, order []string) error {
	now, err := d.BootOrder(ctx)
	if err != nil {
		return err
	}
	want, err := bmc.Ordered(now, order)
	if err != nil {
		return err
	}
	d.access.Memory.Set(orderFact, "")
	d.access.Memory.Set(beforeFact, "")
	if slices.Equal(now, want) {
		return nil
	}
	s, _, err := d.read(ctx)
	if err != nil {
		return err
	}
	return d.reorder(ctx, s, want)
}

// reorder writes the boot order and reads it back. It is sent whole: HPE refuses a part of it. Options that are not
// shown any more do not matter.
func (d *Driver) reorder(ctx context.Context, s system, order []string) error {
	return d.bootAt(ctx, s, func(at link) error {
		_, err := d.patch(ctx, "setting the boot order", at, "boot", map[string]any{"Boot": map[string]any{"BootOrder": order}})
		if err != nil {
			return err
		}
		return d.orderShows(ctx, at, order)
	})
}

// orderShows reads the boot order back, from the system and from the resource that took it.
func (d *Driver) orderShows(ctx context.Context, at link, order []string) error {
	var got []string
	ok, err := d.settles(ctx, func() (bool, error) {
		now, _, err := d.read(ctx)
		if err != nil {
			return false, err
		}
		if got = now.Boot.order(); follows(got, order) {
			return true, nil
		}
		pending, err := d.orderAt(ctx, at)
		return follows(pending, order), err
	})
	if err == nil && !ok {
		return untrue("the boot order", order, got)
	}
	return err
}

// follows reports whether the options that are shown are in the order that is wanted.
func follows(shown, want []string) bool {
	all, err := bmc.Ordered(shown, want)
	return err == nil && slices.Equal(all, shown)
}
