package gateway

import (
	"context"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/hagane-cloud/hagane/fence"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/workflow"
)

// Leases are who serves which router.
type Leases interface {
	// WithLease runs fn while it holds a lease; it reports false when somebody else does.
	WithLease(ctx context.Context, subject string, h workflow.Holder, fn func(ctx context.Context) error) (bool, error)
	Renew(ctx context.Context, h workflow.Holder) error
	// Leased returns the subjects below a prefix that somebody holds.
	Leased(ctx context.Context, prefix string) (map[string]workflow.Holder, error)
}

// Subjects is what the subjects of routers' leases begin with.
const Subjects = "router/"

// Options are what an Agent works with.
type Options struct {
	Routers *network.Service
	Leases  Leases
	Plug    Plug
	Log     *slog.Logger
}

// Agent serves routers that no other process serves.
type Agent struct {
	Options
	holder workflow.Holder
	mu     sync.Mutex
	seats  map[string]*seat
	wait   sync.WaitGroup
	stamp  string
	read   time.Time
	plans  []network.RouterPlan
}

// How often the agent looks what is to be done, reads all plans in any case, and tries again what failed.
const (
	every   = time.Second
	anyway  = 10 * time.Second
	soonest = time.Second
	latest  = 16 * time.Second
)

// seat is a router that this process serves, or tries to.
type seat struct {
	stop    context.CancelFunc
	changed chan struct{} // has room for one

	mu     sync.Mutex
	plan   network.RouterPlan
	ended  bool
	failed int // times in a row
	after  time.Time
	told   string // why it is not served, as the log said
	nat    *nat   // of a router that is being served
}

// NewAgent makes an agent.
func NewAgent(o Options) *Agent {
	return &Agent{Options: o, holder: workflow.Holder(uuid.NewString()), seats: map[string]*seat{}}
}

// Run serves until ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	defer a.wait.Wait()
	a.wait.Go(func() { a.renew(ctx) })
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		if err := a.look(ctx); err != nil && ctx.Err() == nil {
			a.Log.Warn("looking for routers to serve", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// renew keeps the leases of this process.
func (a *Agent) renew(ctx context.Context) {
	t := time.NewTicker(workflow.Renewal)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if !a.busy() {
			continue
		}
		if err := a.Leases.Renew(ctx, a.holder); err != nil && ctx.Err() == nil {
			a.Log.Warn("the leases of routers were not renewed", "error", err)
		}
	}
}

// look begins to serve what nobody serves, hands changed plans on, and ends what is gone.
func (a *Agent) look(ctx context.Context) error {
	stamp, err := a.Routers.RouterStamp(ctx)
	if err != nil {
		return err
	}
	if stamp != a.stamp || time.Since(a.read) > anyway {
		plans, err := a.Routers.RouterPlans(ctx)
		if err != nil {
			return err
		}
		a.plans, a.stamp, a.read = plans, stamp, time.Now()
	}
	if len(a.plans) == 0 && len(a.seats) == 0 {
		return nil
	}
	held, err := a.Leases.Leased(ctx, Subjects)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	wanted := map[string]bool{}
	for _, p := range a.plans {
		wanted[p.ID] = true
		s := a.seats[p.ID]
		if s == nil {
			s = &seat{changed: make(chan struct{}, 1), ended: true}
			a.seats[p.ID] = s
		}
		if s.take(p) && held[Subjects+p.ID] == "" {
			a.begin(ctx, p.ID, s)
		}
	}
	for id, s := range a.seats {
		if !wanted[id] {
			if s.stop != nil {
				s.stop()
			}
			delete(a.seats, id)
		}
	}
	return nil
}

// take gives a seat a plan, and reports whether the router is to be begun with.
func (s *seat) take(p network.RouterPlan) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !reflect.DeepEqual(s.plan, p) {
		s.plan = p
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
	return s.ended && time.Now().After(s.after)
}

func (s *seat) current() network.RouterPlan {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plan
}

// begin serves a router in a goroutine of its own, if nobody else takes it first.
func (a *Agent) begin(ctx context.Context, id string, s *seat) {
	on, stop := context.WithCancel(ctx)
	s.mu.Lock()
	s.ended, s.stop = false, stop
	s.mu.Unlock()
	a.wait.Go(func() {
		defer stop()
		_, err := a.Leases.WithLease(on, Subjects+id, a.holder, func(ctx context.Context) error {
			return s.serve(ctx, a.Plug, func() { a.Log.Info("serving a router", "router", id) })
		})
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil && on.Err() == nil && s.told != err.Error() {
			s.told = err.Error()
			a.Log.Warn("a router is not served for now", "router", id, "error", err)
		}
		if s.failed++; err == nil {
			s.failed = 0
		}
		s.ended, s.nat, s.after = true, nil, time.Now().Add(min(soonest<<min(s.failed, 6), latest)-soonest)
	})
}

// serve forwards for a router while its lease is held. Flows outlive changes of the router's wires.
func (s *seat) serve(ctx context.Context, plug Plug, begun func()) error {
	n := newNAT()
	for ctx.Err() == nil {
		p := s.current()
		n.configure(&p)
		r, err := newRouter(ctx, &p, n, plug)
		if err != nil {
			return err
		}
		s.mu.Lock()
		if s.nat == nil {
			begun()
		}
		s.nat, s.failed, s.told = n, 0, ""
		s.mu.Unlock()
		if err := s.forward(ctx, r, p); err != nil {
			return err
		}
	}
	return nil
}

// forward runs a router until its wires are to be others, its lease is lost, or ctx ends.
func (s *seat) forward(ctx context.Context, r *router, p network.RouterPlan) error {
	defer r.close()
	on, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- r.run(on) }()
	end := func() error { stop(); return <-done }
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case err := <-done:
			stop()
			return err
		case <-ctx.Done():
			return end()
		case <-t.C:
			if err := fence.Check(ctx); err != nil {
				_ = end() // the lease is what was lost
				return err
			}
		case <-s.changed:
			now := s.current()
			if !sameWires(p, now) {
				return end()
			}
			r.nat.configure(&now)
			r.tell(r.nat.outers())
			p = now
		}
	}
}

// sameWires reports whether two plans differ in what is kept at the edge alone.
func sameWires(a, b network.RouterPlan) bool {
	a.Floating, a.SNAT = b.Floating, b.SNAT
	return reflect.DeepEqual(a, b)
}

// busy reports whether this process may hold leases.
func (a *Agent) busy() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.seats {
		s.mu.Lock()
		ended := s.ended
		s.mu.Unlock()
		if !ended {
			return true
		}
	}
	return false
}

// Figures is how many routers this process forwards for, and how many flows they remember.
func (a *Agent) Figures() (routers, flows int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.seats {
		s.mu.Lock()
		if s.nat != nil {
			routers++
			flows += s.nat.size()
		}
		s.mu.Unlock()
	}
	return routers, flows
}
