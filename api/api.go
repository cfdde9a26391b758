// Package api is the HTTP side of Hagane: one listener, a path prefix a service, and routes as data,
// each with the permission that it needs written beside it. The folders below hold one dialect each
// (keystone, ecl, ironic, neutron, glance, operator, and the agent's calls); they translate and hold no rule of the business.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/audit"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/idempotency"
	"github.com/hagane-cloud/hagane/identity"
)

// Who says who may use a route.
type Who int

// The permissions. Project-scoped ones also need the token to be scoped to a project.
const (
	Anyone        Who = iota // no token is looked at
	Authenticated            // any valid token
	Readers                  // reader, member or admin of a project, for what is that project's
	Members                  // member or admin of a project, for what is that project's
	Operators                // whoever runs the cloud
	OperatorsRead            // operators, and readers on the system
	Auditors                 // readers, for what is their project's, and operators and readers on the system, for all
	NodeReaders              // readers, for nodes that their project owns or leases, and operators and readers on the system, for all
	NodeMembers              // members, for nodes that their project owns or leases, and operators, for all
	DomainAdmins             // operators, and admins of a domain, for what is in that domain
	DomainReaders            // OperatorsRead, and readers of a domain, for what is in that domain
	Services                 // operators, and programs with the role service
)

// Route is one operation of a dialect.
type Route struct {
	Verb, Path string // Path is below the dialect's prefix, in the form of http.ServeMux
	Who        Who
	Do         func(w http.ResponseWriter, r *Request) error
}

// Dialect is a service as its clients know it.
type Dialect struct {
	Prefix string // such as /identity
	Routes []Route
	// Error writes a fault in the dialect's form.
	Error func(w http.ResponseWriter, status int, err error)
}

// Request is an HTTP request with who makes it.
type Request struct {
	*http.Request
	Caller identity.Caller
	ID     string // req-UUID
	Origin string // the id that the client gave to this and other requests; "" when it gave none
}

// Validator tells whom a token speaks for.
type Validator interface {
	Validate(ctx context.Context, token string) (identity.Caller, error)
}

// Options are what a Handler works with. Audit and Keys may be nil: nothing is audited, and keys of clients mean nothing then.
type Options struct {
	Tokens Validator
	Audit  *audit.Service
	Keys   *idempotency.Service
	Limits Limits
	Log    *slog.Logger
	// Observe, if set, is told of every request that was answered: the dialect's prefix, the verb and the path of its route, the
	// status, and how long it took.
	Observe func(prefix, verb, route string, status int, took time.Duration)
}

// Handler serves dialects.
func Handler(dialects []Dialect, o Options) http.Handler {
	mux := http.NewServeMux()
	g := newGuard(o)
	for _, d := range dialects {
		for _, rt := range d.Routes {
			mux.Handle(rt.Verb+" "+d.Prefix+rt.Path, endpoint{d, rt, g})
		}
		lost := func(w http.ResponseWriter, r *http.Request) { d.lost(mux, w, r) }
		mux.HandleFunc(d.Prefix+"/", lost)
		if d.Prefix != "" {
			mux.HandleFunc(d.Prefix, lost)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Clients differ in whether they end a path with a slash, and some double one when they join paths.
		path := r.URL.Path
		for strings.Contains(path, "//") {
			path = strings.ReplaceAll(path, "//", "/")
		}
		if len(path) > 1 {
			path = strings.TrimSuffix(path, "/")
		}
		if path != r.URL.Path {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = path, ""
		}
		mux.ServeHTTP(w, r)
	})
}

// lost answers requests that no route fits: 405 where another verb would.
func (d Dialect) lost(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	named(w, r)
	var verbs []string
	for _, verb := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		try := r.Clone(r.Context())
		try.Method = verb
		if _, pattern := mux.Handler(try); strings.HasPrefix(pattern, verb+" ") {
			verbs = append(verbs, verb)
		}
	}
	if len(verbs) > 0 {
		w.Header().Set("Allow", strings.Join(verbs, ", "))
		d.Error(w, http.StatusMethodNotAllowed, fault.Errorf(fault.Invalid, "%s is not possible here; possible: %s", r.Method, strings.Join(verbs, ", ")))
		return
	}
	d.Error(w, http.StatusNotFound, fault.Errorf(fault.NotFound, "there is nothing at %s", r.URL.Path))
}

// Permit reports with a fault whether a caller may use a route with the permission who.
func Permit(c identity.Caller, who Who) error {
	ok := false
	switch who {
	case Anyone, Authenticated:
		ok = true
	case Readers:
		ok = c.Project != nil && c.Has(identity.Reader)
	case Members:
		ok = c.Project != nil && c.Has(identity.Member)
	case Operators:
		ok = c.Operator()
	case OperatorsRead:
		ok = c.ReadsAll()
	case NodeMembers:
		ok = c.Operator() || (c.Project != nil && c.Has(identity.Member))
	case Auditors, NodeReaders:
		ok = c.ReadsAll() || (c.Project != nil && c.Has(identity.Reader))
	case DomainAdmins:
		ok = c.Operator() || (c.Domain != nil && c.Has(identity.Admin))
	case DomainReaders:
		ok = c.ReadsAll() || (c.Domain != nil && c.Has(identity.Reader))
	case Services:
		ok = c.Operator() || c.Has(identity.ServiceRole)
	}
	if !ok {
		return fault.Errorf(fault.Denied, "the role of the token does not allow this")
	}
	return nil
}
