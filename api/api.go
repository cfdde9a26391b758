// Package api is the HTTP side of Hagane: one listener, a path prefix a service, and routes as data,
// each with the permission that it needs written beside it. The folders below hold one dialect each
// (keystone, ecl, ironic, neutron, glance, operator, and the agent's calls); they translate and hold no rule of the business.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/hagane-cloud/hagane/fault"
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
}

// Validator tells whom a token speaks for.
type Validator interface {
	Validate(ctx context.Context, token string) (identity.Caller, error)
}

// Handler serves dialects.
func Handler(dialects []Dialect, v Validator, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	for _, d := range dialects {
		for _, rt := range d.Routes {
			mux.Handle(rt.Verb+" "+d.Prefix+rt.Path, endpoint{d, rt, v, log})
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

type endpoint struct {
	Dialect
	Route
	v   Validator
	log *slog.Logger
}

func (e endpoint) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	begun := time.Now()
	r := &Request{Request: hr, ID: "req-" + uuid.NewString()}
	w.Header().Set("X-Openstack-Request-Id", r.ID)
	w.Header().Set("X-Compute-Request-Id", r.ID)
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	err := e.serve(rec, r)
	if err != nil && !rec.wrote {
		e.Error(rec, fault.Status(err), err)
	}
	level := slog.LevelDebug
	if err != nil && rec.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	e.log.Log(hr.Context(), level, "request", "verb", hr.Method, "path", hr.URL.Path, "status", rec.status, "request", r.ID,
		"user", r.Caller.User.ID, "project", r.Caller.ProjectID(), "took", time.Since(begun).Round(time.Microsecond), "error", err)
}

func (e endpoint) serve(w http.ResponseWriter, r *Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.log.Error("a handler panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			err = fault.Errorf(fault.Internal, "the handler panicked: %v", p)
		}
	}()
	if err := e.admit(r); err != nil {
		return err
	}
	return e.Do(w, r)
}

// admit checks the token and the route's permission.
func (e endpoint) admit(r *Request) error {
	if e.Who == Anyone {
		return nil
	}
	token := r.Header.Get("X-Auth-Token")
	if token == "" {
		return fault.Errorf(fault.Unauthentic, "the request needs a token in the header X-Auth-Token; get one from %s", "/identity/v3/auth/tokens")
	}
	var err error
	if r.Caller, err = e.v.Validate(r.Context(), token); err != nil {
		return err
	}
	if !r.Caller.Allowed(strings.TrimPrefix(e.Prefix, "/"), r.Method, strings.TrimPrefix(r.URL.Path, e.Prefix)) {
		return fault.Errorf(fault.Denied, "no access rule of the application credential allows this request")
	}
	return Permit(r.Caller, e.Who)
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

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (r *recorder) WriteHeader(status int) {
	r.status, r.wrote = status, true
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
