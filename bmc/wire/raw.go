package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
)

// Raw is an exchange without HTTP, for BMCs that read their protocol straight from the TLS connection.
type Raw struct {
	Name  string   // of what is asked, for the recorder
	Parts [][]byte // each written by itself: HPE's iLO 2 takes notice of that
	Read  bool     // it changes nothing
}

// Exchange sends the parts over a TLS connection of their own and reads until the BMC closes it. Reads are
// tried again and errors classed as those of Do.
func (c *Client) Exchange(ctx context.Context, r Raw) ([]byte, error) {
	leave, err := c.access.Gate.Enter(ctx, !r.Read)
	if err != nil {
		return nil, err
	}
	defer leave()
	asked := Request{Method: "RAW", Path: r.Name, Read: r.Read}
	for _, p := range r.Parts {
		asked.Body = append(asked.Body, p...)
	}
	for try := 1; ; try++ {
		if err := c.access.Breaker.Allow(); err != nil {
			return nil, err
		}
		began := time.Now()
		body, sent, err := c.talk(ctx, r)
		c.take(asked, Answer{Body: body}, began, err)
		if err == nil {
			c.access.Breaker.Report(nil)
			return body, nil
		}
		err = c.explain(asked, sent, err)
		if ctx.Err() == nil && bmc.ClassOf(err) != bmc.Certificate {
			c.access.Breaker.Report(err)
		}
		if try >= c.pace.Tries || !broke(err) || (!r.Read && sent) || !bmc.Wait(ctx, c.pace.Least+rand.N(c.pace.Most-c.pace.Least+1)) {
			return nil, err
		}
	}
}

// talk makes the connection, writes and reads; sent reports whether the BMC may have seen something.
func (c *Client) talk(ctx context.Context, r Raw) (body []byte, sent bool, err error) {
	limit := time.Duration(Normal)
	if c.access.Timeout > 0 {
		limit = c.access.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	u, err := url.Parse(c.Base)
	if err != nil {
		return nil, false, err
	}
	conf, err := c.tls()
	if err != nil {
		return nil, false, err
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "443")
	}
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: connectTimeout}, Config: conf}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for _, p := range r.Parts {
		if _, err := conn.Write(p); err != nil {
			return nil, true, errors.Join(err, ctx.Err())
		}
	}
	body, err = io.ReadAll(io.LimitReader(conn, maxBody))
	if errors.Is(err, io.ErrUnexpectedEOF) && len(body) > 0 {
		err = nil // BMCs of that age close without a farewell
	}
	if err == nil && len(body) == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		err = errors.Join(err, ctx.Err())
	}
	return body, true, err
}
