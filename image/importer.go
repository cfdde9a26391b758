package image

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hagane-cloud/hagane/audit"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

const (
	mostImports = 4                // at the same time, of one process
	lookEvery   = 5 * time.Second  // for tasks that another process recorded or left behind
	heardEvery  = 5 * time.Second  // how often a process says that it is at work on a task
	silentFor   = 60 * time.Second // after which it is taken for dead
)

// Run carries imports out, and makes the manifests that images lack, until ctx ends. What is under way then is put back, for the next process to begin anew.
func (s *Service) Run(ctx context.Context) {
	var under sync.WaitGroup
	defer under.Wait()
	under.Go(func() { s.describeAll(ctx) })
	places := make(chan struct{}, mostImports)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := s.abandon(ctx, silentFor); err != nil && ctx.Err() == nil {
			s.Log.Error("imports that broke off could not be ended", "err", err)
		}
		for {
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				return
			}
			t, err := s.take(ctx)
			if err != nil {
				<-places
				if !fault.Is(err, fault.NotFound) && ctx.Err() == nil {
					s.Log.Error("no task could be taken", "err", err)
				}
				break
			}
			under.Go(func() { defer func() { <-places }(); s.carryOut(ctx, t) })
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-s.poke:
		}
	}
}

// take takes the task that has waited for longest; NotFound when none waits.
func (s *Service) take(ctx context.Context) (Task, error) {
	var t Task
	return t, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		err := tx.NewSelect().Model(&t).Where("status = ?", TaskPending).OrderExpr("created_at, id").Limit(1).Scan(ctx)
		if db.None(err) {
			return fault.Errorf(fault.NotFound, "no task waits")
		}
		if err != nil {
			return err
		}
		res, err := tx.NewUpdate().Model((*Task)(nil)).Set("status = ?", TaskProcessing).Set("heard_at = "+s.DB.NowMillis()).Set("updated_at = ?", db.Now()).
			Where("id = ?", t.ID).Where("status = ?", TaskPending).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fault.Errorf(fault.NotFound, "another process was faster"))
		}
		return nil
	})
}

// carryOut imports, and records what came of it: in the task, in the image, and in the audit.
func (s *Service) carryOut(ctx context.Context, t Task) {
	recording, end := ctx, func(error) {}
	if s.Audit != nil {
		recording, end = s.audited(ctx, t)
	}
	err := s.guarded(ctx, recording, &t)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		if back := s.putBack(context.WithoutCancel(ctx), t); back != nil {
			s.Log.Error("an import could not be put back", "task", t.ID, "err", back)
		}
		return
	default:
		if bad := s.failed(context.WithoutCancel(recording), t, err); bad != nil {
			s.Log.Error("the failure of an import could not be recorded", "task", t.ID, "err", bad)
		}
	}
	end(err)
}

// guarded imports while it says that it is at work, until the task is no longer its own or its image is gone.
func (s *Service) guarded(ctx, recording context.Context, t *Task) error {
	working, stop := context.WithCancel(recording)
	defer stop()
	var fetched atomic.Int64
	var gone atomic.Bool
	var beats sync.WaitGroup
	beats.Go(func() {
		tick := time.NewTicker(heardEvery)
		defer tick.Stop()
		for {
			select {
			case <-working.Done():
				return
			case <-tick.C:
				if going, err := s.heard(ctx, t.ID, t.ImageID, fetched.Load()); err == nil && !going {
					gone.Store(true)
					stop()
					return
				}
			}
		}
	})
	err := s.fetchAndStore(working, t, &fetched)
	stop()
	beats.Wait()
	t.Fetched = fetched.Load()
	if err != nil && gone.Load() {
		return fault.Errorf(fault.Conflict, "the image was deleted while its data came")
	}
	return err
}

// heard says that a task is being worked on, and reports whether it still should be.
func (s *Service) heard(ctx context.Context, id, imageID string, fetched int64) (bool, error) {
	going := false
	err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		res, err := tx.NewUpdate().Model((*Task)(nil)).Set("heard_at = "+s.DB.NowMillis()).Set("fetched = ?", fetched).
			Where("id = ?", id).Where("status = ?", TaskProcessing).Where("EXISTS (SELECT 1 FROM image WHERE id = ? AND upload = ?)", imageID, id).Exec(ctx)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		going = n > 0
		return err
	})
	return going, err
}

// fetchAndStore makes data the image's.
func (s *Service) fetchAndStore(ctx context.Context, t *Task, fetched *atomic.Int64) error {
	i, err := s.Get(ctx, "", t.ImageID)
	if err != nil {
		return err
	}
	share, err := s.share(ctx, i.Owner)
	if err != nil {
		return err
	}
	o, err := s.originOf(ctx, i.ID)
	if err != nil {
		return err
	}
	under := Importing
	if t.Method == GlanceDirect {
		under = Saving // what is staged has been counted
	}
	c := claim{key: t.ID, origin: o}
	if c.most, err = share.room(ctx, s.DB.Read(), under); err != nil {
		return err
	}
	var data io.ReadCloser
	if t.Method == GlanceDirect {
		data, err = s.stagedData(t.ImageID)
	} else {
		data, err = s.guard(o != nil && o.Inside).fetch(ctx, t.URI, c.most)
	}
	if err != nil {
		return err
	}
	defer func() { _ = data.Close() }()
	done, files, err := s.store(ctx, i, &counting{data, fetched}, c)
	if err == nil && done.Size == 0 {
		err = errEmpty()
	}
	defer files.discard()
	if err != nil {
		return err
	}
	t.Fetched = fetched.Load()
	if err := s.finish(ctx, done, files, c, func(ctx context.Context, tx db.Tx) error { return t.end(ctx, tx, TaskSuccess, "") }); err != nil {
		return err
	}
	return s.unstage(t.ImageID)
}

// counting tells how much has been read.
type counting struct {
	io.Reader
	n *atomic.Int64
}

// Read reads on.
func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// putBack lets another process begin a task anew.
func (s *Service) putBack(ctx context.Context, t Task) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model((*Task)(nil)).Set("status = ?", TaskPending).Set("fetched = 0").Set("updated_at = ?", db.Now()).
			Where("id = ? AND status = ?", t.ID, TaskProcessing).Exec(ctx)
		return err
	})
}

// audited begins the record of what comes of an import. The call that asked for it has a record of its own, with the same
// request id.
func (s *Service) audited(ctx context.Context, t Task) (context.Context, func(error)) {
	recording, end := s.Audit.Begin(ctx, audit.Record{Request: t.Request, UserID: t.UserID, UserName: t.UserName, ProjectID: t.Owner,
		Service: "image", Verb: "IMPORT", Route: "/v2/images/{id}/import", Path: "/image/v2/images/" + t.ImageID + "/import", TargetID: t.ImageID})
	return recording, func(err error) {
		a := audit.Answer{Status: http.StatusOK, Err: err}
		if err != nil {
			a.Status = fault.Status(err)
		}
		end(a)
	}
}
