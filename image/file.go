package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

func (s *Service) path(sha512 string) string { return filepath.Join(s.Dir, "data", sha512) }
func (s *Service) staging(id string) string  { return filepath.Join(s.Dir, "staging", id) }

func (s *Service) open(sum string) (*os.File, error) {
	f, err := os.Open(s.path(sum))
	if err != nil {
		return nil, fault.E(fault.Unavailable, "the image's data are lost; upload it anew as another image", err)
	}
	return f, nil
}

// stored are files that are not kept yet, by the SHA-512 of their content.
type stored map[string]string

// discard removes those that were not kept.
func (f stored) discard() {
	for _, path := range f {
		_ = os.Remove(path)
	}
}

// spool streams at most most bytes to a new file, through the hashes, leaving holes where there are only zeros. More is TooLarge.
func (s *Service) spool(ctx context.Context, data io.Reader, most int64, hashes ...hash.Hash) (path string, size int64, err error) {
	f, err := os.CreateTemp(filepath.Join(s.Dir, "uploads"), "image-*")
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
		n, readErr := fill(data, buf)
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
		case size > most:
			return f.Name(), size, fault.Errorf(fault.TooLarge, "the data are more than the %d bytes that there is room for", most)
		case ctx.Err() != nil:
			return f.Name(), size, fault.E(fault.Unavailable, "taking the data was broken off", ctx.Err())
		case errors.Is(readErr, io.EOF):
			return f.Name(), size, explain(f.Truncate(size))
		case errors.As(readErr, new(*fault.Error)):
			return f.Name(), size, readErr
		case readErr != nil:
			return f.Name(), size, fault.E(fault.Invalid, "the data broke off; send them again", readErr)
		}
	}
}

// fill reads until buf is full or there is an error. io.ReadFull would not do: it tells the end of the data by the error by
// which HTTP tells that a connection was cut.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

// explain tells a full disk apart from other trouble.
func explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fault.E(fault.Unavailable, "the disk for images is full; ask the operator to make room", err)
	}
	return fault.Wrap("storing the image", err)
}

// keep moves finished files to where their content says. It belongs into the transaction that records them.
func (s *Service) keep(files stored) error {
	for sum, path := range files {
		if err := s.move(path, s.path(sum)); err != nil {
			return err
		}
	}
	return nil
}

// move renames a file in one step that outlives a loss of power. Moving it twice is no error: a transaction may run again.
func (s *Service) move(from, to string) error {
	err := os.Rename(from, to)
	if errors.Is(err, os.ErrNotExist) {
		if _, gone := os.Stat(to); gone == nil {
			return nil
		}
	}
	if err != nil {
		return fault.E(fault.Internal, "keeping the image's data", err)
	}
	return syncDir(filepath.Dir(to))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("opening %s: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// lockData keeps others from keeping or dropping data until the transaction ends. The texts are ordered, so that two
// transactions never wait for each other.
func (s *Service) lockData(ctx context.Context, tx db.Tx, a, b string) error {
	for _, sum := range []string{min(a, b), max(a, b)} {
		if sum == "" {
			continue
		}
		if err := lock(ctx, tx, "data "+sum); err != nil {
			return err
		}
	}
	return nil
}

// lock holds a name until the transaction ends.
func lock(ctx context.Context, tx db.Tx, name string) error {
	_, err := tx.NewRaw("INSERT INTO image_lock (name) VALUES (?) ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name", name).Exec(ctx)
	return fault.Wrap("locking "+name, err)
}

// drop removes the files of data that no image has any more.
func (s *Service) drop(ctx context.Context, tx db.Tx, a, b string) error {
	if err := s.lockData(ctx, tx, a, b); err != nil {
		return err
	}
	for _, sum := range []string{a, b} {
		if sum == "" {
			continue
		}
		n, err := tx.NewSelect().Model((*Image)(nil)).Where("sha512 = ? OR raw_sha512 = ?", sum, sum).Count(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		if err := os.Remove(s.path(sum)); err != nil && !os.IsNotExist(err) {
			return fault.E(fault.Internal, "removing the image's data", err)
		}
		if err := os.Remove(s.manifest(sum)); err != nil && !os.IsNotExist(err) {
			return fault.E(fault.Internal, "removing the image's manifest", err)
		}
		if _, err := tx.NewRaw("DELETE FROM image_lock WHERE name = ?", "data "+sum).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// unstage removes what was staged for an image.
func (s *Service) unstage(id string) error {
	if err := os.Remove(s.staging(id)); err != nil && !os.IsNotExist(err) {
		return fault.E(fault.Internal, "removing staged data", err)
	}
	return nil
}

// sweepStaging removes staged data of images that do not wait for them.
func (s *Service) sweepStaging(ctx context.Context) error {
	left, err := os.ReadDir(filepath.Join(s.Dir, "staging"))
	if err != nil {
		return fault.E(fault.Internal, "reading the folder of staged data", err)
	}
	for _, f := range left {
		n, err := s.DB.Read().NewSelect().Model((*Image)(nil)).Where("id = ? AND staged > 0", f.Name()).Count(ctx)
		if err != nil {
			return fault.E(fault.Internal, "looking for the image of staged data", err)
		}
		if n == 0 {
			if err := s.unstage(f.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}
