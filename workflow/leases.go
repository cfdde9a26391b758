package workflow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// together is how long those whose work under a batch of leases is done wait for others, so that all give back at once.
const together = 250 * time.Millisecond

// Errand is short work on many subjects.
type Errand struct {
	Read   func(ctx context.Context, subjects []string) error        // what is known of those whose leases were had
	Do     func(ctx context.Context, subject string)                 // the work on one; what it changes proves its lease, as always
	Record func(ctx context.Context, tx Tx, subjects []string) error // of some whose work has ended, in the transaction that gives their leases back
}

// WithLeases does an errand on those of the subjects whose leases nobody else holds, on all at the same time. The leases are taken in one
// transaction, and given back in one for all whose work ends about the same time: that costs a small part of WithLease for each.
func (e *Engine) WithLeases(ctx context.Context, h Holder, subjects []string, w Errand) error {
	leases, err := e.acquireAll(ctx, h, subjects)
	if err != nil || len(leases) == 0 {
		return err
	}
	if err := w.Read(ctx, subjectsOf(leases)); err != nil {
		return errors.Join(err, e.releaseAll(ctx, h, leases, nil))
	}
	ended := make(chan *Lease, len(leases))
	for _, l := range leases {
		go func() {
			w.Do(e.under(ctx, l), l.Subject)
			ended <- l
		}()
	}
	var failed []error
	for left := len(leases); left > 0; {
		some := gather(ended, left)
		left -= len(some)
		failed = append(failed, e.releaseAll(ctx, h, some, w.Record))
	}
	return errors.Join(failed...)
}

// subjectsOf returns the subjects of leases, in order.
func subjectsOf(leases []*Lease) []string {
	var all []string
	for _, l := range leases {
		all = append(all, l.Subject)
	}
	slices.Sort(all)
	return all
}

// gather waits for the first lease, and then for others, of which there are most, for a moment.
func gather(ended <-chan *Lease, most int) []*Lease {
	some := []*Lease{<-ended}
	enough := time.NewTimer(together)
	defer enough.Stop()
	for len(some) < most {
		select {
		case l := <-ended:
			some = append(some, l)
		case <-enough.C:
			return some
		}
	}
	return some
}

// acquireAll takes the leases of those subjects that nobody holds.
func (e *Engine) acquireAll(ctx context.Context, h Holder, subjects []string) ([]*Lease, error) {
	if len(subjects) == 0 {
		return nil, nil
	}
	subjects = slices.Sorted(slices.Values(subjects)) // everybody locks in the same order
	now := e.db.NowMillis()
	var args []any
	for _, s := range subjects {
		args = append(args, s, h, LeaseTime.Milliseconds())
	}
	values := strings.Repeat("(?, ?, 1, "+now+" + ?), ", len(subjects)-1) + "(?, ?, 1, " + now + " + ?)"
	asked := time.Now()
	var granted []Lease
	err := e.db.Tx(ctx, func(ctx context.Context, tx Tx) error {
		granted = nil
		return tx.NewRaw(`INSERT INTO lease (subject, owner, fence, expires) VALUES `+values+`
			ON CONFLICT (subject) DO UPDATE SET owner = EXCLUDED.owner, fence = lease.fence + 1, expires = EXCLUDED.expires
			WHERE lease.expires < `+now+` RETURNING subject, owner, fence`, args...).Scan(ctx, &granted)
	})
	if err != nil {
		return nil, fault.E(fault.Unavailable, "taking leases", err)
	}
	var leases []*Lease
	for i := range granted {
		leases = append(leases, &granted[i])
		e.held.keep(&granted[i], asked)
	}
	return leases, nil
}

// releaseAll records what is to be, proves the leases and gives them back, in one transaction. If one of them was lost, nothing of that
// is recorded, and the others are given back one by one.
func (e *Engine) releaseAll(ctx context.Context, h Holder, leases []*Lease, record func(ctx context.Context, tx Tx, subjects []string) error) error {
	var args []any
	for _, l := range leases {
		args = append(args, l.Subject, l.Fence)
	}
	pairs := strings.TrimSuffix(strings.Repeat("(?, ?), ", len(leases)), ", ")
	mine := "UPDATE lease SET expires = 0 WHERE (subject, fence) IN (VALUES " + pairs + ") AND owner = ? AND expires >= " + e.db.NowMillis()
	err := e.db.Tx(ctx, func(ctx context.Context, tx Tx) error {
		if record != nil {
			if err := record(ctx, tx, subjectsOf(leases)); err != nil {
				return err
			}
		}
		res, err := tx.NewRaw(mine, append(args, h)...).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != int64(len(leases)) {
			return fault.E(fault.Unavailable, fmt.Sprintf("%d of %d leases", n, len(leases)), errors.Join(ErrLost, err))
		}
		return nil
	})
	for _, l := range leases {
		if err != nil {
			e.release(l)
		} else {
			e.held.drop(l)
		}
	}
	return err
}
