// Package fault is the one error type of Hagane. A fault's kind decides the HTTP status that a
// client sees and whether a workflow step is tried again; its message is for people and says what
// to do next. Every package uses it; it imports nothing of the project.
package fault

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Kind classifies a fault. The zero value is Internal, so that an unclassified error never leaks.
type Kind int

// The kinds. Only Unavailable is worth trying again without a change.
const (
	Internal    Kind = iota // a defect of ours: the user sees no detail
	Invalid                 // the request cannot be right as it stands
	NotFound                // no such thing, or none that the caller may see
	Conflict                // right in itself, but not now
	Denied                  // the caller may not
	Unauthentic             // nobody knows who the caller is
	Unavailable             // a device or service did not answer; try again
	TooLarge                // the request exceeds a bound
	BadMedia                // data of a kind that can not be used here
	TooMany                 // more requests than are allowed in that time; try again later
)

// String returns the kind's lower-case name.
func (k Kind) String() string {
	switch k {
	case Invalid:
		return "invalid"
	case NotFound:
		return "not found"
	case Conflict:
		return "conflict"
	case Denied:
		return "denied"
	case Unauthentic:
		return "unauthenticated"
	case Unavailable:
		return "unavailable"
	case TooLarge:
		return "too large"
	case BadMedia:
		return "wrong kind of data"
	case TooMany:
		return "too many"
	case Internal:
	}
	return "internal"
}

// Error is a fault: its kind, what went wrong in words for people, the request field at fault
// where there is one, and the cause.
type Error struct {
	Kind  Kind
	Doing string // what we were doing, or what is wrong; lower case, says what to do next
	Field string // the request's field, for Invalid
	Err   error  // the cause; may be nil
}

// E makes a fault of the given kind. err may be nil.
func E(kind Kind, doing string, err error) error {
	return &Error{Kind: kind, Doing: doing, Err: err}
}

// Errorf makes a fault of the given kind with a formatted message and no cause.
func Errorf(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Doing: fmt.Sprintf(format, args...)}
}

// Field makes an Invalid fault that names the request field at fault; its message begins with the
// field unless the words name it themselves.
func Field(field, format string, args ...any) error {
	words := fmt.Sprintf(format, args...)
	if !strings.Contains(words, field) {
		words = field + ": " + words
	}
	return &Error{Kind: Invalid, Field: field, Doing: words}
}

// Wrap adds what we were doing to err and keeps its kind. It returns nil for a nil err.
func Wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: KindOf(err), Doing: doing, Err: err}
}

// Error returns the whole chain, for operators.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Doing
	}
	return e.Doing + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first fault in err's chain; where that is Internal or there is none, a connection that broke
// below makes it Unavailable.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) && e.Kind != Internal {
		return e.Kind
	}
	if broken(err) {
		return Unavailable
	}
	return Internal
}

// broken reports whether an error is that of a connection, to the database most often, and not of what was asked over it. The
// classes of SQLSTATE are those of PostgreSQL (Appendix A): 08 is a connection's, 57P0 a shutdown's or a start's, 25P03 that of a
// session that was idle in a transaction for too long, as after a pause of the process.
func broken(err error) bool {
	var network net.Error
	var state interface{ SQLState() string }
	switch {
	case err == nil:
		return false
	case errors.As(err, &state):
		code := state.SQLState()
		return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P0") || code == "25P03"
	}
	return errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrBadConn)
}

// Is reports whether err is of the given kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// FieldOf returns the request field at fault, or "".
func FieldOf(err error) string {
	for e := (*Error)(nil); errors.As(err, &e); err = e.Err {
		if e.Field != "" {
			return e.Field
		}
	}
	return ""
}

// Message returns what a user may see: the words of the faults in the chain, without the text of
// foreign errors below them. An Internal error yields a fixed sentence.
func Message(err error) string {
	if KindOf(err) == Internal {
		return "an internal error; the operator finds it in the log by the request id"
	}
	if e := (*Error)(nil); !errors.As(err, &e) || e.Kind == Internal {
		return "a part of the cloud, such as its database, does not answer; nothing is known to have been changed; try again in a moment"
	}
	var words []string
	for e := (*Error)(nil); errors.As(err, &e); err = e.Err {
		words = append(words, e.Doing)
		if e.Err == nil {
			break
		}
	}
	return strings.Join(words, ": ")
}

// Status is the HTTP status that err's kind stands for.
func Status(err error) int {
	switch KindOf(err) {
	case Invalid:
		return http.StatusBadRequest
	case NotFound:
		return http.StatusNotFound
	case Conflict:
		return http.StatusConflict
	case Denied:
		return http.StatusForbidden
	case Unauthentic:
		return http.StatusUnauthorized
	case Unavailable:
		return http.StatusServiceUnavailable
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case BadMedia:
		return http.StatusUnsupportedMediaType
	case TooMany:
		return http.StatusTooManyRequests
	case Internal:
	}
	return http.StatusInternalServerError
}
