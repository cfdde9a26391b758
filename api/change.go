package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/hagane-cloud/hagane/audit"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/idempotency"
)

// idWithin is how much of an answer is searched for the id of what was made.
const idWithin = 64 << 10

// audit begins the record of a call that changes something.
func (e endpoint) audit(w *recorder, r *Request) (done func(*recorder, error)) {
	if e.Audit == nil {
		return func(*recorder, error) {}
	}
	w.keeping(idWithin)
	ctx, end := e.Audit.Begin(r.Context(), audit.Record{
		Request: r.ID, Origin: r.Origin, UserID: r.Caller.User.ID, UserName: r.Caller.User.Name, ProjectID: r.Caller.ProjectID(), Address: address(r),
		Service: strings.TrimPrefix(e.Prefix, "/"), Verb: r.Method, Route: e.Path, Path: r.URL.Path, TargetID: target(r, e.Path),
	})
	r.Request = r.WithContext(ctx)
	return func(w *recorder, err error) {
		a := audit.Answer{Status: w.status, Err: err, UserID: r.Caller.User.ID, UserName: r.Caller.User.Name, ProjectID: r.Caller.ProjectID()}
		if err == nil && r.Method == http.MethodPost {
			a.TargetID = made(w.body)
		}
		end(a)
	}
}

// target returns the id in a path that says most exactly what it is about: the last one.
func target(r *Request, route string) string {
	i, j := strings.LastIndex(route, "{"), strings.LastIndex(route, "}")
	if i < 0 || j < i {
		return ""
	}
	return r.PathValue(strings.TrimSuffix(route[i+1:j], "..."))
}

// made returns the id of what an answer describes: of a document, or of the one document within it.
func made(body []byte) string {
	type document struct{ ID, UUID, Name string }
	var outer map[string]json.RawMessage
	if json.Unmarshal(body, &outer) != nil {
		return ""
	}
	inner := body
	if len(outer) == 1 {
		for _, raw := range outer {
			inner = raw
		}
	}
	var d document
	if json.Unmarshal(inner, &d) != nil {
		return ""
	}
	for _, id := range []string{d.ID, d.UUID, d.Name} {
		if id != "" {
			return id
		}
	}
	return ""
}

// once carries a call out that came with a key, or answers as it was answered before.
func (e endpoint) once(w *recorder, r *Request) error {
	if e.Keys == nil || r.Method != http.MethodPost || e.Who == Anyone {
		return e.Do(w, r)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		return explain(err)
	}
	sum := sha256.Sum256(body)
	call := strings.Join([]string{r.Method, r.URL.RequestURI(), hex.EncodeToString(sum[:])}, " ")
	ctx, end, was, err := e.Keys.Begin(r.Context(), r.Caller.User.ID+" "+r.Caller.ProjectID(), r.Header.Get("Idempotency-Key"), call)
	if err != nil {
		return err
	}
	if was != nil {
		for name, values := range was.Header {
			w.Header()[name] = values
		}
		w.Header().Set("Idempotency-Replayed", "true")
		w.WriteHeader(was.Status)
		_, err := w.Write(was.Body)
		return err
	}
	r.Request = r.WithContext(ctx)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	// The answer is held back until it is kept: a client that has it may not need the key any more, one that has not does.
	held := &holder{header: w.Header(), status: http.StatusOK}
	if err := e.Do(held, r); err != nil {
		return err
	}
	header := map[string][]string{}
	for _, name := range []string{"Content-Type", "Location"} {
		if v := held.header.Values(name); len(v) > 0 {
			header[name] = v
		}
	}
	if err := end(idempotency.Answer{Status: held.status, Header: header, Body: held.body}); err != nil {
		e.Log.Warn("the answer to a call with an Idempotency-Key could not be kept", "request", r.ID, "err", err)
	}
	w.WriteHeader(held.status)
	if _, err := w.Write(held.body); err != nil {
		return fault.E(fault.Unavailable, "answering", err)
	}
	return nil
}

// holder is a ResponseWriter that holds an answer back.
type holder struct {
	header http.Header
	status int
	body   []byte
}

// Header returns the header that will be sent.
func (h *holder) Header() http.Header { return h.header }

// WriteHeader holds the status.
func (h *holder) WriteHeader(status int) { h.status = status }

// Write holds a part of the body.
func (h *holder) Write(b []byte) (int, error) {
	h.body = append(h.body, b...)
	return len(b), nil
}
