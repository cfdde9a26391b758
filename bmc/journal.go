package bmc

import (
	"fmt"
	"sync"
)

// Journal collects what a driver overcame without troubling its caller: a read that was sent again, a form that
// the BMC refused before it took another, a protocol that stood in for another. People read it in the node's
// history. The nil Journal collects nothing.
type Journal struct {
	mu    sync.Mutex
	order []string
	times map[string]int
}

// mostNotes bounds the different notes that are kept between two calls of Take.
const mostNotes = 50

// Note adds a note. Equal notes are counted.
func (j *Journal) Note(format string, args ...any) {
	if j == nil {
		return
	}
	text := fmt.Sprintf(format, args...)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.times[text] == 0 {
		if len(j.order) >= mostNotes {
			return
		}
		j.order = append(j.order, text)
	}
	if j.times == nil {
		j.times = map[string]int{}
	}
	j.times[text]++
}

// Take returns the notes since the last call, in their order, each with how often it was made.
func (j *Journal) Take() []string {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []string
	for _, text := range j.order {
		if n := j.times[text]; n > 1 {
			text = fmt.Sprintf("%s (%d times)", text, n)
		}
		out = append(out, text)
	}
	j.order, j.times = nil, nil
	return out
}
