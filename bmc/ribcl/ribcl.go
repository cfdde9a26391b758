// Package ribcl drives HPE's iLO 2, 3, 4 and 5 by RIBCL, the XML of the time before Redfish: over HTTPS, and
// with iLO 2 straight over TLS. iLO 6 has dropped it. Every call logs in by itself, so there is no
// session to keep; the BMC answers a call with several documents, and reports errors inside of them.
package ribcl

import (
	"context"
	"errors"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/markup"
	"github.com/hagane-cloud/hagane/bmc/wire"
)

// What is remembered of a device.
const (
	formFact   = "ribcl form"     // "http" or "raw"
	quoteFact  = "ribcl password" // "plain" where XML escapes in it are not undone
	orderFact  = "ribcl order"    // the boot order that a persistent override replaced, separated by commas
	modeFact   = "ribcl mode"     // "none" where there is no boot mode to choose
	namesFact  = "ribcl boot"     // "entries" where one boot is set by the name of a UEFI boot entry only
	formHTTP   = "http"
	formRaw    = "raw"
	cdSlot     = "CDROM"
	floppySlot = "FLOPPY"
)

// driver operates one server.
type driver struct {
	access bmc.Access
	client *wire.Client
	memory *bmc.Memory
	pace   bmc.Pace
}

// Open makes a driver for the iLO at a URL. It does not connect. It is a bmc.Opener.
func Open(_ context.Context, a bmc.Access) (bmc.Driver, error) {
	if a.Memory == nil {
		a.Memory = &bmc.Memory{}
	}
	c, err := wire.New(a, "ribcl")
	if err != nil {
		return nil, err
	}
	return &driver{access: a, client: c, memory: a.Memory, pace: a.Pace.OrDefault()}, nil
}

// Close gives the connection back; RIBCL has no sessions.
func (d *driver) Close(context.Context) error {
	d.client.Close()
	return nil
}

// command is one RIBCL command in its block.
type command struct {
	block string // SERVER_INFO, RIB_INFO, USER_INFO
	write bool
	name  string
	attrs []string // name, value, name, value …
	body  string   // child elements
}

func server(name string, attrs ...string) command {
	return command{block: "SERVER_INFO", name: name, attrs: attrs}
}

func rib(name string, attrs ...string) command {
	return command{block: "RIB_INFO", name: name, attrs: attrs}
}

func user(name string, attrs ...string) command {
	return command{block: "USER_INFO", name: name, attrs: attrs}
}

// change makes a command one that changes something.
func (c command) change(body string) command {
	c.write, c.body = true, body
	return c
}

// value is the child element that most commands carry their parameters in.
func value(name, v string) string {
	return "<" + name + ` VALUE="` + markup.Escape(v) + `"/>`
}

// settle looks until ok, as changes take moments to show, and reports class Untrue when they never do.
func (d *driver) settle(ctx context.Context, what string, ok func() (bool, error)) error {
	return d.pace.Settled(ctx, "the iLO", what, ok)
}

func wait(ctx context.Context, d time.Duration) error { return bmc.Await(ctx, "the iLO", d) }

// code returns the BMC's own code in err's chain.
func code(err error) string {
	var f *bmc.Failure
	if errors.As(err, &f) {
		return f.Code
	}
	return ""
}
