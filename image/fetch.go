package image

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// Bounds of fetching data from a URL.
const (
	mostURI       = 2048
	mostRedirects = 3
	dialWithin    = 15 * time.Second
	answerWithin  = 60 * time.Second
	fetchWithin   = 12 * time.Hour
	silentWithin  = 60 * time.Second // without a byte
)

// parseURI checks the URL of an import.
func parseURI(uri string) (*url.URL, error) {
	if uri == "" || len(uri) > mostURI || !isText(uri, mostURI) {
		return nil, fault.Field("uri", "must be a URL of 1 to %d characters", mostURI)
	}
	u, err := url.Parse(uri)
	if err != nil {
		return nil, fault.Field("uri", "is no URL")
	}
	return u, fetchable(u)
}

// fetchable reports why a URL is not one to fetch from.
func fetchable(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fault.Field("uri", "must be a URL of http or https")
	case u.Hostname() == "":
		return fault.Field("uri", "must name a host")
	case u.User != nil:
		return fault.Field("uri", "must not have a user name or password")
	}
	return nil
}

// inner are addresses that are not for everybody, beside those that netip knows: this network, carriers' shared addresses,
// protocol assignments, documentation, the cloud's own networks (also set aside for benchmarks), former 6to4 relays, what is
// reserved; and of IPv6 those that stand for IPv4 addresses (mapped, translated, Teredo, 6to4).
// Source: IANA's special-purpose address registries for IPv4 and IPv6.
var inner = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")

// outer is where IPv6 addresses that anybody can reach are: NAT64's, mapped and site-local ones lie outside.
var outer = netip.MustParsePrefix("2000::/3")

func prefixes(all ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(all))
	for i, p := range all {
		out[i] = netip.MustParsePrefix(p)
	}
	return out
}

func within(a netip.Addr, all []netip.Prefix) bool {
	for _, p := range all {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// guard says which addresses data are fetched from.
type guard struct {
	allowed []netip.Prefix // whatever they are, at any port
	inside  bool           // private ones too, and at any port
}

// guard is what holds for tenants' images, or, inside, for those that an operator deploys nodes from.
func (s *Service) guard(inside bool) guard {
	if inside {
		return guard{slices.Concat(s.From, s.DeployFrom), true}
	}
	return guard{allowed: s.From}
}

// metadata is a private address at which some clouds tell machines secrets. Source: AWS, "Instance metadata", IPv6.
var metadata = netip.MustParseAddr("fd00:ec2::254")

// reachable reports why data are not fetched from an address and port: it is no public one, and the operator has not
// allowed it.
func (g guard) reachable(to netip.AddrPort) error {
	a := to.Addr().Unmap().WithZone("")
	if within(a, g.allowed) {
		return nil
	}
	public := a.IsGlobalUnicast() && !a.IsPrivate() && !within(a, inner) && (a.Is4() || outer.Contains(a))
	switch {
	case g.inside && (public || a.IsPrivate() && a != metadata):
		return nil
	case g.inside:
		return fault.Errorf(fault.Denied, "the host of the URL has the address %s, and nodes are deployed from public and private addresses only; the operator may allow others by serve --deploy-from", a)
	case !public:
		return fault.Errorf(fault.Denied, "the host of the URL has no public address, and images are fetched from such only")
	case to.Port() != 80 && to.Port() != 443:
		return fault.Errorf(fault.Denied, "images are fetched from the ports 80 and 443 only")
	}
	return nil
}

// fetch opens the data at a URL. Where a connection goes is checked when it is made, after names were resolved and for each
// redirect anew, so that no name can stand for another address the second time.
func (g guard) fetch(ctx context.Context, uri string, most int64) (io.ReadCloser, error) {
	if _, err := parseURI(uri); err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialWithin, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fault.E(fault.Denied, "connecting to "+address, err)
		}
		return g.reachable(to)
	}}
	// No proxy: it would connect in our place, unchecked. No compression: a checksum is of the data as they lie there.
	transport := &http.Transport{DialContext: dialer.DialContext, DisableCompression: true, DisableKeepAlives: true, TLSHandshakeTimeout: dialWithin,
		ResponseHeaderTimeout: answerWithin, MaxResponseHeaderBytes: 64 << 10}
	client := &http.Client{Transport: transport, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > mostRedirects {
			return fault.Errorf(fault.Invalid, "more than %d redirects", mostRedirects)
		}
		if via[len(via)-1].URL.Scheme == "https" && r.URL.Scheme != "https" {
			return fault.Errorf(fault.Denied, "a redirect leads from https to %s", r.URL.Scheme)
		}
		return fetchable(r.URL)
	}}
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		cancel()
		return nil, fault.E(fault.Invalid, "the URL can not be asked for", err)
	}
	req.Header.Set("User-Agent", "hagane-image-import")
	res, err := client.Do(req)
	if err != nil {
		cancel()
		return nil, unfetched(err)
	}
	body := newPatient(res.Body, cancel)
	if err := accepted(res, most); err != nil {
		return nil, errors.Join(err, body.Close())
	}
	return body, nil
}

// unfetched says why nothing was fetched: a fault of ours from within the client's errors, or that nobody answered.
func unfetched(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return f
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return fault.E(fault.Invalid, "the host of the URL is not known", err)
	}
	return fault.E(fault.Invalid, "the URL could not be fetched: its server does not answer as it should", err)
}

func accepted(res *http.Response, most int64) error {
	switch {
	case res.StatusCode != http.StatusOK:
		return fault.Errorf(fault.Invalid, "the URL answers with the status %d", res.StatusCode)
	case res.ContentLength > most:
		return fault.Errorf(fault.TooLarge, "the data are %d bytes, and there is room for %d", res.ContentLength, most)
	}
	return nil
}

// patient is a body that is broken off when nothing has come for a while.
type patient struct {
	io.ReadCloser
	cancel context.CancelFunc
	timer  *time.Timer
}

func newPatient(body io.ReadCloser, cancel context.CancelFunc) *patient {
	return &patient{body, cancel, time.AfterFunc(silentWithin, cancel)}
}

// Read reads on.
func (p *patient) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	if n > 0 {
		p.timer.Reset(silentWithin)
	}
	return n, err
}

// Close gives the connection up.
func (p *patient) Close() error {
	p.timer.Stop()
	p.cancel()
	return p.ReadCloser.Close()
}
