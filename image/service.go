package image

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/audit"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Options are what a Service works with.
type Options struct {
	DB  *db.DB
	Dir string // data are kept below it
	// Limits returns what a project may have, by resource (see Resources); what is missing is unlimited. nil limits nothing.
	Limits func(ctx context.Context, project string) (map[string]int64, error)
	// Certificates is the folder of the certificates that signatures of images are checked with: UUID.pem each.
	Certificates string
	// From are addresses that images are fetched from although they are not public ones, at any port.
	From []netip.Prefix
	// DeployFrom are further ones that operators deploy nodes from.
	DeployFrom []netip.Prefix
	Audit      *audit.Service // may be nil
	Log        *slog.Logger
}

// Service keeps images.
type Service struct {
	Options

	poke       chan struct{} // a task may wait
	converting chan struct{} // holds one for each conversion under way
}

// NewService makes the service. It starts nothing; Run carries imports out.
func NewService(o Options) (*Service, error) {
	for _, sub := range []string{"data", "uploads", "staging", "manifests"} {
		if err := os.MkdirAll(filepath.Join(o.Dir, sub), 0o700); err != nil {
			return nil, fault.E(fault.Internal, "making the folder for images", err)
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{Options: o, poke: make(chan struct{}, 1), converting: make(chan struct{}, mostConversions)}, nil
}

// mostConversions is how many images are converted at the same time.
const mostConversions = 2

// Recover drops what uploads and imports left behind that a dead process had under way. Only a process that
// knows itself to be alone on the database and the folder may call it, at its start.
func (s *Service) Recover(ctx context.Context) error {
	left, err := filepath.Glob(filepath.Join(s.Dir, "uploads", "*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return fault.E(fault.Internal, "removing a half upload", err)
		}
	}
	if err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model((*Image)(nil)).Set("status = ?", Queued).Set("upload = ''").
			Where("status = ? OR (status = ? AND upload <> '')", Saving, Uploading).Exec(ctx)
		return err
	}); err != nil {
		return err
	}
	if err := s.abandon(ctx, 0); err != nil {
		return err
	}
	return s.sweepStaging(ctx)
}

// Create makes a record without data, for a project; project "" is an operator, who may make it public and give it to
// any project. It is a Conflict when there is an image with its id, and TooLarge when the project has too many.
func (s *Service) Create(ctx context.Context, project string, i Image) (Image, error) {
	if err := check(&i); err != nil {
		return i, err
	}
	if project != "" && i.Owner != project {
		return i, fault.Errorf(fault.Denied, "only an operator may make an image for another project")
	}
	if err := changed(project, &Image{Owner: i.Owner, Status: Queued}, &i); err != nil {
		return i, err
	}
	if i.ID == "" {
		i.ID = uuid.NewString()
	} else if !isID(i.ID) {
		return i, fault.Field("id", "must be a UUID")
	}
	i.Status, i.CreatedAt, i.UpdatedAt = Queued, db.Now(), db.Now()
	share, err := s.share(ctx, i.Owner)
	if err != nil {
		return i, err
	}
	return i, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := share.another(ctx, tx, CountTotal); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&i).Exec(ctx)
		if db.Duplicate(err) {
			return fault.Errorf(fault.Conflict, "an image with the id %s exists already", i.ID)
		}
		return err
	})
}

// Get returns an image that a project may use; project "" may use all.
func (s *Service) Get(ctx context.Context, project, id string) (Image, error) {
	return get(ctx, s.DB.Read(), project, id)
}

// GetTx is Get for any project, in the caller's transaction.
func (s *Service) GetTx(ctx context.Context, tx db.Tx, id string) (Image, error) {
	return get(ctx, tx, "", id)
}

func get(ctx context.Context, q bun.IDB, project, id string) (Image, error) {
	var i Image
	if !isID(id) {
		return i, none(id)
	}
	sel := q.NewSelect().Model(&i).Where("id = ?", id)
	if project != "" {
		where, args := usable(project)
		sel = sel.Where(where, args...)
	}
	err := sel.Scan(ctx)
	if db.None(err) {
		return i, none(id)
	}
	return i, fault.Wrap("reading image "+id, err)
}

func none(id string) error { return fault.Errorf(fault.NotFound, "No image found with ID %s", id) }

// usable is the condition that a project may use an image: all but others' private ones. What is shared with it may be
// used before it has been accepted; that only decides what is listed.
func usable(project string) (string, []any) {
	return "(owner = ? OR visibility IN (?) OR (visibility = ? AND id IN (SELECT image_id FROM image_member WHERE member_id = ?)))",
		[]any{project, bun.In([]string{Public, Community}), Shared, project}
}

// own locks and reads an image that a project may change; Denied when it only may use it.
func own(ctx context.Context, tx db.Tx, project, id string) (Image, error) {
	i, err := get(ctx, tx, project, id) // before the lock, so that an id that is no UUID never gets there
	if err != nil {
		return i, err
	}
	if _, err := tx.NewRaw("UPDATE image SET id = id WHERE id = ?", id).Exec(ctx); err != nil {
		return i, fault.E(fault.Internal, "locking image "+id, err)
	}
	if i, err = get(ctx, tx, project, id); err != nil {
		return i, err
	}
	if project != "" && i.Owner != project {
		return i, fault.Errorf(fault.Denied, "the image belongs to another project")
	}
	return i, nil
}

// Own returns an image that a project may change; Denied when it only may use it.
func (s *Service) Own(ctx context.Context, project, id string) (Image, error) {
	i, err := s.Get(ctx, project, id)
	if err == nil && project != "" && i.Owner != project {
		return i, fault.Errorf(fault.Denied, "the image belongs to another project")
	}
	return i, err
}

// Update lets fn change a record of a project, under a lock. What is not for that project or state is Denied.
func (s *Service) Update(ctx context.Context, project, id string, fn func(*Image) error) (Image, error) {
	var i Image
	err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		was, err := own(ctx, tx, project, id)
		if err != nil {
			return err
		}
		i = was.clone()
		if err := fn(&i); err != nil {
			return err
		}
		if err := check(&i); err != nil {
			return err
		}
		if err := changed(project, &was, &i); err != nil {
			return err
		}
		i.UpdatedAt = db.Now()
		_, err = tx.NewUpdate().Model(&i).Column("name", "owner", "visibility", "protected", "hidden", "min_disk", "min_ram", "tags", "properties",
			"disk_format", "container_format", "updated_at").Where("id = ?", id).Exec(ctx)
		return err
	})
	return i, err
}

// Delete forgets an image of a project; its data go when no other image has the same. An image that servers were
// written from may be deleted: they keep what they have.
func (s *Service) Delete(ctx context.Context, project, id string) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		i, err := own(ctx, tx, project, id)
		if err != nil {
			return err
		}
		if i.Protected {
			return fault.Errorf(fault.Denied, "Image %s is protected and cannot be deleted.", id)
		}
		if _, err := tx.NewDelete().Model((*Image)(nil)).Where("id = ?", id).Exec(ctx); err != nil {
			return err
		}
		if err := s.drop(ctx, tx, i.SHA512, i.RawSHA512); err != nil {
			return err
		}
		return s.unstage(id)
	})
}

// Activate gives an image's data out again, or, with on false, no more. A state without data is Denied, as it is to Glance.
func (s *Service) Activate(ctx context.Context, project, id string, on bool) error {
	from, to := Active, Deactivated
	if on {
		from, to = to, from
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		i, err := own(ctx, tx, project, id)
		if err != nil || i.Status == to {
			return err
		}
		if i.Status != from {
			return fault.Errorf(fault.Denied, "Not allowed to change the status from %s to %s", i.Status, to)
		}
		_, err = tx.NewUpdate().Model((*Image)(nil)).Set("status = ?", to).Set("updated_at = ?", db.Now()).Where("id = ?", id).Exec(ctx)
		return err
	})
}

// Data opens the data as they were uploaded, for a project; those of a deactivated image only for operators (project "").
func (s *Service) Data(project string, i Image) (*os.File, error) {
	switch {
	case !i.HasData():
		return nil, fault.Errorf(fault.NotFound, "the image has no data")
	case i.Status == Deactivated && project != "":
		return nil, fault.Errorf(fault.Denied, "The requested image has been deactivated. Image data download is forbidden.")
	}
	return s.open(i.SHA512)
}

// Raw opens the raw data of an image, and tells their size in bytes: what is written to a disk.
func (s *Service) Raw(ctx context.Context, id string) (*os.File, int64, error) {
	i, err := s.Get(ctx, "", id)
	if err != nil {
		return nil, 0, err
	}
	if i.Status != Active {
		return nil, 0, fault.Errorf(fault.Conflict, "the image is %s", i.Status)
	}
	f, err := s.open(i.RawSHA512)
	if err != nil {
		return nil, 0, err
	}
	return f, i.RawSize, nil
}

// clone copies a record so that changes of one are not seen in the other.
func (i Image) clone() Image {
	i.Tags, i.Properties = slices.Clone(i.Tags), maps.Clone(i.Properties)
	return i
}
