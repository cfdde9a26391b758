package simulation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/workflow"
)

// queue is the job queue of a simulated process. It keeps its jobs where River does, as others look at them there, and in the same
// states; but it has no goroutines and clocks of its own beside the one that fetches. TestQueueContract holds both to the same.
type queue struct {
	*turnstile
	db    *db.DB
	who   *process
	name  workflow.Holder // whose jobs are taken; "" only enqueues
	look  func(ctx context.Context, id workflow.RunID) error
	poked bool // something was enqueued since the last look

	stopping atomic.Bool
	fetching sync.WaitGroup
	inHand   int
	looks    sync.WaitGroup
}

// How soon a job is taken again, as with River.
const (
	afterBusy  = time.Second
	afterError = 2 * time.Second
	pollEvery  = 5 * time.Second // when nobody pokes
	mostLooks  = 16
)

const jobTime = "2006-01-02 15:04:05.000000"

func jobAt(t time.Time) string { return t.UTC().Format(jobTime) }

// Insert enqueues a look at a run.
func (q *queue) Insert(ctx context.Context, tx db.Tx, j workflow.Job) (int64, error) {
	at := db.Now()
	if j.At.After(at) {
		at = j.At
	}
	priority := 2
	if j.Urgent {
		priority = 1
	}
	var id int64
	err := tx.NewRaw(`INSERT INTO river_job (args, kind, max_attempts, priority, queue, state, scheduled_at, created_at) VALUES (?, 'workflow_tick', 25, ?, ?, 'available', ?, ?) RETURNING id`,
		`{"run":"`+string(j.Run)+`"}`, priority, j.Queue, jobAt(at), jobAt(db.Now())).Scan(ctx, &id)
	return id, err
}

// nudging begins the statement that does so.
const nudging = "UPDATE river_job SET finalized_at = NULL, state = "

// Nudge makes a waiting job due now; one that runs stays as it is.
func (q *queue) Nudge(ctx context.Context, tx db.Tx, job int64) error {
	now := jobAt(db.Now())
	_, err := tx.NewRaw(nudging+`'available', scheduled_at = ? WHERE id = ? AND state <> 'running'
		AND (state <> 'available' OR scheduled_at > ?)`, now, job, now).Exec(ctx)
	return err
}

// Start begins to hand out jobs.
func (q *queue) Start(ctx context.Context) error {
	if q.name != "" {
		q.fetching.Go(func() { q.fetch(acting(ctx, "queue")) })
	}
	return nil
}

// Stop takes no more jobs and waits for the looks in hand. When ctx ends first it breaks them off, as they are told by whoever gave it.
func (q *queue) Stop(ctx context.Context) error {
	q.stopping.Store(true)
	q.fetching.Wait()
	q.looks.Wait()
	return ctx.Err()
}

// job is one that is due, or will be.
type job struct {
	ID          int64
	Run         workflow.RunID
	ScheduledAt string
}

func (q *queue) fetch(ctx context.Context) {
	for !q.stopping.Load() && !q.who.dead.Load() {
		q.poked = false
		rest := pollEvery
		var jobs []job
		err := q.db.Read().NewRaw(`SELECT id, json_extract(args, '$.run') AS run, scheduled_at || '' AS scheduled_at FROM river_job WHERE queue = ? AND state = 'available'
			ORDER BY priority, scheduled_at, id LIMIT 64`, q.name).Scan(ctx, &jobs)
		now := jobAt(time.Now())
		var due []job
		for _, j := range jobs {
			if j.ScheduledAt <= now && len(due)+q.inHand < mostLooks {
				due = append(due, j)
			} else if at, parseErr := time.Parse(jobTime, j.ScheduledAt); parseErr == nil {
				rest = min(rest, max(time.Until(at), time.Millisecond))
			}
		}
		if err == nil && len(due) > 0 {
			due, err = q.take(ctx, due)
		}
		if err != nil {
			rest = time.Second
			due = nil
		}
		for _, j := range due {
			q.hand(context.WithoutCancel(ctx), j)
		}
		q.wait(&pass{who: q.who, label: q.who.name + " queue rests", least: rest, most: rest, early: func() bool { return q.poked || q.stopping.Load() }})
	}
}

// take marks jobs as running. Those that somebody took or moved meanwhile are left.
func (q *queue) take(ctx context.Context, due []job) ([]job, error) {
	var ids []int64
	for _, j := range due {
		ids = append(ids, j.ID)
	}
	var got []int64
	err := q.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		got = nil
		return tx.NewRaw(`UPDATE river_job SET state = 'running', attempt = attempt + 1 WHERE id IN (?) AND state = 'available' AND queue = ? RETURNING id`,
			bun.List(ids), q.name).Scan(ctx, &got)
	})
	taken := map[int64]bool{}
	for _, id := range got {
		taken[id] = true
	}
	var out []job
	for _, j := range due {
		if taken[j.ID] {
			out = append(out, j)
		}
	}
	return out, err
}

// hand has a look taken, and records what comes of the job.
func (q *queue) hand(ctx context.Context, j job) {
	q.inHand++
	q.who.turns[j.Run]++
	q.looks.Go(func() {
		ctx := acting(ctx, fmt.Sprintf("job %d", j.ID))
		q.wait(&pass{who: q.who, label: fmt.Sprintf("%s begins job %d", q.who.name, j.ID), most: time.Millisecond})
		err := q.look(ctx, j.Run)
		q.wait(&pass{who: q.who, label: fmt.Sprintf("%s ends job %d", q.who.name, j.ID), most: time.Millisecond})
		q.inHand--
		if q.who.turns[j.Run]--; q.who.turns[j.Run] == 0 {
			delete(q.who.turns, j.Run)
		}
		for !q.who.dead.Load() && q.end(ctx, j, err) != nil {
			q.wait(&pass{who: q.who, label: fmt.Sprintf("%s ends job %d again", q.who.name, j.ID), least: time.Second, most: 2 * time.Second})
		}
		q.poked = true
	})
}

// end records what came of a look.
func (q *queue) end(ctx context.Context, j job, err error) error {
	return q.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		again := time.Duration(0)
		switch {
		case errors.Is(err, workflow.ErrBusy):
			again = afterBusy
		case err != nil:
			again = afterError
		}
		query, at := "UPDATE river_job SET state = 'completed', finalized_at = ? WHERE id = ? AND state = 'running'", jobAt(db.Now())
		if again > 0 {
			query, at = "UPDATE river_job SET state = 'available', scheduled_at = ? WHERE id = ? AND state = 'running'", jobAt(db.Now().Add(again))
		}
		_, err := tx.NewRaw(query, at, j.ID).Exec(ctx)
		return err
	})
}
