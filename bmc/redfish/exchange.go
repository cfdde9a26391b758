package redfish

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/wire"
	"github.com/hagane-cloud/hagane/fault"
)

// request is one request to a resource.
type request struct {
	method   string // "" is GET
	path     string
	body     any // nil is none; actions always carry one, because HPE answers 415 and Dell 400 without
	etag     string
	doing    string // in words for people; "" is made from the method and path
	patience wire.Patience
	open     bool                       // needs no login
	once     bool                       // is not tried again, whatever the BMC says, and no new session is opened for it
	moot     func(context.Context) bool // reports that what was refused for now has come true by itself; nil is never
}

func (r request) words() string {
	if r.doing != "" {
		return r.doing
	}
	if r.method == "" {
		return "reading " + r.path
	}
	return r.method + " " + r.path
}

// fetch sends a request and reads the answer's document into v, which may be nil. A session that the BMC
// forgot is opened anew, once; what the BMC refuses for now is asked again at the pace of the access.
func (d *Driver) fetch(ctx context.Context, r request, v any) (wire.Answer, error) {
	if r.method == "" {
		r.method = http.MethodGet
	}
	if r.method == http.MethodGet && d.profile.Denies(r.path) {
		return wire.Answer{}, bmc.Fail(bmc.Failure{Class: bmc.Unsupported}, "reading %s is not safe on this BMC (profile %s)", r.path, d.profile.Name)
	}
	relogged := false
	for try := 0; ; {
		answer, err := d.send(ctx, r)
		if err != nil {
			return answer, err
		}
		mayRelog := !r.open && !r.once && (d.token != "" || (d.basic && d.proven)) && !relogged
		d.proven = d.proven || (!r.open && answer.Status < http.StatusBadRequest)
		if answer.Status < http.StatusBadRequest && (!mayRelog || r.method != http.MethodGet || !isPage(answer.Body)) {
			return answer, d.decode(r, answer, v)
		}
		err = refusal(r.words(), answer)
		switch {
		case mayRelog && (answer.Status < http.StatusBadRequest || (answer.Status == http.StatusUnauthorized && bmc.ClassOf(err) == bmc.Credentials)):
			// It was not carried out: the BMC restarted, or dropped the session silently. Supermicro answers 200
			// with its login page then.
			// Without a session it refuses a password that it took before: a login tells which of both is true.
			if d.session != "" {
				d.lost = append(d.lost, d.session)
			}
			d.token, d.session, d.basic, relogged = "", "", false, true
			d.access.Journal.Note("redfish: the BMC had forgotten who we are; we logged in anew")
			continue
		case answer.Status == http.StatusUnauthorized && relogged:
			return answer, bmc.Fail(bmc.Failure{Class: bmc.Broken, Code: "401"}, "%s: the BMC took the password for a new session, and refuses the session", r.words())
		case strings.Contains(r.path, "?") && r.method == http.MethodGet && answer.Status < http.StatusInternalServerError:
			r.path, _, _ = strings.Cut(r.path, "?") // some firmware refuses queries that an older one answered
			continue
		case r.once || try >= d.pace.Again || !later(err) || r.open:
			return answer, err
		}
		try++
		d.access.Journal.Note("redfish: %s: refused for now (%s); asked again", r.words(), codeOf(err))
		if !bmc.Wait(ctx, d.pace.Every) || (r.moot != nil && r.moot(ctx)) {
			return answer, err
		}
	}
}

// send sends a request once, with whatever vouches for us.
func (d *Driver) send(ctx context.Context, r request) (wire.Answer, error) {
	header := http.Header{"Accept": {"application/json"}, "Odata-Version": {"4.0"}}
	if !r.open {
		if err := d.login(ctx); err != nil {
			return wire.Answer{}, err
		}
		if d.basic {
			req := http.Request{Header: header}
			req.SetBasicAuth(d.access.Username, d.access.Password)
		} else {
			header.Set("X-Auth-Token", d.token)
		}
	}
	w := wire.Request{Method: r.method, Path: r.path, Header: header, Patience: r.patience}
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return wire.Answer{}, fault.E(fault.Internal, "writing a request to a BMC", err)
		}
		w.Body = text
		header.Set("Content-Type", "application/json")
	}
	if r.etag != "" {
		header.Set("If-Match", r.etag)
	}
	answer, err := d.wire.Do(ctx, w)
	return answer, fault.Wrap(r.words(), err)
}

func (d *Driver) decode(r request, answer wire.Answer, v any) error {
	if v == nil || (len(answer.Body) == 0 && r.method != http.MethodGet) {
		return nil
	}
	repaired, err := unmarshalNoting(answer.Body, v)
	if repaired && err == nil {
		d.access.Journal.Note("redfish: %s was invalid JSON and could be repaired", r.path)
	}
	if err != nil {
		if r.method != http.MethodGet {
			return nil // it was carried out; what it says of that is not worth failing for
		}
		return bmc.Fail(bmc.Failure{Class: bmc.Garbled, Err: err}, "%s: the BMC's answer is no document: %s", r.words(), begin(answer.Body))
	}
	return nil
}

// isPage reports whether a body is a web page in place of a document.
func isPage(body []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) }

// begin returns the beginning of a body for people.
func begin(body []byte) string {
	const enough = 80
	text := strings.Join(strings.Fields(string(body)), " ")
	if len(text) > enough {
		text = text[:enough] + "…"
	}
	return fmt.Sprintf("%q", text)
}

// get reads a document into v and returns its ETag.
func (d *Driver) get(ctx context.Context, path link, v any) (etag string, err error) {
	answer, err := d.fetch(ctx, request{path: string(path)}, v)
	return answer.Header.Get("ETag"), err
}

// post carries out an action. Posts never carry If-Match: iDRAC10 answers 412 to it.
func (d *Driver) post(ctx context.Context, doing string, path link, body any) (wire.Answer, error) {
	if body == nil {
		body = struct{}{}
	}
	return d.fetch(ctx, request{method: http.MethodPost, path: string(path), body: body, doing: doing, patience: wire.Transfer}, nil)
}

// members reads the paths of a collection's members, page after page; counts are not believed.
func (d *Driver) members(ctx context.Context, path link) ([]link, error) {
	var all []link
	seen := map[string]bool{}
	for next := path; next != "" && !seen[next.key()]; {
		seen[next.key()] = true
		var page struct {
			Members many[link]
			Next    link `json:"Members@odata.nextLink"`
		}
		if _, err := d.fetch(ctx, request{path: string(next), patience: wire.Logs}, &page); err != nil {
			return all, err
		}
		for _, m := range page.Members {
			if m != "" && !seen["member "+m.key()] {
				seen["member "+m.key()] = true
				all = append(all, m)
			}
		}
		next = page.Next
	}
	return all, nil
}

// each reads the members of a collection into fresh values of T and calls fn for each. Dead links and what can not be
// read are passed over.
func each[T any](ctx context.Context, d *Driver, path link, fn func(at link, doc T)) error {
	return walk(ctx, d, path, true, fn)
}

// whole is each for those who conclude from what is not there: a member that can not be read is an error.
func whole[T any](ctx context.Context, d *Driver, path link, fn func(at link, doc T)) error {
	return walk(ctx, d, path, false, fn)
}

func walk[T any](ctx context.Context, d *Driver, path link, lenient bool, fn func(at link, doc T)) error {
	all, err := d.members(ctx, path)
	if err != nil {
		return err
	}
	for _, m := range all {
		var doc T
		if _, err := d.get(ctx, m, &doc); err != nil {
			if absent(err) || (lenient && bmc.ClassOf(err) == bmc.Garbled) {
				continue
			}
			return err
		}
		fn(m, doc)
	}
	return nil
}

// absent reports whether a resource does not exist on the device.
func absent(err error) bool { return bmc.ClassOf(err) == bmc.Unsupported }

// settles looks until ok or an error, at most as long as the pace gives a change to show. It returns the last error.
func (d *Driver) settles(ctx context.Context, ok func() (bool, error)) (bool, error) {
	for deadline := time.Now().Add(d.pace.Settle); ; {
		good, err := ok()
		if good || (err != nil && !bmc.Passing(err)) {
			return good, err
		}
		if time.Now().After(deadline) || !bmc.Wait(ctx, d.pace.Look) {
			return false, err
		}
	}
}
