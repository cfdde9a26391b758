// Package door is the listener of simulated BMCs that speak over TLS: a certificate as from the factory, old
// TLS where the BMC is old, and nobody at home while the BMC restarts. The simulators ribcl, wsman and scci use it.
package door

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
)

// Options is how a door differs from a modern one.
type Options struct {
	OldTLS bool // TLS 1.0 with RC4 and nothing newer
}

// Door is a TLS listener.
type Door struct {
	net.Listener
	faults *inject.Engine
	long   time.Duration
	mu     sync.Mutex
	away   time.Time
}

// usual is how long a restart takes when nobody says otherwise.
const usual = 300 * time.Millisecond

// Open binds a BMC's port.
func Open(c bmcsim.Config, o Options) (*Door, error) {
	var certificate tls.Certificate
	var err error
	if c.Certificate != nil && !o.OldTLS {
		certificate = *c.Certificate
	} else if certificate, err = selfSigned(c, o.OldTLS); err != nil {
		return nil, err
	}
	plain, err := bmcsim.Bind(c, func(at netip.AddrPort) (*net.TCPListener, error) {
		return net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
	})
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	if o.OldTLS {
		conf.MinVersion, conf.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
		conf.CipherSuites = []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}
	}
	d := &Door{faults: c.Faults, long: c.Away}
	if d.long == 0 {
		d.long = usual
	}
	d.Listener = tls.NewListener(&guard{TCPListener: plain, door: d}, conf)
	return d, nil
}

// Leave makes the BMC be away for a while, as during its own restart: connections are closed at once. A BMC with a
// script of faults is away as its engine says.
func (d *Door) Leave() {
	d.faults.Restart(d.long)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faults == nil {
		d.away = time.Now().Add(d.long)
	}
}

// Away reports whether nobody is at home.
func (d *Door) Away() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Before(d.away)
}

// guard closes connections while the BMC is away.
type guard struct {
	*net.TCPListener
	door *Door
}

func (g *guard) Accept() (net.Conn, error) {
	for {
		conn, err := g.TCPListener.Accept()
		if err != nil || !g.door.Away() {
			return conn, err
		}
		_ = conn.Close()
	}
}

// selfSigned makes a certificate such as BMCs leave the factory with; old ones have RSA keys.
func selfSigned(c bmcsim.Config, old bool) (tls.Certificate, error) {
	var key crypto.Signer
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if old {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		return tls.Certificate{}, fault.E(fault.Internal, "make a BMC's key", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: c.Machine.Spec().Serial, Organization: []string{c.Vendor}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{c.Address.AsSlice()},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fault.E(fault.Internal, "make a BMC's certificate", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
