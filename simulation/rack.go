package simulation

import (
	"context"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network/fabric"
	"github.com/hagane-cloud/hagane/workflow"
)

// press is what a power button does to a machine.
func (s *simulation) press(m *machine, a bmc.Action) {
	was := m.power
	switch a {
	case bmc.PowerOn:
		if m.power == bmc.Off {
			s.startMachine(m)
		}
	case bmc.PowerOff:
		m.stop(time.Now())
	case bmc.SoftOff:
		m.stop(time.Now())
	case bmc.Reset:
		s.startMachine(m)
	}
	if was != m.power {
		s.trace.line("%s is %s", m.name, m.power)
	}
}

// startMachine starts a machine, and with it whatever boots.
func (s *simulation) startMachine(m *machine) {
	m.start(time.Now())
	boots := m.boots
	s.act(func() { s.boot(m, boots) })
}

// switchDriver is a process's way to the one switch.
type switchDriver struct {
	*simulation
	who *process
}

func (d switchDriver) pass(ctx context.Context, what string) error {
	if d.who.dead.Load() {
		return fault.E(fault.Unavailable, "the switch does not answer", errGone)
	}
	d.wait(&pass{who: d.who, subject: workflow.Subject(ctx), label: labelOf(ctx, d.who, "switch "+what), least: time.Millisecond, most: 30 * time.Millisecond})
	if d.who.dead.Load() || d.who.cutFromBMCs || (d.troubled && d.chance(200)) {
		return fault.E(fault.Unavailable, "the switch does not answer", errGone)
	}
	return ctx.Err()
}

func (d switchDriver) at(name string) *machine {
	for _, m := range d.machines {
		if m.name == name {
			return m
		}
	}
	return nil
}

// Ports reads all ports.
func (d switchDriver) Ports(ctx context.Context) ([]fabric.Port, error) {
	if err := d.pass(ctx, "all"); err != nil {
		return nil, err
	}
	var all []fabric.Port
	for _, m := range d.machines {
		all = append(all, fabric.Port{Name: m.name, Config: fabric.Config{Access: m.vlan}, Link: true})
	}
	return all, nil
}

// Port reads one port.
func (d switchDriver) Port(ctx context.Context, name string) (fabric.Port, error) {
	if err := d.pass(ctx, name); err != nil {
		return fabric.Port{}, err
	}
	return fabric.Port{Name: name, Config: fabric.Config{Access: d.at(name).vlan}, Link: true}, nil
}

// SetPort changes a port.
func (d switchDriver) SetPort(ctx context.Context, name string, c fabric.Config) error {
	m := d.at(name)
	if l := d.leaseOf(workflow.Subject(ctx)); workflow.Subject(ctx) != m.node || l.owner != string(d.who.id) {
		d.wrong("%s changes the switch port of %s under the lease of %q, which is %s's", d.who.name, name, workflow.Subject(ctx), d.nameOf(l.owner))
	}
	if d.who.dead.Load() || d.who.cutFromBMCs {
		return fault.E(fault.Unavailable, "the switch does not answer", errGone)
	}
	// The fence was asked just now, and a switch has no sessions that could be ended: nothing comes between.
	m.vlan = c.Access
	d.trace.line("%s is on VLAN %d", name, c.Access)
	return d.pass(ctx, "set "+name)
}

// Close ends nothing.
func (switchDriver) Close() error { return nil }
