package workflow

import (
	"container/heap"
	"context"
	"database/sql"
	"slices"
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

// dues are those of all queues on a database, which give jobs to each other: one in a process that serves, several in tests.
type dues struct {
	mu sync.Mutex
	of map[*db.DB][]*due
}

var allDues = dues{of: map[*db.DB][]*due{}}

// join makes a due that hears of all jobs of its database until leave is called.
func (a *dues) join(of *db.DB) (d *due, leave func()) {
	d = &due{}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.of[of] = append(a.of[of], d)
	return d, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.of[of] = slices.DeleteFunc(a.of[of], func(x *due) bool { return x == d }); len(a.of[of]) == 0 {
			delete(a.of, of)
		}
	}
}

// add tells all queues of a database that a job is due at a time.
func (a *dues) add(of *db.DB, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.of[of] {
		d.add(at)
	}
}

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
