package netboot

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/agent/manifest"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/netboot/netboottest"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/secret"
)

// swarmSize makes an image of seven chunks: one bit of their set stands for none.
const swarmSize = 6*manifest.Least + 100

// swarmServer serves an image to the agents of nodes, by their tokens and orders.
func swarmServer(t *testing.T, orders func(s *netboottest.Shelf) map[string]*protocol.Order) (*netboottest.Shelf, http.Handler) {
	t.Helper()
	shelf := netboottest.NewShelf(t, swarmSize)
	nodes := &node.Service{Options: node.Options{DB: shelf.DB}}
	for token, order := range orders(shelf) {
		id := node.ID("node of " + token)
		for _, row := range []any{&node.Node{ID: id, Version: 1}, &node.Agent{NodeID: id, Token: secret.Hash(token), Task: order}} {
			if err := shelf.DB.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error {
				_, err := tx.NewInsert().Model(row).Exec(ctx)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return shelf, New(Options{Network: "provisioning", Address: netip.MustParsePrefix("198.18.0.1/24"), DB: shelf.DB, Nodes: nodes, Images: shelf.Images, Log: slog.New(slog.DiscardHandler)}).handler()
}

// call is what an agent asks.
type call struct{ verb, path, token, body string }

// ask has an agent at an address ask.
func (c call) ask(h http.Handler, from string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(c.verb, agentPath+c.path, strings.NewReader(c.body))
	r.RemoteAddr = from
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// otherImage is an order to write an image that is not the shelf's.
func otherImage() *protocol.Order {
	return &protocol.Order{ID: "1", Write: &protocol.Write{URL: agentPath + "/images/another", SHA512: hex.EncodeToString(make([]byte, 64)), Size: swarmSize}}
}

// TestSwarmRefusals asks for an image's manifest and chunks, and for its agents, as those do who may not or who ask wrongly: each is told
// why, and nothing else.
func TestSwarmRefusals(t *testing.T) {
	shelf, h := swarmServer(t, func(s *netboottest.Shelf) map[string]*protocol.Order {
		return map[string]*protocol.Order{"writes": s.Order(true), "writes another": otherImage(), "erases": {ID: "1", Erase: &protocol.Erase{}}, "idles": nil}
	})
	chunk, list, all := "/images/"+shelf.ID+protocol.PathChunk, "/images/"+shelf.ID+protocol.PathManifest, "\x7f"
	const nobody, noOrder = "token is not valid", "no order to write this image"
	for name, c := range map[string]struct {
		call
		status int
		words  string
	}{
		"chunk, no token":                {call{"POST", chunk, "", all}, 401, nobody},
		"chunk, foreign token":           {call{"POST", chunk, "foreign", all}, 401, nobody},
		"chunk, no order":                {call{"POST", chunk, "idles", all}, 403, noOrder},
		"chunk, an order to erase":       {call{"POST", chunk, "erases", all}, 403, noOrder},
		"chunk, another image's order":   {call{"POST", chunk, "writes another", all}, 403, noOrder},
		"chunk, an image that is not":    {call{"POST", "/images/another" + protocol.PathChunk, "writes another", all}, 404, "another"},
		"chunk, of an empty set":         {call{"POST", chunk, "writes", ""}, 400, "has 0 bytes; the image has 7 chunks"},
		"chunk, of too long a set":       {call{"POST", chunk, "writes", "\x01\x00"}, 400, "has 2 bytes; the image has 7 chunks"},
		"chunk, of a set without end":    {call{"POST", chunk, "writes", strings.Repeat("\x00", manifest.MaxChunks/8+1)}, 413, "which chunks are wanted"},
		"chunk, beyond the last":         {call{"POST", chunk, "writes", "\x80"}, 400, "beyond the 7 of the image"},
		"manifest, no token":             {call{"GET", list, "", ""}, 401, nobody},
		"manifest, foreign token":        {call{"GET", list, "foreign", ""}, 401, nobody},
		"manifest, no order":             {call{"GET", list, "idles", ""}, 403, noOrder},
		"manifest, another's order":      {call{"GET", list, "writes another", ""}, 403, noOrder},
		"manifest, an image that is not": {call{"GET", "/images/another" + protocol.PathManifest, "writes another", ""}, 404, "another"},
		"log, without end":               {call{"POST", protocol.PathLog, "writes", strings.Repeat("l", maxLog+1)}, 413, "reading the log"},
		"meeting, no token":              {call{"POST", protocol.PathSwarm, "", `{"port":1}`}, 401, nobody},
		"meeting, foreign token":         {call{"POST", protocol.PathSwarm, "foreign", `{"port":1}`}, 401, nobody},
		"meeting, no JSON":               {call{"POST", protocol.PathSwarm, "writes", "port"}, 400, "reading the meeting"},
		"meeting, without end":           {call{"POST", protocol.PathSwarm, "writes", `"` + strings.Repeat("p", 5000)}, 413, "reading the meeting"},
		"meeting, a port that is none":   {call{"POST", protocol.PathSwarm, "writes", `{"port":65536}`}, 400, "at a port"},
		"meeting, a negative port":       {call{"POST", protocol.PathSwarm, "writes", `{"port":-1}`}, 400, "at a port"},
	} {
		t.Run(name, func(t *testing.T) {
			w := c.ask(h, "198.18.0.9:1000")
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.words) {
				t.Errorf("told %d %q, want %d and %q", w.Code, w.Body, c.status, c.words)
			}
			if w.Header().Get(protocol.HeaderChunk) != "" || w.Body.Len() > 300 {
				t.Errorf("more was given than the reason: %d bytes, %v", w.Body.Len(), w.Header())
			}
		})
	}
}

// TestSwarmCalls asks for the same as those who may: after all refusals the server still knows whom it serves.
func TestSwarmCalls(t *testing.T) {
	shelf, h := swarmServer(t, func(s *netboottest.Shelf) map[string]*protocol.Order {
		return map[string]*protocol.Order{"first": s.Order(true), "second": s.Order(true), "writes another": otherImage(), "idles": nil}
	})
	w := call{"GET", "/images/" + shelf.ID + protocol.PathManifest, "first", ""}.ask(h, "198.18.0.9:1000")
	m, err := manifest.Decode(w.Body.Bytes())
	if err != nil || m.Len() != 7 {
		t.Fatalf("%d %v", w.Code, err)
	}
	w = call{"POST", "/images/" + shelf.ID + protocol.PathChunk, "first", "\x40"}.ask(h, "198.18.0.9:1000")
	if at, n := m.Span(6); w.Code != 200 || w.Header().Get(protocol.HeaderChunk) != "6" || !bytes.Equal(w.Body.Bytes(), shelf.Raw[at:at+n]) {
		t.Errorf("told %d and %d bytes of chunk %s, want the last chunk", w.Code, w.Body.Len(), w.Header().Get(protocol.HeaderChunk))
	}
	meet := func(token, from string, port int) []string {
		t.Helper()
		w := call{"POST", protocol.PathSwarm, token, `{"port":` + strconv.Itoa(port) + `}`}.ask(h, from)
		var told protocol.Peers
		if err := json.Unmarshal(w.Body.Bytes(), &told); err != nil || w.Code != 200 {
			t.Fatalf("%d %s %v", w.Code, w.Body, err)
		}
		return told.Peers
	}
	if told := meet("first", "198.18.0.9:1000", 7000); len(told) != 0 {
		t.Errorf("the first met %v", told)
	}
	if told := meet("second", "198.18.0.10:1000", 7001); len(told) != 1 || told[0] != "198.18.0.9:7000" {
		t.Errorf("the second met %v, want the first", told)
	}
	for _, token := range []string{"writes another", "idles"} {
		if told := meet(token, "198.18.0.11:1000", 7002); len(told) != 0 {
			t.Errorf("who %s met %v", token, told)
		}
	}
	if told := meet("first", "198.18.0.9:1000", 7000); len(told) != 1 || told[0] != "198.18.0.10:7001" {
		t.Errorf("the first met %v, want the second alone", told)
	}
}
