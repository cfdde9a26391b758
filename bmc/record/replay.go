package record

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/hagane-cloud/hagane/fault"
)

// maxLine bounds one exchange in a file.
const maxLine = 32 << 20

// Write saves a recording: one JSON object a line, so that people can read and cut it.
func Write(w io.Writer, all []Exchange) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, x := range all {
		if err := e.Encode(x); err != nil {
			return fault.E(fault.Unavailable, "saving a recording", err)
		}
	}
	return nil
}

// Read reads what Write saved.
func Read(r io.Reader) ([]Exchange, error) {
	var all []Exchange
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	for line := 1; s.Scan(); line++ {
		if strings.TrimSpace(s.Text()) == "" {
			continue
		}
		var x Exchange
		if err := json.Unmarshal(s.Bytes(), &x); err != nil {
			return nil, fault.E(fault.Invalid, fmt.Sprintf("line %d is no exchange of a recording", line), err)
		}
		all = append(all, x)
	}
	if err := s.Err(); err != nil {
		return nil, fault.E(fault.Invalid, "the recording can not be read", err)
	}
	return all, nil
}

// Replay is a BMC that answers as a recording did: to each method and path the recorded answers in their
// order, the last one again and again. What was never asked is answered 404 and kept in Missed. Exchanges
// of several sessions replay as one; who asks is not checked.
type Replay struct {
	mu      sync.Mutex
	answers map[string][]Exchange
	missed  []string
}

// NewReplay makes a BMC of a recording's HTTP exchanges.
func NewReplay(all []Exchange) *Replay {
	p := &Replay{answers: map[string][]Exchange{}}
	for _, x := range all {
		if x.Status >= http.StatusContinue {
			p.answers[x.Method+" "+x.Path] = append(p.answers[x.Method+" "+x.Path], x)
		}
	}
	return p
}

// Missed returns the requests that the recording has no answer to.
func (p *Replay) Missed() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.missed...)
}

// ServeHTTP answers as recorded.
func (p *Replay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := r.Method + " " + r.URL.RequestURI()
	left := p.answers[key]
	if len(left) == 0 {
		p.missed = append(p.missed, key)
		http.NotFound(w, r)
		return
	}
	if len(left) > 1 {
		p.answers[key] = left[1:]
	}
	for name, value := range left[0].Answered {
		w.Header().Set(name, value)
	}
	w.WriteHeader(left[0].Status)
	_, _ = io.WriteString(w, left[0].Response)
}
