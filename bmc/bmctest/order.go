package bmctest

import (
	"slices"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
)

func order(t *testing.T, g Target) {
	_, c := capable(t, g, bmc.CanOrder, func(c bmc.OrderControl) error { _, err := c.BootOrder(t.Context()); return err })
	read := func() []string {
		t.Helper()
		now, err := c.BootOrder(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	was := read()
	if len(was) < 2 {
		t.Fatalf("there is nothing to order: %v", was)
	}
	other := slices.Clone(was)
	slices.Reverse(other)
	for _, want := range [][]string{other, other, was} {
		if err := c.SetBootOrder(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if now := read(); !slices.Equal(now, want) {
			t.Fatalf("set %v, got %v", want, now)
		}
	}
	// A list from another day names what is gone, and lacks what came.
	last := was[len(was)-1]
	if err := c.SetBootOrder(t.Context(), []string{"gone", last}); err != nil {
		t.Fatal(err)
	}
	if now, want := read(), append([]string{last}, was[:len(was)-1]...); !slices.Equal(now, want) {
		t.Errorf("%s first: got %v, want %v", last, now, want)
	}
	if class := bmc.ClassOf(c.SetBootOrder(t.Context(), []string{"gone"})); class != bmc.Refused {
		t.Errorf("an order of nothing that there is: class %q", class)
	}
}
