package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

const commandTimeout = 10 * time.Second

// monitor speaks QMP, QEMU's control protocol: one JSON object a line.
type monitor struct {
	conn  net.Conn
	ready chan struct{} // closed when commands can be sent
	gone  chan struct{} // closed when QEMU has hung up

	mu      sync.Mutex
	next    int
	waiting map[int]chan error
	ended   string // reason of the SHUTDOWN event
}

// message is anything that QEMU says: its greeting, an event or an answer.
type message struct {
	QMP   json.RawMessage `json:"QMP"`
	Event string          `json:"event"`
	Data  struct {
		Reason string `json:"reason"`
	} `json:"data"`
	ID    int `json:"id"`
	Error *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Return json.RawMessage `json:"return"`
}

func newMonitor(conn net.Conn) *monitor {
	return &monitor{conn: conn, ready: make(chan struct{}), gone: make(chan struct{}), waiting: make(map[int]chan error)}
}

// listen reads until QEMU hangs up.
func (q *monitor) listen() {
	defer close(q.gone)
	lines := bufio.NewReader(q.conn)
	greeted := false
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(line, &m) != nil {
			continue
		}
		switch {
		case m.QMP != nil && !greeted:
			greeted = true
			if q.send("qmp_capabilities", nil, 0) != nil {
				return
			}
		case m.Event == "SHUTDOWN":
			q.mu.Lock()
			q.ended = m.Data.Reason
			q.mu.Unlock()
		case m.Event == "" && m.ID == 0 && m.Return != nil:
			close(q.ready)
		case m.Event == "":
			q.answered(m)
		}
	}
}

func (q *monitor) answered(m message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	to, ok := q.waiting[m.ID]
	if !ok {
		return
	}
	delete(q.waiting, m.ID)
	if m.Error != nil {
		to <- fault.Errorf(fault.Unavailable, "QEMU refused: %s", m.Error.Desc)
		return
	}
	to <- nil
}

func (q *monitor) send(command string, arguments map[string]any, id int) error {
	request := map[string]any{"execute": command, "id": id}
	if arguments != nil {
		request["arguments"] = arguments
	}
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	_ = q.conn.SetWriteDeadline(time.Now().Add(commandTimeout))
	_, err = q.conn.Write(append(text, '\n'))
	return err
}

// do sends a command and waits for the answer.
func (q *monitor) do(ctx context.Context, command string, arguments map[string]any) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	select {
	case <-q.ready:
	case <-q.gone:
		return nil // it is off: nothing is left to be told
	case <-ctx.Done():
		return fault.E(fault.Unavailable, "wait for QEMU's monitor", ctx.Err())
	}
	answer := make(chan error, 1)
	q.mu.Lock()
	q.next++
	id := q.next
	q.waiting[id] = answer
	err := q.send(command, arguments, id)
	q.mu.Unlock()
	if err != nil {
		return fault.E(fault.Unavailable, "tell QEMU", err)
	}
	select {
	case err := <-answer:
		return err
	case <-q.gone:
		return nil
	case <-ctx.Done():
		return fault.E(fault.Unavailable, "wait for QEMU's answer", ctx.Err())
	}
}

// reason returns why QEMU said that it would end; "" when it did not say.
func (q *monitor) reason() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ended
}

func (q *monitor) close() { _ = q.conn.Close() }
