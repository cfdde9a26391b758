// Package inject makes simulated BMCs misbehave by script, whatever protocol they speak. A script is
// readable text; anyone can play one with hagane lab --faults NAME|FILE. Those in the folder scripts
// are known by name.
//
// A script has one rule a line; # begins a comment, and the comment at its top says what the script is
// about. A rule says which exchanges it is about and, after =>, what happens to them:
//
//	PROTOCOL [METHOD] TARGET [condition...] => effect [, effect...]
//
// PROTOCOL is redfish, ipmi, ribcl, wsman, scci, "http" (all of them but ipmi) or any. METHOD is an HTTP method in capitals,
// several with | between them, or read or write; for protocols without methods it is read, write or left out.
// TARGET is an HTTP path, or the name of a command as its protocol calls it ("Chassis Control", SET_HOST_POWER,
// DCIM_ComputerSystem.RequestStateChange, PowerOnCabinet); * stands for any characters, slashes too, and | for
// "or". Case does not matter. Names with blanks are put in quotes.
//
// Conditions, all of which must hold:
//
//	after N        leaves the first N exchanges of the kind alone
//	times N        strikes N times at most
//	every N        strikes each Nth time
//	chance 1/N     strikes at random, drawn from the seed
//	while S        S is on, off, post (the machine's power-on self-test) or booting (of the BMC)
//
// Effects, of which the first of a kind counts when several rules strike:
//
//	slow D              answers after the duration D (500ms, 3s, 1m)
//	hang                never answers; the client gives up
//	drop                closes the connection without an answer, or loses the datagram
//	status N [WHAT]     answers with an HTTP status; WHAT is empty, html, xhtml, message ID or body "TEXT"
//	code X              answers with the protocol's own error: completion code, STATUS, Value, message id
//	sessions            has no room for another session
//	nothing             answers that all is well and does nothing
//	stale D             reads show for D after a change what was before it
//	revert D            a change undoes itself after D
//	power on|off        tells this power state, whatever is true
//	health WORD         tells this health: Critical, Warning
//	lose events         shows an empty event log
//	lose task           has forgotten the task
//	garble KIND         damages the body: comma, truncate, html, null, strings, control
//	merge JSON          merges JSON into the body (RFC 7386); takes the rest of the line
//	restart D           the BMC restarts: away for D, its sessions forgotten
//	die                 the BMC never answers again
//	done                the command is carried out before the other effects strike, so that only its answer is lost
package inject

import (
	"encoding/json"
	"time"
)

// Exchange is one request to a BMC as rules see it.
type Exchange struct {
	Protocol string // redfish, ipmi, ribcl, wsman or scci
	Method   string // HTTP method where there is one; "" makes Write decide between read and write
	Write    bool   // for protocols without methods: the command changes something
	Target   string // path or name of the command
	On       bool   // the machine's power
	POST     bool   // the machine is in its power-on self-test
}

// Decision is what happens to an exchange. Its zero value is good behaviour.
type Decision struct {
	Slow       time.Duration
	Hang       bool
	Drop       bool
	Status     int    // HTTP status to answer with; 0: none
	Body       string // for Status
	Type       string // content type of Body
	Code       string // the protocol's own error to answer with
	Sessions   bool   // there is no room for another session
	Nothing    bool   // say yes and do nothing
	Stale      time.Duration
	Revert     time.Duration
	Power      string // on or off: to be told in place of the truth
	Health     string // to be told in place of the truth
	LoseEvents bool
	LoseTask   bool
	Garble     Damage
	Merge      json.RawMessage
	Restart    time.Duration // the BMC restarts and is away for so long
	Die        bool
	Done       bool // carry the command out before the other effects
}

// Damage is a way to damage a body.
type Damage string

// The kinds of damage.
const (
	Comma    Damage = "comma"    // a comma too many before the last bracket (Lenovo XCC 2.83)
	Truncate Damage = "truncate" // the second half is missing
	HTML     Damage = "html"     // a login page in place of the document, with status 200
	Null     Damage = "null"     // lists are null (NVIDIA's OpenBMC)
	Strings  Damage = "strings"  // numbers come as strings (DGX H100)
	Control  Damage = "control"  // a byte order mark in front, a control character in the middle
)

// join adds the effects of a further rule where none of the kind is set yet. What is refused by one rule is not carried out by another: a BMC that
// says that it did not begin is believed.
func (d *Decision) join(more Decision) {
	if refused := d.Status != 0 || d.Code != "" || d.Sessions; refused && !d.Done {
		more.Done = false
	}
	d.Slow, d.Status = first(d.Slow, more.Slow), first(d.Status, more.Status)
	if d.Body == "" && d.Type == "" {
		d.Body, d.Type = more.Body, more.Type
	}
	d.Code, d.Power, d.Health = first(d.Code, more.Code), first(d.Power, more.Power), first(d.Health, more.Health)
	d.Stale, d.Revert, d.Restart = first(d.Stale, more.Stale), first(d.Revert, more.Revert), first(d.Restart, more.Restart)
	d.Garble = first(d.Garble, more.Garble)
	if d.Merge == nil {
		d.Merge = more.Merge
	}
	d.Hang, d.Drop, d.Sessions, d.Nothing = d.Hang || more.Hang, d.Drop || more.Drop, d.Sessions || more.Sessions, d.Nothing || more.Nothing
	d.LoseEvents, d.LoseTask, d.Die, d.Done = d.LoseEvents || more.LoseEvents, d.LoseTask || more.LoseTask, d.Die || more.Die, d.Done || more.Done
}

// first returns a unless it is zero.
func first[T comparable](a, b T) T {
	var zero T
	if a != zero {
		return a
	}
	return b
}

// LosesAnswer reports whether the client gets no answer at all.
func (d Decision) LosesAnswer() bool { return d.Hang || d.Drop || d.Restart > 0 || d.Die }
