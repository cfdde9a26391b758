package ironic

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"
	"unique"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/workflow"
)

// writings keeps nodes as they were written for clients, by their heads: while a node's head is the same, so is what is
// written of it. Nodes with a run are not kept, because the run changes without them.
type writings struct {
	mu    sync.Mutex
	bytes int
	texts map[writing][]byte
}

// writing is a node at a moment, and how it was asked for.
type writing struct {
	id        node.ID
	rev       int64
	createdAt time.Time
	view      unique.Handle[string]
}

// mostWritten bounds the memory for writings, in bytes. Beyond it some are dropped at random.
const mostWritten = 64 << 20

func (t *writings) get(w writing) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.texts[w]
}

func (t *writings) put(w writing, text []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.texts == nil {
		t.texts = map[writing][]byte{}
	}
	if t.texts[w] == nil {
		t.bytes += len(text)
	}
	t.texts[w] = text
	for old, text := range t.texts {
		if t.bytes <= mostWritten {
			break
		}
		delete(t.texts, old)
		t.bytes -= len(text)
	}
}

// viewOf is all of a request that changes how a node is written.
func viewOf(r *api.Request, crew workflow.Crew, fields []string) unique.Handle[string] {
	hidden := "all"
	if seen(r) != "" {
		hidden = "hidden"
	}
	return unique.Make(strings.Join([]string{api.BaseURL(r.Request), strconv.Itoa(microOf(r)), hidden, strings.Join(fields, ","), crew.String()}, "\x00"))
}

// picked is a node as a request asks for it.
func picked(r *api.Request, n *node.Node, run workflow.Run, crew workflow.Crew, fields []string) (api.Object, error) {
	d := nodeDoc(r, n, run)
	d["conductor"] = orNull(crew.Keeper(n.ConductorGroup, string(n.ID)))
	return pick(nodeSince.at(microOf(r), d), fields)
}

// write returns the nodes with these heads as JSON, in their order. A node that is gone meanwhile is left out.
func (i *ironic) write(r *api.Request, heads []node.Head, fields []string) ([][]byte, error) {
	crew, err := i.Engine.Crew(r.Context())
	if err != nil {
		return nil, err
	}
	view, texts, missing := viewOf(r, crew, fields), make([][]byte, len(heads)), []node.ID(nil)
	at := map[node.ID]int{}
	for k, h := range heads {
		if h.RunID == "" {
			texts[k] = i.written.get(writing{h.ID, h.Rev, h.CreatedAt, view})
		}
		if texts[k] == nil {
			missing = append(missing, h.ID)
			at[h.ID] = k
		}
	}
	nodes, runs, err := i.Standing(r.Context(), missing)
	if err != nil {
		return nil, err
	}
	for k := range nodes {
		n := &nodes[k]
		d, err := picked(r, n, runs[n.ID], crew, fields)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(d)
		if err != nil {
			return nil, fault.E(fault.Internal, "writing a node", err)
		}
		texts[at[n.ID]] = text
		if h := heads[at[n.ID]]; h.RunID == "" && n.RunID == "" && n.Rev == h.Rev {
			i.written.put(writing{h.ID, h.Rev, h.CreatedAt, view}, text)
		}
	}
	out := texts[:0]
	for _, text := range texts {
		if text != nil {
			out = append(out, text)
		}
	}
	return out, nil
}
