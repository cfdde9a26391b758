package audit

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Service keeps records.
type Service struct {
	db  *db.DB
	log *slog.Logger

	flushing sync.Mutex // who has it writes; the next finds written what was said before
	mu       sync.Mutex
	endings  []ending // not written yet
}

// ending is what is known of a call when it has been answered.
type ending struct {
	record  Record
	carried bool // its record was committed with the change
}

// NewService makes the service; Run has to be running.
func NewService(d *db.DB, log *slog.Logger) *Service { return &Service{db: d, log: log} }

// Answer is what came of a call.
type Answer struct {
	Status   int
	TargetID string // of what was made, when the path did not tell
	Err      error
	// Who the caller turned out to be, of a call that was made to find that out.
	UserID, UserName, ProjectID string
}

// Begin records that a call was made: with the first transaction that commits under the returned context. end adds what
// came of it, and records calls that came to no transaction.
func (s *Service) Begin(ctx context.Context, r Record) (recording context.Context, end func(Answer)) {
	r.ID, r.At, r.Outcome = uuid.Must(uuid.NewV7()).String(), db.Now(), Pending
	recording, carried := db.Ride(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&r).Exec(ctx)
		return err
	})
	return recording, func(a Answer) {
		r := r
		r.Status, r.Outcome = a.Status, Success
		r.TargetID = cmp.Or(a.TargetID, r.TargetID)
		r.UserID, r.UserName, r.ProjectID = cmp.Or(r.UserID, a.UserID), cmp.Or(r.UserName, a.UserName), cmp.Or(r.ProjectID, a.ProjectID)
		if a.Err != nil {
			r.Outcome, r.Reason = Failure, fault.Message(a.Err)
		}
		s.end(ctx, ending{r, carried()})
	}
}

// most is how many endings wait to be written before a caller has to wait for that.
const most = 1000

func (s *Service) end(ctx context.Context, e ending) {
	s.mu.Lock()
	s.endings = append(s.endings, e)
	full := len(s.endings) >= most
	s.mu.Unlock()
	if full {
		s.flush(context.WithoutCancel(ctx))
	}
}

// every is how often endings are written: many together, since each transaction waits for the disk.
const every = 200 * time.Millisecond

// Run writes endings until ctx ends, and then those that are left.
func (s *Service) Run(ctx context.Context) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.flush(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			s.flush(last)
			return
		}
	}
}

// flush writes the endings that wait, and returns when also those are written that another call was at. When it can not
// they wait on, unless there are too many: then they go to the log.
func (s *Service) flush(ctx context.Context) {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	s.mu.Lock()
	all := s.endings
	s.endings = nil
	s.mu.Unlock()
	if len(all) == 0 {
		return
	}
	err := s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		var fresh []Record
		for _, e := range all {
			if !e.carried {
				fresh = append(fresh, e.record)
				continue
			}
			if _, err := tx.NewUpdate().Model(&e.record).Column("outcome", "status", "reason", "target_id", "user_id", "user_name", "project_id").WherePK().Exec(ctx); err != nil {
				return err
			}
		}
		if len(fresh) == 0 {
			return nil
		}
		_, err := tx.NewInsert().Model(&fresh).Exec(ctx)
		return err
	})
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.endings)+len(all) <= most {
		s.endings = append(all, s.endings...)
		return
	}
	for _, e := range all {
		s.log.Error("an audit record could not be written", "audit", true, "record", e.record, "err", err)
	}
}

// List returns the records that a query selects, newest first, and those of this process without delay.
func (s *Service) List(ctx context.Context, q Query) ([]Record, error) {
	s.flush(ctx)
	var out []Record
	sel := s.db.Read().NewSelect().Model(&out).OrderExpr("at DESC, id DESC").Limit(int64(q.Limit))
	for column, value := range map[string]string{"project_id": q.ProjectID, "user_id": q.UserID, "service": q.Service, "target_id": q.TargetID,
		"request": q.Request, "outcome": string(q.Outcome), "verb": q.Verb} {
		if value != "" {
			sel = sel.Where(column+" = ?", value)
		}
	}
	if !q.Since.IsZero() {
		sel = sel.Where("at >= ?", q.Since)
	}
	if !q.Until.IsZero() {
		sel = sel.Where("at < ?", q.Until)
	}
	if q.Marker != "" {
		last, err := s.Get(ctx, q.ProjectID, q.Marker)
		if err != nil {
			return nil, fault.Field("marker", "there is no record %s", q.Marker)
		}
		sel = sel.Where("at < ? OR (at = ? AND id < ?)", last.At, last.At, last.ID)
	}
	return out, fault.Wrap("reading audit records", sel.Scan(ctx))
}

// Get returns a record; of a project, or any when project is "".
func (s *Service) Get(ctx context.Context, project, id string) (Record, error) {
	var r Record
	err := s.db.Read().NewSelect().Model(&r).Where("id = ?", id).Scan(ctx)
	if db.None(err) || (err == nil && project != "" && r.ProjectID != project) {
		return r, fault.Errorf(fault.NotFound, "there is no audit record %s", id)
	}
	return r, fault.Wrap("reading an audit record", err)
}

// Expire drops the records that are older than Keep. It is a reconciler.
func (s *Service) Expire(ctx context.Context) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewDelete().Model((*Record)(nil)).Where("at < ?", db.Now().Add(-Keep)).Exec(ctx)
		return err
	})
}
