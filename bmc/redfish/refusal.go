package redfish

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/wire"
	"github.com/hagane-cloud/hagane/fault"
)

// messages are the classes of message ids, by their last part: registries' names and versions differ.
var messages = map[string]bmc.Class{
	"SessionLimitExceeded": bmc.SessionsFull, "RAC0218": bmc.SessionsFull,
	"PasswordChangeRequired": bmc.NewPassword,
	"NoValidSession":         bmc.Credentials, "ResourceAtUriUnauthorized": bmc.Credentials, "AccountLocked": bmc.Credentials,
	"InsufficientPrivilege": bmc.Privilege, "AccessDenied": bmc.Privilege,
	"OemLicenseNotPassed": bmc.Licence, "NotLicensed": bmc.Licence, "LicenseNotInstalled": bmc.Licence, "LicenseRequired": bmc.Licence, "RequiredLicenseMissing": bmc.Licence,
	"UnableToModifyDuringSystemPOST": bmc.Busy, "InvalidOperationForSystemState": bmc.Busy, "ResourceInUse": bmc.Busy, "ActionParameterValueConflict": bmc.Busy,
	"BIOS007": bmc.Busy, "RAC0679": bmc.Busy, "SYS011": bmc.Busy, "OperationFailedDueToPOST": bmc.Busy, "SystemInPost": bmc.Busy,
	"ServiceTemporarilyUnavailable": bmc.NotReady, "ServiceInUnknownState": bmc.NotReady, "ServiceShuttingDown": bmc.NotReady,
	"SYS518": bmc.NotReady, "RAC0508": bmc.NotReady, "SWC0700": bmc.NotReady, "LC060": bmc.NotReady, "SWC0058": bmc.NotReady,
	"PreconditionFailed": bmc.Changed, "PreconditionRequired": bmc.Changed, "PreconditionHeaderMissing": bmc.Changed,
	"UnsupportedOperation": bmc.Unsupported, "ActionNotSupported": bmc.Unsupported, "ResourceMissingAtURI": bmc.Unsupported, "ResourceNotFound": bmc.Unsupported,
	"PropertyUnknown": bmc.Refused, "PropertyNotWritable": bmc.Refused, "PropertyValueNotInList": bmc.Refused, "PropertyValueFormatError": bmc.Refused,
	"ActionParameterUnknown": bmc.Refused, "ActionParameterMissing": bmc.Refused, "PropertyMissing": bmc.Refused, "ArrayPropertyOutOfBound": bmc.Refused,
	"ActionParameterNotSupported": bmc.Refused, "OperationSupportedInFutureStateURI": bmc.Refused,
}

// statuses are the classes of HTTP statuses, for answers whose messages say nothing.
var statuses = map[int]bmc.Class{
	http.StatusUnauthorized: bmc.Credentials, http.StatusForbidden: bmc.Privilege, http.StatusNotFound: bmc.Unsupported, http.StatusGone: bmc.Unsupported,
	http.StatusMethodNotAllowed: bmc.Unsupported, http.StatusNotImplemented: bmc.Unsupported, http.StatusConflict: bmc.Busy,
	http.StatusPreconditionFailed: bmc.Changed, http.StatusPreconditionRequired: bmc.Changed, http.StatusTooManyRequests: bmc.NotReady,
	http.StatusServiceUnavailable: bmc.NotReady,
}

// advice says what to do about a class.
var advice = map[bmc.Class]string{
	bmc.Credentials:  "; it refuses the user name or password: check driver_info",
	bmc.NewPassword:  "; the factory password must be changed first, on the BMC's own pages",
	bmc.Licence:      "; install the vendor's licence on the BMC",
	bmc.SessionsFull: "; close other sessions of the BMC, or restart it",
	bmc.Privilege:    "; the BMC's user needs the role Administrator",
}

// message is an entry of @Message.ExtendedInfo.
type message struct {
	ID   text       `json:"MessageId"`
	Text text       `json:"Message"`
	Args many[text] `json:"MessageArgs"`
	// Properties names what the message is about.
	Properties many[text] `json:"RelatedProperties"`
}

// suffix returns the message's id without its registry: "Base.1.8.PropertyUnknown" and "PropertyUnknown" are one.
func (m message) suffix() string { return string(m.ID[strings.LastIndexByte(string(m.ID), '.')+1:]) }

// messagesOf reads the messages of an answer, however it is shaped: iDRAC sends one object for a list, iLO
// 4 another envelope, and gateways web pages.
func messagesOf(body []byte) (all []message, words string) {
	var doc struct {
		Error struct {
			Code, Message text
			Info          many[message] `json:"@Message.ExtendedInfo"`
		}
		Messages many[message]
		Info     many[message] `json:"@Message.ExtendedInfo"`
	}
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 {
		return nil, "without a word"
	} else if trimmed[0] == '<' || unmarshal(body, &doc) != nil {
		return nil, "with something that is no JSON"
	}
	all = append(append(doc.Error.Info, doc.Info...), doc.Messages...)
	for _, m := range all {
		if m.Text != "" && (words == "" || messages[m.suffix()] != "") {
			words = string(m.Text)
		}
	}
	if words == "" {
		words = string(doc.Error.Message)
	}
	if len(all) == 0 && doc.Error.Code != "" {
		all = append(all, message{ID: doc.Error.Code, Text: doc.Error.Message})
	}
	return all, words
}

// refusal makes the fault of an answer that is none.
func refusal(doing string, a wire.Answer) error {
	all, words := messagesOf(a.Body)
	f := bmc.Failure{Class: statuses[a.Status]}
	for _, m := range all {
		if c := messages[m.suffix()]; c != "" {
			f.Class, f.Code = c, m.suffix()
			break
		}
		if f.Code == "" {
			f.Code = m.suffix()
		}
	}
	switch {
	case a.Status == http.StatusUnauthorized:
		f.Class = bmc.Credentials
	case f.Class == "" && a.Status >= http.StatusInternalServerError:
		f.Class = bmc.Broken
	case f.Class == "":
		f.Class = bmc.Refused
	}
	err := bmc.Fail(f, "%s: the BMC answers %d %s%s", doing, a.Status, words, advice[f.Class])
	return &refused{err: err, status: a.Status, all: all}
}

// refused carries the BMC's messages along with the fault.
type refused struct {
	err    error
	status int
	all    []message
}

func (r *refused) Error() string { return r.err.Error() }
func (r *refused) Unwrap() error { return r.err }

// says reports whether one of the messages has an id's suffix.
func says(err error, suffix ...string) bool {
	r := answered(err)
	if r == nil {
		return false
	}
	for _, m := range r.all {
		for _, s := range suffix {
			if m.suffix() == s {
				return true
			}
		}
	}
	return false
}

// blames reports whether a refusal names a property or parameter.
func blames(err error, name string) bool {
	r := answered(err)
	if r == nil {
		return false
	}
	for _, m := range r.all {
		for _, t := range append(append([]text{m.Text}, m.Args...), m.Properties...) {
			if strings.Contains(string(t), name) {
				return true
			}
		}
	}
	return false
}

// statusOf returns the HTTP status of a refusal; 0 for other errors.
func statusOf(err error) int {
	if r := answered(err); r != nil {
		return r.status
	}
	return 0
}

// codeOf returns the BMC's own code of a failure, or its class.
func codeOf(err error) string {
	var f *bmc.Failure
	if errors.As(err, &f) && f.Code != "" {
		return f.Code
	}
	return string(bmc.ClassOf(err))
}

func answered(err error) *refused {
	var r *refused
	if errors.As(err, &r) {
		return r
	}
	return nil
}

// later reports whether the BMC refused only for now, without having begun.
func later(err error) bool {
	switch bmc.ClassOf(err) {
	case bmc.Busy:
		return statusOf(err) != http.StatusConflict || says(err, "ActionParameterValueConflict", "ResourceInUse", "UnableToModifyDuringSystemPOST", "InvalidOperationForSystemState")
	case bmc.NotReady:
		return true
	default:
		return false
	}
}

// untrue is the fault of a change that was accepted and does not show.
func untrue(what string, want, got any) error {
	return bmc.Fail(bmc.Failure{Class: bmc.Untrue}, "the BMC accepted %s %v but shows %v", what, want, got)
}

// lacks is the fault of something that this device does not have.
func lacks(what string) error {
	return bmc.Fail(bmc.Failure{Class: bmc.Unsupported}, "the BMC has no %s", what)
}

// wrong is the fault of a request that can not be right.
func wrong(format string, args ...any) error {
	return fault.E(fault.Invalid, fmt.Sprintf(format, args...), &bmc.Failure{Class: bmc.Refused})
}
