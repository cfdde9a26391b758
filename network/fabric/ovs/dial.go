package ovs

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network/fabric"
)

// port is OVSDB's (IANA), where an address has none.
const port = "6640"

// dialer knows the way to a database.
type dialer struct {
	network, address string
	tls              *tls.Config // nil: the connection is not encrypted
}

// newDialer reads an address and what goes with it.
func newDialer(a fabric.Access) (dialer, error) {
	kind, rest, _ := strings.Cut(a.Address, ":")
	d := dialer{network: "tcp"}
	switch {
	case a.Username != "":
		return d, fault.Field("username", "Open vSwitch knows no users: leave the user name away")
	case kind == "unix" && strings.HasPrefix(rest, "/"):
		d.network, d.address = "unix", rest
	case kind == "tcp", kind == "ssl":
		var ok bool
		if d.address, ok = hostPort(rest); ok {
			break
		}
		fallthrough
	default:
		return d, fault.Field("address", "%q is no address of Open vSwitch: unix:/var/run/openvswitch/db.sock, tcp:192.0.2.1:6640 and ssl:192.0.2.1:6640 are", a.Address)
	}
	if kind != "ssl" {
		if a.Password != "" {
			return d, fault.Field("password", "only ssl: takes a password, which is our certificate and what belongs to it: leave it away")
		}
		return d, nil
	}
	var err error
	d.tls, err = readPEM([]byte(a.Password))
	return d, err
}

// hostPort completes HOST or HOST:PORT.
func hostPort(text string) (string, bool) {
	host, p, err := net.SplitHostPort(text)
	if err != nil {
		host, p = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), port
	}
	n, err := strconv.Atoi(p)
	if host == "" || err != nil || n < 1 || n > 65535 || strings.ContainsAny(host, "/ []") {
		return "", false
	}
	return net.JoinHostPort(host, p), true
}

// readPEM reads one private key, the certificate that belongs to it, which is ours, and those that may vouch for the switch, in any order. As among Open
// vSwitch's own tools the name in the switch's certificate does not matter: who has signed it does.
func readPEM(text []byte) (*tls.Config, error) {
	wrong := func(words string) (*tls.Config, error) {
		return nil, fault.Field("password", "%s: for ssl: the password is PEM, with our private key, our certificate, and the certificate of the authority that signed the switch's", words)
	}
	var own tls.Certificate
	var certificates []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return wrong("a certificate can not be read (" + err.Error() + ")")
			}
			certificates = append(certificates, c)
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
			if own.PrivateKey = parseKey(block.Bytes); own.PrivateKey == nil {
				return wrong("the private key can not be read")
			}
		}
	}
	key, ok := own.PrivateKey.(crypto.Signer)
	if !ok {
		return wrong("there is no private key")
	}
	trusted := x509.NewCertPool()
	others := 0
	for _, c := range certificates {
		if public, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); ok && public.Equal(key.Public()) {
			own.Certificate, own.Leaf = [][]byte{c.Raw}, c
			continue
		}
		trusted.AddCert(c)
		others++
	}
	switch {
	case own.Leaf == nil:
		return wrong("no certificate belongs to the private key")
	case others == 0:
		return wrong("there is no certificate but our own")
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}, InsecureSkipVerify: true, VerifyConnection: vouched(trusted)}, nil
}

// vouched takes whom the given certificates vouch for, whatever the name.
func vouched(trusted *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			between.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: trusted, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		return err
	}
}

// parseKey reads a private key in any of the usual forms; nil when it is in none.
func parseKey(der []byte) crypto.PrivateKey {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key
	}
	return nil
}

// dial connects.
func (d dialer) dial(ctx context.Context) (net.Conn, error) {
	if d.tls == nil {
		return new(net.Dialer).DialContext(ctx, d.network, d.address)
	}
	return (&tls.Dialer{Config: d.tls}).DialContext(ctx, d.network, d.address)
}
