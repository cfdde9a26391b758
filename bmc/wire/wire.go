// Package wire carries HTTP between a driver and one BMC, with the discipline that BMCs need: few
// requests at once, a deadline for each class of request, reads tried again and changes never, TLS that
// is pinned at first use and old only where allowed, everything taken down by the flight recorder.
// It knows no resource and no vendor; the drivers redfish, ribcl, wsman and scci sit on it.
package wire

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/record"
	"github.com/hagane-cloud/hagane/fault"
)

// Limits of one exchange.
const (
	connectTimeout = 10 * time.Second
	tlsTimeout     = 10 * time.Second
	maxBody        = 32 << 20 // attribute registries reach several MB
)

// Patience is a class of request by how long a BMC may take to answer.
type Patience time.Duration

// The classes. The first measured answers of service roots take up to 30 s, of logs 21 s, of BIOS settings
// minutes; a BMC that fetches an image answers when it has looked at it.
const (
	Normal   = Patience(60 * time.Second)
	Logs     = Patience(120 * time.Second)
	Settings = Patience(180 * time.Second)
	Transfer = Patience(300 * time.Second)
)

// Request is one request.
type Request struct {
	Method, Path string // the path may carry a query; "" is GET
	Header       http.Header
	Body         []byte
	Patience     Patience // 0 is Normal
	// Read marks a request that changes nothing although its method is POST, as those of the XML protocols;
	// GET and HEAD are reads anyway.
	Read bool
}

func (r Request) read() bool {
	return r.Read || r.Method == http.MethodGet || r.Method == http.MethodHead
}

// Answer is what came back, whatever its status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // decompressed
}

// Client speaks with one BMC. It is used by one goroutine at a time.
type Client struct {
	Base string // scheme and host

	access    bmc.Access
	protocol  string
	pace      bmc.Pace
	http      *http.Client
	transport *http.Transport
	lowered   bool // TLS 1.3 failed: 1.2 is spoken
	compress  bool // the BMC answers some requests only compressed
}

// New makes a client for the BMC at the access's address, a URL or a host. protocol names the driver to the
// recorder. It does not connect.
func New(a bmc.Access, protocol string) (*Client, error) {
	if !strings.Contains(a.Address, "://") {
		a.Address = "https://" + a.Address
	}
	u, err := url.Parse(a.Address)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fault.Field(protocol+"_address", "%q is not a URL such as https://10.0.0.1", a.Address)
	}
	c := &Client{Base: u.Scheme + "://" + u.Host, access: a, protocol: protocol, pace: a.Pace.OrDefault()}
	if c.transport, err = c.newTransport(); err != nil {
		return nil, err
	}
	a.Recorder.Hide(a.Password)
	c.http = &http.Client{Transport: c.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

// Close gives connections back.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Do sends a request and returns the BMC's answer, whatever its status; its error is one of class
// Unreachable, Uncertain, Certificate or Garbled. A read whose connection broke is sent again; a change
// never is: an error of class Uncertain says that nobody knows whether it was carried out.
func (c *Client) Do(ctx context.Context, r Request) (Answer, error) {
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	leave, err := c.access.Gate.Enter(ctx, !r.read())
	if err != nil {
		return Answer{}, err
	}
	defer leave()
	for try := 1; ; try++ {
		if err := c.access.Breaker.Allow(); err != nil {
			return Answer{}, err
		}
		answer, sent, err := c.once(ctx, r)
		if err == nil {
			c.access.Breaker.Report(nil)
			return answer, nil
		}
		err = c.explain(r, sent, err)
		if bmc.ClassOf(err) == bmc.Unreachable || bmc.ClassOf(err) == bmc.Uncertain {
			if ctx.Err() == nil { // who gives up early says nothing about the BMC
				c.access.Breaker.Report(err)
			}
		}
		if c.fallBack(err) {
			continue
		}
		if try >= c.pace.Tries || !broke(err) || (!r.read() && sent) {
			return Answer{}, err
		}
		c.access.Journal.Note("%s: a connection broke; the request was sent again", c.protocol)
		if !bmc.Wait(ctx, c.pace.Least+rand.N(c.pace.Most-c.pace.Least+1)) {
			return Answer{}, err
		}
	}
}

// once sends a request; sent reports whether the BMC may have seen it.
func (c *Client) once(ctx context.Context, r Request) (answer Answer, sent bool, err error) {
	limit := time.Duration(r.Patience)
	if limit == 0 {
		limit = time.Duration(Normal)
	}
	if c.access.Timeout > 0 && limit == time.Duration(Normal) {
		limit = c.access.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	body := &watched{Reader: bytes.NewReader(r.Body)}
	var from io.Reader = http.NoBody
	if len(r.Body) > 0 {
		from = body
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, c.Base+r.Path, from)
	if err != nil {
		return Answer{}, false, bmc.Fail(bmc.Failure{Class: bmc.Garbled, Err: err}, "the BMC names a resource by %q, which is no path", r.Path)
	}
	req.ContentLength = int64(len(r.Body))
	for name, values := range r.Header {
		req.Header[name] = values
	}
	// Some BMCs answer compressed whatever is asked, and offered compression weakens the ETags of some.
	req.Header.Set("Accept-Encoding", "identity")
	if c.compress {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	began := time.Now()
	answer, err = c.exchange(req)
	if err == nil && answer.Status == http.StatusNotAcceptable && !c.compress {
		c.compress = true // HPE answers 406 for registries and schemas without it
		defer func() { c.compress = false }()
		return c.once(ctx, r)
	}
	c.take(r, answer, began, err)
	return answer, body.touched.Load() || len(r.Body) == 0, err
}

// exchange sends a request and reads the whole answer.
func (c *Client) exchange(req *http.Request) (Answer, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Status: res.StatusCode, Header: res.Header}
	answer.Body, err = readAll(res)
	switch {
	case err != nil && answer.Status == http.StatusUnauthorized:
		err = nil // iDRAC7 and 8 cut the body short when they have forgotten a session: the status is enough
	case err != nil && req.Method != http.MethodGet && answer.Status < http.StatusMultipleChoices:
		answer.Body, err = nil, nil // it was carried out, and the head says where: a login's token must not be lost
	}
	return answer, errors.Join(err, res.Body.Close())
}

func readAll(res *http.Response) ([]byte, error) {
	from := io.Reader(res.Body)
	if strings.EqualFold(res.Header.Get("Content-Encoding"), "gzip") {
		z, err := gzip.NewReader(from)
		if err != nil {
			return nil, err
		}
		from = z
	}
	body, err := io.ReadAll(io.LimitReader(from, maxBody+1))
	if err == nil && len(body) > maxBody {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxBody)
	}
	return body, err
}

// take takes an exchange down.
func (c *Client) take(r Request, a Answer, began time.Time, err error) {
	if c.access.Recorder == nil {
		return
	}
	x := record.Exchange{At: began, Took: time.Since(began), Protocol: c.protocol, Method: r.Method, Path: r.Path,
		Asked: flat(r.Header, "If-Match", "Content-Type", "Authorization", "X-Auth-Token"), Request: string(r.Body), Status: a.Status,
		Answered: flat(a.Header, "Content-Type", "Etag", "Location", "Retry-After", "X-Auth-Token", "Date", "Www-Authenticate"), Response: string(a.Body)}
	if err != nil {
		x.Error = err.Error()
	}
	c.access.Recorder.Add(x)
}

func flat(h http.Header, names ...string) map[string]string {
	var out map[string]string
	for _, name := range names {
		if v := h.Get(name); v != "" {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = v
		}
	}
	return out
}

// Hide keeps a secret that came up meanwhile out of the recording.
func (c *Client) Hide(secret string) { c.access.Recorder.Hide(secret) }

// watched knows whether the transport began to send the body.
type watched struct {
	*bytes.Reader
	touched atomic.Bool // the transport reads in a goroutine of its own, which may go on after an early answer
}

func (w *watched) Read(p []byte) (int, error) {
	w.touched.Store(true)
	return w.Reader.Read(p)
}
