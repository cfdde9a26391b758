package image

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5" // Glance's checksum; the SHA-512 is what we rely on
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/uuid"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// maxImage bounds an image, as uploaded and as raw data.
const maxImage = 1 << 40

// Upload takes an image's data. The image is usable only when all of it is stored and, for qcow2,
// converted; after a failure it is as before, and the upload can be repeated.
func (s *Service) Upload(ctx context.Context, i Image, data io.Reader) error {
	if i.DiskFormat == "" || i.ContainerFormat == "" {
		return fault.Field("disk_format", "set disk_format and container_format before uploading")
	}
	mine, err := s.beginUpload(ctx, i.ID)
	if err != nil {
		return err
	}
	done, err := s.store(ctx, i, data)
	if err == nil {
		err = s.endUpload(ctx, done, mine)
	}
	if err != nil {
		return errors.Join(err, s.cancelUpload(context.WithoutCancel(ctx), i.ID, mine))
	}
	return nil
}

func (s *Service) beginUpload(ctx context.Context, id string) (string, error) {
	mine := uuid.NewString()
	return mine, s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		res, err := tx.NewUpdate().Model((*Image)(nil)).Set("status = ?", Saving).Set("upload = ?", mine).
			Where("id = ?", id).Where("status = ?", Queued).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return fault.Errorf(fault.Conflict, "the image has data already, or an upload is under way; make a new image")
		}
		return nil
	})
}

func (s *Service) endUpload(ctx context.Context, i Image, mine string) error {
	i.Status, i.UpdatedAt = Active, db.Now()
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		res, err := tx.NewUpdate().Model(&i).Column("status", "size", "checksum", "sha512", "raw_sha512", "raw_size", "updated_at").
			Set("upload = ''").Where("id = ?", i.ID).Where("upload = ?", mine).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return fault.Errorf(fault.Conflict, "the image was deleted during the upload")
		}
		return nil
	})
}

func (s *Service) cancelUpload(ctx context.Context, id, mine string) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model((*Image)(nil)).Set("status = ?", Queued).Set("upload = ''").Where("id = ? AND upload = ?", id, mine).Exec(ctx)
		return err
	})
}

// store writes the data to a file of their own and returns the image with what is known of them.
func (s *Service) store(ctx context.Context, i Image, data io.Reader) (Image, error) {
	// The first bytes tell what it really is: a qcow2 given as raw would be written to disks as it is.
	peek := bufio.NewReaderSize(data, 64<<10)
	head, _ := peek.Peek(len(qcow2Magic))
	if i.DiskFormat == "raw" && bytes.Equal(head, qcow2Magic) {
		return i, fault.Field("disk_format", "the data are qcow2, but the image says raw")
	}
	md, sum := md5.New(), sha512.New()
	path, size, err := s.spool(ctx, peek, md, sum)
	if err != nil {
		return i, err
	}
	defer func() { _ = os.Remove(path) }() // gone already if it was kept
	if size == 0 {
		return i, fault.Errorf(fault.Invalid, "the upload is empty")
	}
	i.Size, i.Checksum, i.SHA512 = size, hex.EncodeToString(md.Sum(nil)), hex.EncodeToString(sum.Sum(nil))
	if i.DiskFormat == "qcow2" {
		if i.RawSHA512, i.RawSize, err = s.convert(ctx, path); err != nil {
			return i, err
		}
	} else {
		i.RawSHA512, i.RawSize = i.SHA512, size
	}
	return i, s.keep(path, i.SHA512)
}

// spool streams data to a new file, through the hashes, leaving holes where there are only zeros.
func (s *Service) spool(ctx context.Context, data io.Reader, hashes ...hash.Hash) (path string, size int64, err error) {
	f, err := os.CreateTemp(filepath.Join(s.dir, "uploads"), "image-*")
	if err != nil {
		return "", 0, explain(err)
	}
	defer func() {
		if err == nil {
			err = explain(f.Sync())
		}
		err = errors.Join(err, f.Close())
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	buf := make([]byte, 1<<20)
	zeros := make([]byte, len(buf))
	for {
		n, readErr := io.ReadFull(data, buf)
		for _, h := range hashes {
			_, _ = h.Write(buf[:n]) // never fails
		}
		if n > 0 && !bytes.Equal(buf[:n], zeros[:n]) {
			if _, err := f.WriteAt(buf[:n], size); err != nil {
				return f.Name(), size, explain(err)
			}
		}
		size += int64(n)
		switch {
		case size > maxImage:
			return f.Name(), size, fault.Errorf(fault.TooLarge, "the image is larger than %d bytes", int64(maxImage))
		case ctx.Err() != nil:
			return f.Name(), size, fault.E(fault.Unavailable, "the upload was broken off", ctx.Err())
		case errors.Is(readErr, io.EOF), errors.Is(readErr, io.ErrUnexpectedEOF):
			return f.Name(), size, explain(f.Truncate(size))
		case readErr != nil:
			return f.Name(), size, fault.E(fault.Invalid, "the upload broke off; repeat it", readErr)
		}
	}
}

// explain tells a full disk apart from other trouble.
func explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fault.E(fault.Unavailable, "the disk for images is full; ask the operator to make room", err)
	}
	return fault.Wrap("storing the image", err)
}

// keep moves a finished file to where its content says, in one step.
func (s *Service) keep(path, sum string) error {
	if err := os.Rename(path, s.path(sum)); err != nil {
		return fault.E(fault.Internal, "keeping the image's data", err)
	}
	return syncDir(filepath.Join(s.dir, "data"))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("opening %s: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}
