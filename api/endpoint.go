package api

import (
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/hagane-cloud/hagane/fault"
)

// endpoint is a route with what stands before it.
type endpoint struct {
	Dialect
	Route
	*guard
}

// guard is what stands before every route: limits, tokens, and the record of what was asked.
type guard struct {
	Options
	users, addresses, guests *limiter
}

func newGuard(o Options) *guard {
	return &guard{o, newLimiter(o.Limits.User, time.Now), newLimiter(o.Limits.Address, time.Now), newLimiter(o.Limits.Guests, time.Now)}
}

// originForm is what ids of requests look like that clients hand on from one service to the next (OpenStack's
// "global request id").
var originForm = regexp.MustCompile(`^req-[0-9a-fA-F-]{36}$`)

// named gives a request an id, and tells it in the answer under the names that clients look for.
func named(w http.ResponseWriter, hr *http.Request) *Request {
	r := &Request{Request: hr, ID: "req-" + uuid.NewString()}
	if id := hr.Header.Get("X-Openstack-Request-Id"); originForm.MatchString(id) {
		r.Origin = id
	}
	w.Header().Set("X-Openstack-Request-Id", r.ID)
	w.Header().Set("X-Compute-Request-Id", r.ID)
	return r
}

func (e endpoint) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	begun := time.Now()
	ctx, span := otel.Tracer("hagane/api").Start(propagation.TraceContext{}.Extract(hr.Context(), propagation.HeaderCarrier(hr.Header)), e.Verb+" "+e.Prefix+e.Path,
		trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	r := named(w, hr.WithContext(ctx))
	span.SetAttributes(attribute.String("hagane.request", r.ID))
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	done, err := e.serve(rec, r)
	if err != nil && !rec.wrote {
		e.Error(rec, fault.Status(err), err)
	}
	done(rec, err)
	took := time.Since(begun)
	span.SetAttributes(attribute.Int("http.response.status_code", rec.status))
	if e.Observe != nil {
		e.Observe(e.Prefix, e.Verb, e.Path, rec.status, took)
	}
	level := slog.LevelDebug
	if err != nil && rec.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	e.Log.Log(hr.Context(), level, "request", "verb", hr.Method, "path", hr.URL.Path, "status", rec.status, "request", r.ID, "origin", r.Origin,
		"user", r.Caller.User.ID, "project", r.Caller.ProjectID(), "took", took.Round(time.Microsecond), "error", err)
}

// serve admits a request and carries it out. done is to be called when it has been answered.
func (e endpoint) serve(w *recorder, r *Request) (done func(*recorder, error), err error) {
	done = func(*recorder, error) {}
	defer func() {
		if p := recover(); p != nil {
			e.Log.Error("a handler panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			err = fault.Errorf(fault.Internal, "the handler panicked: %v", p)
		}
	}()
	r.Request = r.WithContext(r.Caller.Asks(r.Context()))
	known, err := e.admit(w, r)
	if r.Caller.User.ID != "" {
		r.Request = r.WithContext(r.Caller.Asks(r.Context()))
	}
	changes := r.Method != http.MethodGet && r.Method != http.MethodHead
	if changes && known {
		done = e.audit(w, r)
	}
	switch {
	case err != nil:
		return done, err
	case changes && r.Header.Get("Idempotency-Key") != "":
		return done, e.once(w, r)
	}
	return done, e.Do(w, r)
}

// admit checks the limits, the path, the token and the route's permission. known reports whether it is known who asks, or nobody has to be.
func (e endpoint) admit(w http.ResponseWriter, r *Request) (known bool, err error) {
	if err := limit(w, e.addresses, address(r)); err != nil {
		return false, err
	}
	if err := legible(r.URL); err != nil {
		return false, err
	}
	if e.Who == Anyone {
		if r.Method == http.MethodPost {
			return true, limit(w, e.guests, address(r))
		}
		return true, nil
	}
	token := r.Header.Get("X-Auth-Token")
	if token == "" {
		return false, fault.Errorf(fault.Unauthentic, "the request needs a token in the header X-Auth-Token; get one from %s", "/identity/v3/auth/tokens")
	}
	if r.Caller, err = e.Tokens.Validate(r.Context(), token); err != nil {
		return false, err
	}
	if err := limit(w, e.users, r.Caller.User.ID); err != nil {
		return false, err
	}
	if !r.Caller.Allowed(strings.TrimPrefix(e.Prefix, "/"), r.Method, strings.TrimPrefix(r.URL.Path, e.Prefix)) {
		return true, fault.Errorf(fault.Denied, "no access rule of the application credential allows this request")
	}
	return true, Permit(r.Caller, e.Who)
}

// limit counts a request, and says when to ask again where there were too many.
func limit(w http.ResponseWriter, l *limiter, who string) error {
	wait := l.take(who)
	if wait == 0 {
		return nil
	}
	seconds, err := tooMany(wait)
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	return err
}

// address is where a request comes from, without the port.
func address(r *Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	wrote  bool
	keep   int // how much of the body is kept
	body   []byte
}

// WriteHeader sends the status.
func (r *recorder) WriteHeader(status int) {
	r.status, r.wrote = status, true
	r.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	r.body = append(r.body, b[:min(len(b), max(0, r.keep-len(r.body)))]...)
	return r.ResponseWriter.Write(b)
}

// keeping has at least n bytes of the body kept.
func (r *recorder) keeping(n int) { r.keep = max(r.keep, n) }

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
