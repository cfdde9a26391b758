package vswitch

import (
	"context"
	"time"
)

// announceEvery is shorter than the standard's 30 s, so that an agent that listens for a few seconds
// hears its neighbour.
const announceEvery = 3 * time.Second

func (s *Switch) announceUntil(ctx context.Context) {
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
