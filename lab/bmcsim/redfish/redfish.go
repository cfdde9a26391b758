// Package redfish simulates BMCs that speak Redfish over HTTPS: the service root, sessions, the computer
// system with power and boot override, its manager, and its chassis with sensors. What tells BMCs
// apart is a Personality, so that no client can rely on one vendor's paths.
package redfish

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// Personality is how one vendor's BMC differs from another's.
type Personality struct {
	SystemID, ManagerID, ChassisID string
	RedfishVersion                 string
	MaxSessions                    int
	NeedIfMatch                    bool // refuses a PATCH without If-Match
}

// Personalities are the kinds that the lab knows, by the layout of paths that real vendors use.
var Personalities = []Personality{
	{SystemID: "1", ManagerID: "1", ChassisID: "1", RedfishVersion: "1.6.0", MaxSessions: 16},
	{SystemID: "System.Embedded.1", ManagerID: "BMC.Embedded.1", ChassisID: "System.Embedded.1", RedfishVersion: "1.11.0", MaxSessions: 8},
	{SystemID: "Self", ManagerID: "Self", ChassisID: "Self", RedfishVersion: "1.8.0", MaxSessions: 4, NeedIfMatch: true},
	{SystemID: "system", ManagerID: "bmc", ChassisID: "chassis", RedfishVersion: "1.15.0", MaxSessions: 64},
}

// BMC is one simulated BMC.
type BMC struct {
	config   bmcsim.Config
	kind     Personality
	listener net.Listener
	server   *http.Server
	machine  machine.Machine
	sensors  []bmcsim.Sensor
	sessions sessions
}

// Listen makes a BMC with a self-signed certificate and binds its port. It answers from Serve on.
func Listen(c bmcsim.Config, kind Personality) (*BMC, error) {
	certificate, err := selfSigned(c)
	if err != nil {
		return nil, err
	}
	plain, err := bmcsim.Bind(c, func(at netip.AddrPort) (*net.TCPListener, error) {
		return net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
	})
	if err != nil {
		return nil, err
	}
	b := &BMC{
		config: c, kind: kind, machine: c.Machine, sensors: bmcsim.Sensors(c.Machine.Spec()),
		sessions: sessions{limit: kind.MaxSessions, now: time.Now},
	}
	b.listener = tls.NewListener(plain, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	b.server = &http.Server{
		Handler: b.handler(), ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	return b, nil
}

// Address returns the BMC's URL.
func (b *BMC) Address() string { return "https://" + b.listener.Addr().String() }

// SystemPath returns the path of the computer system.
func (b *BMC) SystemPath() string { return "/redfish/v1/Systems/" + b.kind.SystemID }

// Serve answers until ctx ends.
func (b *BMC) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = b.server.Close() })
	defer stop()
	if err := b.server.Serve(b.listener); !errors.Is(err, http.ErrServerClosed) {
		return fault.E(fault.Internal, "serve Redfish", err)
	}
	return nil
}

// Close gives the port back of a BMC that never served.
func (b *BMC) Close() error { return b.listener.Close() }

// selfSigned makes a certificate such as BMCs leave the factory with.
func selfSigned(c bmcsim.Config) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fault.E(fault.Internal, "make a BMC's key", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: c.Machine.Spec().Serial, Organization: []string{c.Vendor}},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{c.Address.AsSlice()},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fault.E(fault.Internal, "make a BMC's certificate", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
