// Package ipmi drives BMCs by IPMI 2.0 over LAN (RMCP+), on go-ipmi. It keeps one session, tries the
// cipher suites 17 and 3, never 0, and reads back what it sets.
package ipmi

import (
	"context"
	"net"
	"strconv"
	"time"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

const (
	defaultPort    = 623
	defaultTimeout = 8 * time.Second // of one exchange, with its repetitions
	tries          = 4               // of a request whose answer is lost; IPMI runs over UDP
)

// driver operates one BMC. It connects at the first call.
type driver struct {
	host    string
	port    int
	access  bmc.Access
	memory  *bmc.Memory
	pace    bmc.Pace
	session *client.Client // nil while there is none
	line    *line          // of the session
	last    time.Time      // of the latest command
	wasFull time.Time      // when the BMC had no room for a session
	rest    time.Duration  // for how long it is left alone then
	vendor  int            // by its IANA number; 0 before it was asked for
}

// Open makes a driver for the BMC at host or host:port. It is a bmc.Opener.
func Open(_ context.Context, a bmc.Access) (bmc.Driver, error) {
	host, port := a.Address, defaultPort
	if h, p, err := net.SplitHostPort(a.Address); err == nil {
		if port, err = strconv.Atoi(p); err != nil {
			return nil, fault.Field("ipmi_port", "%q is not a port", p)
		}
		host = h
	}
	// Longer ones can not be sent (IPMI 2.0, section 22.28 and 22.30).
	if len(a.Username) > 16 || len(a.Password) > 20 {
		return nil, fault.Field("ipmi_password", "IPMI knows user names of at most 16 and passwords of at most 20 bytes")
	}
	if a.Timeout == 0 {
		a.Timeout = defaultTimeout
	}
	if a.Memory == nil {
		a.Memory = &bmc.Memory{}
	}
	a.Recorder.Hide(a.Password)
	return &driver{host: host, port: port, access: a, memory: a.Memory, pace: a.Pace.OrDefault(), rest: sessionLife}, nil
}

func (d *driver) Power(ctx context.Context) (bmc.Power, error) {
	p := bmc.Unknown
	err := d.do(ctx, "reading the chassis status", func(c *client.Client) error {
		st, err := c.GetChassisStatus(ctx)
		if err == nil {
			p = map[bool]bmc.Power{true: bmc.On, false: bmc.Off}[st.PowerIsOn]
		}
		return err
	})
	return p, err
}

func (d *driver) SetPower(ctx context.Context, a bmc.Action) error {
	now, err := d.Power(ctx)
	if err != nil {
		return err
	}
	var control chassis.ChassisControl
	want := bmc.Unknown
	switch {
	case a == bmc.PowerOn && now == bmc.On, (a == bmc.PowerOff || a == bmc.SoftOff) && now == bmc.Off:
		return nil
	case a == bmc.PowerOn, a == bmc.Reset && now == bmc.Off:
		control, want = chassis.ChassisControlPowerUp, bmc.On
	case a == bmc.PowerOff:
		control, want = chassis.ChassisControlPowerDown, bmc.Off
	case a == bmc.SoftOff:
		control = chassis.ChassisControlSoftShutdown
	case a == bmc.Reset:
		control = chassis.ChassisControlHardReset
	default:
		return fault.Errorf(fault.Invalid, "IPMI has no power action %q", a)
	}
	_, err = d.ask(ctx, command{Command: types.CommandChassisControl, change: true}, byte(control)) // a reset must not happen twice
	// What became of a command without an answer shows in the power itself, where the action has an aim.
	if bmc.ClassOf(err) == bmc.Uncertain && want != bmc.Unknown {
		if p, looked := d.Power(ctx); looked == nil && p == want {
			return nil
		}
	}
	return err
}

// Interrupt raises an NMI, which IPMI calls a diagnostic interrupt.
func (d *driver) Interrupt(ctx context.Context) error {
	if p, err := d.Power(ctx); err != nil || p != bmc.On {
		if err == nil {
			err = bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the server is %s; only one that is on can be interrupted", p)
		}
		return err
	}
	const diagnostic = 4
	_, err := d.ask(ctx, command{Command: types.CommandChassisControl, change: true}, diagnostic)
	return err
}

// RestartBMC restarts the BMC, which forgets the session at once and may not answer any more.
func (d *driver) RestartBMC(ctx context.Context, k bmc.RestartKind) error {
	cmd := types.CommandColdReset
	if k == bmc.Warm {
		cmd = types.CommandWarmReset
	}
	_, err := d.ask(ctx, command{Command: cmd, change: true})
	if err == nil && d.session != nil {
		drop(ctx, d.session)
		d.session = nil
	}
	return err
}
