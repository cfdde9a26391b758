package node

import (
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
)

// TestOffIsDenied has power draw and link cast doubt on a server that is off together only: each alone is wrong on some servers.
func TestOffIsDenied(t *testing.T) {
	for _, c := range []struct {
		p      bmc.Power
		watts  float64
		linked bool
		want   bool
	}{
		{bmc.Off, 180, true, true}, {bmc.Off, 180, false, false}, {bmc.Off, 20, true, false}, {bmc.On, 180, true, false}, {bmc.Unknown, 180, true, false},
	} {
		if got := offIsDenied(c.p, c.watts, c.linked); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
