package image_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/audit"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// fromHere lets a service fetch from this machine.
func fromHere(o *image.Options) { o.From = loopback }

// running runs the service's imports until the function that it returns is called, or the test ends.
func running(t *testing.T, s *image.Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(ctx) }()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

func web(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// until waits for a state of an image.
func until(t *testing.T, s *image.Service, id string, want image.Status) image.Image {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		i, err := s.Get(t.Context(), "", id)
		if err != nil {
			t.Fatal(err)
		}
		if i.Status == want {
			return i
		}
		if time.Now().After(deadline) {
			t.Fatalf("the image is %s, not %s", i.Status, want)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// why returns what became of an image's last import.
func why(t *testing.T, s *image.Service, id string) image.Task {
	t.Helper()
	ts, err := s.Tasks(t.Context(), image.TaskQuery{ImageID: id, Limit: 10})
	if err != nil || len(ts) == 0 {
		t.Fatalf("no task: %v", err)
	}
	return ts[0]
}

func fromWeb(uri string) image.Import {
	return image.Import{Type: image.TypeImport, Method: image.WebDownload, URI: uri, UserID: "u", UserName: "user", Request: "req-1"}
}

// TestImport imports from the web and from the staging area, and finds both in the audit.
func TestImport(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		log := audit.NewService(d, slog.New(slog.DiscardHandler))
		s := serviceOn(t, d, func(o *image.Options) { o.From, o.Audit = loopback, log })
		running(t, s)
		url := web(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(sample()) })
		i := made(t, s, nil)
		if _, err := s.Import(t.Context(), "p", i.ID, fromWeb(url+"/x?token=t")); err != nil {
			t.Fatal(err)
		}
		_, err := s.Import(t.Context(), "p", i.ID, fromWeb(url))
		refused(t, "a second import", err, fault.Conflict)
		got := until(t, s, i.ID, image.Active)
		if task := why(t, s, i.ID); got.Size != int64(len(sample())) || got.Failed || task.Status != image.TaskSuccess || task.Fetched != got.Size {
			t.Errorf("%+v, %+v", got, task)
		}
		rs, err := log.List(t.Context(), audit.Query{TargetID: i.ID, Limit: 10})
		for late := time.Now().Add(10 * time.Second); err == nil && len(rs) == 1 && rs[0].Outcome != audit.Success && time.Now().Before(late); {
			<-time.After(5 * time.Millisecond) // the image is active a moment before its import has ended
			rs, err = log.List(t.Context(), audit.Query{TargetID: i.ID, Limit: 10})
		}
		if err != nil || len(rs) != 1 || rs[0].Verb != "IMPORT" || rs[0].Outcome != audit.Success || rs[0].UserID != "u" || rs[0].Request != "req-1" || rs[0].ProjectID != "p" {
			t.Errorf("the audit has %+v, %v", rs, err)
		}

		staged := made(t, s, nil)
		_, err = s.Import(t.Context(), "p", staged.ID, image.Import{Type: image.TypeImport, Method: image.GlanceDirect})
		refused(t, "an import of nothing staged", err, fault.Conflict)
		if err := s.Stage(t.Context(), "p", staged.ID, bytes.NewReader(sample())); err != nil {
			t.Fatal(err)
		}
		refused(t, "an upload beside staged data", s.Upload(t.Context(), "p", staged.ID, bytes.NewReader(sample())), fault.Conflict)
		if _, err := s.Import(t.Context(), "p", staged.ID, image.Import{Type: image.TypeImport, Method: image.GlanceDirect}); err != nil {
			t.Fatal(err)
		}
		if got := until(t, s, staged.ID, image.Active); got.SHA512 == "" || got.Staged != 0 {
			t.Errorf("%+v", got)
		}
		for method, uri := range map[string]string{"copy-image": "", "glance-download": "", image.GlanceDirect: url, image.WebDownload: ""} {
			_, err := s.Import(t.Context(), "p", made(t, s, nil).ID, image.Import{Type: image.TypeImport, Method: method, URI: uri})
			refused(t, method, err, fault.Invalid)
		}
	})
}

// TestImportFails fetches what can not become an image: the image waits for data again, and the reason is told.
func TestImportFails(t *testing.T) {
	s := serviceOn(t, dbtest.SQLite(t), func(o *image.Options) {
		o.From = loopback
		o.Limits = func(context.Context, string) (map[string]int64, error) {
			return map[string]int64{image.SizeTotal: 2}, nil
		}
	})
	running(t, s)
	url := web(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			_, _ = w.Write(make([]byte, 3<<20))
		case "/stream": // of a length that is not told
			for range 3 {
				_, _ = w.Write(make([]byte, 1<<20))
				_ = http.NewResponseController(w).Flush()
			}
		case "/cut":
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("half"))
		case "/qcow2":
			_, _ = w.Write(qcow2(func([]byte) {}))
		case "/empty":
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/credentials":
			http.Redirect(w, r, "http://me:secret@"+r.Host+"/", http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	})
	for path, words := range map[string]string{"/large": "room", "/stream": "room", "/cut": "broke off", "/qcow2": "qcow2", "/empty": "no data",
		"/loop": "redirects", "/credentials": "password", "/missing": "404"} {
		i := made(t, s, nil)
		if _, err := s.Import(t.Context(), "p", i.ID, fromWeb(url+path)); err != nil {
			t.Fatal(err)
		}
		got := until(t, s, i.ID, image.Queued)
		if task := why(t, s, i.ID); !got.Failed || task.Status != image.TaskFailure || !strings.Contains(task.Message, words) {
			t.Errorf("%s: %+v, %+v", path, got, task)
		}
	}
}

// TestImportFromWithin asks for what only the cloud's host can reach, by every way that there is to write it.
func TestImportFromWithin(t *testing.T) {
	s := serviceOn(t, dbtest.SQLite(t), nil)
	running(t, s)
	asked := false
	inside := web(t, func(http.ResponseWriter, *http.Request) { asked = true })
	_, port, _ := strings.Cut(strings.TrimPrefix(inside, "http://"), ":")
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "127.1", "2130706433", "10.0.0.1", "172.16.0.1",
		"192.168.0.1", "169.254.169.254", "[fe80::1]", "[fd00::1]", "224.0.0.1", "[ff02::1]", "100.64.0.1", "198.18.0.1", "198.19.0.1", "255.255.255.255",
		"[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::127.0.0.1]", "[2001:db8::1]", "[::ffff:169.254.169.254]"} {
		for _, at := range []string{port, "80"} {
			i := made(t, s, nil)
			if _, err := s.Import(t.Context(), "p", i.ID, fromWeb(fmt.Sprintf("http://%s:%s/", host, at))); err != nil {
				t.Fatal(err)
			}
			until(t, s, i.ID, image.Queued)
			if m := why(t, s, i.ID).Message; !strings.Contains(m, "public address") && !strings.Contains(m, "not known") {
				t.Errorf("%s, port %s: %s", host, at, m)
			}
		}
	}
	if asked {
		t.Error("the inner server was asked")
	}
	for _, uri := range []string{"ftp://example.org/", "file:///etc/passwd", "gopher://x/", "http://", "http://u:p@example.org/", "http://u@example.org/", "//example.org/",
		"http://x/" + strings.Repeat("a", 3000), "http://[::1", "http://a b/"} {
		_, err := s.Import(t.Context(), "p", made(t, s, nil).ID, fromWeb(uri))
		refused(t, uri[:min(len(uri), 40)], err, fault.Invalid)
	}
}

// TestRedirectWithin is sent by an allowed server to one that is not.
func TestRedirectWithin(t *testing.T) {
	s := serviceOn(t, dbtest.SQLite(t), func(o *image.Options) { o.From = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} })
	running(t, s)
	url := web(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.2:80/", http.StatusFound)
	})
	i := made(t, s, nil)
	if _, err := s.Import(t.Context(), "p", i.ID, fromWeb(url)); err != nil {
		t.Fatal(err)
	}
	until(t, s, i.ID, image.Queued)
	if m := why(t, s, i.ID).Message; !strings.Contains(m, "public address") {
		t.Error(m)
	}
}

// TestImportSurvives stops the service in the middle of an import, and lets it die in one.
func TestImportSurvives(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		dir := t.TempDir()
		at := func(o *image.Options) { o.Dir, o.From = dir, loopback }
		s := serviceOn(t, d, at)
		begun, block := make(chan struct{}, 9), make(chan struct{})
		url := web(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(sample()[:1<<20])
			_ = http.NewResponseController(w).Flush()
			begun <- struct{}{}
			select {
			case <-block:
				_, _ = w.Write(sample()[1<<20:])
			case <-r.Context().Done():
			}
		})
		stop := running(t, s)
		i := made(t, s, nil)
		if _, err := s.Import(t.Context(), "p", i.ID, fromWeb(url)); err != nil {
			t.Fatal(err)
		}
		<-begun
		stop() // in good order: the next process begins anew
		if got, err := s.Get(t.Context(), "", i.ID); err != nil || got.Status != image.Importing || files(t, dir) != 0 {
			t.Errorf("after a stop the image is %s (%v), %d files are left", got.Status, err, files(t, dir))
		}
		next := serviceOn(t, d, at)
		running(t, next)
		<-begun
		// What a process that dies leaves behind is what another one finds while this one still works.
		if err := os.WriteFile(filepath.Join(dir, "staging", "left"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		after := serviceOn(t, d, at)
		if err := after.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := after.Get(t.Context(), "", i.ID)
		if task := why(t, after, i.ID); err != nil || got.Status != image.Queued || !got.Failed || task.Status != image.TaskFailure || !strings.Contains(task.Message, "import it again") {
			t.Errorf("after a crash: %+v, %+v", got, task)
		}
		close(block)
		if left, err := os.ReadDir(filepath.Join(dir, "staging")); err != nil || len(left) != 0 {
			t.Errorf("%d staged files are left, %v", len(left), err)
		}
		if err := after.Upload(t.Context(), "p", i.ID, bytes.NewReader(sample())); err != nil {
			t.Errorf("an upload after a crash: %v", err)
		}
	})
}

// TestDeletedWhileImported deletes an image whose data are coming.
func TestDeletedWhileImported(t *testing.T) {
	s := serviceOn(t, dbtest.SQLite(t), fromHere)
	begun, block := make(chan struct{}), make(chan struct{})
	url := web(t, func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-block
		_, _ = w.Write(sample())
	})
	running(t, s)
	i := made(t, s, nil)
	if _, err := s.Import(t.Context(), "p", i.ID, fromWeb(url)); err != nil {
		t.Fatal(err)
	}
	<-begun
	if err := s.Delete(t.Context(), "p", i.ID); err != nil {
		t.Fatal(err)
	}
	close(block)
	deadline := time.Now().Add(30 * time.Second)
	for why(t, s, i.ID).Status != image.TaskFailure {
		if time.Now().After(deadline) {
			t.Fatal("the task does not end")
		}
		<-time.After(5 * time.Millisecond)
	}
	if m := why(t, s, i.ID).Message; !strings.Contains(m, "deleted") {
		t.Error(m)
	}
}
