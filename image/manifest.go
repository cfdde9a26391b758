package image

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hagane-cloud/hagane/agent/manifest"
	"github.com/hagane-cloud/hagane/fault"
)

func (s *Service) manifest(sum string) string { return filepath.Join(s.Dir, "manifests", sum) }

// Manifest returns the encoded manifest (package agent/manifest) of an image's raw data, by their SHA-512. It is NotFound until it
// was made, which is when the data come, and while Run goes on for those that came earlier.
func (s *Service) Manifest(sum string) ([]byte, error) {
	b, err := os.ReadFile(s.manifest(filepath.Base(sum)))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fault.Errorf(fault.NotFound, "the image has no manifest")
	}
	return b, fault.Wrap("reading an image's manifest", err)
}

// describe makes the manifest of the raw data in a file, unless there is one.
func (s *Service) describe(ctx context.Context, path, sum string, size int64) error {
	if _, err := os.Stat(s.manifest(sum)); err == nil || manifest.ChunkBytes(size) == 0 {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fault.E(fault.Internal, "opening the image's data", err)
	}
	defer func() { _ = f.Close() }() // only read
	m, err := manifest.Make(until{ctx, f}, size)
	if err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Join(s.Dir, "uploads"), "manifest-*")
	if err != nil {
		return explain(err)
	}
	defer func() { _ = os.Remove(out.Name()) }() // gone already if it was kept
	_, err = out.Write(m.Encode())
	if err := explain(errors.Join(err, out.Sync(), out.Close())); err != nil {
		return err
	}
	return s.move(out.Name(), s.manifest(sum))
}

// until reads until ctx ends.
type until struct {
	ctx context.Context
	io.Reader
}

// Read reads on.
func (u until) Read(b []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.Reader.Read(b)
}

// describeEvery is how often images without a manifest are looked for: those that came before there were manifests.
const describeEvery = 5 * time.Minute

// describeAll makes the manifests that are missing, now and then, until ctx ends.
func (s *Service) describeAll(ctx context.Context) {
	t := time.NewTicker(describeEvery)
	defer t.Stop()
	for {
		if err := s.describeMissing(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("an image has no manifest yet, and is sent as a stream", "error", err)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Service) describeMissing(ctx context.Context) error {
	var all []Image
	err := s.DB.Read().NewSelect().Model(&all).Column("raw_sha512", "raw_size").Distinct().
		Where("status = ? AND raw_size > 0 AND disk_format <> 'iso'", Active).Scan(ctx)
	if err != nil {
		return fault.E(fault.Internal, "looking for images without a manifest", err)
	}
	var failed error
	for _, i := range all {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failed = errors.Join(failed, s.describe(ctx, s.path(i.RawSHA512), i.RawSHA512, i.RawSize))
	}
	return failed
}
