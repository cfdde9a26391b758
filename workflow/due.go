package workflow

import (
	"container/heap"
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riversqlite"

	"github.com/hagane-cloud/hagane/db"
)

// askAnyway is how long SQLite is not asked for jobs while none is known to be due. It bounds how late those are that came
// another way than by Insert and Nudge: tried again by River itself, or left by an earlier process.
const askAnyway = 500 * time.Millisecond

// dueAfter is how much later than its time a job is looked for: SQLite compares milliseconds, and rounds.
const dueAfter = 2 * time.Millisecond

// due knows when a queue on SQLite is to be asked for jobs, so that it need not be asked all the time: one process has the
// database, and all of its jobs come by Insert and Nudge.
type due struct {
	mu    sync.Mutex
	times moments   // at which jobs are due
	asked time.Time // last
}

// add notes that a job is due at a time. It is called in the transaction that makes the job: whoever asks before the end of
// that waits for it, as SQLite writes one transaction at a time.
func (d *due) add(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	heap.Push(&d.times, at.Add(dueAfter))
}

// ask reports whether there may be jobs to take, and forgets the times that have come.
func (d *due) ask() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, ask := db.Now(), false
	for len(d.times) > 0 && !d.times[0].After(now) {
		heap.Pop(&d.times)
		ask = true
	}
	ask = ask || now.Sub(d.asked) >= askAnyway || now.Before(d.asked)
	if ask {
		d.asked = now
	}
	return ask
}

// moments are a heap of times, the earliest first.
type moments []time.Time

func (m moments) Len() int           { return len(m) }
func (m moments) Less(i, j int) bool { return m[i].Before(m[j]) }
func (m moments) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *moments) Push(x any)        { *m = append(*m, x.(time.Time)) }
func (m *moments) Pop() any {
	last := len(*m) - 1
	x := (*m)[last]
	*m = (*m)[:last]
	return x
}

// patientDriver is River's driver of SQLite without its listener, which asks the database 20 times a second and has every job
// write a notification; jobs are taken by a query that writes, which is left out while nothing is due.
type patientDriver struct {
	*riversqlite.Driver
	due *due
}

func newPatientDriver(pool *sql.DB, d *due) riverdriver.Driver[*sql.Tx] {
	return &patientDriver{riversqlite.New(pool), d}
}

func (d *patientDriver) SupportsListener() bool     { return false }
func (d *patientDriver) SupportsListenNotify() bool { return false }

// GetExecutor is for all that is not in a transaction, as taking jobs is.
func (d *patientDriver) GetExecutor() riverdriver.Executor {
	return &patientExecutor{d.Driver.GetExecutor(), d.due}
}

type patientExecutor struct {
	riverdriver.Executor
	due *due
}

// JobGetAvailable takes jobs, unless there can be none.
func (e *patientExecutor) JobGetAvailable(ctx context.Context, params *riverdriver.JobGetAvailableParams) (*riverdriver.JobGetAvailableResult, error) {
	if !e.due.ask() {
		return &riverdriver.JobGetAvailableResult{}, nil
	}
	got, err := e.Executor.JobGetAvailable(ctx, params)
	if err != nil || len(got.Jobs) >= params.MaxToLock {
		e.due.add(db.Now()) // there may be more
	}
	return got, err
}
