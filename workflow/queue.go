package workflow

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"

	"github.com/hagane-cloud/hagane/db"
)

// Queue is the job queue: River's, on either engine. A job only says that a run is to be looked at.
type Queue interface {
	// Insert enqueues a look at a run, in tx, and returns the job's number.
	Insert(ctx context.Context, tx db.Tx, j Job) (int64, error)
	// Nudge makes a waiting job due now, in tx.
	Nudge(ctx context.Context, tx db.Tx, job int64) error
	// Start begins to hand jobs to the look function given to NewQueue; Stop waits for those in hand.
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
}

// Job is a look at a run that is to be taken.
type Job struct {
	Run    RunID
	At     time.Time
	Queue  Holder // who takes it
	Urgent bool   // before what is not
}

// The states of jobs in the queue's table, for SQL: of those that wait to be taken, and of those that are not over.
const (
	jobWaits = "river_job.state IN ('available', 'retryable', 'scheduled')"
	jobLives = "river_job.state IN ('available', 'running', 'retryable', 'scheduled')"
)

// The priorities of jobs in the queue; lower numbers come first.
const (
	urgently = 1
	usually  = 2
)

type tickArgs struct {
	Run RunID `json:"run"`
}

// Kind names the job in the queue's table.
func (tickArgs) Kind() string { return "workflow_tick" }

type tickWorker struct {
	river.WorkerDefaults[tickArgs]
	look func(ctx context.Context, id RunID) error
}

func (w *tickWorker) Work(ctx context.Context, job *river.Job[tickArgs]) error {
	err := w.look(ctx, job.Args.Run)
	if errors.Is(err, ErrBusy) {
		return river.JobSnooze(time.Second)
	}
	return err
}

// NextRetry is soon: a turn that broke off left the run without a job.
func (w *tickWorker) NextRetry(*river.Job[tickArgs]) time.Time {
	return db.Now().Add(2 * time.Second)
}

// QueueOptions tune a queue. The zero value is an enqueue-only queue.
type QueueOptions struct {
	Name    Holder        // whose jobs are taken
	Workers int           // looks at the same time; 0 enqueues only
	Poll    time.Duration // how often it is looked whether jobs are due, on SQLite
	Log     *slog.Logger
	Look    func(ctx context.Context, id RunID) error
}

// NewQueue makes the queue of a database.
func NewQueue(d *db.DB, o QueueOptions) (Queue, error) {
	if d.Postgres() {
		return newRiver(riverpgxv5.New(d.Pool()), db.Tx.PgxTx, o, func(time.Time) {}, func() {})
	}
	tell := func(at time.Time) { allDues.add(d, at) }
	if o.Workers == 0 {
		return newRiver(riversqlite.New(d.SQL()), db.Tx.SQLTx, o, tell, func() {})
	}
	own, leave := allDues.join(d)
	return newRiver(newPatientDriver(d.SQL(), own), db.Tx.SQLTx, o, tell, leave)
}

type riverQueue[T any] struct {
	client *river.Client[T]
	unwrap func(db.Tx) T
	due    func(at time.Time) // a job is, in the transaction that makes it
	leave  func()             // when it has stopped
}

func newRiver[T any](driver riverdriver.Driver[T], unwrap func(db.Tx) T, o QueueOptions, due func(time.Time), leave func()) (Queue, error) {
	cfg := &river.Config{Logger: slog.New(quiet{o.Log.Handler()})}
	if o.Workers > 0 {
		workers := river.NewWorkers()
		river.AddWorker(workers, &tickWorker{look: o.Look})
		cfg.Workers = workers
		cfg.Queues = map[string]river.QueueConfig{string(o.Name): {MaxWorkers: o.Workers}}
		cfg.FetchPollInterval = o.Poll
		cfg.FetchCooldown = 20 * time.Millisecond
		cfg.JobTimeout = -1 // a turn ends by its lease, not by the queue's clock
		// A job whose conductor died; its run was adopted with a new job long before.
		cfg.RescueStuckJobsAfter = 10 * time.Minute
		cfg.CompletedJobRetentionPeriod = time.Hour
	} else {
		cfg.SkipUnknownJobCheck = true
	}
	client, err := river.NewClient(driver, cfg)
	if err != nil {
		return nil, err
	}
	return &riverQueue[T]{client: client, unwrap: unwrap, due: due, leave: leave}, nil
}

func (q *riverQueue[T]) Insert(ctx context.Context, tx db.Tx, j Job) (int64, error) {
	now := db.Now()
	later := j.At.After(now)
	opts := &river.InsertOpts{Queue: string(j.Queue), Priority: usually}
	if j.Urgent {
		opts.Priority = urgently
	}
	if later {
		opts.ScheduledAt = j.At
		q.due(j.At)
	} else {
		q.due(now)
	}
	res, err := q.client.InsertTx(ctx, q.unwrap(tx), tickArgs{Run: j.Run}, opts)
	if err != nil {
		return 0, err
	}
	if later {
		// River moves a scheduled job to the available ones only every 5 s. It fetches no job before its time, and itself
		// keeps short snoozes among the available ones, so that is where our waits go too.
		if _, err := tx.NewRaw("UPDATE river_job SET state = 'available' WHERE id = ? AND state = 'scheduled'", res.Job.ID).Exec(ctx); err != nil {
			return 0, err
		}
	}
	return res.Job.ID, nil
}

func (q *riverQueue[T]) Nudge(ctx context.Context, tx db.Tx, job int64) error {
	q.due(db.Now())
	_, err := q.client.JobRetryTx(ctx, q.unwrap(tx), job)
	return err
}

func (q *riverQueue[T]) Start(ctx context.Context) error { return q.client.Start(ctx) }
func (q *riverQueue[T]) Stop(ctx context.Context) error {
	defer q.leave()
	return q.client.Stop(ctx)
}

// quiet lowers the queue's chatter: what it tells at info is of interest to its own developers.
type quiet struct{ slog.Handler }

func (h quiet) WithAttrs(a []slog.Attr) slog.Handler         { return quiet{h.Handler.WithAttrs(a)} }
func (h quiet) WithGroup(n string) slog.Handler              { return quiet{h.Handler.WithGroup(n)} }
func (h quiet) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
