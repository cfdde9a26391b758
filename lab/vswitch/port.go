package vswitch

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/ether"
)

// Config is what a port carries. The zero value isolates it.
type Config struct {
	Access int   `json:"access"`           // VLAN of untagged frames; 0: none pass
	Tagged []int `json:"tagged,omitempty"` // VLANs of tagged frames
}

// Check returns an Invalid fault for numbers that are no VLANs or for one that is given twice.
func (c Config) Check() error {
	if c.Access != 0 {
		if err := checkVLAN(c.Access); err != nil {
			return err
		}
	}
	for i, vlan := range c.Tagged {
		if err := checkVLAN(vlan); err != nil {
			return err
		}
		if vlan == c.Access || slices.Contains(c.Tagged[:i], vlan) {
			return fault.Field("tagged", "VLAN %d is given twice", vlan)
		}
	}
	return nil
}

func (c Config) vlans() []int {
	if c.Access == 0 {
		return c.Tagged
	}
	return append([]int{c.Access}, c.Tagged...)
}

func (c Config) carries(vlan int) bool { return vlan == c.Access || slices.Contains(c.Tagged, vlan) }

// Counters count a port's frames since the switch started.
type Counters struct {
	In      uint64 `json:"in"`      // frames that came in
	Out     uint64 `json:"out"`     // frames that went out
	Blocked uint64 `json:"blocked"` // came in, but the port does not carry their VLAN
	Dropped uint64 `json:"dropped"` // were to go out, but the receiver was too slow

	Refused uint64 `json:"refused"` // no rule of the port's filter allows them, either way
	Spoofed uint64 `json:"spoofed"` // came in with a sender that is not the server's
	Unread  uint64 `json:"unread"`  // the filter can not judge them: broken ones, and what is neither IP nor ARP
}

// Port is one socket of the switch. It is up while something is plugged in.
type Port struct {
	owner  *Switch
	name   string
	uplink bool

	config Config         // guarded by owner.mu
	guards map[int]*guard // by VLAN; guarded by owner.mu, and never changed, but replaced
	sink   ether.Sink     // guarded by owner.mu; nil: no link
	link   *link          // guarded by owner.mu; nil: no link, or one that is as fast as can be

	in, out, blocked, dropped atomic.Uint64
	filtered                  [unread + 1]atomic.Uint64 // by verdict
}

// Name returns the port's name.
func (p *Port) Name() string { return p.name }

// Config returns what the port carries.
func (p *Port) Config() Config {
	p.owner.mu.RLock()
	defer p.owner.mu.RUnlock()
	return Config{Access: p.config.Access, Tagged: slices.Clone(p.config.Tagged)}
}

// Up reports whether something is plugged in.
func (p *Port) Up() bool {
	p.owner.mu.RLock()
	defer p.owner.mu.RUnlock()
	return p.sink != nil
}

// Counters returns the port's counters.
func (p *Port) Counters() Counters {
	return Counters{In: p.in.Load(), Out: p.out.Load(), Blocked: p.blocked.Load(), Dropped: p.dropped.Load(),
		Refused: p.filtered[refused].Load(), Spoofed: p.filtered[spoofed].Load(), Unread: p.filtered[unread].Load()}
}

// SetConfig changes what the port carries; it is in force when SetConfig returns.
func (p *Port) SetConfig(c Config) error {
	if err := c.Check(); err != nil {
		return err
	}
	c.Tagged = slices.Clone(c.Tagged)
	slices.Sort(c.Tagged)
	p.owner.mu.Lock()
	defer p.owner.mu.Unlock()
	if p.sink != nil {
		p.owner.leave(p)
	}
	p.config = c
	if p.sink != nil {
		p.owner.join(p)
	}
	return nil
}

// SetFilter gives the port a filter for a VLAN, or takes the one away that it has (nil); it is in force when SetFilter returns. What
// was let through before goes on where the new filter allows it.
func (p *Port) SetFilter(vlan int, f *Filter) error {
	if err := checkVLAN(vlan); err != nil {
		return err
	}
	var rules *ruleset
	if f != nil {
		var err error
		if rules, err = compile(*f); err != nil {
			return err
		}
	}
	p.owner.mu.Lock()
	defer p.owner.mu.Unlock()
	if g := p.guards[vlan]; g != nil && rules != nil {
		g.set(rules)
		return nil
	}
	guards := maps.Clone(p.guards)
	delete(guards, vlan)
	if rules != nil {
		if guards == nil {
			guards = map[int]*guard{}
		}
		guards[vlan] = newGuard(rules, p.owner.now)
	}
	p.guards = guards
	return nil
}

// Filters returns the port's filters by VLAN.
func (p *Port) Filters() map[int]Filter {
	p.owner.mu.RLock()
	defer p.owner.mu.RUnlock()
	out := make(map[int]Filter, len(p.guards))
	for vlan, g := range p.guards {
		out[vlan] = g.filter()
	}
	return out
}

// keeps asks the port's filter for a VLAN, if it has one, about an untagged frame.
func (p *Port) keeps(g *guard, frame []byte, out bool) bool {
	if g == nil {
		return true
	}
	v := g.judge(frame, out)
	if v != passed {
		p.filtered[v].Add(1)
	}
	return v == passed
}

// Plug brings the link up: frames for the port go to sink, and the neighbour hears LLDP at once. The
// owner of the cable hands frames from it to Input. What was plugged in before is unplugged.
func (p *Port) Plug(sink ether.Sink) {
	p.replace(sink)
	p.announce()
}

// Unplug takes the link down.
func (p *Port) Unplug() { p.replace(nil) }

// replace takes the link down, if there is one, and brings one to sink up, unless that is nil.
func (p *Port) replace(sink ether.Sink) {
	p.owner.mu.Lock()
	if p.sink != nil {
		p.owner.leave(p)
	}
	old := p.link
	p.sink, p.link = sink, nil
	if sink != nil {
		if p.owner.rate > 0 {
			p.link = newLink(p.owner.rate, sink)
		}
		p.owner.join(p)
	}
	p.owner.mu.Unlock()
	if old != nil {
		old.close()
	}
}

// Deliver makes a port the Sink of the cable that is plugged into it: it is Input.
func (p *Port) Deliver(frame []byte) bool {
	p.Input(frame)
	return true
}

// Input takes a frame that came in on the port and forwards it. The frame must not change afterwards. Where ports have a
// rate, it returns when the frame is through.
func (p *Port) Input(frame []byte) {
	p.in.Add(1)
	if len(frame) < ether.HeaderLen || len(frame) > ether.MaxFrame || ether.Dst(frame).LinkLocal() {
		p.blocked.Add(1)
		return
	}
	s := p.owner
	s.mu.RLock()
	up, config, guards, link := p.sink != nil, p.config, p.guards, p.link
	s.mu.RUnlock()
	if link != nil && !link.in.pass(frame, link.stop) {
		up = false
	}
	vlan, tagged := ether.VLAN(frame)
	switch {
	case !tagged || vlan == 0:
		vlan = config.Access
	case !slices.Contains(config.Tagged, vlan):
		vlan = 0
	}
	if !up || vlan == 0 {
		p.blocked.Add(1)
		return
	}
	if tagged {
		frame = ether.Untag(frame)
	}
	if !p.keeps(guards[vlan], frame, true) {
		return
	}
	s.learn(station{vlan, ether.Src(frame)}, p)
	p.forward(vlan, frame)
}

// forward sends an untagged frame of a VLAN to the port where its destination is, or to all others.
func (p *Port) forward(vlan int, frame []byte) {
	dst := ether.Dst(frame)
	s := p.owner
	s.mu.RLock()
	to := s.table[station{vlan, dst}]
	flood := s.members[vlan]
	s.mu.RUnlock()
	if to != nil && !dst.Multicast() {
		if to != p {
			to.output(vlan, frame)
		}
		return
	}
	for _, m := range flood {
		if m != p {
			m.output(vlan, frame)
		}
	}
}

// output sends an untagged frame out of the port in the form in which the port carries its VLAN. A frame
// that raced with a change of the port's VLANs is dropped here; only what is on the cable already arrives.
func (p *Port) output(vlan int, frame []byte) {
	p.owner.mu.RLock()
	sink, config, guard, link := p.sink, p.config, p.guards[vlan], p.link
	p.owner.mu.RUnlock()
	if sink == nil || !config.carries(vlan) || !p.keeps(guard, frame, false) {
		return
	}
	if vlan != config.Access {
		frame = ether.Tag(frame, vlan)
	}
	if link != nil {
		sink = link
	}
	if sink.Deliver(frame) {
		p.out.Add(1)
	} else {
		p.dropped.Add(1)
	}
}

func (p *Port) announce() {
	p.owner.mu.RLock()
	sink := p.sink
	p.owner.mu.RUnlock()
	if sink == nil || p.uplink {
		return
	}
	sink.Deliver(ether.LLDP(p.owner.mac, ether.Neighbour{Chassis: p.owner.name, Port: p.name, System: p.owner.name}))
}
