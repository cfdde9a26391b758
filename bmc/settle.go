package bmc

import (
	"context"
	"time"
)

// Wait waits; it reports false when ctx ended first.
func Wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Await is Wait for those who explain it: a fault of class Unreachable when ctx ended first. who names the BMC to people.
func Await(ctx context.Context, who string, d time.Duration) error {
	if Wait(ctx, d) {
		return nil
	}
	return Fail(Failure{Class: Unreachable, Err: ctx.Err()}, "waiting for %s", who)
}

// Settled looks until ok, as changes take moments to show, and returns a fault of class Untrue when what never shows.
func (p Pace) Settled(ctx context.Context, who, what string, ok func() (bool, error)) error {
	deadline := time.Now().Add(p.Settle)
	for {
		done, err := ok()
		if done || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return Fail(Failure{Class: Untrue}, "%s accepted it, but reading back does not show %s after %s", who, what, p.Settle)
		}
		if err := Await(ctx, who, p.Look); err != nil {
			return err
		}
	}
}
