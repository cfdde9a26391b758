package image

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Task is an import: who asked for it, and what became of it. It outlives its image.
type Task struct {
	bun.BaseModel `bun:"table:image_task"`

	ID, Type, ImageID, Owner, UserID, UserName, Request string

	Method  string // GlanceDirect or WebDownload
	URI     string // that data are fetched from
	Status  string
	Message string // why it failed
	Passing bool   // whether it may go well another time
	Fetched int64  // bytes so far
	HeardAt int64  // the database's milliseconds when its process was last heard of

	CreatedAt, UpdatedAt time.Time
	EndedAt              bun.NullTime
}

// Statuses of tasks.
const (
	TaskPending    = "pending"
	TaskProcessing = "processing"
	TaskSuccess    = "success"
	TaskFailure    = "failure"
)

// Types of tasks.
const (
	TypeImport    = "api_image_import" // asked for of an image
	TypeNewImport = "import"           // asked for with the image
)

// Methods of imports.
const (
	GlanceDirect = "glance-direct" // data that were staged
	WebDownload  = "web-download"  // data at a URL
)

// Methods are the methods of imports that are served.
var Methods = []string{GlanceDirect, WebDownload}

// Keep is how long a task that has ended is kept.
const Keep = 48 * time.Hour

// Import says what is to be imported, and who asks.
type Import struct {
	Type, Method, URI         string
	UserID, UserName, Request string // of the call that asks
}

// check reports what is wrong with an import.
func (im Import) check() error {
	switch im.Method {
	case GlanceDirect:
		if im.URI != "" {
			return fault.Field("uri", "means nothing to the import method glance-direct")
		}
		return nil
	case WebDownload:
		_, err := parseURI(im.URI)
		return err
	case "copy-image":
		return fault.Errorf(fault.Invalid, "the import method copy-image is not served: there is one store only, so there is nowhere to copy to")
	}
	return fault.Field("method", "the import method %.40q is not served; possible: glance-direct, web-download", im.Method)
}

// Import has an image of a project take its data in the background. Until then it is importing.
func (s *Service) Import(ctx context.Context, project, id string, im Import) (Task, error) {
	t := Task{ID: uuid.NewString(), Type: im.Type, ImageID: id, UserID: im.UserID, UserName: im.UserName, Request: im.Request,
		Method: im.Method, URI: im.URI, Status: TaskPending, CreatedAt: db.Now(), UpdatedAt: db.Now()}
	if err := im.check(); err != nil {
		return t, err
	}
	i, err := s.Own(ctx, project, id)
	if err != nil {
		return t, err
	}
	share, err := s.share(ctx, i.Owner)
	if err != nil {
		return t, err
	}
	err = s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if im.Method == WebDownload { // staged data have been counted when they came
			if err := share.another(ctx, tx, CountUploading); err != nil {
				return err
			}
			if _, err := share.room(ctx, tx, Importing); err != nil {
				return err
			}
		}
		if i, err = own(ctx, tx, project, id); err != nil {
			return err
		}
		t.Owner = i.Owner
		if err := importable(i, im.Method); err != nil {
			return err
		}
		if _, err := tx.NewUpdate().Model((*Image)(nil)).Set("status = ?", Importing).Set("upload = ?", t.ID).Set("failed = ?", false).
			Set("updated_at = ?", t.CreatedAt).Where("id = ?", id).Exec(ctx); err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(&t).Exec(ctx)
		return err
	})
	if err == nil {
		s.wake()
	}
	return t, err
}

// CreateAndImport makes an image as Create does, and has it take its data from a URL.
func (s *Service) CreateAndImport(ctx context.Context, project string, i Image, im Import) (Task, error) {
	err := im.check()
	if err == nil {
		err = ready(i)
	}
	if err != nil {
		return Task{}, err
	}
	if i, err = s.Create(ctx, project, i); err != nil {
		return Task{}, err
	}
	t, err := s.Import(ctx, project, i.ID, im)
	if err != nil {
		return t, errors.Join(err, s.Delete(context.WithoutCancel(ctx), "", i.ID))
	}
	return t, nil
}

// importable reports why an image can not be imported by a method in its state.
func importable(i Image, method string) error {
	if err := ready(i); err != nil {
		return err
	}
	switch {
	case method == GlanceDirect && i.Status == Uploading && i.Staged == 0:
		return fault.Errorf(fault.Conflict, "the data are still being staged")
	case method == GlanceDirect && i.Status != Uploading:
		return fault.Errorf(fault.Conflict, "Only images with status 'uploading' can be imported by glance-direct; the image is %s: stage its data first", i.Status)
	case method == WebDownload && i.Status != Queued:
		return fault.Errorf(fault.Conflict, "Only images with status 'queued' can be imported by web-download; the image is %s", i.Status)
	}
	return nil
}

// wake tells Run that a task may wait.
func (s *Service) wake() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// TaskQuery selects tasks, newest first. Empty fields select all.
type TaskQuery struct {
	Owner, ImageID, ID, Type, Status string

	Sort  []Order
	After string // the id of the last one of the page before
	Limit int
}

var taskSortable = map[string]bool{"created_at": true, "updated_at": true, "status": true, "type": true, "id": true}

// Tasks returns the tasks that a query selects.
func (s *Service) Tasks(ctx context.Context, w TaskQuery) ([]Task, error) {
	ts := []Task{}
	q := s.DB.Read().NewSelect().Model(&ts)
	for column, value := range map[string]string{"owner": w.Owner, "image_id": w.ImageID, "id": w.ID, "type": w.Type, "status": w.Status} {
		if value != "" {
			q = q.Where(column+" = ?", value)
		}
	}
	orders := append(w.Sort[:len(w.Sort):len(w.Sort)], db.Order{By: "created_at", Descending: true})
	for _, o := range orders {
		if !taskSortable[o.By] {
			return nil, fault.Field("sort_key", "%.40q can not be sorted by", o.By)
		}
	}
	if w.After != "" {
		if _, err := s.Task(ctx, w.Owner, w.After); err != nil {
			return nil, fault.Field("marker", "there is no task %.40q", w.After)
		}
	}
	return ts, fault.Wrap("listing tasks", db.Page(q, "image_task", orders, w.After, w.Limit).Scan(ctx))
}

// Task returns a task of a project; of any when project is "".
func (s *Service) Task(ctx context.Context, project, id string) (Task, error) {
	var t Task
	missing := fault.Errorf(fault.NotFound, "No task found with ID %.64s", id)
	if !isID(id) {
		return t, missing
	}
	err := s.DB.Read().NewSelect().Model(&t).Where("id = ?", id).Scan(ctx)
	if db.None(err) || err == nil && project != "" && t.Owner != project {
		return Task{}, missing
	}
	return t, fault.Wrap("reading task "+id, err)
}

// Expire drops the tasks that ended longer ago than Keep. It is a reconciler.
func (s *Service) Expire(ctx context.Context) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewDelete().Model((*Task)(nil)).Where("ended_at < ?", db.Now().Add(-Keep)).Exec(ctx)
		return err
	})
}

// abandon ends the tasks whose process has not been heard of for silent: their images are queued again.
func (s *Service) abandon(ctx context.Context, silent time.Duration) error {
	var lost []Task
	if err := s.DB.Read().NewSelect().Model(&lost).Where("status = ?", TaskProcessing).Where("heard_at <= "+s.DB.NowMillis()+" - ?", silent.Milliseconds()).Scan(ctx); err != nil {
		return fault.E(fault.Internal, "looking for imports that broke off", err)
	}
	for _, t := range lost {
		err := s.failed(ctx, t, fault.Errorf(fault.Unavailable, "the process that carried the import out has ended; import it again"))
		if err != nil && !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return nil
}

// failed records that an import failed: its image is queued again, and says so.
func (s *Service) failed(ctx context.Context, t Task, why error) error {
	s.Log.Warn("an image could not be imported", "image", t.ImageID, "task", t.ID, "why", why)
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		t.Passing = fault.Is(why, fault.Unavailable)
		if err := t.end(ctx, tx, TaskFailure, fault.Message(why)); err != nil {
			return err
		}
		res, err := tx.NewUpdate().Model((*Image)(nil)).Set("status = ?", Queued).Set("upload = ''").Set("staged = 0").Set("failed = ?", true).
			Set("updated_at = ?", db.Now()).Where("id = ? AND upload = ?", t.ImageID, t.ID).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return s.unstage(t.ImageID)
	})
}

// end records the end of a task; a Conflict when another process has ended it.
func (t *Task) end(ctx context.Context, tx db.Tx, status, message string) error {
	t.Status, t.Message, t.UpdatedAt = status, message, db.Now()
	t.EndedAt = bun.NullTime{Time: t.UpdatedAt}
	res, err := tx.NewUpdate().Model(t).Column("status", "message", "passing", "updated_at", "ended_at", "fetched").Where("id = ?", t.ID).Where("status = ?", TaskProcessing).Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, fault.Errorf(fault.Conflict, "the task has been ended already"))
	}
	return nil
}

// stagedData opens what was staged for an image.
func (s *Service) stagedData(id string) (*os.File, error) {
	f, err := os.Open(s.staging(id))
	if err != nil {
		return nil, fault.E(fault.Unavailable, "the staged data are lost; stage them again", err)
	}
	return f, nil
}
