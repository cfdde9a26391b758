// Package redfish simulates BMCs that speak Redfish over HTTPS: sessions and accounts, power and boot
// override, virtual media that the machine boots, BIOS settings, firmware updates with tasks, sensors and
// logs. What tells BMCs apart is a Personality, which is data: where things are, and in which ways the BMC
// deviates from the standard. Documents are made when they are asked for, so that thousands of BMCs fit
// into a process. With a Capture the documents are those read off a real machine.
package redfish

import (
	"cmp"
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
	"sync"
	"sync/atomic"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// BMC is one simulated BMC.
type BMC struct {
	config   bmcsim.Config
	kind     Personality
	capture  *Capture
	routes   []route
	faults   *inject.Engine
	own      bool // faults was made here
	selfTest time.Duration
	listener net.Listener
	server   *http.Server
	machine  machine.Machine
	sensors  []bmcsim.Sensor
	sessions sessions
	restarts atomic.Int64

	mu    sync.Mutex // guards what follows, and makes the BMC do one thing at a time
	users []user
	state state
}

// state is what a BMC remembers besides its users. The zero value is as delivered.
type state struct {
	boots      int // of the machine, when it was looked at last
	restarts   int64
	lie        *machine.Boot // an override that is shown until the next boot, whatever is in force
	order      []string
	set        bool // the boot override was ever set
	light      string
	interrupts int
	pressed    time.Time // last change of power
	media      map[string]medium
	settings   map[string]any // those that differ from the defaults
	pending    map[string]any
	secure     *bool // pending
	secured    bool
	keys       string
	tasks      []*task
	made       int // tasks ever
	versions   map[string]string
	waiting    map[string]string // versions that come into force with a restart
	cleared    map[string]bool   // logs
	attributes map[string]any    // of a Dell manager
	password   bool              // was changed
	raced      bool              // the last If-Match was refused though it was right
}

// Listen makes a BMC and binds its port. It answers from Serve on.
func Listen(c bmcsim.Config, kind Personality) (*BMC, error) { return listen(c, kind, nil) }

// ListenCapture makes a BMC that shows the documents of a capture; what the personality of the capture's vendor can
// do works on them.
func ListenCapture(c bmcsim.Config, from *Capture) (*BMC, error) {
	return listen(c, from.kind, from)
}

func listen(c bmcsim.Config, kind Personality, from *Capture) (*BMC, error) {
	certificate := c.Certificate
	if certificate == nil {
		made, err := SelfSigned(cmp.Or(c.Vendor, kind.Vendor, "BMC"), c.Machine.Spec().Serial, c.Address)
		if err != nil {
			return nil, err
		}
		certificate = &made
	}
	plain, err := bmcsim.Bind(c, func(at netip.AddrPort) (*net.TCPListener, error) {
		return net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
	})
	if err != nil {
		return nil, err
	}
	b := &BMC{
		config: c, kind: kind, capture: from, routes: table, machine: c.Machine, sensors: bmcsim.Sensors(c.Machine.Spec()), faults: c.Faults,
		sessions: sessions{limit: kind.Logins.Max, now: time.Now}, selfTest: selfTest(c, kind),
	}
	b.users = b.firstUsers()
	b.state.boots = c.Machine.Status().Boots
	if b.faults == nil {
		b.faults, b.own = inject.NewEngine(nil, 0, c.Log), true
	}
	b.faults.OnRestart(func() {
		b.sessions.forget()
		b.restarts.Add(1)
	})
	b.listener = tls.NewListener(plain, &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12, MaxVersion: kind.Wire.MaxTLS})
	b.server = &http.Server{
		Handler: b.handler(), ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	if kind.Wire.HangsUp {
		b.server.ConnState = func(c net.Conn, s http.ConnState) {
			if s == http.StateIdle {
				_ = c.Close()
			}
		}
	}
	return b, nil
}

// selfTest returns how long the machine's self-test takes.
func selfTest(c bmcsim.Config, kind Personality) time.Duration {
	if c.SelfTest == 0 && kind.Boot.SelfTestID != "" {
		return time.Second
	}
	return c.SelfTest
}

// Address returns the BMC's URL.
func (b *BMC) Address() string { return "https://" + b.listener.Addr().String() }

// SystemPath returns the path of the computer system.
func (b *BMC) SystemPath() string { return root + "/Systems/" + b.kind.SystemID }

// Interrupts returns how often the machine got an NMI.
func (b *BMC) Interrupts() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state.interrupts
}

// Sessions returns the ids of the open sessions.
func (b *BMC) Sessions() []string { return b.sessions.ids() }

// Serve answers until ctx ends.
func (b *BMC) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = b.server.Close() })
	defer stop()
	if b.own {
		defer b.faults.Close()
	}
	if err := b.server.Serve(b.listener); !errors.Is(err, http.ErrServerClosed) {
		return fault.E(fault.Internal, "serve Redfish", err)
	}
	return nil
}

// Close gives the port back of a BMC that never served.
func (b *BMC) Close() error {
	if b.own {
		b.faults.Close()
	}
	return b.listener.Close()
}

// SelfSigned makes a certificate such as BMCs leave the factory with. One may serve many BMCs.
func SelfSigned(organisation, name string, address netip.Addr) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fault.E(fault.Internal, "make a BMC's key", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name, Organization: []string{organisation}},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{address.AsSlice()},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fault.E(fault.Internal, "make a BMC's certificate", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
