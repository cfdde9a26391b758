// Package scci drives Fujitsu's iRMC S4 and S5 by SCCI (ServerView Common Command Interface): sequences of commands in
// XML, a configuration space of numbered values, the report.xml of everything, and the eLCM interface for BIOS
// settings. SCCI tells neither the power state nor the boot device: those are asked by IPMI, as all users of SCCI do.
package scci

import (
	"context"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/ipmi"
	"github.com/hagane-cloud/hagane/bmc/wire"
)

// authFact is remembered of a device: "digest" where Basic authentication is refused.
const authFact = "scci auth"

// driver operates one server.
type driver struct {
	access bmc.Access
	client *wire.Client
	memory *bmc.Memory
	pace   bmc.Pace
	other  bmc.Driver // by IPMI; nil when it can not be
	why    error      // why it can not
	nonce  challenge
}

// Open makes a driver for the iRMC at a URL. It does not connect. IPMI is spoken with the same host at port 623, or at the
// port of the URL's query parameter ipmi. It is a bmc.Opener.
func Open(ctx context.Context, a bmc.Access) (bmc.Driver, error) {
	if a.Memory == nil {
		a.Memory = &bmc.Memory{}
	}
	c, err := wire.New(a, "scci")
	if err != nil {
		return nil, err
	}
	d := &driver{access: a, client: c, memory: a.Memory, pace: a.Pace.OrDefault()}
	return d, d.reopen(ctx)
}

// reopen makes the driver for IPMI, with the credentials as they are now.
func (d *driver) reopen(ctx context.Context) error {
	if d.other != nil {
		_ = d.other.Close(ctx) // the old password may not even work any more
	}
	address := d.access.Address
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused, Err: err}, "the iRMC's address is no URL")
	}
	b := d.access
	b.Driver, b.Address = "ipmi", u.Hostname()
	if b.Breaker != nil {
		b.Breaker = &bmc.Breaker{} // that IPMI is switched off says nothing about SCCI
	}
	if port := u.Query().Get("ipmi"); port != "" {
		b.Address = net.JoinHostPort(u.Hostname(), port)
	}
	d.other, d.why = ipmi.Open(ctx, b)
	return nil
}

// Close ends the session of IPMI; SCCI has none.
func (d *driver) Close(ctx context.Context) error {
	d.client.Close()
	if d.other == nil {
		return nil
	}
	return d.other.Close(ctx)
}

// byIPMI returns the driver for what SCCI does not tell.
func (d *driver) byIPMI() (bmc.Driver, error) {
	if d.other == nil {
		return nil, bmc.Fail(bmc.Failure{Class: bmc.Unsupported, Err: d.why}, "SCCI does not tell it and IPMI can not be used")
	}
	return d.other, nil
}

// settle looks until ok, as changes take moments to show, and reports class Untrue when they never do.
func (d *driver) settle(ctx context.Context, what string, ok func() (bool, error)) error {
	return d.pace.Settled(ctx, "the iRMC", what, ok)
}

func wait(ctx context.Context, d time.Duration) error { return bmc.Await(ctx, "the iRMC", d) }
