package workflow

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/fence"
)

// LeaseTime is how long a lease lives without renewal. A dead conductor's runs go on elsewhere after it, and at the latest
// 7 s later, on hosts that are busy. Renewals come every Renewal, so that two that are lost do no harm.
const (
	LeaseTime = 8 * time.Second
	Renewal   = LeaseTime / 4
)

// ErrLost says that a lease passed to another conductor.
var ErrLost = errors.New("another conductor has taken over")

// Holder is who asks for leases: one process.
type Holder string

// Lease is the right to work on a subject. Its fence grows with every change of hands.
type Lease struct {
	Subject string
	Owner   Holder
	Fence   int64

	got, until time.Time // by this process's own clock, and never later than the database says; held's lock guards them
}

// held is the leases of this process: what it knows of them without asking the database.
type held struct {
	mu  sync.Mutex
	all map[*Lease]bool
}

// keep notes that the database granted or renewed a lease when it was asked at the time asked.
func (h *held) keep(l *Lease, asked time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[*Lease]bool{}
	}
	if !h.all[l] {
		h.all[l], l.got = true, time.Now()
	}
	l.until = asked.Add(LeaseTime)
}

func (h *held) drop(l *Lease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.all, l)
}

// subjects are those whose leases an owner knows that it holds, in order.
func (h *held) subjects(owner Holder) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for l := range h.all {
		if l.Owner == owner {
			all = append(all, l.Subject)
		}
	}
	slices.Sort(all)
	return all
}

// renewed notes that all leases of an owner were renewed that had not run out. Those that may have run out before the answer
// came, as when the process was paused, are not believed to be among them.
func (h *held) renewed(owner Holder, asked time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.all {
		if l.Owner == owner && l.got.Before(asked) && !past(l.until) {
			l.until = asked.Add(LeaseTime)
		}
	}
}

// check reports with ErrLost that a lease may be in other hands by now.
func (h *held) check(l *Lease) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.all[l] || past(l.until) {
		return fault.E(fault.Unavailable, "the lease of "+l.Subject+" has run out: nothing is changed under it any more", ErrLost)
	}
	return nil
}

// past reports whether a time is over by the monotonic clock or by the wall clock: the first stands still while a virtual machine is
// paused.
func past(t time.Time) bool {
	now := time.Now()
	return now.After(t) || now.Round(0).After(t.Round(0))
}

type subjectKey struct{}

// Subject is whose lease is asked for, or held, under a context; "" is nobody's.
func Subject(ctx context.Context) string {
	subject, _ := ctx.Value(subjectKey{}).(string)
	return subject
}

// acquire takes the lease of subject, unless somebody else holds it.
func (e *Engine) acquire(ctx context.Context, subject string, h Holder) (*Lease, bool, error) {
	ctx = context.WithValue(ctx, subjectKey{}, subject)
	l := &Lease{Subject: subject, Owner: h}
	now := e.db.NowMillis()
	asked := time.Now()
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
	e.held.keep(l, asked)
	return l, true, nil
}

// under returns a context in which whoever changes hardware asks first whether the lease is still held, and whose transactions
// prove it.
func (e *Engine) under(ctx context.Context, l *Lease) context.Context {
	ctx = context.WithValue(ctx, subjectKey{}, l.Subject)
	ctx = db.Guard(ctx, func(ctx context.Context, tx Tx) error {
		fence.Touch(ctx)
		return e.prove(ctx, tx, l)
	})
	return fence.With(ctx, func() error { return e.held.check(l) })
}

// prove renews the lease in tx, or returns ErrLost.
func (e *Engine) prove(ctx context.Context, tx Tx, l *Lease) error {
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
func (e *Engine) release(l *Lease) {
	e.held.drop(l)
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), subjectKey{}, l.Subject), 5*time.Second)
	defer cancel()
	err := e.db.Tx(ctx, func(ctx context.Context, tx Tx) error {
		_, err := tx.NewRaw("UPDATE lease SET expires = 0 WHERE subject = ? AND owner = ? AND fence = ?", l.Subject, l.Owner, l.Fence).Exec(ctx)
		return err
	})
	if err != nil {
		e.log.Warn("a lease was not given back and runs out instead", "subject", l.Subject, "error", err)
	}
}

// Renew renews all leases of a holder that have not run out, and reports it alive. One that stands in its name without its knowledge, as
// the answer that granted it was lost or it could not be given back, is let run out: nobody is at work under it.
func (e *Engine) Renew(ctx context.Context, h Holder) error {
	now := e.db.NowMillis()
	asked := time.Now()
	subjects := e.held.subjects(h)
	err := e.db.Tx(ctx, func(ctx context.Context, tx Tx) error {
		if len(subjects) > 0 {
			_, err := tx.NewRaw(`UPDATE lease SET expires = `+now+` + ? WHERE owner = ? AND subject IN (?) AND expires >= `+now,
				LeaseTime.Milliseconds(), h, bun.List(subjects)).Exec(ctx)
			if err != nil {
				return err
			}
		}
		var groups []string
		if err := tx.NewRaw("UPDATE conductor SET seen = "+now+" WHERE id = ? AND seen > 0 RETURNING grp", h).Scan(ctx, &groups); err != nil || len(groups) == 0 {
			return err
		}
		return e.pulse(ctx, tx, groups[0])
	})
	if err != nil {
		return fault.E(fault.Unavailable, "renewing the leases", err)
	}
	e.held.renewed(h, asked)
	return nil
}

// WithLease runs fn while holding the lease of subject, for short work outside of runs; it reports
// false when somebody else holds it.
func (e *Engine) WithLease(ctx context.Context, subject string, h Holder, fn func(ctx context.Context) error) (bool, error) {
	l, ok, err := e.acquire(ctx, subject, h)
	if err != nil || !ok {
		return false, err
	}
	defer e.release(l)
	return true, fn(e.under(ctx, l))
}

// Leased returns who holds the leases of subjects that begin with a prefix.
func (e *Engine) Leased(ctx context.Context, prefix string) (map[string]Holder, error) {
	var rows []Lease
	if err := e.db.Read().NewRaw("SELECT subject, owner FROM lease WHERE expires > 0 AND subject LIKE ? AND expires >= "+e.db.NowMillis(), prefix+"%").Scan(ctx, &rows); err != nil {
		return nil, fault.E(fault.Unavailable, "reading the leases", err)
	}
	out := map[string]Holder{}
	for _, l := range rows {
		out[l.Subject] = l.Owner
	}
	return out, nil
}

// orphanAge is how long past its time a run may be before someone looks whether anybody cares for it.
const orphanAge = 2 * time.Second

// adopted bounds how many runs are enqueued at a time.
const adopted = 200

// Adopt enqueues the live runs that are past their time and that nobody is at work on: their conductor died, or their job was
// lost. It leaves to other conductors those that they have to carry on, and returns how many it enqueued.
func (e *Engine) Adopt(ctx context.Context, h Holder) (int, error) {
	n := 0
	err := e.db.Tx(ctx, func(ctx context.Context, tx Tx) error {
		n = 0
		now := e.now()
		var runs []Run
		err := tx.NewSelect().Model(&runs).Where("ended_at IS NULL").Where("phase <> ?", Held).
			Where("wake_at < ?", now.Add(-orphanAge)).
			Where("NOT EXISTS (SELECT 1 FROM lease WHERE lease.subject = run.subject AND lease.expires >= " + e.db.NowMillis() + ")").
			// A look that waits in a queue is not lost, however long the queue is; HandOn sees to it that somebody works on that queue.
			Where("NOT EXISTS (SELECT 1 FROM river_job WHERE river_job.id = run.job_id AND " + jobWaits + ")").
			OrderExpr("wake_at").Limit(5 * adopted).Scan(ctx)
		if err != nil || len(runs) == 0 {
			return err
		}
		members, err := e.workingNow(ctx, tx)
		if err != nil {
			return err
		}
		for _, r := range runs {
			k := keeper(members, r.Group, r.Workflow, r.Subject)
			if n == adopted || k != h && k != Nobody {
				continue
			}
			// It comes before what waits for its first look: it has waited since its conductor fell silent.
			job, err := e.queue.Insert(ctx, tx, Job{Run: r.ID, At: now, Queue: k, Urgent: true})
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
