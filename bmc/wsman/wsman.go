// Package wsman drives Dell's iDRAC 6 to 9 by WS-Management: SOAP over HTTPS, with a class for each kind of thing
// (DCIM_…) that is enumerated, and services whose methods are invoked. Settings change by jobs that run
// at the server's next boot. Later iDRACs speak Redfish alone.
package wsman

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/wire"
)

// What is remembered of a device.
const (
	jobFact   = "wsman job"   // the BIOS job that this driver created and that has not run
	orderFact = "wsman order" // and a kind: the order of boot sources that a persistent override replaced, one a line
)

// driver operates one server.
type driver struct {
	access bmc.Access
	client *wire.Client
	memory *bmc.Memory
	pace   bmc.Pace
}

// Open makes a driver for the iDRAC at a URL. It does not connect. It is a bmc.Opener.
func Open(_ context.Context, a bmc.Access) (bmc.Driver, error) {
	if a.Memory == nil {
		a.Memory = &bmc.Memory{}
	}
	c, err := wire.New(a, "wsman")
	if err != nil {
		return nil, err
	}
	c.Hide(base64.StdEncoding.EncodeToString([]byte(a.Username + ":" + a.Password)))
	return &driver{access: a, client: c, memory: a.Memory, pace: a.Pace.OrDefault()}, nil
}

// Close gives the connection back; WS-MAN has no sessions.
func (d *driver) Close(context.Context) error {
	d.client.Close()
	return nil
}

// settle looks until ok, as changes take moments to show, and reports class Untrue when they never do.
func (d *driver) settle(ctx context.Context, what string, ok func() (bool, error)) error {
	return d.pace.Settled(ctx, "the iDRAC", what, ok)
}

func wait(ctx context.Context, d time.Duration) error { return bmc.Await(ctx, "the iDRAC", d) }
