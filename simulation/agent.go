package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

// The cloud's own VLANs.
const (
	provisioningVLAN = 4001
	cleaningVLAN     = 4002
)

// boot plays what a machine does after it was started: firmware, then the agent or what is on the disk.
func (s *simulation) boot(m *machine, boots int) {
	who := fmt.Sprintf("%s start %d", m.name, boots)
	s.sleep(who, 5*time.Second, 20*time.Second)
	if m.boots != boots || s.over {
		return
	}
	device := m.booting()
	if device != bmc.Disk && (m.vlan == provisioningVLAN || m.vlan == cleaningVLAN) {
		if secret := s.bootScript(who, m, boots); secret != "" {
			(&agent{simulation: s, m: m, boots: boots, who: who, secret: secret}).run()
			return
		}
	}
	if m.boots == boots && !s.over && m.disk.image != "" && m.disk.config != "" {
		s.trace.line("%s runs what is on its disk: %s", m.name, m.disk)
		m.disk.left[s.projectOf(m.disk.config)] = true // the system writes
	}
}

// bootScript asks for the machine's boot script as long as PXE does, and returns the secret in it.
func (s *simulation) bootScript(who string, m *machine, boots int) (secret string) {
	for range 5 {
		err := s.ask(who, func(ctx context.Context, p *process) error {
			b, err := p.nodes.BootFor(ctx, m.mac)
			secret = b.Secret
			return err
		})
		if err == nil || m.boots != boots || s.over {
			return secret
		}
		s.sleep(who, 2*time.Second, 10*time.Second)
	}
	return ""
}

// agent is the program in the ramdisk of a machine, from one start to the next.
type agent struct {
	*simulation
	m      *machine
	boots  int
	who    string
	secret string
	token  string
	heard  time.Time // when the cloud last answered
}

// alive reports whether the machine still runs this agent. One that the cloud does not answer powers it off in the end.
func (a *agent) alive() bool {
	const giveUp = 10 * time.Minute
	if a.m.boots == a.boots && !a.over && time.Since(a.heard) > giveUp {
		a.trace.line("%s: the agent gives up", a.m.name)
		a.press(a.m, bmc.PowerOff)
	}
	return a.m.boots == a.boots && !a.over
}

func (a *agent) run() {
	a.heard = time.Now()
	if a.troubled && a.chance(20) {
		a.trace.note("%s: the agent never calls", a.m.name)
		return
	}
	if a.troubled && a.chance(15) {
		a.trace.note("%s: the agent calls late", a.m.name)
		a.sleep(a.who, 30*time.Second, 3*time.Minute)
	}
	if !a.claim("nonce 1") {
		return
	}
	if a.troubled && a.chance(15) && a.claim("nonce 2") {
		a.wrong("%s: a secret worked twice", a.m.name)
		return
	}
	var done protocol.Beat
	for a.alive() {
		order, err := a.beat(done)
		if err != nil {
			return
		}
		if order == nil {
			done = protocol.Beat{}
			a.sleep(a.who, time.Second, 5*time.Second)
			continue
		}
		if order.ID == done.Order {
			continue // it was reported, and the answer was lost
		}
		if done = a.carryOut(order); !a.alive() {
			return
		}
		if order.Shutdown != nil {
			if _, err := a.beat(done); err == nil && a.alive() {
				a.press(a.m, bmc.PowerOff)
			}
			return
		}
		if order.Rescue != nil {
			if _, err := a.beat(done); err == nil && a.alive() {
				a.m.inRescue = true
			}
			return
		}
	}
}

// claim takes the run over. It reports false when the cloud does not let it, or the machine was restarted meanwhile.
func (a *agent) claim(nonce string) bool {
	for a.alive() {
		err := a.ask(a.who, func(ctx context.Context, p *process) error {
			c, err := p.nodes.Claim(ctx, protocol.Claim{Secret: a.secret, Nonce: nonce, MACs: []string{a.m.mac}, BootMode: "uefi", Inventory: a.m.inventory()})
			if err == nil {
				a.token = c.Token
			}
			return err
		})
		switch {
		case err == nil:
			a.heard = time.Now()
			return true
		case fault.Is(err, fault.Conflict) || fault.Is(err, fault.Unauthentic):
			a.trace.line("%s: the agent's claim is refused: %v", a.m.name, err)
			return false
		}
		a.sleep(a.who, time.Second, 8*time.Second)
	}
	return false
}

// beat tells the cloud how the agent does, until it answers, and returns the next order. An error says that the cloud does not know the
// agent any more.
func (a *agent) beat(b protocol.Beat) (order *protocol.Order, err error) {
	for a.alive() {
		err = a.ask(a.who, func(ctx context.Context, p *process) error {
			order, err = p.nodes.Beat(ctx, a.token, b)
			return err
		})
		if err == nil {
			a.heard = time.Now()
			return order, nil
		}
		if fault.Is(err, fault.Unauthentic) {
			return nil, err
		}
		a.sleep(a.who, time.Second, 8*time.Second)
	}
	return nil, errGone
}

// carryOut does what an order asks for, and returns the report of it.
func (a *agent) carryOut(o *protocol.Order) protocol.Beat {
	b := protocol.Beat{Order: o.ID, Done: true}
	if a.troubled && a.chance(40) {
		b.Error = "the simulation has the agent fail"
		a.trace.note("%s: the agent fails at %s", a.m.name, kindOf(o))
		a.sleep(a.who, time.Second, 10*time.Second)
		return b
	}
	dies := a.troubled && a.chance(40)
	a.work(o, dies)
	if !a.alive() {
		return b
	}
	if dies {
		a.trace.note("%s: the agent dies at %s", a.m.name, kindOf(o))
		a.m.boots++ // it is on and does nothing
		return b
	}
	d := &a.m.disk
	switch {
	case o.Inspect != nil:
		inv := a.m.inventory()
		b.Result.Inventory = &inv
	case o.Erase != nil:
		if a.o.Sabotage != NoErasing {
			*d = disk{left: map[string]bool{}}
		}
		b.Result.Erased = []protocol.Erased{{Disk: "/dev/sda", Serial: a.m.serial(), Bytes: 100 << 30, Method: "overwrite", Verified: true}}
	case o.Write != nil:
		d.image, d.config = o.Write.SHA512, ""
		b.Result.Written = &protocol.Written{Disk: "/dev/sda", Bytes: o.Write.Size, SHA512: o.Write.SHA512}
	case o.ConfigDrive != nil:
		var meta struct{ UUID string }
		if err := json.Unmarshal(o.ConfigDrive.Files["openstack/latest/meta_data.json"], &meta); err != nil {
			b.Error = err.Error()
		}
		d.config = meta.UUID
		d.left[a.projectOf(meta.UUID)] = true
	case o.Rescue != nil:
		b.Result.Rescued = &protocol.Rescued{HostKey: "SHA256:" + a.m.name}
	}
	return b
}

// work lets the time of an order pass, and tells how far it is meanwhile. An agent that dies does so in the middle of it.
func (a *agent) work(o *protocol.Order, dies bool) {
	took := a.between(time.Second, 5*time.Second)
	if o.Erase != nil || o.Write != nil {
		took = a.between(5*time.Second, 45*time.Second)
	}
	if dies {
		took /= 2
		if o.Erase != nil {
			a.m.disk.image = "" // the beginning of the disk is gone, the rest of it is not
		}
	}
	const every = 25 * time.Second
	for until := time.Now().Add(took); a.alive(); {
		left := time.Until(until)
		if left <= 0 {
			return
		}
		a.sleep(a.who, min(left, every), min(left, every))
		if time.Until(until) > 0 {
			_ = a.ask(a.who, func(ctx context.Context, p *process) error {
				_, err := p.nodes.Beat(ctx, a.token, protocol.Beat{Order: o.ID, Progress: protocol.Progress{Doing: kindOf(o)}})
				return err
			}) // the next beat says more
		}
	}
}

func kindOf(o *protocol.Order) string {
	switch {
	case o.Erase != nil:
		return "erasing"
	case o.Write != nil:
		return "writing"
	case o.Inspect != nil:
		return "inspecting"
	case o.ConfigDrive != nil:
		return "writing the config drive"
	case o.Rescue != nil:
		return "opening the rescue system"
	}
	return "shutting down"
}
