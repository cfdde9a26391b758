package vswitch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// State is a port as the control API shows it.
type State struct {
	Name string `json:"name"`
	Config
	Up       bool           `json:"up"`
	Uplink   bool           `json:"uplink,omitempty"`
	Counters Counters       `json:"counters"`
	Filters  map[int]string `json:"filters,omitempty"` // their sums, by VLAN
	Flows    int            `json:"flows,omitempty"`   // that the filters know
}

// Filters are the filters of a port as the control API shows them, by VLAN.
type Filters struct {
	Filters map[int]Filter `json:"filters"`
}

const mostFilter = 16 << 20 // bytes

const headerTimeout = 10 * time.Second

// Uplinked is the protocol name to which POST /uplink/{vlan} switches the connection.
const Uplinked = "ethernet"

// Control serves the switch's control API:
//
//	GET  /ports          all ports
//	GET  /ports/{name}   one port
//	PUT  /ports/{name}   sets what a port carries (Config) and answers with the port
//	GET  /ports/{name}/filters  its filters (Filters)
//	PUT  /ports/{name}/filters/{vlan}  gives it a filter for a VLAN (Filter) and answers with the port; DELETE takes it away
//	POST /uplink/{vlan}  turns the connection into an Ethernet cable in that VLAN (QEMU's framing)
//
// Connections that became uplinks end with ctx; Wait waits for them.
type Control struct {
	ctx   context.Context
	owner *Switch
	log   *slog.Logger
	mux   *http.ServeMux
	wait  sync.WaitGroup
}

// NewControl returns the control API of s. ctx bounds the life of uplinks, which outlive their requests.
func NewControl(ctx context.Context, s *Switch, log *slog.Logger) *Control {
	c := &Control{ctx: ctx, owner: s, log: log, mux: http.NewServeMux()}
	c.mux.HandleFunc("GET /ports", c.list)
	c.mux.HandleFunc("GET /ports/{name}", c.show)
	c.mux.HandleFunc("PUT /ports/{name}", c.set)
	c.mux.HandleFunc("GET /ports/{name}/filters", c.showFilters)
	c.mux.HandleFunc("PUT /ports/{name}/filters/{vlan}", c.setFilter)
	c.mux.HandleFunc("DELETE /ports/{name}/filters/{vlan}", c.dropFilter)
	c.mux.HandleFunc("POST /uplink/{vlan}", c.uplink)
	return c
}

// ServeHTTP answers a request.
func (c *Control) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.mux.ServeHTTP(w, r) }

// Wait returns when all uplinks have ended; the owner ends ctx first.
func (c *Control) Wait() { c.wait.Wait() }

func (p *Port) state() State {
	s := State{Name: p.name, Config: p.Config(), Up: p.Up(), Uplink: p.uplink, Counters: p.Counters()}
	p.owner.mu.RLock()
	defer p.owner.mu.RUnlock()
	for vlan, g := range p.guards {
		if s.Filters == nil {
			s.Filters = make(map[int]string, len(p.guards))
		}
		s.Filters[vlan] = g.filter().Sum
		s.Flows += g.size()
	}
	return s
}

func (c *Control) list(w http.ResponseWriter, _ *http.Request) {
	var body struct {
		Ports []State `json:"ports"`
	}
	body.Ports = []State{}
	for _, p := range c.owner.Ports() {
		body.Ports = append(body.Ports, p.state())
	}
	answer(w, body)
}

func (c *Control) show(w http.ResponseWriter, r *http.Request) {
	p, err := c.owner.Port(r.PathValue("name"))
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, p.state())
}

func (c *Control) set(w http.ResponseWriter, r *http.Request) {
	var want Config
	c.change(w, r, &want, 64<<10, func(p *Port) error {
		if err := p.SetConfig(want); err != nil {
			return err
		}
		c.log.Info("port configured", "port", p.name, "access", want.Access, "tagged", want.Tagged)
		return nil
	})
}

func (c *Control) setFilter(w http.ResponseWriter, r *http.Request) {
	vlan, err := readVLAN(r)
	if err != nil {
		refuse(w, err)
		return
	}
	var want Filter
	c.change(w, r, &want, mostFilter, func(p *Port) error {
		if err := p.SetFilter(vlan, &want); err != nil {
			return err
		}
		c.log.Info("port filtered", "port", p.name, "vlan", vlan, "rules", len(want.Rules), "sum", want.Sum)
		return nil
	})
}

func (c *Control) dropFilter(w http.ResponseWriter, r *http.Request) {
	vlan, err := readVLAN(r)
	if err != nil {
		refuse(w, err)
		return
	}
	p, err := c.owner.Port(r.PathValue("name"))
	if err == nil {
		err = p.SetFilter(vlan, nil)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	c.log.Info("port not filtered any more", "port", p.name, "vlan", vlan)
	answer(w, p.state())
}

// readVLAN reads the VLAN that a request's path names.
func readVLAN(r *http.Request) (int, error) {
	vlan, err := strconv.Atoi(r.PathValue("vlan"))
	if err != nil {
		return 0, fault.Field("vlan", "%q is no VLAN", r.PathValue("vlan"))
	}
	return vlan, checkVLAN(vlan)
}

// change reads what is wanted of the port that a request names, has it made so, and answers with the port.
func (c *Control) change(w http.ResponseWriter, r *http.Request, want any, most int64, set func(p *Port) error) {
	p, err := c.owner.Port(r.PathValue("name"))
	if err != nil {
		refuse(w, err)
		return
	}
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
	body.DisallowUnknownFields()
	if err := body.Decode(want); err != nil {
		refuse(w, fault.Errorf(fault.Invalid, "read the port's configuration: %v", err))
		return
	}
	if err := set(p); err != nil {
		refuse(w, err)
		return
	}
	answer(w, p.state())
}

func (c *Control) showFilters(w http.ResponseWriter, r *http.Request) {
	p, err := c.owner.Port(r.PathValue("name"))
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, Filters{p.Filters()})
}

func (c *Control) uplink(w http.ResponseWriter, r *http.Request) {
	vlan, err := readVLAN(r)
	if err != nil {
		refuse(w, err)
		return
	}
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		refuse(w, fault.Errorf(fault.Invalid, "this connection can not become a cable"))
		return
	}
	conn, buffered, err := hijacker.Hijack()
	if err != nil {
		refuse(w, fault.E(fault.Internal, "take over the connection", err))
		return
	}
	c.wait.Add(1)
	defer c.wait.Done()
	if err := c.carry(conn, buffered, vlan); err != nil {
		c.log.Warn("uplink ended", "vlan", vlan, "err", err)
	}
}

func (c *Control) carry(conn net.Conn, buffered *bufio.ReadWriter, vlan int) error {
	defer func() { _ = conn.Close() }()
	port, err := c.owner.AddUplink(vlan)
	if err != nil {
		return err
	}
	defer c.owner.RemovePort(port)
	cable := port.Connect() // before the answer: the caller misses no frame from then on
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", Uplinked)
	if err != nil {
		return err
	}
	c.log.Info("uplink plugged in", "port", port.name, "vlan", vlan)
	return cable.Carry(c.ctx, &resumed{Conn: conn, rest: buffered.Reader})
}

// resumed is a connection of which a few bytes were read ahead.
type resumed struct {
	net.Conn
	rest *bufio.Reader
}

// Read returns what was read ahead first.
func (r *resumed) Read(b []byte) (int, error) {
	if r.rest != nil && r.rest.Buffered() > 0 {
		return io.LimitReader(r.rest, int64(r.rest.Buffered())).Read(b)
	}
	r.rest = nil
	return r.Conn.Read(b)
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// refuse answers with a fault: {"error": …, "field": …}.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch fault.KindOf(err) {
	case fault.Invalid:
		status = http.StatusBadRequest
	case fault.NotFound:
		status = http.StatusNotFound
	case fault.Conflict:
		status = http.StatusConflict
	case fault.Internal, fault.Denied, fault.Unauthentic, fault.Unavailable, fault.TooLarge:
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Error string `json:"error"`
		Field string `json:"field,omitempty"`
	}{fault.Message(err), fault.FieldOf(err)})
}

// Serve answers the control API on l until ctx ends, announces the switch to its neighbours every
// interval of the announcements, and returns when all of it has ended.
func (s *Switch) Serve(ctx context.Context, l net.Listener, log *slog.Logger) error {
	control := NewControl(ctx, s, log)
	server := &http.Server{Handler: control, ReadHeaderTimeout: headerTimeout}
	announced := make(chan struct{})
	go func() {
		defer close(announced)
		s.AnnounceUntil(ctx)
	}()
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err := server.Serve(l)
	control.Wait()
	if ctx.Err() != nil && errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	if err == nil {
		<-announced
	}
	return err
}
