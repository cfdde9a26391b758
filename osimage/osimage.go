// Package osimage builds the operating systems that end-to-end tests and demonstrations install: tiny,
// which boots in seconds and shows whether a server was handed over right, and debian, a real Debian
// with cloud-init. Each is one disk image that boots by BIOS and by UEFI. It runs on Debian and
// Ubuntu; tiny needs no root. The build commands call it.
package osimage

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/ramdisk/deb"
)

// ManifestFile is the name of the manifest in the output folder.
const ManifestFile = "manifest.json"

// Options say where to build.
type Options struct {
	Out    string       // folder of the results; made when missing
	Cache  string       // folder of downloaded packages; "" is Out/../packages
	Source string       // the project's source tree; "" is the nearest one (tiny only)
	Log    *slog.Logger // nil: nowhere
}

func (o Options) filled() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Cache == "" {
		o.Cache = filepath.Join(o.Out, "..", "packages")
	}
	return o
}

// Manifest describes a built image. The paths are file names in its folder; all three hold the same
// image.
type Manifest struct {
	Name      string   `json:"name"`    // tiny or debian
	Version   string   `json:"version"` // of what is in it: the kernel's, or Debian's code name
	Raw       string   `json:"raw"`     // sparse
	QCOW2     string   `json:"qcow2"`   // compressed; "" without qemu-img
	Zstd      string   `json:"zstd"`    // the raw image, compressed
	Bytes     int64    `json:"bytes"`   // of the raw image; the smallest disk is this and 70 MiB for a config drive
	RawSHA512 string   `json:"raw_sha512"`
	User      string   `json:"user"` // who logs in by SSH with the keys of the config drive
	Packages  []string `json:"packages"`
	Inputs    string   `json:"inputs"` // hash of all that the image was made from
}

// Read reads the manifest of a built image and checks that its files are there. It returns a NotFound
// fault when there is none.
func Read(dir string) (Manifest, error) {
	var m Manifest
	b, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, fault.Errorf(fault.NotFound, "there is no image in %s: build one with 'hagane image build'", dir)
	}
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return m, fault.E(fault.Internal, "reading the image's manifest", err)
	}
	for _, name := range []string{m.Raw, m.Zstd} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return m, fault.E(fault.NotFound, "the image in "+dir+" is not whole: build it anew", err)
		}
	}
	return m, nil
}

// publish makes the other forms of the raw image in the folder work, puts all in their places, the
// manifest last, and returns it completed.
func (m Manifest) publish(ctx context.Context, out, work string) (Manifest, error) {
	m.Raw, m.Zstd, m.QCOW2 = m.Name+".raw", m.Name+".raw.zst", m.Name+".qcow2"
	raw := filepath.Join(work, m.Raw)
	if err := m.compress(raw, filepath.Join(work, m.Zstd)); err != nil {
		return m, fault.E(fault.Internal, "compressing the image", err)
	}
	if _, err := deb.Run(ctx, "", "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", raw, filepath.Join(work, m.QCOW2)); err != nil {
		m.QCOW2 = ""
	}
	b, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return m, fault.E(fault.Internal, "writing the manifest", err)
	}
	if err := os.WriteFile(filepath.Join(work, ManifestFile), append(b, '\n'), 0o644); err != nil {
		return m, fault.E(fault.Internal, "writing the manifest", err)
	}
	_ = os.Remove(filepath.Join(out, ManifestFile)) // half replaced files shall not be taken for whole ones
	for _, name := range []string{m.Raw, m.Zstd, m.QCOW2, ManifestFile} {
		if name == "" {
			continue
		}
		if err := os.Rename(filepath.Join(work, name), filepath.Join(out, name)); err != nil {
			return m, fault.E(fault.Internal, "putting the image in its place", err)
		}
	}
	return m, nil
}

// compress writes the zstd form and takes size and checksum of the raw one on the way.
func (m *Manifest) compress(raw, to string) error {
	in, err := os.Open(raw)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	coder, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return errors.Join(err, out.Close())
	}
	h := sha512.New()
	m.Bytes, err = io.Copy(io.MultiWriter(coder, h), in)
	m.RawSHA512 = hex.EncodeToString(h.Sum(nil))
	return errors.Join(err, coder.Close(), out.Close())
}

// digest hashes what an image is made from.
func digest(words ...string) string {
	sum := sha512.Sum512([]byte(strings.Join(words, "\n")))
	return hex.EncodeToString(sum[:32])
}
