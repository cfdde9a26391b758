package ipmi

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

// What is remembered of a device: the cipher suite and the privilege level that opened a session.
const (
	suiteFact = "ipmi suite"
	levelFact = "ipmi level " // and the user's name
)

// sessionLife is how long a BMC keeps a session that nobody uses. One that had no room is not asked for another before.
const sessionLife = 61 * time.Second

// suites returns the cipher suites to try, the one that worked before first. Suite 0, which checks no password, is never among them.
// The BMC is not asked which it knows: some fall silent at the question, and some offer what does not work.
func (d *driver) suites() []types.CipherSuiteID {
	all := []types.CipherSuiteID{types.CipherSuiteID17, types.CipherSuiteID3}
	if p := d.access.Profile; p != nil && len(p.IPMI.Suites) > 0 {
		all = nil
		for _, s := range p.IPMI.Suites {
			if s > 0 {
				all = append(all, types.CipherSuiteID(s))
			}
		}
	}
	if known, err := strconv.Atoi(d.memory.Get(suiteFact)); err == nil && known > 0 {
		s := types.CipherSuiteID(known)
		all = append([]types.CipherSuiteID{s}, slices.DeleteFunc(all, func(o types.CipherSuiteID) bool { return o == s })...)
	}
	return all
}

// connect opens the session if there is none.
func (d *driver) connect(ctx context.Context) (*client.Client, error) {
	if d.session != nil {
		return d.session, nil
	}
	c, l, err := d.dial(ctx)
	if err == nil {
		d.session, d.line = c, l
	}
	return c, err
}

// dial opens a session and remembers the cipher suite that did.
func (d *driver) dial(ctx context.Context) (*client.Client, *line, error) {
	doing := "opening an IPMI session with " + net.JoinHostPort(d.host, strconv.Itoa(d.port))
	if left := d.rest - time.Since(d.wasFull); !d.wasFull.IsZero() && left > 0 {
		return nil, nil, bmc.Fail(bmc.Failure{Class: bmc.SessionsFull}, "%s: the BMC had no room for another session; it is asked again in %s", doing, left.Round(time.Second))
	}
	var errs []error
	for _, suite := range d.suites() {
		c, l, err := d.open(ctx, suite)
		if err == nil {
			d.memory.Set(suiteFact, strconv.Itoa(int(suite)))
			d.wasFull = time.Time{}
			return c, l, nil
		}
		err = explain(doing, false, err)
		if bmc.ClassOf(err) == bmc.SessionsFull {
			d.wasFull = time.Now()
			return nil, nil, err
		}
		// Another suite would bring nobody to life, and an account only nearer to its lock-out.
		if class := bmc.ClassOf(err); ctx.Err() != nil || deaf(err) || class == bmc.Credentials || class == bmc.Refused {
			return nil, nil, err
		}
		errs = append(errs, err)
	}
	return nil, nil, bmc.Fail(bmc.Failure{Class: bmc.Unreachable, Err: errors.Join(errs...)}, "%s: the BMC took none of the cipher suites %v", doing, d.suites())
}

// levels are the privilege levels to ask for, the highest first: a user of a lower one is refused at a higher.
func (d *driver) levels() []types.PrivilegeLevel {
	all := []types.PrivilegeLevel{types.PrivilegeLevelAdministrator, types.PrivilegeLevelOperator, types.PrivilegeLevelUser}
	if known, err := strconv.Atoi(d.memory.Get(levelFact + d.access.Username)); err == nil {
		if i := slices.Index(all, types.PrivilegeLevel(known)); i > 0 {
			return append(all[i:i+1:i+1], all[:i]...)
		}
	}
	return all
}

// open opens a session by one suite, at the highest level that the user has.
func (d *driver) open(ctx context.Context, suite types.CipherSuiteID) (c *client.Client, l *line, err error) {
	for _, level := range d.levels() {
		if c, l, err = d.openAt(ctx, suite, level); err == nil {
			if level != types.PrivilegeLevelAdministrator {
				d.memory.Set(levelFact+d.access.Username, strconv.Itoa(int(level)))
			}
			return c, l, nil
		}
		if !says(err, []types.RmcpStatusCode{types.RmcpStatusCodeUnauthorizedRoleOfPriLevel}) {
			return nil, nil, err
		}
	}
	return nil, nil, err
}

// openAt opens a session at a privilege level. A BMC that answered the first question and falls silent then, as OpenBMC does now and
// again, is tried anew.
func (d *driver) openAt(ctx context.Context, suite types.CipherSuiteID, level types.PrivilegeLevel) (*client.Client, *line, error) {
	for try := 1; ; try++ {
		c, err := client.NewClient(d.host, d.port, d.access.Username, d.access.Password)
		if err != nil {
			return nil, nil, fault.E(fault.Invalid, "preparing an IPMI session with "+d.host, err)
		}
		way := &dialer{address: net.JoinHostPort(d.host, strconv.Itoa(d.port))}
		c.WithUDPProxy(way).WithTimeout(d.access.Timeout / tries).WithRetry(tries - 1).WithCipherSuiteID(suite).WithMaxPrivilegeLevel(level)
		if err = c.Connect20(ctx); err == nil {
			return c, way.line, nil
		}
		drop(ctx, c)
		var silence net.Error
		if deaf(err) || ctx.Err() != nil || try >= d.pace.Tries || !errors.As(err, &silence) || !silence.Timeout() {
			return nil, nil, err
		}
	}
}

// drop gives up a client without a word to the BMC, which does not listen.
func drop(ctx context.Context, c *client.Client) {
	over, cancel := context.WithCancel(ctx)
	cancel()
	_ = c.Close(over)
}

// Close ends the session, so that the BMC's slot is free at once and not after its time-out.
func (d *driver) Close(ctx context.Context) error {
	if d.session == nil {
		return nil
	}
	c := d.session
	d.session = nil
	if err := c.Close(ctx); err != nil && !silent(err) {
		return explain("closing the IPMI session", false, err)
	}
	return nil
}
