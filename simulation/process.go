package simulation

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/hagane-cloud/hagane/conductor"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/network/fabric"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/server"
	"github.com/hagane-cloud/hagane/workflow"
)

// process is one start of a process of the cloud: wired as cmd/hagane does it, with the world's edges simulated. What happens to it is
// told by its fields; the edges look at them.
type process struct {
	name   string
	place  int // which of the cloud's processes it is: the next one there has another name
	id     workflow.Holder
	drives bool // it is a conductor; the others answer calls

	dead        atomic.Bool // nothing that it still does is seen by anybody
	leaving     bool        // it was told to stop
	paused      time.Time   // until then it stands still
	cutFromDB   bool
	cutFromBMCs bool
	skew        time.Duration // by how much its clock is ahead of the database's

	db        *db.DB
	engine    *workflow.Engine
	queue     *queue
	nodes     *node.Service
	servers   *server.Service
	networks  *network.Service
	images    *image.Service
	conductor *conductor.Conductor
	turns     map[workflow.RunID]int // looks in hand
	stop      context.CancelFunc
	ended     chan struct{}
}

// healthy reports whether nothing is wrong with a process.
func (p *process) healthy() bool {
	return p.lives() && !p.cutFromBMCs && !p.leaving
}

// lives reports whether a process carries on what it has in hand, though it may not reach every BMC.
func (p *process) lives() bool { return !p.dead.Load() && !p.cutFromDB && !p.paused.After(time.Now()) }

// launch starts a process at one of the cloud's places.
func (s *simulation) launch(place int, drives bool) (*process, error) {
	s.launched++
	kind := map[bool]string{true: "conductor", false: "api"}[drives]
	p := &process{name: fmt.Sprintf("%s%d.%d", kind, place, s.launched), place: place, id: workflow.Holder(uuid.NewString()), drives: drives,
		turns: map[workflow.RunID]int{}, ended: make(chan struct{}), skew: s.between(-maxSkew, maxSkew)}
	p.db = db.OpenOn(clients{s.store, p, false}, clients{s.store, p, true})
	log := slog.New(traceLog{s, p})
	p.queue = &queue{turnstile: s.turnstile, db: p.db, who: p}
	if drives {
		p.queue.name = p.id
	}
	p.engine = workflow.NewEngine(p.db, p.queue, log)
	p.networks = network.NewService(network.Options{DB: p.db, Box: s.box, VLANLo: 100, VLANHi: 3999,
		Open:    func(context.Context, fabric.Access) (fabric.Driver, error) { return switchDriver{s, p}, nil },
		Systems: []network.System{{Name: node.Provisioning, VLAN: provisioningVLAN}, {Name: node.CleaningNet, VLAN: cleaningVLAN}}})
	images, err := image.NewService(image.Options{DB: p.db, Dir: s.images, Log: log})
	if err != nil {
		return nil, err
	}
	p.nodes = node.NewService(node.Options{DB: p.db, Engine: p.engine, Box: s.box, Network: p.networks, Open: s.openBMC(p), AgentWithin: time.Minute, Log: log,
		AgentAPI:     func(network string) string { return "http://" + network + "/agent/v1" },
		AgentAddress: func(context.Context, string, string) (netip.Prefix, error) { return netip.Prefix{}, errNoMedia },
		MediaBase:    func(context.Context) (string, error) { return "", errNoMedia }})
	p.images = images
	p.servers = server.NewService(p.db, s.box, p.nodes, images, p.networks, log)
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	s.processes[place] = p
	s.trace.note("%s starts", p.name)
	s.running.Go(func() {
		defer close(p.ended)
		defer p.db.Close()
		s.serve(ctx, p, log)
	})
	return p, nil
}

var errNoMedia = fault.Errorf(fault.Unavailable, "simulation: nothing is booted from virtual media")

// maxSkew is what the clocks of hosts may differ by that keep to the database's (db.KeepTime).
const maxSkew = 400 * time.Millisecond

// serve is the life of a process.
func (s *simulation) serve(ctx context.Context, p *process, log *slog.Logger) {
	for {
		// The driver is opened before anybody needs it: network.Service has others wait while it reads which one.
		_, err := p.networks.Driver(acting(ctx, "start"), switchName)
		if err == nil || ctx.Err() != nil {
			break
		}
		s.wait(&pass{who: p, label: p.name + " tries to start", least: time.Second, most: 2 * time.Second})
	}
	if !p.drives {
		<-ctx.Done()
		if !p.dead.Load() { // calls that it has accepted are answered
			s.wait(&pass{who: p, label: p.name + " answers its last calls", ready: p.dead.Load})
		}
		return
	}
	c := conductor.New(p.db, p.engine, conductor.Options{ID: p.id, Roles: "conductor", Version: "simulated", Log: log, Beat: func(loop string) { s.beat(p, loop) }})
	p.conductor, p.queue.look = c, c.Look
	c.Every("watch the power", time.Second, func(ctx context.Context) error { return p.nodes.Watch(ctx, p.id) })
	c.Every("compare restored nodes", 15*time.Second, func(ctx context.Context) error { return p.nodes.Confirm(ctx, p.id) })
	c.Every("close idle BMC sessions", 30*time.Second, func(ctx context.Context) error { return p.nodes.CloseIdle(ctx, 5*time.Minute) })
	c.Every("forget old conductors", time.Hour, p.engine.Forget)
	const grace = 20 * time.Second
	for ctx.Err() == nil && !p.dead.Load() {
		if err := c.Run(ctx, p.queue, grace); err != nil {
			s.trace.line("%s: the conductor ends: %v", p.name, err)
		}
		if ctx.Err() == nil && !p.dead.Load() {
			s.wait(&pass{who: p, label: p.name + " begins anew", least: time.Second, most: 2 * time.Second})
		}
	}
}

// beat lets a loop go on. While nothing is due that it could find it stands still: its beats would cost more than all else. A loop
// that comes late is nothing that the others could rely on not to happen.
func (s *simulation) beat(p *process, loop string) {
	if p.dead.Load() {
		return
	}
	if s.o.Sabotage == loop {
		s.wait(&pass{who: p, label: p.name + " | never | " + loop, ready: p.dead.Load})
		return
	}
	b := &pass{who: p, label: p.name + " | " + loop, least: slowly, most: slowly, early: func() bool { return true }}
	switch loop {
	case "watch the power":
		b.early = func() bool { return s.watched.Before(time.Now()) }
	case "hand runs on":
		b.early = func() bool { return time.Since(s.disturbed) < unrest }
	case "adopt runs":
		b.early = func() bool { return s.alone }
	}
	s.wait(b)
}

// How long after a disturbance the loops keep their beat, and how rarely they come while nothing is due.
const (
	unrest = 15 * time.Second
	slowly = 5 * time.Second
)

// kill ends a process as SIGKILL does: nothing that it still does is seen by anybody.
func (s *simulation) kill(p *process) {
	p.dead.Store(true)
	s.store.lose(p)
	p.stop()
}

// traceLog writes what a process logs into the trace.
type traceLog struct {
	*simulation
	who *process
}

// Enabled lets everything of interest through.
func (traceLog) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle writes a record.
func (h traceLog) Handle(_ context.Context, r slog.Record) error {
	if h.who.dead.Load() {
		return nil
	}
	var text strings.Builder
	r.Attrs(func(a slog.Attr) bool { fmt.Fprintf(&text, " %s=%v", a.Key, a.Value); return true })
	h.trace.aside("%s logs %s: %s%s", h.who.name, r.Level, r.Message, text.String())
	if strings.Contains(r.Message, "panicked") {
		h.wrong("%s: %s%s", h.who.name, r.Message, text.String())
	}
	return nil
}

// WithAttrs keeps nothing.
func (h traceLog) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup keeps nothing.
func (h traceLog) WithGroup(string) slog.Handler { return h }
