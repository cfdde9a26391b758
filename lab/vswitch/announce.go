package vswitch

import (
	"context"
	"time"
)

// announceEvery is much shorter than the standard's 30 s, so that an agent hears its neighbour soon.
const announceEvery = time.Second

// AnnounceUntil announces the switch to its neighbours again and again until ctx ends.
func (s *Switch) AnnounceUntil(ctx context.Context) {
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.Announce()
		}
	}
}
