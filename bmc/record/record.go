// Package record is the flight recorder of the BMC layer: every exchange with a BMC, secrets removed, in
// a ring of each node. A recording can be saved as a file and replayed as a BMC in a test.
package record

import (
	"sync"
	"time"
)

// Exchange is one request to a BMC and its answer, with secrets removed.
type Exchange struct {
	At       time.Time         `json:"at"`
	Took     time.Duration     `json:"took_ns"`
	Protocol string            `json:"protocol"` // redfish, ribcl, wsman, scci, ipmi
	Method   string            `json:"method"`   // HTTP's, or "command" for IPMI
	Path     string            `json:"path"`     // with the query; for IPMI the command's name
	Asked    map[string]string `json:"asked,omitempty"`
	Request  string            `json:"request,omitempty"` // body; hex for IPMI
	Status   int               `json:"status,omitempty"`  // HTTP's, or IPMI's completion code
	Answered map[string]string `json:"answered,omitempty"`
	Response string            `json:"response,omitempty"` // body; hex for IPMI
	Cut      bool              `json:"cut,omitempty"`      // bodies were too long to keep whole
	Error    string            `json:"error,omitempty"`    // why there is no answer
}

// Bounds of what a ring keeps of one BMC.
const (
	Length  = 96       // exchanges
	Bytes   = 96 << 10 // of bodies
	perBody = 24 << 10 // longer bodies are cut
)

// Recorder takes down the exchanges with one BMC. The nil Recorder takes down nothing.
type Recorder struct {
	mu      sync.Mutex
	hide    hiding
	whole   bool
	ring    []Exchange // oldest first
	bytes   int
	dropped int
}

// New makes a recorder that keeps the latest exchanges.
func New() *Recorder { return &Recorder{} }

// NewWhole makes a recorder that keeps everything, for one short session such as a doctor's visit.
func NewWhole() *Recorder { return &Recorder{whole: true} }

// Hide removes a secret, such as a password, from whatever is taken down from now on, also where it
// stands encoded in base64.
func (r *Recorder) Hide(secret string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hide.add(secret)
}

// Add takes an exchange down.
func (r *Recorder) Add(e Exchange) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hide.exchange(&e)
	if !r.whole {
		e.Request, e.Cut = cut(e.Request, e.Cut)
		e.Response, e.Cut = cut(e.Response, e.Cut)
	}
	e.Response = r.shared(e)
	r.ring = append(r.ring, e)
	r.bytes += len(e.Request) + len(e.Response)
	for !r.whole && len(r.ring) > 1 && (len(r.ring) > Length || r.bytes > Bytes) {
		r.bytes -= len(r.ring[0].Request) + len(r.ring[0].Response)
		r.ring[0] = Exchange{}
		r.ring = r.ring[1:]
		r.dropped++
	}
}

// shared returns the response, in the memory of an earlier equal one of the same path: a BMC that is
// polled says the same most of the time.
func (r *Recorder) shared(e Exchange) string {
	for i := len(r.ring) - 1; i >= 0; i-- {
		if old := r.ring[i]; old.Path == e.Path && old.Method == e.Method {
			if old.Response == e.Response {
				return old.Response
			}
			break
		}
	}
	return e.Response
}

func cut(body string, was bool) (string, bool) {
	if len(body) <= perBody {
		return body, was
	}
	return body[:perBody], true
}

// Exchanges returns what was taken down, oldest first.
func (r *Recorder) Exchanges() []Exchange {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Exchange(nil), r.ring...)
}

// Dropped returns how many older exchanges are no longer kept.
func (r *Recorder) Dropped() int {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped
}
