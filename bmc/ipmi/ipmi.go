// Package ipmi drives BMCs by IPMI 2.0 over LAN (RMCP+), on go-ipmi. It keeps one session, tries the
// cipher suites 17 and 3, never 0, and reads back what it sets.
package ipmi

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

const (
	defaultPort    = 623
	defaultTimeout = 5 * time.Second // of one exchange
	tries          = 3               // of a request whose answer was lost; IPMI runs over UDP
)

// driver operates one BMC. It connects at the first call.
type driver struct {
	host    string
	port    int
	access  bmc.Access
	session *client.Client // nil while there is none
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
	return &driver{host: host, port: port, access: a}, nil
}

// suites are tried in this order: some BMCs know only the old one, some only the new, and asking
// which they know makes some of them silent.
var suites = []types.CipherSuiteID{types.CipherSuiteID17, types.CipherSuiteID3}

// connect opens a session if there is none.
func (d *driver) connect(ctx context.Context) (*client.Client, error) {
	if d.session != nil {
		return d.session, nil
	}
	var errs []error
	for _, suite := range suites {
		c, err := client.NewClient(d.host, d.port, d.access.Username, d.access.Password)
		if err != nil {
			return nil, fault.E(fault.Invalid, "preparing an IPMI session with "+d.host, err)
		}
		c.WithTimeout(d.access.Timeout).WithRetry(tries).WithCipherSuiteID(suite)
		if err = c.Connect20(ctx); err == nil {
			d.session = c
			return c, nil
		}
		err = explain("opening an IPMI session with "+net.JoinHostPort(d.host, strconv.Itoa(d.port)), err)
		if fault.Is(err, fault.Denied) {
			return nil, err // another suite would only bring the account nearer to its lock-out
		}
		errs = append(errs, err)
	}
	return nil, fault.E(fault.Unavailable, "no cipher suite of 17 and 3 opened an IPMI session", errors.Join(errs...))
}

// explain turns an error of the library into a fault.
func explain(doing string, err error) error {
	var status *types.RmcpStatusError
	var response *types.ResponseError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status):
		switch status.StatusCode() {
		case types.RmcpStatusCodeUnauthorizedName, types.RmcpStatusCodeInvalidIntegrityCheckValue, types.RmcpStatusCodeUnauthorizedRoleOfPriLevel:
			return fault.E(fault.Denied, doing+": the BMC refuses the user name or password", err)
		}
		return fault.E(fault.Unavailable, doing, err)
	case errors.As(err, &response):
		return fault.E(completion(response.CompletionCode()), doing, err)
	case strings.Contains(err.Error(), "rakp2 validate failed"), strings.Contains(err.Error(), "RAKP 2"), strings.Contains(err.Error(), "rakp2"):
		// The BMC proves to know another password than ours.
		return fault.E(fault.Denied, doing+": the BMC refuses the user name or password", err)
	}
	return fault.E(fault.Unavailable, doing, err)
}

// Completion codes (IPMI 2.0, table 5-2).
const (
	codeBusy       types.CompletionCode = 0xc0
	codeTimeout    types.CompletionCode = 0xc3
	codeNoSpace    types.CompletionCode = 0xc4
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

// do runs one exchange. A session that went silent is dropped, so that the next call opens another.
func (d *driver) do(ctx context.Context, doing string, fn func(c *client.Client) error) error {
	c, err := d.connect(ctx)
	if err != nil {
		return err
	}
	err = explain(doing, fn(c))
	var response *types.ResponseError
	if err != nil && !errors.As(err, &response) {
		d.session = nil
		_ = c.Close(ctx)
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
	return d.do(ctx, string(a), func(c *client.Client) error {
		_, err := c.ChassisControl(ctx, control)
		return err
	})
}

// Close ends the session, so that the BMC's slot is free at once and not after its time-out.
func (d *driver) Close(ctx context.Context) error {
	if d.session == nil {
		return nil
	}
	c := d.session
	d.session = nil
	return explain("closing the IPMI session", c.Close(ctx))
}
