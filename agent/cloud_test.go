package agent

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/agent/swarm"
)

// stage is a cloud: it hands out its orders one after the other and keeps what it is told.
type stage struct {
	*httptest.Server
	t      *testing.T
	mu     sync.Mutex
	claims []protocol.Claim
	orders []*protocol.Order
	next   int
	beats  []protocol.Beat
	ends   map[string]protocol.Beat
	repeat map[string]int // how often an order is handed out again after its end
	log    string
	images map[string]http.HandlerFunc
	coded  []byte        // the last image served, encoded
	peers  swarm.Network // of the agent
	stall  time.Duration // of the agent; 0: short

	manifest, chunk http.HandlerFunc // of images; nil: there is no such thing

	refuse     int           // status of claims, 0: accepted
	down       bool          // heartbeats answer 503
	revoke     string        // heartbeats about this order answer 401
	refuseDone string        // the report of this order answers 401
	reached    chan struct{} // closed when the order to revoke is in hand
}

func newStage(t *testing.T, orders ...*protocol.Order) *stage {
	s := &stage{t: t, orders: orders, ends: map[string]protocol.Beat{}, repeat: map[string]int{}, images: map[string]http.HandlerFunc{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /agent/v1/claim", s.claim)
	mux.HandleFunc("POST /agent/v1/heartbeat", s.bearer(s.heartbeat))
	mux.HandleFunc("POST /agent/v1/log", s.bearer(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.log += string(b)
	}))
	mux.HandleFunc("POST /agent/v1/swarm", s.bearer(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(protocol.Peers{}) }))
	mux.HandleFunc("GET /image/{name}/manifest", s.bearer(func(w http.ResponseWriter, r *http.Request) { orNotFound(s.manifest)(w, r) }))
	mux.HandleFunc("POST /image/{name}/chunk", s.bearer(func(w http.ResponseWriter, r *http.Request) { orNotFound(s.chunk)(w, r) }))
	mux.HandleFunc("GET /image/{name}", s.bearer(func(w http.ResponseWriter, r *http.Request) { s.images[r.PathValue("name")](w, r) }))
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func orNotFound(h http.HandlerFunc) http.HandlerFunc {
	if h == nil {
		return http.NotFound
	}
	return h
}

func (s *stage) bearer(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer T" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

func (s *stage) claim(w http.ResponseWriter, r *http.Request) {
	var c protocol.Claim
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims = append(s.claims, c)
	switch {
	case s.refuse != 0:
		http.Error(w, "no", s.refuse)
	case len(s.claims) == 1:
		http.Error(w, "busy", http.StatusServiceUnavailable) // the agent has to try again
	default:
		_ = json.NewEncoder(w).Encode(protocol.Claimed{Token: "T", Node: "n1", BeatSeconds: 1, HoldSeconds: 1, GiveUpSeconds: 1})
	}
}

func (s *stage) heartbeat(w http.ResponseWriter, r *http.Request) {
	var b protocol.Beat
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beats = append(s.beats, b)
	if s.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	if s.revoke != "" && s.revoke == b.Order {
		http.Error(w, "withdrawn", http.StatusUnauthorized)
		return
	}
	if s.refuseDone != "" && s.refuseDone == b.Order && b.Done {
		http.Error(w, "heard before", http.StatusUnauthorized)
		return
	}
	if b.Done && s.next < len(s.orders) && b.Order == s.orders[s.next].ID {
		s.ends[b.Order] = b
		if s.repeat[b.Order]--; s.repeat[b.Order] < 0 {
			s.next++
		}
	}
	var o protocol.Orders
	if s.next < len(s.orders) {
		o.Order = s.orders[s.next]
	}
	_ = json.NewEncoder(w).Encode(o)
}

// run runs an agent against the stage until it ends.
func (s *stage) run(m Machine) error {
	return s.runWith(context.Background(), m)
}

func (s *stage) runWith(ctx context.Context, m Machine) error {
	return Run(ctx, Config{
		API: s.URL + "/agent/v1", Secret: "S", HTTP: s.Client(), Machine: m, Version: "test",
		Log: slog.New(slog.NewTextHandler(s.t.Output(), nil)), Pause: time.Millisecond, Stall: cmp.Or(s.stall, time.Second),
		ClaimWithin: 10 * time.Second, Peers: s.peers,
	})
}

func (s *stage) end(order string) protocol.Beat {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ends[order]
}

func shutdown() *protocol.Order {
	return &protocol.Order{ID: "last", Shutdown: &protocol.Shutdown{Reboot: true}}
}

// serve offers an image in all encodings and returns the order to write it.
func (s *stage) serve(name string, raw []byte, encoding string) *protocol.Write {
	var b bytes.Buffer
	switch encoding {
	case "":
		b.Write(raw)
	case "gzip":
		w := gzip.NewWriter(&b)
		_, _ = w.Write(raw)
		_ = w.Close()
	case "zstd":
		w, _ := zstd.NewWriter(&b)
		_, _ = w.Write(raw)
		_ = w.Close()
	}
	coded := b.Bytes()
	s.coded = coded
	s.images[name] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(coded)))
		_, _ = w.Write(coded)
	}
	sum := sha512.Sum512(raw)
	return &protocol.Write{URL: "/image/" + name, Encoding: encoding, SHA512: hex.EncodeToString(sum[:]), Size: int64(len(raw))}
}
