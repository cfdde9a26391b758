package redfish

import (
	"cmp"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
)

// route is a resource, or many of one kind. In its pattern {s}, {m} and {c} are the ids of system, manager and
// chassis, and * is any one segment.
type route struct {
	pattern          []string
	get              func(*call) document // nil document: there is none
	post, patch, del func(*call)
	open             bool // needs no login
}

// handler answers HTTP, with faults.
func (b *BMC) handler() http.Handler {
	return inject.HTTP(b.faults, func(r *http.Request) inject.Exchange {
		s := b.machine.Status()
		return inject.Exchange{Protocol: "redfish", Method: r.Method, Target: r.URL.Path, On: s.On, POST: bmcsim.InSelfTest(s, b.selfTest)}
	}, http.HandlerFunc(b.serve))
}

func (b *BMC) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("OData-Version", "4.0")
	w.Header().Set("Cache-Control", "no-store")
	c := &call{BMC: b, w: w, r: r, fault: inject.From(r.Context())}
	at := path.Clean(r.URL.Path)
	if at == "/redfish" {
		c.send(http.StatusOK, document{"v1": root + "/"})
		return
	}
	if at != root && !strings.HasPrefix(at, root+"/") {
		c.missing()
		return
	}
	c.path = strings.TrimPrefix(strings.TrimPrefix(at, root), "/")
	found, ok := b.find(c)
	c.get = found.get
	if !found.open || r.Method != http.MethodGet && r.Method != http.MethodPost {
		if !c.admitted() {
			return
		}
	}
	if b.kind.Tree.NoQuery && r.URL.RawQuery != "" {
		c.refuse(http.StatusBadRequest, "QueryNotSupportedOnResource", "Querying is not supported on the requested resource.")
		return
	}
	if c.path == "" && b.kind.Tree.Slow > 0 && !b.faults.Wait(r.Context(), b.kind.Tree.Slow) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.catchUp()
	if b.capture != nil && b.serveCaptured(c, found, ok) {
		return
	}
	if !ok {
		c.missing()
		return
	}
	c.dispatch(found)
}

// find returns the route of a path.
func (b *BMC) find(c *call) (route, bool) {
	segments := strings.Split(c.path, "/")
	for _, r := range b.routes {
		if args, ok := b.match(r.pattern, segments); ok {
			c.args = args
			return r, true
		}
	}
	return route{}, false
}

func (b *BMC) match(pattern, segments []string) (args []string, ok bool) {
	if len(pattern) != len(segments) {
		return nil, false
	}
	for i, p := range pattern {
		switch p {
		case "*":
			args = append(args, segments[i])
			continue
		case "{s}":
			p = b.kind.SystemID
		case "{m}":
			p = b.kind.ManagerID
		case "{c}":
			p = b.kind.ChassisID
		}
		if p != segments[i] && !(b.kind.Wire.Fold && strings.EqualFold(p, segments[i])) {
			return nil, false
		}
	}
	return args, true
}

// dispatch calls the route's method.
func (c *call) dispatch(to route) {
	if c.barred() {
		return
	}
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		c.read(to)
	case http.MethodPost:
		if to.post == nil {
			c.notAllowed(to)
		} else if c.precondition(nil) && c.decode() && !c.faulty() {
			to.post(c)
		}
	case http.MethodPatch:
		if to.patch == nil {
			c.notAllowed(to)
			return
		}
		var now document
		if to.get != nil {
			if now = to.get(c); now == nil {
				c.missing()
				return
			}
			now = c.shape(now)
		}
		if c.precondition(now) && c.decode() && !c.faulty() {
			to.patch(c)
		}
	case http.MethodDelete:
		if to.del == nil {
			c.notAllowed(to)
		} else if !c.faulty() {
			to.del(c)
		}
	default:
		c.notAllowed(to)
	}
}

func (c *call) read(to route) {
	if to.get == nil {
		c.notAllowed(to)
		return
	}
	for _, trap := range c.kind.Tree.Traps {
		if c.path == trap {
			c.faults.Restart(cmp.Or(c.config.Away, defaultAway))
			break
		}
	}
	if c.kind.Wire.GzipOnly && strings.Contains(strings.ToLower(c.path), "registr") && strings.Count(c.path, "/") > 1 && !strings.Contains(c.r.Header.Get("Accept-Encoding"), "gzip") {
		c.refuse(http.StatusNotAcceptable, "NotAcceptable", "The resource is only there compressed by gzip.")
		return
	}
	doc := to.get(c)
	if doc == nil {
		c.missing()
		return
	}
	c.show(doc)
}

// faulty answers writes that a fault keeps from being carried out.
func (c *call) faulty() bool {
	switch {
	case c.fault.Code != "":
		c.refuse(http.StatusBadRequest, c.fault.Code, "The request could not be carried out.")
		return true
	case c.fault.Nothing && strings.HasSuffix(c.path, "Sessions"):
		return false
	case c.fault.Nothing && c.r.Method == http.MethodPatch && c.get != nil:
		c.changed()
		return true
	case c.fault.Nothing:
		c.done(0)
		return true
	}
	return false
}

// barred refuses what a licence is missing for.
func (c *call) barred() bool {
	for _, pattern := range c.kind.Tree.Licensed {
		if like(pattern, c.path) {
			c.refuse(http.StatusForbidden, "SMC.1.0.OemLicenseNotPassed", "Not licensed to perform this request. The following licenses DCMS were needed.", "DCMS")
			return true
		}
	}
	return false
}

// like reports whether a path matches a pattern in which * stands for any characters.
func like(pattern, text string) bool {
	head, rest, more := strings.Cut(pattern, "*")
	if !more {
		return pattern == text
	}
	if !strings.HasPrefix(text, head) {
		return false
	}
	for i := len(head); i <= len(text); i++ {
		if like(rest, text[i:]) {
			return true
		}
	}
	return false
}

func (c *call) missing() {
	c.refuse(http.StatusNotFound, "ResourceMissingAtURI", "The resource at the URI "+c.r.URL.Path+" was not found.", c.r.URL.Path)
}

func (c *call) notAllowed(to route) {
	if to.get != nil && to.get(c) == nil {
		c.missing()
		return
	}
	c.refuse(http.StatusMethodNotAllowed, "OperationNotAllowed", "The resource does not support the method.")
}

// decode reads the body of a PATCH or POST. An action may have none.
func (c *call) decode() bool {
	raw, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, 64<<10))
	if len(raw) == 0 && err == nil {
		c.body = nil
		return true
	}
	var d document
	if err != nil || json.Unmarshal(raw, &d) != nil || d == nil {
		c.refuse(http.StatusBadRequest, "MalformedJSON", "The request body is not valid JSON.")
		return false
	}
	c.body = d
	return true
}

// write sends a body, compressed where the BMC's kind does that.
func (c *call) write(status int, body []byte) {
	h := c.w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json; charset=utf-8")
	}
	asked := strings.Contains(c.r.Header.Get("Accept-Encoding"), "gzip")
	if c.kind.Wire.Gzip && (asked || strings.HasPrefix(c.path, "Managers")) && status == http.StatusOK {
		h.Set("Content-Encoding", "gzip")
		c.w.WriteHeader(status)
		z := gzip.NewWriter(c.w)
		_, _ = z.Write(body)
		_ = z.Close()
		return
	}
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body)
}

const defaultAway = 300 * time.Millisecond
