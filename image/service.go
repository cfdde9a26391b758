package image

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Service keeps images.
type Service struct {
	db  *db.DB
	dir string
}

// NewService makes the service; data are kept below dir.
func NewService(d *db.DB, dir string) (*Service, error) {
	s := &Service{d, dir}
	for _, sub := range []string{"data", "uploads"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fault.E(fault.Internal, "making the folder for images", err)
		}
	}
	return s, nil
}

// Recover drops what uploads left behind that a dead process had under way. Only a process that
// knows itself to be alone on the database and the folder may call it, at its start.
func (s *Service) Recover(ctx context.Context) error {
	left, err := filepath.Glob(filepath.Join(s.dir, "uploads", "*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return fault.E(fault.Internal, "removing a half upload", err)
		}
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model((*Image)(nil)).Set("status = ?", Queued).Set("upload = ''").Where("status = ?", Saving).Exec(ctx)
		return err
	})
}

// Formats are the disk formats that can be uploaded.
var Formats = []string{"raw", "qcow2", "iso"}

func check(i *Image) error {
	switch {
	case len(i.Name) > 255:
		return fault.Field("name", "must have at most 255 bytes")
	case i.DiskFormat != "" && !slices.Contains(Formats, i.DiskFormat):
		return fault.Field("disk_format", "%q is not served; possible: raw, qcow2, iso", i.DiskFormat)
	case i.ContainerFormat != "" && i.ContainerFormat != "bare":
		return fault.Field("container_format", "%q is not served; possible: bare", i.ContainerFormat)
	case !slices.Contains([]string{Private, Shared, Community, Public}, i.Visibility):
		return fault.Field("visibility", "must be private, shared, community or public")
	case i.MinDisk < 0:
		return fault.Field("min_disk", "must not be negative")
	case i.MinRAM < 0:
		return fault.Field("min_ram", "must not be negative")
	case len(i.Tags) > 128 || len(i.Properties) > 128:
		return fault.Field("tags", "at most 128 tags and properties are kept")
	}
	return nil
}

// Create makes a record without data.
func (s *Service) Create(ctx context.Context, i Image) (Image, error) {
	if err := check(&i); err != nil {
		return i, err
	}
	if i.ID == "" {
		i.ID = uuid.NewString()
	} else if _, err := uuid.Parse(i.ID); err != nil {
		return i, fault.Field("id", "%q is not a UUID", i.ID)
	}
	i.Status, i.CreatedAt, i.UpdatedAt = Queued, db.Now(), db.Now()
	return i, s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&i).Exec(ctx)
		if db.Duplicate(err) {
			return fault.Errorf(fault.Conflict, "an image with the id %s exists already", i.ID)
		}
		return err
	})
}

// Get returns an image that a project may use; project "" may use all.
func (s *Service) Get(ctx context.Context, project, id string) (Image, error) {
	return get(ctx, s.db.Read(), project, id)
}

// GetTx is Get for any project, in the caller's transaction.
func (s *Service) GetTx(ctx context.Context, tx db.Tx, id string) (Image, error) {
	return get(ctx, tx, "", id)
}

func get(ctx context.Context, q bun.IDB, project, id string) (Image, error) {
	var i Image
	err := q.NewSelect().Model(&i).Where("id = ?", id).Scan(ctx)
	if db.None(err) || (err == nil && project != "" && i.Owner != project && i.Visibility != Public && i.Visibility != Community) {
		return i, fault.Errorf(fault.NotFound, "no image %s", id)
	}
	return i, fault.Wrap("reading image "+id, err)
}

// List returns the images that a project may use, newest first; project "" sees all.
func (s *Service) List(ctx context.Context, project string) ([]Image, error) {
	var is []Image
	q := s.db.Read().NewSelect().Model(&is).OrderExpr("created_at DESC, id")
	if project != "" {
		q = q.Where("owner = ? OR visibility = ?", project, Public)
	}
	return is, fault.Wrap("listing images", q.Scan(ctx))
}

// Update writes a record that the caller has read and changed. Formats can not change once there are data.
func (s *Service) Update(ctx context.Context, i Image) (Image, error) {
	if err := check(&i); err != nil {
		return i, err
	}
	i.UpdatedAt = db.Now()
	return i, s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		q := tx.NewUpdate().Model(&i).Column("name", "visibility", "protected", "hidden", "min_disk", "min_ram", "tags", "properties", "updated_at")
		if i.Status == Queued {
			q = q.Column("disk_format", "container_format")
		}
		_, err := q.Where("id = ?", i.ID).Exec(ctx)
		return err
	})
}

// Delete forgets an image; its data go when no other image has the same.
func (s *Service) Delete(ctx context.Context, i Image) error {
	if i.Protected {
		return fault.Errorf(fault.Denied, "the image is protected; unset that first")
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if _, err := tx.NewDelete().Model((*Image)(nil)).Where("id = ?", i.ID).Exec(ctx); err != nil {
			return err
		}
		for _, sum := range []string{i.SHA512, i.RawSHA512} {
			if sum == "" {
				continue
			}
			n, err := tx.NewSelect().Model((*Image)(nil)).Where("sha512 = ? OR raw_sha512 = ?", sum, sum).Count(ctx)
			if err != nil {
				return err
			}
			if n == 0 {
				if err := os.Remove(s.path(sum)); err != nil && !os.IsNotExist(err) {
					return fault.E(fault.Internal, "removing the image's data", err)
				}
			}
		}
		return nil
	})
}

func (s *Service) path(sha512 string) string { return filepath.Join(s.dir, "data", sha512) }

// Data opens the data as they were uploaded.
func (s *Service) Data(i Image) (*os.File, error) {
	if i.Status != Active {
		return nil, fault.Errorf(fault.NotFound, "the image has no data")
	}
	return s.open(i.SHA512)
}

func (s *Service) open(sum string) (*os.File, error) {
	f, err := os.Open(s.path(sum))
	if err != nil {
		return nil, fault.E(fault.Unavailable, "the image's data are lost; upload it anew as another image", err)
	}
	return f, nil
}

// Raw opens the raw data of an image, and tells their size in bytes: what is written to a disk.
func (s *Service) Raw(ctx context.Context, id string) (io.ReadCloser, int64, error) {
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

// Usable reports with a fault whether an image can be deployed now: its data are there in full.
func (s *Service) Usable(i Image) error {
	if i.Status != Active {
		return fault.Errorf(fault.Conflict, "the image %s is %s; upload its data first", i.ID, i.Status)
	}
	if i.DiskFormat == "iso" {
		return fault.Field("imageRef", "the image %s is an ISO, which can not be written to a disk", i.ID)
	}
	f, err := os.Open(s.path(i.RawSHA512))
	if err != nil {
		return lost(i, err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || info.Size() != i.RawSize {
		return lost(i, err)
	}
	return partitioned(i, f)
}

func lost(i Image, err error) error {
	return fault.E(fault.Conflict, "the data of the image "+i.ID+" are lost; upload it anew as another image", err)
}

// partitioned refuses a disk without the signature that ends the first sector of both kinds of partition table, MBR
// and GPT: it could not be booted, and there would be no place for the config drive.
func partitioned(i Image, f io.ReaderAt) error {
	const at = 510
	var sig [2]byte
	if _, err := f.ReadAt(sig[:], at); err != nil || sig != [2]byte{0x55, 0xaa} {
		return fault.Field("imageRef", "the image %s has no partition table (MBR or GPT): it is no disk that could be booted", i.ID)
	}
	return nil
}
