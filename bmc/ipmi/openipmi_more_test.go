package ipmi

import (
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
)

// A BMC that we did not write knows some of the capabilities, and says properly that it lacks the others.
func TestCapabilitiesWithOpenIPMI(t *testing.T) {
	t.Parallel()
	o := startOpenIPMI(t)
	a := o.access()
	a.Pace = quick
	d := drive(t, a)
	ctx := t.Context()
	all, err := d.Events(ctx, 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) > 0 {
		if err := d.ClearEvents(ctx); err != nil {
			t.Error(err)
		}
	}
	if err := d.ClearEvents(ctx); err != nil {
		t.Errorf("clearing an empty log: %v", err)
	}
	users, err := d.Accounts(ctx)
	if err != nil || len(users) != 1 || users[0].Name != openIPMIUser || users[0].Role != "Administrator" {
		t.Errorf("%+v, %v", users, err)
	}
	if w, ok := d.dcmiPower(ctx); ok {
		t.Errorf("DCMI of a BMC without it: %v W", w)
	}
	if c, err := d.Console(ctx); err == nil {
		_ = c.Close()
		t.Error("a console of a BMC without one")
	} else if bmc.ClassOf(err) == "" {
		t.Errorf("an error without a class: %v", err)
	}
	offers, err := d.Probe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, offer := range offers {
		if offer.Capability == bmc.CanEvents && !offer.Works {
			t.Errorf("%+v", offer)
		}
	}
}
