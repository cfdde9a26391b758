package wire

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

// What is remembered of a device's TLS.
const (
	pinFact = "tls pin" // SHA-256 of the certificate, in hex
	maxFact = "tls max" // "1.2" where TLS 1.3 fails
)

// ticketsKept is how many tickets of one BMC are kept; the latest is used.
const ticketsKept = 2

// PinOf returns the certificate that a device was pinned to, "" when none is.
func PinOf(m *bmc.Memory) string { return m.Get(pinFact) }

// Unpin forgets the certificate of a device; the next one is pinned.
func Unpin(m *bmc.Memory) { m.Set(pinFact, "") }

// changedPin is the error of a certificate that is not the one that was pinned.
type changedPin struct{ was, is string }

func (e *changedPin) Error() string {
	return fmt.Sprintf("the certificate has the SHA-256 %s, and had %s before", e.is, e.was)
}

func (c *Client) newTransport() (*http.Transport, error) {
	conf, err := c.tls()
	if err != nil {
		return nil, err
	}
	keep := c.access.Profile.KeepsAlive()
	return &http.Transport{
		TLSClientConfig: conf, DialContext: (&net.Dialer{Timeout: connectTimeout}).DialContext, TLSHandshakeTimeout: tlsTimeout,
		DisableKeepAlives: !keep, // some BMCs reset connections that we would reuse, others choke on those held open
		MaxConnsPerHost:   3, DisableCompression: true,
	}, nil
}

func (c *Client) tls() (*tls.Config, error) {
	a := c.access
	conf := &tls.Config{InsecureSkipVerify: a.Insecure, MinVersion: tls.VersionTLS12,
		// The curves that every BMC's small TLS stack knows; the newer exchanges' hello no longer fits one packet.
		CurvePreferences: []tls.CurveID{tls.CurveP256, tls.CurveP384, tls.CurveP521}}
	// A connection for each request is dear: a BMC's processor takes a second for a whole handshake. With a ticket
	// of the one before it is short, and the certificate is the one that was looked at then.
	conf.ClientSessionCache = tls.NewLRUClientSessionCache(ticketsKept)
	if a.Profile.MaxTLS() == "1.2" || a.Memory.Get(maxFact) == "1.2" || c.lowered {
		conf.MaxVersion = tls.VersionTLS12
	}
	if a.OldTLS {
		// The operator allowed it for this device: iLO 2 and 3 know TLS 1.0 and RC4 at most.
		conf.MinVersion = tls.VersionTLS10
		for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			conf.CipherSuites = append(conf.CipherSuites, suite.ID)
		}
	}
	if a.CA != "" {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM([]byte(a.CA)) {
			return nil, fault.Field(c.protocol+"_verify_ca", "holds no certificate in PEM")
		}
	}
	if a.Insecure && a.PinFirst {
		conf.VerifyConnection = func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("the BMC shows no certificate")
			}
			sum := sha256.Sum256(s.PeerCertificates[0].Raw)
			is, was := hex.EncodeToString(sum[:]), a.Memory.Get(pinFact)
			if was == "" {
				a.Memory.Set(pinFact, is)
				return nil
			}
			if was != is {
				return &changedPin{was: was, is: is}
			}
			return nil
		}
	}
	return conf, nil
}

// fallBack reports whether the request is to be sent once more with TLS 1.2: the handshake failed, and some
// BMCs' TLS 1.3 is broken. A device that answered so is remembered.
func (c *Client) fallBack(err error) bool {
	if bmc.ClassOf(err) == bmc.Certificate || !handshake(err) || c.lowered {
		return false
	}
	c.access.Memory.Set(maxFact, "1.2")
	c.lowered = true
	fresh, err := c.newTransport()
	if err != nil {
		return false
	}
	c.transport.CloseIdleConnections()
	c.transport, c.http.Transport = fresh, fresh
	return true
}
