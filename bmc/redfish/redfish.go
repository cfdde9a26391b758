// Package redfish drives BMCs by Redfish over HTTPS, on gofish's client. It reads documents into small
// types of its own, field by field, because real BMCs' documents break strict ones; it keeps one
// session, chooses reset types from what the BMC offers, and reads back what it sets.
package redfish

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/schemas"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

const (
	dialTimeout   = 10 * time.Second
	answerTimeout = 60 * time.Second // service roots of some BMCs take 30 s
	maxDocument   = 16 << 20
)

// driver operates one system behind a BMC. It connects at the first call.
type driver struct {
	access  bmc.Access
	http    *http.Client
	session *gofish.APIClient // nil while there is none
	system  string            // path of the ComputerSystem; "" until found
}

// Open makes a driver for the BMC at a URL. It is a bmc.Opener.
func Open(_ context.Context, a bmc.Access) (bmc.Driver, error) {
	if !strings.Contains(a.Address, "://") {
		a.Address = "https://" + a.Address
	}
	u, err := url.Parse(a.Address)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fault.Field("redfish_address", "%q is not a URL such as https://10.0.0.1", a.Address)
	}
	a.Address = u.Scheme + "://" + u.Host
	conf := &tls.Config{InsecureSkipVerify: a.Insecure, MinVersion: tls.VersionTLS12}
	if a.CA != "" {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM([]byte(a.CA)) {
			return nil, fault.Field("redfish_verify_ca", "holds no certificate in PEM")
		}
	}
	if a.Timeout == 0 {
		a.Timeout = answerTimeout
	}
	return &driver{access: a, system: a.System, http: &http.Client{Timeout: a.Timeout, Transport: &http.Transport{
		TLSClientConfig: conf, DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext, TLSHandshakeTimeout: dialTimeout,
		ResponseHeaderTimeout: a.Timeout, DisableKeepAlives: true, // some BMCs close connections that we would reuse
		DisableCompression: true, // offered compression weakens the ETags of some
	}}}, nil
}

func (d *driver) connect(ctx context.Context) (*gofish.APIClient, error) {
	if d.session == nil {
		conf := gofish.ClientConfig{Endpoint: d.access.Address, Username: d.access.Username, Password: d.access.Password,
			HTTPClient: d.http, NoModifyTransport: true}
		c, err := gofish.ConnectContext(ctx, conf)
		if noSlot(err) {
			// All sessions are taken, maybe by a predecessor of ours that died: go on without one.
			conf.BasicAuth = true
			c, err = gofish.ConnectContext(ctx, conf)
		}
		if err != nil {
			return nil, explain("opening a Redfish session with "+d.access.Address, err)
		}
		d.session = c
	}
	return d.session.WithContext(ctx), nil
}

// noSlot reports whether a BMC answered that it has no session left, which they say in various ways.
func noSlot(err error) bool {
	var answer *schemas.Error
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.HTTPReturnedStatusCode {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadRequest, http.StatusConflict:
		return true
	}
	return false
}

// explain turns an error of the library into a fault.
func explain(doing string, err error) error {
	var answer *schemas.Error
	if !errors.As(err, &answer) {
		var tlsErr *tls.CertificateVerificationError
		if errors.As(err, &tlsErr) {
			return fault.E(fault.Denied, doing+": the BMC's certificate can not be verified; give its CA, or set redfish_verify_ca to false", err)
		}
		return fault.E(fault.Unavailable, doing, err)
	}
	words := answer.Message
	for _, i := range answer.ExtendedInfos {
		if i.Message != "" {
			words = i.Message
		}
	}
	text := fmt.Sprintf("%s: the BMC answers %d %s", doing, answer.HTTPReturnedStatusCode, words)
	switch s := answer.HTTPReturnedStatusCode; {
	case s == http.StatusUnauthorized:
		return fault.Errorf(fault.Denied, "%s: it refuses the user name or password", text)
	case s == http.StatusForbidden:
		return fault.Errorf(fault.Denied, "%s", text)
	case s == http.StatusConflict, s == http.StatusPreconditionFailed, s == http.StatusPreconditionRequired:
		return fault.Errorf(fault.Conflict, "%s", text)
	case s == http.StatusTooManyRequests, s >= http.StatusInternalServerError && s != http.StatusNotImplemented:
		return fault.Errorf(fault.Unavailable, "%s", text)
	}
	return fault.Errorf(fault.Invalid, "%s", text)
}

// do runs one exchange and returns the body and the ETag. A session that was forgotten by the BMC is opened anew, once.
func (d *driver) do(ctx context.Context, doing string, call func(c *gofish.APIClient) (*http.Response, error)) ([]byte, string, error) {
	for again := true; ; again = false {
		had := d.session != nil
		c, err := d.connect(ctx)
		if err != nil {
			return nil, "", err
		}
		body, etag, err := exchange(c, call)
		if err == nil {
			return body, etag, nil
		}
		var answer *schemas.Error
		if had && again && errors.As(err, &answer) && answer.HTTPReturnedStatusCode == http.StatusUnauthorized {
			d.session = nil
			continue
		}
		return nil, "", explain(doing, err)
	}
}

func exchange(c *gofish.APIClient, call func(c *gofish.APIClient) (*http.Response, error)) ([]byte, string, error) {
	res, err := call(c)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxDocument))
	return body, res.Header.Get("ETag"), errors.Join(err, res.Body.Close())
}

// get reads a document into v.
func (d *driver) get(ctx context.Context, path string, v any) (etag string, err error) {
	body, etag, err := d.do(ctx, "reading "+path, func(c *gofish.APIClient) (*http.Response, error) { return c.Get(path) })
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return "", fault.E(fault.Unavailable, "the BMC's document "+path+" can not be read", err)
	}
	return etag, nil
}

type link struct {
	ID string `json:"@odata.id"`
}

type collection struct {
	Members []link `json:"Members"`
}

// system is what we read of a ComputerSystem.
type system struct {
	Manufacturer, Model, SerialNumber, SKU, UUID, AssetTag string
	BiosVersion                                            string
	PowerState                                             string
	Boot                                                   struct {
		Target  string   `json:"BootSourceOverrideTarget"`
		Enabled string   `json:"BootSourceOverrideEnabled"`
		Mode    *string  `json:"BootSourceOverrideMode"`
		Targets []string `json:"BootSourceOverrideTarget@Redfish.AllowableValues"`
	}
	Actions struct {
		Reset *struct {
			Target string   `json:"target"`
			Types  []string `json:"ResetType@Redfish.AllowableValues"`
			Info   string   `json:"@Redfish.ActionInfo"`
		} `json:"#ComputerSystem.Reset"`
	}
	Links struct {
		Chassis   []link
		ManagedBy []link
	}
}

// read reads the system, after finding it: the member of the collection that can be reset.
func (d *driver) read(ctx context.Context) (system, string, error) {
	var s system
	if d.system != "" {
		etag, err := d.get(ctx, d.system, &s)
		return s, etag, err
	}
	var all collection
	if _, err := d.get(ctx, "/redfish/v1/Systems", &all); err != nil {
		return s, "", err
	}
	for _, m := range all.Members {
		var s system
		etag, err := d.get(ctx, m.ID, &s)
		if err != nil {
			return s, "", err
		}
		if s.Actions.Reset != nil {
			d.system = m.ID
			return s, etag, nil
		}
	}
	return s, "", fault.Errorf(fault.Invalid, "none of the BMC's %d systems can be reset; set redfish_system_id", len(all.Members))
}

// Close ends the session at the BMC: it has few.
func (d *driver) Close(ctx context.Context) error {
	if d.session != nil {
		// Whatever ended the caller's work must not keep the session open.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(d.access.Timeout, dialTimeout))
		defer cancel()
		d.session.WithContext(end).Logout()
		d.session = nil
	}
	d.http.CloseIdleConnections()
	return nil
}
