package workflow

import (
	"context"
	"errors"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// LeaseTime is how long a lease lives without renewal. A dead conductor's runs go on elsewhere after
// it; the conductor renews at a third of it, so that one lost renewal does no harm.
const LeaseTime = 12 * time.Second

// ErrLost says that a lease passed to another conductor.
var ErrLost = errors.New("another conductor has taken over")

// Holder is who asks for leases: one process.
type Holder string

// Lease is the right to work on a subject. Its fence grows with every change of hands.
type Lease struct {
	Subject string
	Owner   Holder
	Fence   int64
}

// acquire takes the lease of subject, unless somebody else holds it.
func (e *Engine) acquire(ctx context.Context, subject string, h Holder) (Lease, bool, error) {
	l := Lease{Subject: subject, Owner: h}
	now := e.db.NowMillis()
	var fences []int64
	err := e.db.Tx(ctx, func(ctx context.Context, tx Tx) error {
		fences = nil
		return tx.NewRaw(`INSERT INTO lease (subject, owner, fence, expires) VALUES (?, ?, 1, `+now+` + ?)
			ON CONFLICT (subject) DO UPDATE SET owner = EXCLUDED.owner, fence = lease.fence + 1, expires = EXCLUDED.expires
			WHERE lease.expires < `+now+` RETURNING fence`, subject, h, LeaseTime.Milliseconds()).Scan(ctx, &fences)
	})
	if err != nil {
		return l, false, fault.E(fault.Unavailable, "taking the lease of "+subject, err)
	}
	if len(fences) == 0 {
		return l, false, nil
	}
	l.Fence = fences[0]
	return l, true, nil
}

// prove renews the lease in tx, or returns ErrLost.
func (e *Engine) prove(ctx context.Context, tx Tx, l Lease) error {
	now := e.db.NowMillis()
	res, err := tx.NewRaw(`UPDATE lease SET expires = `+now+` + ? WHERE subject = ? AND owner = ? AND fence = ? AND expires >= `+now,
		LeaseTime.Milliseconds(), l.Subject, l.Owner, l.Fence).Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return fault.E(fault.Unavailable, "the lease of "+l.Subject, errors.Join(ErrLost, err))
	}
	return nil
}

// release gives a lease back. Nothing is lost if that fails: it runs out.
func (e *Engine) release(l Lease) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := e.db.Tx(ctx, func(ctx context.Context, tx Tx) error {
		_, err := tx.NewRaw("UPDATE lease SET expires = 0 WHERE subject = ? AND owner = ? AND fence = ?", l.Subject, l.Owner, l.Fence).Exec(ctx)
		return err
	})
	if err != nil {
		e.log.Warn("a lease was not given back and runs out instead", "subject", l.Subject, "error", err)
	}
}

// Renew renews all leases of a holder that have not run out, and reports it alive.
func (e *Engine) Renew(ctx context.Context, h Holder) error {
	now := e.db.NowMillis()
	return e.db.Tx(ctx, func(ctx context.Context, tx Tx) error {
		_, err := tx.NewRaw(`UPDATE lease SET expires = `+now+` + ? WHERE owner = ? AND expires >= `+now, LeaseTime.Milliseconds(), h).Exec(ctx)
		return err
	})
}

// Evict ends all leases at once. Only a process that knows itself to be alone on the database may call it, at its start.
func (e *Engine) Evict(ctx context.Context) error {
	return e.db.Tx(ctx, func(ctx context.Context, tx Tx) error {
		_, err := tx.NewRaw("UPDATE lease SET expires = 0").Exec(ctx)
		return err
	})
}

// WithLease runs fn while holding the lease of subject, for short work outside of runs; it reports
// false when somebody else holds it.
func (e *Engine) WithLease(ctx context.Context, subject string, h Holder, fn func(ctx context.Context) error) (bool, error) {
	l, ok, err := e.acquire(ctx, subject, h)
	if err != nil || !ok {
		return false, err
	}
	defer e.release(l)
	return true, fn(ctx)
}

// orphanAge is how long past its time a run may be before someone looks whether anybody cares for it.
const orphanAge = 3 * time.Second

// Adopt enqueues the live runs that are past their time and that nobody is at work on: their
// conductor died, or their job was lost. It returns how many.
func (e *Engine) Adopt(ctx context.Context) (int, error) {
	n := 0
	err := e.db.Tx(ctx, func(ctx context.Context, tx Tx) error {
		n = 0
		now := e.now()
		var runs []Run
		err := tx.NewSelect().Model(&runs).Where("ended_at IS NULL").Where("phase <> ?", Held).
			Where("wake_at < ?", now.Add(-orphanAge)).
			Where("NOT EXISTS (SELECT 1 FROM lease WHERE lease.subject = run.subject AND lease.expires >= " + e.db.NowMillis() + ")").
			OrderExpr("wake_at").Limit(200).Scan(ctx)
		if err != nil {
			return err
		}
		for _, r := range runs {
			job, err := e.queue.Insert(ctx, tx, r.ID, now)
			if err != nil {
				return err
			}
			_, err = tx.NewUpdate().Model((*Run)(nil)).Set("job_id = ?", job).Set("wake_at = ?", now).Where("id = ?", r.ID).Exec(ctx)
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		return 0, fault.E(fault.Unavailable, "looking for runs without an owner", err)
	}
	return n, nil
}
