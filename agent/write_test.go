package agent

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hagane-cloud/hagane/agent/configdrive"
	"github.com/hagane-cloud/hagane/agent/protocol"
)

// picture is an image with data, holes and an odd length.
func picture(size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{1})
	for at := 0; at < size; at += 3 << 20 {
		_, _ = r.Read(b[at:min(at+200_000, size)])
	}
	_, _ = r.Read(b[size-100:])
	return b
}

// deploy runs one write order, made by prepare, and returns its report.
func deploy(t *testing.T, d *disk, prepare func(s *stage) *protocol.Write) protocol.Beat {
	t.Helper()
	s := newStage(t, &protocol.Order{ID: "1"}, shutdown())
	s.orders[0].Write = prepare(s)
	if err := s.run(newMachine(d)); err != nil {
		t.Fatal(err)
	}
	return s.end("1")
}

func TestWrite(t *testing.T) {
	raw := picture(21<<20 + 777)
	for _, encoding := range []string{"", "gzip", "zstd"} {
		for _, dirty := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s dirty=%v", encoding, dirty), func(t *testing.T) {
				d := newDisk("/dev/vda", 32<<20)
				if dirty {
					d.dirty()
				}
				end := deploy(t, d, func(s *stage) *protocol.Write { return s.serve("x", raw, encoding) })
				if end.Error != "" {
					t.Fatal(end.Error)
				}
				if !bytes.Equal(d.data[:len(raw)], raw) {
					t.Fatal("the disk holds something else than the image")
				}
				w := end.Result.Written
				if dirty && w.Skipped != 0 || !dirty && w.Skipped < 10<<20 || w.Disk != "/dev/vda" {
					t.Errorf("%+v", w)
				}
				if end.Progress.Bytes != int64(len(raw)) || d.rereads == 0 {
					t.Errorf("progress %+v, %d rereads", end.Progress, d.rereads)
				}
			})
		}
	}
}

func TestWriteFailures(t *testing.T) {
	raw := picture(8 << 20)
	for name, c := range map[string]struct {
		spoil func(o *protocol.Write)
		want  string
	}{
		"hash":       {func(o *protocol.Write) { o.SHA512 = strings.Repeat("0", 128) }, "SHA-512"},
		"too long":   {func(o *protocol.Write) { o.Size -= 512 }, "longer than"},
		"too short":  {func(o *protocol.Write) { o.Size += 512 }, "should have"},
		"encoding":   {func(o *protocol.Write) { o.Encoding = "zstd" }, "decoded"},
		"unknown":    {func(o *protocol.Write) { o.Encoding = "lzma" }, "lzma"},
		"lost image": {func(o *protocol.Write) { o.URL = "/nowhere" }, "404"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk("/dev/vda", 32<<20).dirty()
			end := deploy(t, d, func(s *stage) *protocol.Write {
				o := s.serve("x", raw, "")
				c.spoil(o)
				return o
			})
			if !strings.Contains(end.Error, c.want) {
				t.Errorf("error %q, want %q", end.Error, c.want)
			}
			if !zeros(d.data[:endBytes]) || !zeros(d.data[31<<20:]) {
				t.Error("something bootable was left behind")
			}
		})
	}
}

func TestDiskTooSmall(t *testing.T) {
	d := newDisk("/dev/vda", 4<<20).dirty()
	end := deploy(t, d, func(s *stage) *protocol.Write { return s.serve("x", picture(8<<20), "") })
	if !strings.Contains(end.Error, "does not fit") || d.written != 0 {
		t.Errorf("error %q, %d bytes written", end.Error, d.written)
	}
}

// TestBrokenStream cuts the stream twice: the third try succeeds. With one more cut the order fails.
func TestBrokenStream(t *testing.T) {
	raw := picture(16 << 20)
	for _, encoding := range []string{"", "zstd"} {
		for cuts := 2; cuts <= 3; cuts++ {
			t.Run(fmt.Sprintf("%s %d cuts", encoding, cuts), func(t *testing.T) {
				d := newDisk("/dev/vda", 32<<20).dirty()
				var asked atomic.Int32
				end := deploy(t, d, func(s *stage) *protocol.Write {
					o := s.serve("x", raw, encoding)
					whole := s.images["x"]
					s.images["x"] = func(w http.ResponseWriter, r *http.Request) {
						switch n := int(asked.Add(1)); {
						case n > cuts:
							whole(w, r)
						case n == 1: // the connection breaks
							w.Header().Set("Content-Length", fmt.Sprint(len(s.coded)))
							_, _ = w.Write(s.coded[:1000])
							_ = http.NewResponseController(w).Flush()
							panic(http.ErrAbortHandler)
						default: // silence
							_, _ = w.Write(s.coded[:1000])
							_ = http.NewResponseController(w).Flush()
							<-r.Context().Done()
						}
					}
					return o
				})
				if got := end.Error == ""; got != (cuts == 2) {
					t.Errorf("error %q", end.Error)
				}
				if end.Error == "" && !bytes.Equal(d.data[:len(raw)], raw) {
					t.Error("the disk holds something else than the image")
				}
				if end.Error != "" && !zeros(d.data[:endBytes]) {
					t.Error("something bootable was left behind")
				}
				if asked.Load() != 3 {
					t.Errorf("asked %d times", asked.Load())
				}
			})
		}
	}
}

// TestOutOfOrder has the cloud answer 503 more often than a broken stream is begun again, for the manifest and for the stream: the
// agent asks until it has them, or for as long as the cloud may be silent.
func TestOutOfOrder(t *testing.T) {
	raw := picture(4<<20 + 777)
	busy := func(times int32, then http.HandlerFunc) (http.HandlerFunc, *atomic.Int32) {
		var asked atomic.Int32
		return func(w http.ResponseWriter, r *http.Request) {
			if n := asked.Add(1); times < 0 || n <= times {
				http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
				return
			}
			then(w, r)
		}, &asked
	}
	const refusals = 2 * writeTries
	for name, c := range map[string]struct {
		chunks bool
		times  int32
	}{"chunks": {true, refusals}, "stream": {false, refusals}, "chunks, for good": {true, -1}, "stream, for good": {false, -1}} {
		t.Run(name, func(t *testing.T) {
			d := newDisk("/dev/vda", 8<<20).dirty()
			var asked *atomic.Int32
			end := deploy(t, d, func(s *stage) *protocol.Write {
				o, _ := s.chunked(raw)
				if c.chunks {
					s.manifest, asked = busy(c.times, s.manifest)
					s.images["x"] = func(http.ResponseWriter, *http.Request) { t.Error("asked for the stream") }
				} else {
					o.Swarm = nil
					s.images["x"], asked = busy(c.times, s.images["x"])
				}
				return o
			})
			if c.times < 0 {
				if !strings.Contains(end.Error, "out of order") || !strings.Contains(end.Error, "503") || !zeros(d.data[:endBytes]) {
					t.Errorf("error %q", end.Error)
				}
				return
			}
			if end.Error != "" || !bytes.Equal(d.data[:len(raw)], raw) {
				t.Errorf("error %q, or the disk holds something else than the image", end.Error)
			}
			if asked.Load() != refusals+1 {
				t.Errorf("asked %d times", asked.Load())
			}
		})
	}
}

// TestDeploy writes a partitioned image and two config drives after each other.
func TestDeploy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(file, picture(20<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sgdisk", "-Z", "-n1:1M:0", "-c1:root", file).CombinedOutput(); err != nil {
		t.Skipf("needs sgdisk (package gdisk): %v %s", err, out)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	drive := configdrive.Drive{"openstack/latest/meta_data.json": []byte(`{"hostname":"kaji"}`)}
	other := configdrive.Drive{"openstack/latest/meta_data.json": []byte(`{}`), "openstack/latest/user_data": make([]byte, 3<<20)}
	d := newDisk("/dev/vda", 64<<20).dirty()
	s := newStage(t, &protocol.Order{ID: "1"},
		&protocol.Order{ID: "2", ConfigDrive: &protocol.ConfigDrive{Files: drive}},
		&protocol.Order{ID: "3", ConfigDrive: &protocol.ConfigDrive{Files: other}}, shutdown())
	s.orders[0].Write = s.serve("x", raw, "zstd")
	if err := s.run(newMachine(d)); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"1", "2", "3"} {
		if e := s.end(id).Error; e != "" {
			t.Fatal(id, e)
		}
	}
	got, err := configdrive.Find(t.Context(), d, 64<<20, 512)
	if err != nil || len(got) != 2 || len(got["openstack/latest/user_data"]) != 3<<20 {
		t.Errorf("%v %v", err, got.Paths())
	}
	if err := os.WriteFile(file, d.data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sgdisk", "-v", "-p", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "No problems found") || strings.Count(string(out), "config-2") != 1 {
		t.Errorf("sgdisk: %v\n%s", err, out)
	}
}

func TestConfigDriveWithoutTable(t *testing.T) {
	s := newStage(t, &protocol.Order{ID: "1", ConfigDrive: &protocol.ConfigDrive{Files: configdrive.Drive{"a": nil}}}, shutdown())
	if err := s.run(newMachine(newDisk("/dev/vda", 64<<20))); err != nil {
		t.Fatal(err)
	}
	if got := s.end("1").Error; !strings.Contains(got, "no partition table") {
		t.Errorf("error %q", got)
	}
}
