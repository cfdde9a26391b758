// Package ribcl simulates HPE's iLO 2, 3 and 4 as they speak RIBCL: many documents in an answer, errors inside
// of them, the XML of their firmware with its defects, and iLO 2 without HTTP.
package ribcl

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/bmc/markup"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/bmcsim/door"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// Personality is how one iLO differs from another.
type Personality struct {
	Name          string // as GET_FW_VERSION tells it
	Raw           bool   // XML straight on TLS, no HTTP
	OldTLS        bool   // TLS 1.0 and RC4 alone
	Modes         bool   // the server boots by BIOS or UEFI
	EntriesOnly   bool   // with UEFI one boot is set by the name of a boot entry only
	Unlicensed    bool   // no virtual media
	PlainPassword bool   // escapes in the password are not undone
	Positions     bool   // the boot order is told as positions, the next boot as DEVICE
	SelfClosed    bool   // the root element closes itself and goes on
	ControlBytes  bool   // \x01 in names
	LooseQuotes   bool   // quotation marks inside of attributes
	MisspeltNICs  bool   // NIC_INFOMATION
	Gone          bool   // RIBCL was dropped
}

// Personalities are the kinds that the lab knows.
var Personalities = []Personality{
	{Name: "iLO2", Raw: true, Positions: true, SelfClosed: true},
	{Name: "iLO3", MisspeltNICs: true, ControlBytes: true},
	{Name: "iLO4", Modes: true, LooseQuotes: true},
	{Name: "iLO6", Gone: true},
}

// BMC is one simulated iLO.
type BMC struct {
	config  bmcsim.Config
	kind    Personality
	door    *door.Door
	server  *http.Server
	machine machine.Machine
	sensors []bmcsim.Sensor

	mu     sync.Mutex // guards what follows
	users  []*account
	media  map[string]*medium
	orders map[machine.Mode][]string
	once   string
	uid    bool
	events []event
}

type account struct {
	login, password string
	privileges      map[string]bool
}

type medium struct {
	url, option string
}

type event struct{ severity, class, at, text string }

// Listen makes an iLO and binds its port. It answers from Serve on.
func Listen(c bmcsim.Config, kind Personality) (*BMC, error) {
	d, err := door.Open(c, door.Options{OldTLS: kind.OldTLS})
	if err != nil {
		return nil, err
	}
	b := &BMC{
		config: c, kind: kind, door: d, machine: c.Machine, sensors: bmcsim.Sensors(c.Machine.Spec()),
		users: []*account{{login: c.Username, password: c.Password, privileges: map[string]bool{
			"ADMIN_PRIV": true, "REMOTE_CONS_PRIV": true, "RESET_SERVER_PRIV": true, "VIRTUAL_MEDIA_PRIV": true, "CONFIG_ILO_PRIV": true}}},
		media:  map[string]*medium{"CDROM": {option: "NO_BOOT"}, "FLOPPY": {option: "NO_BOOT"}},
		orders: map[machine.Mode][]string{machine.BIOS: {"CDROM", "FLOPPY", "HDD", "NETWORK1"}, machine.UEFI: {"Boot0001", "Boot0002", "Boot0003", "Boot0004"}},
		once:   normal,
		events: []event{
			{"Informational", "Maintenance", "[NOT SET]", "Maintenance note: delivered"},
			{"Caution", "POST Message", "11/03/2026 07:47", "POST Error: 1785-Drive Array not Configured"},
			{"Critical", "Power", "11/04/2026 09:01", "System Power Supply: Input Power Loss or Unplugged Power Cord (Power Supply 2)"},
		},
	}
	b.server = &http.Server{Handler: b.handler(), ReadHeaderTimeout: 30 * time.Second, ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug)}
	return b, nil
}

// Address returns the iLO's URL.
func (b *BMC) Address() string { return "https://" + b.door.Addr().String() }

// Close gives the port back of an iLO that never served.
func (b *BMC) Close() error { return b.door.Close() }

// Serve answers until ctx ends.
func (b *BMC) Serve(ctx context.Context) error {
	if b.kind.Raw {
		return b.serveRaw(ctx)
	}
	stop := context.AfterFunc(ctx, func() { _ = b.server.Close() })
	defer stop()
	if err := b.server.Serve(b.door); !errors.Is(err, http.ErrServerClosed) {
		return fault.E(fault.Internal, "serve RIBCL", err)
	}
	return nil
}

// maxRequest bounds a request.
const maxRequest = 1 << 20

func (b *BMC) handler() http.Handler {
	mux := http.NewServeMux()
	if b.kind.Gone {
		return mux
	}
	mux.HandleFunc("POST /ribcl", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
		if err != nil {
			return
		}
		w.Header().Set("Content-Type", "text/xml")
		w.Header().Set("Connection", "close")
		_, _ = w.Write(b.answer(r.Context(), text)) // who went away needs no answer
	})
	return inject.HTTP(b.config.Faults, func(r *http.Request) inject.Exchange {
		text, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
		r.Body = io.NopCloser(bytes.NewReader(text))
		if err != nil {
			return inject.Exchange{Protocol: "ribcl", Target: r.URL.Path}
		}
		return b.exchange(text)
	}, mux)
}

// exchange says what a request is to rules: its first command.
func (b *BMC) exchange(text []byte) inject.Exchange {
	x := inject.Exchange{Protocol: "ribcl", Target: "/ribcl", On: b.machine.Status().On}
	root, err := markup.Parse(text)
	if err != nil {
		return x
	}
	for _, block := range root.Child("LOGIN").Kids() {
		for _, c := range block.Kids() {
			x.Target, x.Write = c.Name, strings.EqualFold(block.Attr("MODE"), "write")
			return x
		}
	}
	return x
}

// serveRaw is iLO 2: it takes the XML header only as the whole of a first record, and closes when it has answered.
func (b *BMC) serveRaw(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = b.door.Close() })
	defer stop()
	var open sync.WaitGroup
	defer open.Wait()
	for {
		conn, err := b.door.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fault.E(fault.Internal, "serve RIBCL", err)
		}
		open.Go(func() {
			defer func() { _ = conn.Close() }()
			cut := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer cut()
			b.talk(ctx, conn)
		})
	}
}

func (b *BMC) talk(ctx context.Context, conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	first := make([]byte, 16<<10)
	n, err := conn.Read(first)
	if err != nil {
		return
	}
	if !bytes.Equal(bytes.TrimSpace(first[:n]), []byte(`<?xml version="1.0"?>`)) {
		_, _ = conn.Write(b.documents([]string{refusal(0x0001, "syntax error: Line #0")}))
		return
	}
	var text []byte
	for !bytes.Contains(text, []byte("</RIBCL>")) && len(text) < maxRequest {
		if n, err = conn.Read(first); err != nil {
			return
		}
		text = append(text, first[:n]...)
	}
	d := b.config.Faults.Decide(b.exchange(text))
	ctx = inject.With(ctx, d)
	if d.Done {
		b.answer(ctx, text)
	}
	if b.config.Faults.Play(ctx, d) && d.Status == 0 {
		_, _ = conn.Write(b.answer(ctx, text))
	} else if d.Hang {
		b.config.Faults.Hang(ctx)
	}
}
