package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"

	"github.com/hagane-cloud/hagane/bmc"
)

// explain turns an error of the transport into a failure.
func (c *Client) explain(r Request, sent bool, err error) error {
	if bmc.ClassOf(err) != "" {
		return err
	}
	var pin *changedPin
	if errors.As(err, &pin) {
		return bmc.Fail(bmc.Failure{Class: bmc.Certificate, Code: "changed", Err: pin},
			"the certificate of the BMC at %s has changed since it was first seen; nothing was sent to it. If the change is yours (new firmware, new certificate), make Hagane trust the new one: hagane node trust NODE", c.Base)
	}
	var unverified *tls.CertificateVerificationError
	if errors.As(err, &unverified) {
		return bmc.Fail(bmc.Failure{Class: bmc.Certificate, Err: err},
			"the BMC's certificate can not be verified; give its CA, or set %s_verify_ca to false", c.protocol)
	}
	if handshake(err) {
		return bmc.Fail(bmc.Failure{Class: bmc.Unreachable, Err: err}, "no TLS connection with the BMC at %s could be made; a BMC of its age may need old TLS to be allowed (%s_old_tls)", c.Base, c.protocol)
	}
	f := bmc.Failure{Class: bmc.Unreachable, Err: err}
	if !r.read() && sent && !errors.Is(err, syscall.ECONNREFUSED) && !isDial(err) {
		f.Class = bmc.Uncertain
		return bmc.Fail(f, "%s %s was sent to the BMC at %s and no answer came: it may have been carried out or not", r.Method, r.Path, c.Base)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return bmc.Fail(f, "the BMC at %s did not answer in time", c.Base)
	}
	return bmc.Fail(f, "the BMC at %s can not be reached", c.Base)
}

// handshake reports whether no TLS connection came about. The alerts of package tls have no type of their own.
func handshake(err error) bool {
	var op *net.OpError
	var header tls.RecordHeaderError
	return errors.As(err, &header) || (errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error"))
}

// isDial reports whether no connection came about.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// broke reports whether a connection came about and broke, which is worth another try at once.
func broke(err error) bool {
	if bmc.ClassOf(err) != bmc.Unreachable || isDial(err) {
		return false
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, http.ErrServerClosed)
}
