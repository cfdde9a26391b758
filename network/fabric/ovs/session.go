package ovs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

const (
	database = "Open_vSwitch"
	// longest is how many bytes one message of the switch may have: a port is some 1 KB, and 20 KB when it names all VLANs.
	longest = 8 << 20
	// unasked is how many messages may come before the answer.
	unasked = 100
)

type (
	op    map[string]any // an operation of a transaction
	where [][3]any       // conditions
)

// anything is the condition of all rows.
var anything = where{}

// session is a connection to a switch's database, for one caller.
type session struct {
	conn net.Conn
	room *io.LimitedReader
	in   *json.Decoder
	last int // number of the latest request
}

// message is a request, or an answer to one (RFC 7047, section 4).
type message struct {
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
	ID     json.RawMessage `json:"id"`
}

// with runs a function on a connection of its own, for so long as an operation may take.
func (d dialer) with(ctx context.Context, fn func(ctx context.Context, s *session) error) error {
	ctx, cancel := context.WithTimeout(ctx, operation)
	defer cancel()
	conn, err := d.dial(ctx)
	if err != nil {
		return unreached(ctx, err)
	}
	defer func() { _ = conn.Close() }() // all that was asked has been answered
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	room := &io.LimitedReader{R: conn, N: longest}
	return fn(ctx, &session{conn: conn, room: room, in: json.NewDecoder(room)})
}

// transact carries out a transaction: all of it or nothing. There is a result for each operation.
func (s *session) transact(ctx context.Context, ops ...op) ([]json.RawMessage, error) {
	s.last++
	params := []any{database}
	for _, o := range ops {
		params = append(params, o)
	}
	if err := json.NewEncoder(s.conn).Encode(map[string]any{"method": "transact", "params": params, "id": s.last}); err != nil {
		return nil, unreached(ctx, s.reason(err))
	}
	answer, err := s.answer(ctx)
	if err != nil {
		return nil, err
	}
	if len(answer.Error) > 0 && string(answer.Error) != "null" {
		return nil, fault.Errorf(fault.Unavailable, "the switch's database refuses the request: %.200s", answer.Error)
	}
	var results []json.RawMessage
	if err := json.Unmarshal(answer.Result, &results); err != nil {
		return nil, unreadable(err)
	}
	for _, r := range results { // one more than operations, where it failed at the end
		var e refusal
		if json.Unmarshal(r, &e) == nil && e.Code != "" {
			return nil, e.fault()
		}
	}
	if len(results) < len(ops) {
		return nil, unreadable(fmt.Errorf("%d results for %d operations", len(results), len(ops)))
	}
	return results, nil
}

// reason is why nothing could be written, in the other side's words where it had some: by TLS 1.3 it looks at our certificate after the handshake.
func (s *session) reason(err error) error {
	if _, heard := s.conn.Read(make([]byte, 1)); alerted(heard) {
		return heard
	}
	return err
}

// alerted reports whether the other side refuses to go on. crypto/tls shows that in no other way.
func alerted(err error) bool {
	var e *net.OpError
	return errors.As(err, &e) && e.Op == "remote error"
}

// answer reads the answer to the latest request. The switch asks meanwhile whether we are alive.
func (s *session) answer(ctx context.Context) (message, error) {
	for range unasked {
		var m message
		s.room.N = longest
		if err := s.in.Decode(&m); err != nil {
			var syntax *json.SyntaxError
			var kind *json.UnmarshalTypeError
			if s.room.N <= 0 || errors.As(err, &syntax) || errors.As(err, &kind) {
				return m, unreadable(err)
			}
			return m, unreached(ctx, err)
		}
		switch {
		case m.Method == "echo":
			if err := json.NewEncoder(s.conn).Encode(message{Result: m.Params, Error: json.RawMessage("null"), ID: m.ID}); err != nil {
				return m, unreached(ctx, err)
			}
		case m.Method == "" && string(m.ID) == fmt.Sprint(s.last):
			return m, nil
		}
	}
	return message{}, unreadable(fmt.Errorf("%d messages, and none is the answer", unasked))
}

// refusal is an operation that failed.
type refusal struct {
	Code    string `json:"error"`
	Details string `json:"details"`
}

// Error says it in the switch's words.
func (e refusal) Error() string { return fmt.Sprintf("%.100s: %.300s", e.Code, e.Details) }

// fault is the refusal as a fault.
func (e refusal) fault() error {
	switch e.Code {
	case "permission error", "not allowed":
		return fault.E(fault.Denied, "the switch does not allow it: its database has rules for our certificate (RBAC)", e)
	case "constraint violation", "domain error", "range error":
		return fault.E(fault.Invalid, "the switch can not carry that", e)
	}
	return fault.E(fault.Unavailable, "the switch's database refuses it", e)
}

// timedOut reports whether a wait of a transaction was in vain.
func timedOut(err error) bool {
	var e refusal
	return errors.As(err, &e) && e.Code == "timed out"
}

func unreadable(err error) error {
	return fault.E(fault.Unavailable, "the switch's answer can not be read: is there a database of Open vSwitch at its address?", err)
}

// unreached is that the connection could not be made, or broke. A certificate that one side does not take is a Denied fault.
func unreached(ctx context.Context, err error) error {
	var untrusted *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	switch {
	case alerted(err):
		return fault.E(fault.Denied, "the switch does not take our certificate: is it signed by the authority that the switch was given (ovs-vsctl get-ssl)?", err)
	case errors.As(err, &untrusted), errors.As(err, &unknown):
		return fault.E(fault.Denied, "the switch's certificate is not signed by one of those that the switch was registered with", err)
	case ctx.Err() != nil:
		return fault.E(fault.Unavailable, "the switch's database did not answer in time", ctx.Err())
	case errors.Is(err, os.ErrPermission):
		return fault.E(fault.Denied, "the socket of the switch's database is closed to this user: give the user its group, or use tcp: or ssl:", err)
	}
	return fault.E(fault.Unavailable, "reach the switch's database", err)
}
