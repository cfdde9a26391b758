// Package wsman simulates Dell's iDRACs as they speak WS-Management: classes that are enumerated in pulls, services whose
// methods are invoked, settings that are pending until a job brings them into force at the server's next
// boot, and a Lifecycle Controller that is not always ready.
package wsman

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

// Personality is how one iDRAC differs from another.
type Personality struct {
	Name        string
	ServerBoot  bool // attributes that override the boot device; without them there is the order of boot sources alone
	SourceTypes bool // BootSourceType is told
	Defaults    bool // defaults of BIOS settings are told
	PageSize    int  // instances a pull
	Unprintable bool // bytes in texts that XML does not allow
	NotReady    int  // so many times the Lifecycle Controller says that it is not ready
	JobErrors   bool // jobs end "Completed with Errors"
	Gone        bool // WS-MAN was dropped
}

// Personalities are the kinds that the lab knows.
var Personalities = []Personality{
	{Name: "iDRAC6", PageSize: 5},
	{Name: "iDRAC7", ServerBoot: true, SourceTypes: true, PageSize: 3, Unprintable: true},
	{Name: "iDRAC9", ServerBoot: true, SourceTypes: true, Defaults: true, PageSize: 50},
	{Name: "iDRAC10", Gone: true},
}

// BMC is one simulated iDRAC.
type BMC struct {
	config  bmcsim.Config
	kind    Personality
	door    *door.Door
	server  *http.Server
	machine machine.Machine
	sensors []bmcsim.Sensor

	mu       sync.Mutex // guards what follows
	bios     []*attribute
	orders   map[string]*order
	jobs     []*job
	made     int // jobs so far
	boots    int // of the machine that were noticed
	notReady int
	pulls    map[string]*pull
	events   []event
	users    [17]user // by their place; 0 is none
	nmis     int      // that were raised
	blinking bool     // identify LED
}

type event struct{ severity, text string }

type user struct {
	name, password, privilege string
	on                        bool
}

// Listen makes an iDRAC and binds its port. It answers from Serve on.
func Listen(c bmcsim.Config, kind Personality) (*BMC, error) {
	d, err := door.Open(c, door.Options{})
	if err != nil {
		return nil, err
	}
	b := &BMC{
		config: c, kind: kind, door: d, machine: c.Machine, sensors: bmcsim.Sensors(c.Machine.Spec()), notReady: kind.NotReady,
		orders: orders(), pulls: map[string]*pull{}, boots: c.Machine.Status().Boots,
		events: []event{{"2", "Log cleared."}, {"3", "The chassis is open while the power is off."}, {"5", "The power input for power supply 2 is lost."}},
	}
	b.bios = b.attributes()
	b.users[2] = user{c.Username, c.Password, "511", true}
	b.server = &http.Server{Handler: b.handler(), ReadHeaderTimeout: 30 * time.Second, ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug)}
	return b, nil
}

// Address returns the iDRAC's URL.
func (b *BMC) Address() string { return "https://" + b.door.Addr().String() }

// Close gives the port back of an iDRAC that never served.
func (b *BMC) Close() error { return b.door.Close() }

// Serve answers until ctx ends.
func (b *BMC) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = b.server.Close() })
	defer stop()
	if err := b.server.Serve(b.door); !errors.Is(err, http.ErrServerClosed) {
		return fault.E(fault.Internal, "serve WS-MAN", err)
	}
	return nil
}

const (
	maxRequest = 1 << 20
	classes    = "http://schemas.dell.com/wbem/wscim/1/cim-schema/2/"
	enumerate  = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Enumerate"
	pullAction = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Pull"
)

// request is a message that was understood.
type request struct {
	class, action, method string
	selectors             map[string]string
	input                 *markup.Element
}

func (b *BMC) handler() http.Handler {
	mux := http.NewServeMux()
	if b.kind.Gone {
		return mux
	}
	mux.HandleFunc("POST /wsman", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); !b.knows(user, password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="OPENWSMAN"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		text, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
		if err != nil {
			return
		}
		w.Header().Set("Content-Type", "application/soap+xml;charset=UTF-8")
		req, err := understand(text)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, soap("wsman:SchemaValidationError", err.Error())) // who went away needs no answer
			return
		}
		out := b.answer(r.Context(), req)
		if strings.Contains(out, "<s:Fault>") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, out)
	})
	return inject.HTTP(b.config.Faults, func(r *http.Request) inject.Exchange {
		x := inject.Exchange{Protocol: "wsman", Target: r.URL.Path, On: b.machine.Status().On}
		text, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
		r.Body = io.NopCloser(bytes.NewReader(text))
		if err != nil {
			return x
		}
		if req, err := understand(text); err == nil {
			x.Target = req.class
			if req.method != "" {
				x.Target, x.Write = req.class+"."+req.method, req.method != "GetRemoteServicesAPIStatus"
			}
		}
		return x
	}, mux)
}

// knows reports whether a user may enter.
func (b *BMC) knows(name, password string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.users {
		if u.on && u.name == name && u.password == password {
			return true
		}
	}
	return false
}

// understand reads a request.
func understand(text []byte) (request, error) {
	root, err := markup.Parse(text)
	if err != nil {
		return request{}, err
	}
	head := root.Child("Header")
	r := request{class: strings.TrimPrefix(head.Value("ResourceURI"), classes), action: head.Value("Action"), selectors: map[string]string{}}
	for _, s := range head.Child("SelectorSet").Kids() {
		r.selectors[s.Attr("Name")] = s.Text
	}
	if len(root.Child("Body").Kids()) == 0 {
		return r, fmt.Errorf("the body is empty")
	}
	r.input = root.Child("Body").Children[0]
	if method, ok := strings.CutPrefix(r.action, classes+r.class+"/"); ok {
		r.method = method
	}
	return r, nil
}
