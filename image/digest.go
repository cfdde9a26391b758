package image

import (
	"bufio"
	"context"
	"crypto/md5"  // of old operators' checksums
	"crypto/sha1" // likewise
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"io"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
)

// Digest is what data are proven by.
type Digest struct {
	Algo  string // such as sha256; "" is told by the length of the value
	Value string // hex, or the URL of a file of checksums
}

// algos are the algorithms of digests, by the names that Ironic's os_hash_algo has.
var algos = map[string]func() hash.Hash{"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}

// Listed reports whether the value is to be read from a file of checksums.
func (d Digest) Listed() bool { return strings.Contains(d.Value, "://") }

// named returns the digest with its algorithm; one that is not said is told by the length.
func (d Digest) named() Digest {
	for _, name := range slices.Sorted(maps.Keys(algos)) {
		if d.Algo == "" && len(d.Value) == hex.EncodedLen(algos[name]().Size()) {
			d.Algo = name
		}
	}
	d.Value = strings.ToLower(d.Value)
	return d
}

// check reports what is wrong with a digest that is no list.
func (d Digest) check() error {
	fresh, ok := algos[d.Algo]
	if !ok {
		return fault.Field("checksum", "the algorithm %.40q is not known; possible: %s", d.Algo, strings.Join(slices.Sorted(maps.Keys(algos)), ", "))
	}
	if raw, err := hex.DecodeString(d.Value); err != nil || len(raw) != fresh().Size() {
		return fault.Field("checksum", "%.140q is no %s in hex", d.Value, d.Algo)
	}
	return nil
}

// proof compares data with a digest.
type proof struct {
	hash.Hash
	want Digest
}

// proof returns what takes the data and then compares them.
func (d Digest) proof() *proof { return &proof{algos[d.Algo](), d} }

func (p *proof) verify() error {
	if got := hex.EncodeToString(p.Sum(nil)); got != p.want.Value {
		return fault.Errorf(fault.Invalid, "the data have the %s %s, and %s is wanted: the file was changed or damaged, or the checksum is another one's", p.want.Algo, got, p.want.Value)
	}
	return nil
}

// mostList bounds a file of checksums, in bytes.
const mostList = 1 << 20

// Resolve returns an origin's digest as a value, reading it from the file of checksums where it is listed in one.
func (s *Service) Resolve(ctx context.Context, o Origin) (Digest, error) {
	if err := o.Check(); err != nil || !o.Listed() {
		return o.Digest.named(), err
	}
	list, err := s.guard(o.Inside).fetch(ctx, o.Value, mostList)
	if err != nil {
		return o.Digest, fault.Wrap("reading the checksum of the image", err)
	}
	defer func() { _ = list.Close() }()
	u, err := url.Parse(o.URL)
	if err != nil {
		return o.Digest, fault.Field("uri", "is no URL")
	}
	d := listed(io.LimitReader(list, mostList), o.Algo, path.Base(u.Path))
	if d.Value == "" {
		return d, fault.Errorf(fault.Invalid, "the file of checksums has none for %s: give the checksum itself", path.Base(u.Path))
	}
	return d, d.check()
}

// The forms of a line in a file of checksums: what sha256sum writes, with and without --tag, and a checksum alone.
var (
	plainLine  = regexp.MustCompile(`^\\?([0-9a-fA-F]{32,128})(?:\s+[ *]?(.+))?$`)
	taggedLine = regexp.MustCompile(`^\\?([A-Z0-9]+) \((.+)\) = ([0-9a-fA-F]{32,128})$`)
)

// listed looks a file's checksum up in a list. A checksum without a name counts where it is alone.
func listed(list io.Reader, algo, file string) (found Digest) {
	found.Algo = algo
	lines, alone := 0, ""
	for in := bufio.NewScanner(list); in.Scan(); {
		line := strings.TrimSpace(in.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		lines++
		d, name := Digest{Algo: algo}, ""
		if m := taggedLine.FindStringSubmatch(line); m != nil {
			d.Value, name = m[3], m[2]
			if by := strings.ToLower(m[1]); algo == "" {
				d.Algo = by
			} else if by != algo {
				continue
			}
		} else if m := plainLine.FindStringSubmatch(line); m != nil {
			if d.Value, name = m[1], m[2]; name == "" {
				alone = d.Value
			}
		}
		if d = d.named(); path.Base(name) == file && d.check() == nil {
			return d
		}
	}
	if lines == 1 {
		found.Value = alone
	}
	return found.named()
}
