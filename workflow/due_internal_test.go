package workflow

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hagane-cloud/hagane/db"
)

// TestDue asks often, and hears yes when a job has become due, once, and at the latest after askAnyway.
func TestDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d due
		began := db.Now()
		d.add(began.Add(300 * time.Millisecond))
		d.add(began.Add(100 * time.Millisecond))
		d.add(began.Add(100 * time.Millisecond))
		var asked []time.Duration
		for range 120 {
			if d.ask() {
				asked = append(asked, db.Now().Sub(began))
			}
			time.Sleep(10 * time.Millisecond)
		}
		want := []time.Duration{0, 110, 310, 810}
		if len(asked) != len(want) {
			t.Fatalf("asked after %v, want %v ms", asked, want)
		}
		for i, w := range want {
			if asked[i] != w*time.Millisecond {
				t.Errorf("asked after %v, want %v ms", asked, want)
			}
		}
	})
}
