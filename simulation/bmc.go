package simulation

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/workflow"
)

// bmcDriver speaks to a simulated BMC for one process. It keeps to what the real drivers keep to: changes pass the gate, which asks the
// fence; a session is opened at the first use, that of a predecessor is ended, and ours is remembered for the next one.
type bmcDriver struct {
	*simulation
	who     *process
	m       *machine
	access  bmc.Access
	session int // 0 is none yet
}

// sessionFact remembers the session that is open.
const sessionFact = "simulated session"

// How long a BMC takes for a request, and how long it is waited for when it does not answer.
const (
	quickBMC   = 20 * time.Millisecond
	slowBMC    = 400 * time.Millisecond
	bmcTimeout = 10 * time.Second
)

// openBMC returns the opener of a process.
func (s *simulation) openBMC(p *process) bmc.Opener {
	return func(_ context.Context, a bmc.Access) (bmc.Driver, error) {
		for _, m := range s.machines {
			if m.address() == a.Address {
				return &bmcDriver{simulation: s, who: p, m: m, access: a}, nil
			}
		}
		return nil, bmc.Fail(bmc.Failure{Class: bmc.Unreachable}, "there is nothing at %s", a.Address)
	}
}

// errSession says that the BMC does not know the session any more.
var errSession = errors.New("no such session")

// call has a request carried out. A session that was ended is opened anew, once, as every driver does.
func (d *bmcDriver) call(ctx context.Context, what string, change bool, fn func(m *machine)) error {
	if d.session == 0 {
		if err := d.login(ctx); err != nil {
			return err
		}
	}
	err := d.send(ctx, what, change, d.session, fn)
	if !errors.Is(err, errSession) {
		return err
	}
	if err := d.login(ctx); err != nil {
		return err
	}
	return d.send(ctx, what, change, d.session, fn)
}

// login opens a session: the BMC has one, so that it ends whoever's was open. Ours is remembered.
func (d *bmcDriver) login(ctx context.Context) error {
	fresh := 0
	if err := d.send(ctx, "log in", false, 0, func(m *machine) { m.session++; fresh = m.session }); err != nil {
		return err
	}
	d.session = fresh
	d.access.Memory.Set(sessionFact, strconv.Itoa(fresh))
	d.access.Memory.Save(ctx)
	return nil
}

// send has a request carried out in a session; 0 needs none.
func (d *bmcDriver) send(ctx context.Context, what string, change bool, session int, fn func(m *machine)) error {
	unreachable := func(err error) error {
		return bmc.Fail(bmc.Failure{Class: bmc.Unreachable, Err: err}, "%s: %s at %s", d.m.name, what, d.access.Address)
	}
	if err := ctx.Err(); err != nil {
		return unreachable(err)
	}
	leave, err := d.access.Gate.Enter(ctx, change && d.o.Sabotage != NoFence)
	if err != nil {
		return err
	}
	defer leave()
	if change {
		d.holds(ctx, what)
	}
	if d.who.dead.Load() {
		return unreachable(errGone)
	}
	d.wait(&pass{who: d.who, subject: workflow.Subject(ctx), label: labelOf(ctx, d.who, d.m.name+" "+what), least: quickBMC, most: slowBMC})
	if d.who.dead.Load() {
		return unreachable(errGone)
	}
	silent := time.Now().Before(d.m.silent) || d.who.cutFromBMCs
	fate := "carried out"
	if d.troubled && !silent && session != 0 {
		fate = d.fate(change)
	}
	switch {
	case silent:
	case session != 0 && session != d.m.session && d.o.Sabotage != NoSession:
		return fmt.Errorf("%s: %w", what, errSession)
	case fate != "lost" && fate != "ignored":
		fn(d.m)
	case fate == "ignored":
		d.m.ignored++
	}
	if silent || fate == "lost" || fate == "unanswered" {
		d.trace.line("%s %s: %s", d.m.name, what, fate)
		d.wait(&pass{who: d.who, subject: workflow.Subject(ctx), label: labelOf(ctx, d.who, d.m.name+" "+what+" unanswered"), least: bmcTimeout, most: bmcTimeout})
		if change {
			return bmc.Fail(bmc.Failure{Class: bmc.Uncertain}, "%s: %s was sent, and no answer came", d.m.name, what)
		}
		return unreachable(context.DeadlineExceeded)
	}
	if change && !d.who.dead.Load() {
		d.wait(&pass{who: d.who, subject: workflow.Subject(ctx), label: labelOf(ctx, d.who, d.m.name+" "+what+" answered"), most: quickBMC})
	}
	return ctx.Err()
}

// fate draws how a request goes wrong.
func (d *bmcDriver) fate(change bool) string {
	switch {
	case d.chance(60):
		return "lost"
	case change && d.chance(40):
		return "unanswered"
	case change && d.chance(60):
		return "ignored"
	}
	return "carried out"
}

// holds notes who changes something without the right to: at this moment, just behind the fence, the lease must be the process's.
func (d *bmcDriver) holds(ctx context.Context, what string) {
	subject := workflow.Subject(ctx)
	l := d.leaseOf(subject)
	if subject != d.m.node || l.owner != string(d.who.id) {
		d.wrong("%s does %q at %s under the lease of %q, which is %s's", d.who.name, what, d.m.name, subject, d.nameOf(l.owner))
	}
}

// Identify tells what the server is.
func (d *bmcDriver) Identify(ctx context.Context) (id bmc.Identity, err error) {
	id = bmc.Identity{Manufacturer: "Hagane", Model: "Simulated", Serial: d.m.serial(), BMCVendor: "Hagane", BMCModel: "simulated", BMCVersion: "1"}
	return id, d.call(ctx, "identify", false, func(*machine) {})
}

// Power reads the power.
func (d *bmcDriver) Power(ctx context.Context) (p bmc.Power, err error) {
	p = bmc.Unknown
	return p, d.call(ctx, "power", false, func(m *machine) { p = m.shown(time.Now()) })
}

// SetPower presses a button.
func (d *bmcDriver) SetPower(ctx context.Context, a bmc.Action) error {
	return d.call(ctx, string(a), true, func(m *machine) { d.press(m, a) })
}

// Boot reads the boot device.
func (d *bmcDriver) Boot(ctx context.Context) (b bmc.Boot, err error) {
	err = d.call(ctx, "boot", false, func(m *machine) { b = m.boot })
	return b, err
}

// SetBoot sets the boot device.
func (d *bmcDriver) SetBoot(ctx context.Context, b bmc.Boot) error {
	return d.call(ctx, "set boot to "+string(b.Device), true, func(m *machine) {
		if b.Mode == "" {
			b.Mode = m.boot.Mode
		}
		m.boot = b
	})
}

// Sensors reads none.
func (d *bmcDriver) Sensors(ctx context.Context) ([]bmc.Sensor, error) {
	return nil, d.call(ctx, "sensors", false, func(*machine) {})
}

// Close ends the session.
func (d *bmcDriver) Close(context.Context) error {
	d.session = 0
	return nil
}
