package image_test

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
)

// bootableDisk are data with what ends the first sector of a partition table.
func bootableDisk() []byte {
	disk := make([]byte, 1<<20)
	disk[510], disk[511] = 0x55, 0xaa
	copy(disk[4096:], "a system")
	return disk
}

func sha(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

// fetched asks for an origin until it is there or has failed.
func fetched(t *testing.T, s *image.Service, o image.Origin, since time.Time) (image.Image, error) {
	t.Helper()
	for late := time.Now().Add(30 * time.Second); ; {
		i, waits, err := s.Fetch(t.Context(), o, since)
		if waits == "" || err != nil {
			return i, err
		}
		if time.Now().After(late) {
			t.Fatalf("still waiting for %s", waits)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// TestFetch fetches an image to deploy from: once, for all who want it, seen by no tenant; in the format that the data have;
// anew when its data are lost; and drops it when nobody has wanted it for long.
func TestFetch(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := serviceOn(t, d, func(o *image.Options) { o.DeployFrom = loopback })
		running(t, s)
		var asked atomic.Int64
		disk := bootableDisk()
		url := web(t, func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); _, _ = w.Write(disk) })
		o := image.Origin{URL: url + "/disk.img?token=secret", Digest: image.Digest{Value: strings.ToUpper(sha(disk))}, Inside: true}
		i, err := fetched(t, s, o, db.Now())
		if err != nil || i.Status != image.Active || i.Name != "disk.img" || i.DiskFormat != "raw" || i.RawSize != int64(len(disk)) {
			t.Fatalf("%+v %v", i, err)
		}
		o.Algo = "sha256"
		again, err := fetched(t, s, o, db.Now())
		if err != nil || again.ID != i.ID || asked.Load() != 1 {
			t.Errorf("wanted again: %s after %s, fetched %d times, %v", again.ID, i.ID, asked.Load(), err)
		}
		if _, err := s.Get(t.Context(), "p", i.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("a tenant sees it: %v", err)
		}
		if all, err := s.List(t.Context(), image.Query{Project: "p", Visibility: "all", Members: "all", Hidden: true, Limit: 10}); err != nil || len(all) > 0 {
			t.Errorf("a tenant is shown %+v, %v", all, err)
		}
		if _, err := fetched(t, s, image.Origin{URL: o.URL, Digest: o.Digest}, db.Now()); !fault.Is(err, fault.Invalid) {
			t.Errorf("somebody who may ask public addresses alone gets it: %v", err)
		}
		if err := s.Delete(t.Context(), "", i.ID); err != nil {
			t.Fatal(err)
		}
		if again, err = fetched(t, s, o, db.Now()); err != nil || again.ID == i.ID {
			t.Errorf("after an operator deleted it: %+v %v", again, err)
		}
		age(t, d)
		if err := s.DropUnused(t.Context(), []string{again.ID}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), "", again.ID); err != nil {
			t.Errorf("an image that is being deployed was dropped: %v", err)
		}
		if err := s.DropUnused(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), "", again.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("an image that nobody uses is still there: %v", err)
		}
	})
}

// age has all fetched images unused for long.
func age(t *testing.T, d *db.DB) {
	t.Helper()
	err := d.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewRaw("UPDATE image_origin SET used_at = ?", db.Now().Add(-image.KeepUnused-time.Hour)).Exec(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFetchFails fetches what can not be had: whoever waits hears why, and whoever comes later has it tried anew.
func TestFetchFails(t *testing.T) {
	s := serviceOn(t, dbtest.SQLite(t), func(o *image.Options) { o.DeployFrom = loopback })
	running(t, s)
	disk := bootableDisk()
	var there atomic.Bool
	url := web(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/late" && !there.Load():
			http.NotFound(w, r)
		case r.URL.Path == "/blank":
			_, _ = w.Write(make([]byte, 4096))
		case r.URL.Path == "/inner":
			http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
		default:
			_, _ = w.Write(disk)
		}
	})
	wrong := sha([]byte("another"))
	for what, c := range map[string]struct {
		origin image.Origin
		kind   fault.Kind
		want   string
	}{
		"a wrong hash":          {image.Origin{URL: url + "/x", Digest: image.Digest{Value: wrong}, Inside: true}, fault.Invalid, "and " + wrong + " is wanted"},
		"no such file":          {image.Origin{URL: url + "/late", Digest: image.Digest{Value: sha(disk)}, Inside: true}, fault.Invalid, "status 404"},
		"no disk":               {image.Origin{URL: url + "/blank", Digest: image.Digest{Value: sha(make([]byte, 4096))}, Inside: true}, fault.Invalid, "no partition table"},
		"another format":        {image.Origin{URL: url + "/y", Digest: image.Digest{Value: sha(disk)}, Format: "qcow2", Inside: true}, fault.Invalid, "qcow2"},
		"a link-local address":  {image.Origin{URL: url + "/inner", Digest: image.Digest{Value: sha(disk)}, Inside: true}, fault.Invalid, "169.254.169.254"},
		"loopback for a tenant": {image.Origin{URL: url + "/z", Digest: image.Digest{Value: sha(disk)}}, fault.Invalid, "no public address"},
		"a strange algorithm":   {image.Origin{URL: url, Digest: image.Digest{Algo: "crc32", Value: "00"}}, fault.Invalid, "crc32"},
		"a short hash":          {image.Origin{URL: url, Digest: image.Digest{Algo: "md5", Value: "00"}}, fault.Invalid, "no md5"},
		"a strange format":      {image.Origin{URL: url, Digest: image.Digest{Value: sha(disk)}, Format: "iso"}, fault.Invalid, "possible: raw, qcow2"},
		"a file":                {image.Origin{URL: "file:///x", Digest: image.Digest{Value: sha(disk)}}, fault.Invalid, "http or https"},
	} {
		if _, err := fetched(t, s, c.origin, db.Now()); !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s and %q", what, err, c.kind, c.want)
		}
	}
	there.Store(true)
	late := image.Origin{URL: url + "/late", Digest: image.Digest{Value: sha(disk)}, Inside: true}
	if i, err := fetched(t, s, late, db.Now()); err != nil || i.Status != image.Active {
		t.Errorf("when the file is there: %+v %v", i, err)
	}
}

// TestFetchGoesOn has the process end that fetches: the next one does it, and whoever waits is told nothing of it.
func TestFetchGoesOn(t *testing.T) {
	s := serviceOn(t, dbtest.SQLite(t), func(o *image.Options) { o.DeployFrom = loopback })
	disk, asked, let := bootableDisk(), make(chan struct{}, 2), make(chan struct{})
	url := web(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(disk[:1000])
		_ = http.NewResponseController(w).Flush()
		asked <- struct{}{}
		<-let
		_, _ = w.Write(disk[1000:])
	})
	o := image.Origin{URL: url, Digest: image.Digest{Algo: "md5", Value: fmt.Sprintf("%x", md5.Sum(disk))}, Inside: true}
	began := db.Now()
	if _, waits, err := s.Fetch(t.Context(), o, began); err != nil || waits == "" {
		t.Fatal(waits, err)
	}
	stop := running(t, s)
	<-asked
	stop()
	close(let)
	if _, waits, err := s.Fetch(t.Context(), o, began); err != nil || waits == "" {
		t.Fatalf("while nobody is at work: %q %v", waits, err)
	}
	running(t, s)
	if i, err := fetched(t, s, o, began); err != nil || i.Status != image.Active {
		t.Errorf("%+v %v", i, err)
	}
}

// TestFetchAfterDeath has the process die that fetches: whoever waits is told to try again, and the fetch has begun anew.
func TestFetchAfterDeath(t *testing.T) {
	var dir string
	d := dbtest.SQLite(t)
	dead := serviceOn(t, d, func(o *image.Options) { o.DeployFrom, dir = loopback, o.Dir })
	s := serviceOn(t, d, func(o *image.Options) { o.DeployFrom, o.Dir = loopback, dir })
	disk, asked, let := bootableDisk(), make(chan struct{}, 2), make(chan struct{})
	url := web(t, func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-let
		_, _ = w.Write(disk)
	})
	o := image.Origin{URL: url, Digest: image.Digest{Value: sha(disk)}, Inside: true}
	began := db.Now()
	if _, _, err := dead.Fetch(t.Context(), o, began); err != nil {
		t.Fatal(err)
	}
	running(t, dead)
	<-asked
	if err := s.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Fetch(t.Context(), o, began); !fault.Is(err, fault.Unavailable) {
		t.Errorf("after the death: %v", err)
	}
	close(let)
	running(t, s)
	if i, err := fetched(t, s, o, began); err != nil || i.Status != image.Active {
		t.Errorf("%+v %v", i, err)
	}
}

// TestResolve reads checksums from the files that tools write.
func TestResolve(t *testing.T) {
	s := serviceOn(t, dbtest.SQLite(t), func(o *image.Options) { o.DeployFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	a, b := sha([]byte("a")), sha([]byte("b"))
	five := fmt.Sprintf("%x", md5.Sum([]byte("a")))
	files := map[string]string{
		"/plain":   "# sums\n" + b + "  other.img\n" + a + " *disk.img\n",
		"/tagged":  "MD5 (disk.img) = " + five + "\nSHA256 (disk.img) = " + a + "\n",
		"/alone":   "\n" + strings.ToUpper(a) + "\n",
		"/paths":   a + "  ./images/disk.img\n",
		"/two":     a + "\n" + b + "\n",
		"/other":   a + "  other.img\n",
		"/nothing": "<html>\n",
	}
	url := web(t, func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, files[r.URL.Path]) })
	for path, c := range map[string]struct{ algo, want string }{
		"/plain": {"", a}, "/tagged": {"sha256", a}, "/alone": {"sha256", a}, "/paths": {"", a}, "/two": {"", ""}, "/other": {"", ""}, "/nothing": {"", ""},
	} {
		d, err := s.Resolve(t.Context(), image.Origin{URL: url + "/disk.img", Digest: image.Digest{Algo: c.algo, Value: url + path}, Inside: true})
		if c.want == "" {
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "none for disk.img") {
				t.Errorf("%s: %+v %v", path, d, err)
			}
			continue
		}
		if err != nil || d != (image.Digest{Algo: "sha256", Value: c.want}) {
			t.Errorf("%s: %+v %v", path, d, err)
		}
	}
	if _, err := s.Resolve(t.Context(), image.Origin{URL: url, Digest: image.Digest{Value: url + "/plain"}}); !fault.Is(err, fault.Denied) {
		t.Errorf("a list at a private address for a tenant: %v", err)
	}
}
