// Package audit keeps who asked for which change, from where, and what came of it: one record for every call that
// changes something, whether it was carried out or refused. The API begins and ends records; operators read all of
// them, tenants those of their project.
//
// The record of a change commits in the same transaction as the change, so neither is there without the other. What
// the caller was answered is added a moment later.
package audit

import (
	"time"

	"github.com/uptrace/bun"
)

// Outcome is what came of a call.
type Outcome string

// The outcomes.
const (
	Success Outcome = "success"
	Failure Outcome = "failure" // refused, or failed; the reason says why
	// Pending is a change that was recorded while the process died before it could answer, or has not answered yet.
	Pending Outcome = "pending"
)

// Record is one call. Texts are empty when they are not known.
type Record struct {
	bun.BaseModel `bun:"table:audit"`

	ID        string `bun:",pk"`
	At        time.Time
	Request   string // id of the request, as the caller was told it
	Origin    string // the id that the caller gave to this and other requests
	UserID    string
	UserName  string
	ProjectID string // that the token was scoped to
	Address   string // the caller's IP address
	Service   string // such as network
	Verb      string // of HTTP
	Route     string // the path with names in place of ids
	Path      string // the path as it was asked for, without the query
	TargetID  string // of what was made or changed
	Outcome   Outcome
	Status    int    // of HTTP; 0 while pending
	Reason    string // the message that the caller got, of a failure
}

// Query selects records, newest first. Zero fields select all.
type Query struct {
	ProjectID, UserID, Service, TargetID, Request string

	Outcome      Outcome
	Verb         string
	Since, Until time.Time
	Marker       string // id of the last record of the page before
	Limit        int
}

// Keep is how long records are kept: over a year, so that a yearly review sees the last one's.
const Keep = 400 * 24 * time.Hour

// Bounds of a page.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)
