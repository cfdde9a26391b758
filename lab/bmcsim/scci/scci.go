// Package scci simulates Fujitsu's iRMCs as they speak SCCI: command sequences that answer 200 whatever happens, a
// configuration space of numbers, report.xml, and eLCM with its sessions. The power state and the boot
// device are told by IPMI alone, which each iRMC speaks as well, with the same users.
package scci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hagane-cloud/hagane/bmc/markup"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/bmcsim/door"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	"github.com/hagane-cloud/hagane/lab/bmcsim/ipmi"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// Personality is how one iRMC differs from another.
type Personality struct {
	Name       string
	Digest     bool // takes digest authentication alone
	PerCommand bool // tells a status for each command
	Torn       bool // bodies end before their root element does
	NoLicence  bool // eLCM is refused
	Powers     bool // eLCM leaves the server on
	TooSoon    int  // so many power commands are refused as coming too soon
}

// Personalities are the kinds that the lab knows.
var Personalities = []Personality{
	{Name: "iRMC S4", Digest: true, Torn: true, Powers: true},
	{Name: "iRMC S5", PerCommand: true},
}

// BMC is one simulated iRMC.
type BMC struct {
	config  bmcsim.Config
	kind    Personality
	door    *door.Door
	server  *http.Server
	beside  *ipmi.BMC
	machine machine.Machine
	sensors []bmcsim.Sensor

	mu        sync.Mutex // guards what follows
	space     map[string]string
	connected bool // the remote CD
	nmis      int
	tooSoon   int
	nonces    map[string]bool
	elcm      elcm
}

// Listen makes an iRMC and binds its port. It answers from Serve on.
func Listen(c bmcsim.Config, kind Personality) (*BMC, error) {
	d, err := door.Open(c, door.Options{})
	if err != nil {
		return nil, err
	}
	other := c
	if at, ok := d.Addr().(*net.TCPAddr); ok {
		other.Port = uint16(at.Port) // to find it again after a restart
	}
	beside, err := ipmi.Listen(other)
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	b := &BMC{
		config: c, kind: kind, door: d, beside: beside, machine: c.Machine, sensors: bmcsim.Sensors(c.Machine.Spec()), tooSoon: kind.TooSoon, nonces: map[string]bool{},
		space: map[string]string{at("1451", 1): c.Username, at("1452", 1): c.Password, at("1454", 1): "4", at("1457", 1): "1"},
		elcm:  newELCM(),
	}
	b.server = &http.Server{Handler: b.handler(), ReadHeaderTimeout: 30 * time.Second, ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug)}
	return b, nil
}

// Address returns the iRMC's URL, with its port for IPMI as the driver takes it.
func (b *BMC) Address() string {
	return fmt.Sprintf("https://%s?ipmi=%d", b.door.Addr(), b.beside.Address().Port)
}

// Close gives the ports back of an iRMC that never served.
func (b *BMC) Close() error { return errors.Join(b.door.Close(), b.beside.Close()) }

// Serve answers until ctx ends.
func (b *BMC) Serve(ctx context.Context) error {
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return b.beside.Serve(ctx) })
	both.Go(func() error {
		stop := context.AfterFunc(ctx, func() { _ = b.server.Close() })
		defer stop()
		if err := b.server.Serve(b.door); !errors.Is(err, http.ErrServerClosed) {
			return fault.E(fault.Internal, "serve SCCI", err)
		}
		return nil
	})
	return both.Wait()
}

// Connected reports whether the remote CD is connected.
func (b *BMC) Connected() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.connected
}

// Interrupts returns how many NMIs were raised.
func (b *BMC) Interrupts() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.nmis
}

const maxRequest = 1 << 20

func (b *BMC) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /config", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
		if err == nil {
			w.Header().Set("Content-Type", "text/xml")
			_, _ = io.WriteString(w, b.sequence(r.Context(), text)) // who went away needs no answer
		}
	})
	mux.HandleFunc("GET /report.xml", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		_, _ = io.WriteString(w, b.report(inject.From(r.Context()).Health))
	})
	b.routeELCM(mux)
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !b.enter(w, r) {
			return
		}
		mux.ServeHTTP(w, r)
	})
	return inject.HTTP(b.config.Faults, func(r *http.Request) inject.Exchange {
		x := inject.Exchange{Protocol: "scci", Target: r.URL.Path, Write: r.Method != http.MethodGet, On: b.machine.Status().On}
		if r.URL.Path != "/config" {
			return x
		}
		text, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
		r.Body = io.NopCloser(bytes.NewReader(text))
		root, parsed := markup.Parse(text)
		if err != nil || parsed != nil {
			return x
		}
		for i, c := range root.All("CMD") {
			if i == 0 {
				x.Target = c.Attr("OC")
			}
			x.Write = i > 0 && x.Write || strings.EqualFold(c.Attr("Type"), "SET")
		}
		return x
	}, guarded)
}

// at names a value of the configuration space.
func at(value string, index int) string { return fmt.Sprintf("%s/%X", strings.ToUpper(value), index) }
