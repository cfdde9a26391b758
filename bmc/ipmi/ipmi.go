// Package ipmi drives BMCs by IPMI 2.0 over LAN (RMCP+), on go-ipmi. It keeps one session, tries the
// cipher suites 17 and 3, never 0, and reads back what it sets.
package ipmi

import (
	"context"
	"errors"
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
	session *client.Client        // nil while there is none
	suites  []types.CipherSuiteID // to try, in this order
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
	// Some BMCs know only the old suite, some only the new, and asking which they know makes some of them silent.
	return &driver{host: host, port: port, access: a, suites: []types.CipherSuiteID{types.CipherSuiteID17, types.CipherSuiteID3}}, nil
}

// Completion codes (IPMI 2.0, table 5-2).
const (
	codeBusy       types.CompletionCode = 0xc0
	codeTimeout    types.CompletionCode = 0xc3
	codeNoSpace    types.CompletionCode = 0xc4
	codeNotPresent types.CompletionCode = 0xcb
	codeDuplicated types.CompletionCode = 0xcf
	codeStarting   types.CompletionCode = 0xd2
	codePrivilege  types.CompletionCode = 0xd4
	codeState      types.CompletionCode = 0xd5
)

func completion(c types.CompletionCode) fault.Kind {
	switch c {
	case codeBusy, codeTimeout, codeNoSpace, codeDuplicated, codeStarting:
		return fault.Unavailable
	case codePrivilege:
		return fault.Denied
	case codeState:
		return fault.Conflict
	}
	return fault.Invalid
}

// do runs an exchange that may run twice: when a session that was kept has gone silent, as after a restart of the
// BMC, it runs again in a new one.
func (d *driver) do(ctx context.Context, doing string, fn func(c *client.Client) error) error {
	kept := d.session != nil
	err := d.once(ctx, doing, fn)
	if err != nil && kept && d.session == nil && ctx.Err() == nil {
		return d.once(ctx, doing, fn)
	}
	return err
}

// once runs an exchange. A session that went silent is dropped, so that the next call opens another.
func (d *driver) once(ctx context.Context, doing string, fn func(c *client.Client) error) error {
	c, err := d.connect(ctx)
	if err != nil {
		return err
	}
	err = explain(doing, fn(c))
	var response *types.ResponseError
	if err != nil && !errors.As(err, &response) {
		d.session = nil
		drop(ctx, c)
	}
	return err
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
	switch {
	case a == bmc.PowerOn && now == bmc.On, (a == bmc.PowerOff || a == bmc.SoftOff) && now == bmc.Off:
		return nil
	case a == bmc.PowerOn, a == bmc.Reset && now == bmc.Off:
		control = chassis.ChassisControlPowerUp
	case a == bmc.PowerOff:
		control = chassis.ChassisControlPowerDown
	case a == bmc.SoftOff:
		control = chassis.ChassisControlSoftShutdown
	case a == bmc.Reset:
		control = chassis.ChassisControlHardReset
	default:
		return fault.Errorf(fault.Invalid, "IPMI has no power action %q", a)
	}
	return d.once(ctx, string(a), func(c *client.Client) error { // a reset must not happen twice
		_, err := c.ChassisControl(ctx, control)
		return err
	})
}
