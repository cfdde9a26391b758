package bmc

import (
	"errors"
	"fmt"

	"github.com/hagane-cloud/hagane/fault"
)

// Class says why a BMC did not do as it was told. It decides what is done next; the words are for people.
type Class string

// The classes of failure.
const (
	Unreachable  Class = "unreachable"   // no answer, a broken connection: the BMC may be restarting
	Uncertain    Class = "uncertain"     // a change was sent and no answer came: read back before anything else
	SessionsFull Class = "sessions full" // no session is left
	NotReady     Class = "not ready"     // the BMC or its configuration service is still starting
	Busy         Class = "busy"          // the server is in its power-on self test, or a job is under way
	Credentials  Class = "credentials"   // user name or password are refused
	Privilege    Class = "privilege"     // the user may not
	NewPassword  Class = "new password"  // nothing works before the factory password is changed
	Licence      Class = "licence"       // the BMC lacks a licence for it
	Certificate  Class = "certificate"   // the certificate can not be verified, or is not the one that was pinned
	Changed      Class = "changed"       // somebody else changed the resource: read again
	Unsupported  Class = "unsupported"   // the BMC can not do it at all
	Refused      Class = "refused"       // the BMC can do it, but not this
	Garbled      Class = "garbled"       // the answer can not be read
	Untrue       Class = "untrue"        // accepted, and reading back shows that nothing happened
	Broken       Class = "broken"        // the BMC reports an error of its own
)

// kinds are the kinds of fault of each class: which are worth another try, and what a user is told.
var kinds = map[Class]fault.Kind{
	Unreachable: fault.Unavailable, Uncertain: fault.Unavailable, SessionsFull: fault.Unavailable, NotReady: fault.Unavailable,
	Busy: fault.Unavailable, Credentials: fault.Denied, Privilege: fault.Denied, NewPassword: fault.Denied, Licence: fault.Invalid,
	Certificate: fault.Denied, Changed: fault.Conflict, Unsupported: fault.Invalid, Refused: fault.Invalid, Garbled: fault.Unavailable,
	Untrue: fault.Unavailable, Broken: fault.Unavailable,
}

// Failure is the cause at the end of every fault of a driver.
type Failure struct {
	Class Class
	Code  string // the BMC's own code: a Redfish message id, an IPMI completion code, a RIBCL status
	Err   error  // the cause; may be nil
}

// Error says the class, the BMC's code and the cause.
func (f *Failure) Error() string {
	text := string(f.Class)
	if f.Code != "" {
		text += " (" + f.Code + ")"
	}
	if f.Err != nil {
		text += ": " + f.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Fail makes the fault of a failure, with words for people that say what was tried and what to do next.
func Fail(f Failure, format string, args ...any) error {
	kind, ok := kinds[f.Class]
	if !ok {
		kind = fault.Internal
	}
	return fault.E(kind, fmt.Sprintf(format, args...), &f)
}

// ClassOf returns the class of the failure in err's chain; "" when there is none.
func ClassOf(err error) Class {
	var f *Failure
	if errors.As(err, &f) {
		return f.Class
	}
	return ""
}

// Passing reports whether a failure may pass by itself, so that the same call may work in a while.
func Passing(err error) bool {
	switch ClassOf(err) {
	case Unreachable, Uncertain, SessionsFull, NotReady, Busy, Changed, Garbled, Untrue, Broken:
		return true
	case Credentials, Privilege, NewPassword, Licence, Certificate, Unsupported, Refused:
	}
	return false
}
