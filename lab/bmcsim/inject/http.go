package inject

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
)

// key finds the decision in a request's context.
type key struct{}

// From returns the decision on the exchange that ctx belongs to, for the effects that only a simulator
// can play: code, sessions, nothing, revert, power, health and what is lost.
func From(ctx context.Context) Decision {
	d, _ := ctx.Value(key{}).(Decision)
	return d
}

// With returns a context that carries a decision, as HTTP makes it for handlers.
func With(ctx context.Context, d Decision) context.Context { return context.WithValue(ctx, key{}, d) }

// Describe says what an HTTP request is to rules. Simulators of XML protocols read the command off the body; they
// must leave the body readable.
type Describe func(r *http.Request) Exchange

// HTTP plays the effects that are the same for all HTTP protocols, and hands the rest to next in the request's
// context.
func HTTP(e *Engine, describe Describe, next http.Handler) http.Handler {
	if e == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := describe(r)
		d := e.Decide(x)
		if d.Done || d.LosesAnswer() || d.Status != 0 || d.Slow > 0 {
			e.disturb(w, r, d, x, next)
			return
		}
		e.pass(w, r.WithContext(With(r.Context(), d)), d, x, next)
	})
}

// disturb plays the effects that keep the answer from the client.
func (e *Engine) disturb(w http.ResponseWriter, r *http.Request, d Decision, x Exchange, next http.Handler) {
	if !e.Wait(r.Context(), d.Slow) {
		return
	}
	if !d.LosesAnswer() && d.Status == 0 {
		e.pass(w, r.WithContext(With(r.Context(), d)), d, x, next)
		return
	}
	if d.Done {
		unseen := &recorder{header: http.Header{}, status: http.StatusOK}
		next.ServeHTTP(unseen, r.WithContext(With(context.WithoutCancel(r.Context()), d)))
		e.noteWrite(r, unseen.status)
	}
	switch {
	case d.Hang:
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20)) // only then the server notices that the client gave up
		e.Hang(r.Context())
		cut(w)
	case d.Restart > 0:
		e.Restart(d.Restart)
		cut(w)
	case d.Drop, d.Die:
		cut(w)
	default:
		w.Header().Set("Content-Type", d.Type)
		w.WriteHeader(d.Status)
		_, _ = w.Write([]byte(d.Body))
	}
}

// pass lets the simulator answer, and damages the answer where that is called for.
func (e *Engine) pass(w http.ResponseWriter, r *http.Request, d Decision, x Exchange, next http.Handler) {
	if d.Garble == "" && d.Merge == nil && d.Stale == 0 {
		seen := &watcher{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(seen, r)
		e.noteWrite(r, seen.status)
		return
	}
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	next.ServeHTTP(rec, r)
	e.noteWrite(r, rec.status)
	body := rec.body.Bytes()
	if d.Stale > 0 && r.Method == http.MethodGet && rec.status == http.StatusOK {
		body = e.Stale(x.Protocol+" "+r.URL.Path, d.Stale, bytes.Clone(body))
	}
	if d.Merge != nil {
		body = Merge(body, d.Merge)
	}
	if d.Garble != "" && len(body) > 0 {
		body = d.Garble.Apply(body)
		if d.Garble == HTML {
			rec.header.Set("Content-Type", "text/html")
		}
	}
	for name, values := range rec.header {
		w.Header()[name] = values
	}
	if len(body) > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(rec.status)
	_, _ = w.Write(body)
}

func (e *Engine) noteWrite(r *http.Request, status int) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && status < 300 {
		e.Changed()
	}
}

// cut closes a connection so that the client gets a reset and no answer.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: the stream alone is reset
	}
	plain := conn
	if secure, ok := conn.(*tls.Conn); ok {
		plain = secure.NetConn()
	}
	if tcp, ok := plain.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = plain.Close()
}

// watcher notes the status of an answer that goes through.
type watcher struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status.
func (w *watcher) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *watcher) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header returns the headers to be.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader keeps the status.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write keeps a part of the body.
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
