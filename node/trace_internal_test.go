package node

import (
	"slices"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc/record"
)

// TestMerged puts what several processes told in order, once each.
func TestMerged(t *testing.T) {
	at := time.Unix(1000, 0)
	a := record.Exchange{At: at, Took: 1, Path: "/a"}
	b := record.Exchange{At: at, Took: 1, Path: "/b"}
	c := record.Exchange{At: at.Add(time.Second), Took: 1, Path: "/a"}
	var paths []string
	for _, e := range merged([]record.Exchange{c, a, b, a, c}) {
		paths = append(paths, e.Path)
	}
	if want := []string{"/a", "/b", "/a"}; !slices.Equal(paths, want) {
		t.Errorf("got %v, want %v", paths, want)
	}
}
