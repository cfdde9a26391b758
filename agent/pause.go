package agent

import (
	"context"
	"math/rand/v2"
	"time"
)

// pause waits before the next try: twice as long as before the last one, up to 16 times first, with
// full jitter so that a rack of machines does not call in step. It ends early when early is ready.
func pause(ctx context.Context, first time.Duration, try int, early <-chan struct{}) error {
	longest := first << min(try, 4)
	return wait(ctx, first/2+rand.N(longest), early)
}

// wait waits for d, or until early is ready; it returns ctx's error when ctx ends.
func wait(ctx context.Context, d time.Duration, early <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-early:
	case <-timer.C:
	}
	return ctx.Err()
}
