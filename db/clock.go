package db

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// Hosts' clocks differ, by minutes where nobody looks after them. Records are read by other hosts than those that wrote them, so
// all keep to the clock of the database: a host's own, corrected.
var (
	clock  = time.Now
	behind atomic.Int64 // by how much this host's clock is behind the database's, in nanoseconds
)

// Now is the time that records carry, by the database's clock: UTC, in microseconds, which both engines keep.
func Now() time.Time {
	return clock().Add(time.Duration(behind.Load())).UTC().Truncate(time.Microsecond)
}

// Since is how long ago a time is that a record carries.
func Since(t time.Time) time.Duration { return Now().Sub(t) }

// SetClock gives this process another clock than the host's: tests have hosts whose clocks are wrong.
func SetClock(now func() time.Time) { clock = now }

// How often the clocks are compared, and what difference is let be: less than what a slow answer looks like.
const (
	clockEvery = 10 * time.Second
	clockSlack = 500 * time.Millisecond
	clockTold  = 2 * time.Second
)

// syncClock compares this host's clock with the database's.
func (d *DB) syncClock(ctx context.Context) error {
	if !d.Postgres() {
		return nil // it is the host's
	}
	ctx, cancel := context.WithTimeout(ctx, clockEvery)
	defer cancel()
	var theirs time.Time
	begun := clock()
	if err := d.pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&theirs); err != nil {
		return fault.E(fault.Unavailable, "reading the database's clock", err)
	}
	took := clock().Sub(begun)
	difference := theirs.Sub(begun.Add(took / 2))
	if change := difference - time.Duration(behind.Load()); change.Abs() > clockSlack+took {
		behind.Store(int64(difference))
	}
	return nil
}

// KeepTime keeps Now to the database's clock until ctx ends, and tells when the host's is far from it.
func (d *DB) KeepTime(ctx context.Context, log *slog.Logger) error {
	t := time.NewTicker(clockEvery)
	defer t.Stop()
	for told := time.Duration(0); ; {
		if err := d.syncClock(ctx); err != nil && ctx.Err() == nil {
			log.Debug("the clocks were not compared", "error", err)
		}
		if now := time.Duration(behind.Load()); (now - told).Abs() > clockTold {
			log.Warn("this host's clock differs from the database's, which is kept to; set it right", "behind", now.Round(time.Millisecond))
			told = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}
