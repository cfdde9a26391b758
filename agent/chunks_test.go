package agent

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/agent/manifest"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/agent/swarm"
)

// loopback is where an agent without peers waits for some.
type loopback struct{ net.Dialer }

func (*loopback) Listen() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// chunked serves an image in chunks as well and returns the order to take them.
func (s *stage) chunked(raw []byte) (*protocol.Write, *manifest.Manifest) {
	s.t.Helper()
	m, err := manifest.Make(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		s.t.Fatal(err)
	}
	o := s.serve("x", raw, "")
	o.Swarm = &protocol.Swarm{Manifest: manifest.Digest(m.Encode()), Key: bytes.Repeat([]byte{1}, swarm.KeyBytes)}
	s.peers, s.stall = &loopback{}, time.Minute
	s.manifest = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(m.Encode()) }
	s.chunk = func(w http.ResponseWriter, r *http.Request) {
		want := make([]byte, (m.Len()+7)/8)
		_, _ = io.ReadFull(r.Body, want)
		for i := range m.Len() {
			if want[i/8]>>(i%8)&1 == 1 {
				at, n := m.Span(i)
				w.Header().Set(protocol.HeaderChunk, strconv.Itoa(i))
				_, _ = w.Write(raw[at : at+n])
				return
			}
		}
		w.WriteHeader(http.StatusNoContent)
	}
	return o, m
}

// TestFallBack takes the image as a stream when its chunks can not be had, but not when the cloud wants no more
// of the agent.
func TestFallBack(t *testing.T) {
	raw := picture(4<<20 + 777)
	refuse := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", status) }
	}
	for name, c := range map[string]struct {
		spoil   func(s *stage, o *protocol.Write, m *manifest.Manifest)
		streams int32  // asked for
		fails   string // with these words
	}{
		"chunks":                     {func(*stage, *protocol.Write, *manifest.Manifest) {}, 0, ""},
		"no peers wanted":            {func(_ *stage, o *protocol.Write, _ *manifest.Manifest) { o.Swarm = nil }, 1, ""},
		"an agent without a network": {func(s *stage, _ *protocol.Write, _ *manifest.Manifest) { s.peers = nil }, 1, ""},
		"an older cloud":             {func(s *stage, _ *protocol.Write, _ *manifest.Manifest) { s.manifest = nil }, 1, ""},
		"another manifest":           {func(_ *stage, o *protocol.Write, _ *manifest.Manifest) { o.Swarm.Manifest = strings.Repeat("0", 64) }, 1, ""},
		"a key of no length":         {func(_ *stage, o *protocol.Write, _ *manifest.Manifest) { o.Swarm.Key = nil }, 1, ""},
		"no chunks":                  {func(s *stage, _ *protocol.Write, _ *manifest.Manifest) { s.chunk = nil }, 1, ""},
		"wrong chunks": {func(s *stage, _ *protocol.Write, m *manifest.Manifest) {
			s.chunk = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set(protocol.HeaderChunk, "0")
				_, _ = w.Write(make([]byte, m.ChunkBytes))
			}
		}, 1, ""},
		"chunks of no number": {func(s *stage, _ *protocol.Write, _ *manifest.Manifest) {
			s.chunk = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("something")) }
		}, 1, ""},
		"never a chunk": {func(s *stage, _ *protocol.Write, _ *manifest.Manifest) {
			s.chunk, s.stall = refuse(http.StatusNoContent), 500*time.Millisecond
		}, 1, ""},
		"taken back": {func(s *stage, _ *protocol.Write, _ *manifest.Manifest) { s.chunk = refuse(http.StatusForbidden) }, 0, "403"},
		"strange":    {func(s *stage, _ *protocol.Write, _ *manifest.Manifest) { s.chunk = refuse(http.StatusUnauthorized) }, 0, "401"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk("/dev/vda", 8<<20).dirty()
			var streams atomic.Int32
			end := deploy(t, d, func(s *stage) *protocol.Write {
				o, m := s.chunked(raw)
				stream := s.images["x"]
				s.images["x"] = func(w http.ResponseWriter, r *http.Request) { streams.Add(1); stream(w, r) }
				c.spoil(s, o, m)
				return o
			})
			if c.fails == "" && end.Error != "" || !strings.Contains(end.Error, c.fails) {
				t.Fatalf("error %q, want %q", end.Error, c.fails)
			}
			if streams.Load() != c.streams {
				t.Errorf("asked for the stream %d times, want %d", streams.Load(), c.streams)
			}
			if c.fails != "" {
				if !zeros(d.data[:endBytes]) {
					t.Error("something bootable was left behind")
				}
				return
			}
			if !bytes.Equal(d.data[:len(raw)], raw) {
				t.Error("the disk holds something else than the image")
			}
			if w := end.Result.Written; (w.FromStore == 0) != (c.streams == 1) || w.FromPeers != 0 {
				t.Errorf("%d bytes are said to be chunks of the store, %d of peers", w.FromStore, w.FromPeers)
			}
		})
	}
}
