package image

import (
	"bufio"
	"context"
	"crypto/md5" // Glance's checksum; the SHA-512 is what we rely on
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"

	"github.com/google/uuid"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// maxImage bounds an image, as uploaded and as raw data.
const maxImage = 1 << 40

// Upload takes the data of an image that a project owns ("" is an operator). The image is usable only when all of it is
// stored, its signature checked and, for qcow2, converted; after a failure it is as before, and the upload can be repeated.
func (s *Service) Upload(ctx context.Context, project, id string, data io.Reader) error {
	return s.receive(ctx, project, id, Saving, func(ctx context.Context, i Image, c claim) error {
		done, files, err := s.store(ctx, i, data, c)
		defer files.discard()
		if err != nil {
			return err
		}
		return s.finish(ctx, done, files, c, nil)
	})
}

// claim is the right to give an image its data, and how many bytes may be taken.
type claim struct {
	key    string
	most   int64
	origin *origin // that proves the data; nil for images that are no deployment's
}

// receive claims a queued image for the state under way while fn takes data, and gives it back when fn fails.
func (s *Service) receive(ctx context.Context, project, id string, under Status, fn func(context.Context, Image, claim) error) error {
	i, c, err := s.begin(ctx, project, id, under)
	if err != nil {
		return err
	}
	if err := fn(ctx, i, c); err != nil {
		return errors.Join(err, s.giveBack(context.WithoutCancel(ctx), id, c.key))
	}
	return nil
}

// begin claims a queued image.
func (s *Service) begin(ctx context.Context, project, id string, under Status) (Image, claim, error) {
	c := claim{key: uuid.NewString()}
	i, err := s.Own(ctx, project, id)
	if err != nil {
		return i, c, err
	}
	share, err := s.share(ctx, i.Owner)
	if err != nil {
		return i, c, err
	}
	return i, c, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := share.another(ctx, tx, CountUploading); err != nil {
			return err
		}
		if i, err = own(ctx, tx, project, id); err != nil {
			return err
		}
		if i.Status != Queued {
			return fault.Errorf(fault.Conflict, "the image is %s: only a queued image takes data; make a new one", i.Status)
		}
		if err := ready(i); err != nil {
			return err
		}
		if c.most, err = share.room(ctx, tx, under); err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model((*Image)(nil)).Set("status = ?", under).Set("upload = ?", c.key).Set("failed = ?", false).Where("id = ?", id).Exec(ctx)
		return err
	})
}

// ready reports what has to be said of an image before it can have data.
func ready(i Image) error {
	switch {
	case i.ContainerFormat == "":
		return fault.Field("container_format", "container_format needs to be set before the data")
	case i.DiskFormat == "":
		return fault.Field("disk_format", "disk_format needs to be set before the data")
	}
	return nil
}

// finish makes the stored data the image's, if the claim still holds. What is in use is counted and kept under locks, so
// that neither two uploads share what is left of a quota, nor a deletion takes the files that were just kept. also records
// what else ends with that; it may be nil.
func (s *Service) finish(ctx context.Context, i Image, files stored, c claim, also func(ctx context.Context, tx db.Tx) error) error {
	share, err := s.share(ctx, i.Owner)
	if err != nil {
		return err
	}
	i.Status, i.UpdatedAt = Active, db.Now()
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := share.lock(ctx, tx); err != nil {
			return err
		}
		most, err := share.room(ctx, tx, Saving)
		if err != nil {
			return err
		}
		if i.Size > most {
			return share.tooMuch(SizeTotal)
		}
		if err := s.lockData(ctx, tx, i.SHA512, i.RawSHA512); err != nil {
			return err
		}
		res, err := tx.NewUpdate().Model(&i).Column("status", "disk_format", "size", "checksum", "sha512", "raw_sha512", "raw_size", "updated_at").
			Set("upload = ''").Set("staged = 0").Set("failed = ?", false).Where("id = ?", i.ID).Where("upload = ?", c.key).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return fault.Errorf(fault.Conflict, "the image was deleted while its data came")
		}
		if also != nil {
			if err := also(ctx, tx); err != nil {
				return err
			}
		}
		return s.keep(files)
	})
}

// giveBack makes a claimed image queued again.
func (s *Service) giveBack(ctx context.Context, id, key string) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model((*Image)(nil)).Set("status = ?", Queued).Set("upload = ''").Set("staged = 0").Where("id = ? AND upload = ?", id, key).Exec(ctx)
		return err
	})
}

// Stage keeps data of an image that a project owns until an import makes them the image's.
func (s *Service) Stage(ctx context.Context, project, id string, data io.Reader) error {
	return s.receive(ctx, project, id, Uploading, func(ctx context.Context, _ Image, c claim) error {
		path, size, err := s.spool(ctx, io.LimitReader(data, c.most+1), c.most)
		if err != nil {
			return err
		}
		defer func() { _ = os.Remove(path) }() // gone already if it was kept
		if size == 0 {
			return errEmpty()
		}
		return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
			res, err := tx.NewUpdate().Model((*Image)(nil)).Set("upload = ''").Set("staged = ?", size).Set("updated_at = ?", db.Now()).
				Where("id = ? AND upload = ?", id, c.key).Exec(ctx)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n == 0 {
				return fault.Errorf(fault.Conflict, "the image was deleted while its data came")
			}
			return s.move(path, s.staging(id))
		})
	})
}

func errEmpty() error { return fault.Errorf(fault.Invalid, "there are no data") }

// store writes the data to files of their own and returns the image with what is known of them.
func (s *Service) store(ctx context.Context, i Image, data io.Reader, c claim) (Image, stored, error) {
	files := stored{}
	sig, err := s.signature(i.Properties, db.Now())
	if err != nil {
		return i, files, err
	}
	peek := bufio.NewReaderSize(io.LimitReader(data, c.most+1), 64<<10)
	head, _ := peek.Peek(headSize)
	if c.origin != nil && c.origin.Format == "" {
		i.DiskFormat = told(head)
	}
	if err := agrees(i.DiskFormat, head); err != nil {
		return i, files, err
	}
	md, sum := md5.New(), sha512.New()
	hashes := []hash.Hash{md, sum}
	if sig != nil {
		hashes = append(hashes, sig.hash)
	}
	var digest *proof
	if c.origin != nil {
		digest = c.origin.digest().proof()
		hashes = append(hashes, digest)
	}
	path, size, err := s.spool(ctx, peek, c.most, hashes...)
	if err != nil {
		return i, files, err
	}
	i.Size, i.Checksum, i.SHA512 = size, hex.EncodeToString(md.Sum(nil)), hex.EncodeToString(sum.Sum(nil))
	i.RawSHA512, i.RawSize = "", 0
	files[i.SHA512] = path
	if sig != nil {
		if err := sig.verify(); err != nil {
			return i, files, err
		}
	}
	if digest != nil {
		if err := digest.verify(); err != nil {
			return i, files, err
		}
	}
	switch i.DiskFormat {
	case "qcow2":
		raw, sum, rawSize, err := s.convert(ctx, path)
		if err != nil {
			return i, files, err
		}
		files[sum] = raw
		i.RawSHA512, i.RawSize = sum, rawSize
	case "raw", "iso":
		i.RawSHA512, i.RawSize = i.SHA512, size
	}
	if onDisks(i.DiskFormat) && i.RawSize > 0 {
		if err := s.describe(ctx, files[i.RawSHA512], i.RawSHA512, i.RawSize); err != nil {
			return i, files, err
		}
	}
	return i, files, nil
}
