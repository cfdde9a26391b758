// Package ovs is the fabric driver for Open vSwitch, and for hardware switches that are managed as one: it changes the rows of ports in the
// switch's database by OVSDB (RFC 7047) over unix:, tcp: or ssl:. It trusts no answer that came before ovs-vswitchd has said that it
// carried the change out. It offers no uplink and no filters.
package ovs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/fence"
	"github.com/hagane-cloud/hagane/network/fabric"
)

const (
	// operation is the longest that one call of a method takes.
	operation = 15 * time.Second
	// applying is how long ovs-vswitchd may take for a change: some 10 ms in software; switches with many ports take seconds.
	applying = 8 * time.Second
	// attempts is how often a change is tried anew when somebody else changed the port between reading and writing.
	attempts = 3
)

// Driver configures one switch. It keeps no connection: each call makes its own.
type Driver struct{ dialer }

var (
	_ fabric.Driver = (*Driver)(nil)
	_ fabric.Opener = Open
)

// Open returns a driver for the switch at a.Address, as Open vSwitch's own tools have it: unix:/path/db.sock, tcp:HOST:PORT or ssl:HOST:PORT; the port
// is 6640 when missing. For ssl: the password is PEM: our certificate and its private key, and the certificates that may vouch for the switch. It
// does not reach out yet.
func Open(_ context.Context, a fabric.Access) (fabric.Driver, error) {
	d, err := newDialer(a)
	if err != nil {
		return nil, err
	}
	return &Driver{d}, nil
}

// Ports reads all ports, of all bridges.
func (d *Driver) Ports(ctx context.Context) ([]fabric.Port, error) {
	var all []fabric.Port
	err := d.with(ctx, func(ctx context.Context, s *session) error {
		rows, err := s.settled(ctx, anything)
		if err != nil {
			return err
		}
		links, err := s.links(ctx)
		if err != nil {
			return err
		}
		for _, r := range rows {
			all = append(all, r.port(links))
		}
		slices.SortFunc(all, func(a, b fabric.Port) int { return strings.Compare(a.Name, b.Name) })
		return nil
	})
	return all, err
}

// Port reads one port.
func (d *Driver) Port(ctx context.Context, name string) (fabric.Port, error) {
	var p fabric.Port
	err := d.with(ctx, func(ctx context.Context, s *session) error {
		var err error
		p, err = s.port(ctx, name)
		return err
	})
	return p, err
}

// port reads a port of which ovs-vswitchd has carried everything out.
func (s *session) port(ctx context.Context, name string) (fabric.Port, error) {
	r, err := s.row(ctx, name)
	if err != nil {
		return fabric.Port{}, err
	}
	links, err := s.links(ctx)
	if err != nil {
		return fabric.Port{}, err
	}
	return r.port(links), nil
}

// row reads a port's row in the same way.
func (s *session) row(ctx context.Context, name string) (row, error) {
	rows, err := s.settled(ctx, where{{"name", "==", name}})
	if err != nil {
		return row{}, err
	}
	if len(rows) == 0 {
		return row{}, fault.Errorf(fault.NotFound, "the switch has no port %s: ovs-vsctl list port shows those that it has", name)
	}
	return rows[0], nil
}

// SetPort makes a port carry c, waits until ovs-vswitchd has carried it out, and reads it back.
func (d *Driver) SetPort(ctx context.Context, name string, c fabric.Config) error {
	if err := c.Check(); err != nil {
		return err
	}
	return d.with(ctx, func(ctx context.Context, s *session) error {
		var err error
		for range attempts {
			if err = s.change(ctx, name, c); !errors.Is(err, errChanged) {
				break
			}
		}
		if err != nil {
			return err
		}
		got, err := s.port(ctx, name)
		if err != nil {
			return fault.Wrap("read the port back", err)
		}
		return got.Matches(c)
	})
}

// errChanged is that a port is not any more as it was read.
var errChanged = fault.Errorf(fault.Unavailable, "somebody else changes the switch port at the same time: it is tried again")

// change writes a port's row, in one transaction that does nothing unless the row is as it was read.
func (s *session) change(ctx context.Context, name string, c fabric.Config) error {
	have, err := s.row(ctx, name)
	if err != nil {
		return err
	}
	want := have.carrying(c)
	if have.same(want) {
		return nil
	}
	if err := fence.Check(ctx); err != nil {
		return fault.Wrap("changing the port "+name, err)
	}
	this := where{{"_uuid", "==", have.UUID}}
	results, err := s.transact(ctx,
		op{"op": "wait", "timeout": 0, "table": "Port", "where": this, "columns": have.names(), "until": "==", "rows": []map[string]any{have.columns()}},
		op{"op": "update", "table": "Port", "where": this, "row": want.columns()},
		op{"op": "mutate", "table": "Open_vSwitch", "where": anything, "mutations": [][]any{{"next_cfg", "+=", 1}}},
		op{"op": "select", "table": "Open_vSwitch", "where": anything, "columns": []string{"next_cfg", "cur_cfg"}},
		op{"op": "comment", "comment": fmt.Sprintf("hagane: %s carries access VLAN %d and tagged %v", name, c.Access, c.Tagged)})
	if timedOut(err) {
		return errChanged
	}
	if err != nil {
		return fault.Wrap("changing the port "+name, err)
	}
	var now progress
	if err := rowOf(results, 3, &now); err != nil {
		return err
	}
	return s.applied(ctx, now.Next)
}

// Close ends nothing: there is no session.
func (d *Driver) Close() error { return nil }

// progress is how far ovs-vswitchd is with what the database says.
type progress struct {
	Next int64 `json:"next_cfg"`
	Now  int64 `json:"cur_cfg"`
}

// settled reads rows of ports once ovs-vswitchd has carried out what the database says: before that they are only what somebody wished.
func (s *session) settled(ctx context.Context, which where) ([]row, error) {
	for {
		results, err := s.transact(ctx,
			op{"op": "select", "table": "Port", "where": which},
			op{"op": "select", "table": "Open_vSwitch", "where": anything, "columns": []string{"next_cfg", "cur_cfg"}})
		if err != nil {
			return nil, err
		}
		var now progress
		if err := rowOf(results, 1, &now); err != nil {
			return nil, err
		}
		if now.Now < now.Next {
			if err := s.applied(ctx, now.Next); err != nil {
				return nil, err
			}
			continue
		}
		return rowsOf(results[0])
	}
}

// applied waits until ovs-vswitchd has carried out the change with a number. The database does the waiting: for there to be no row that is behind.
func (s *session) applied(ctx context.Context, number int64) error {
	within := applying
	if until, ok := ctx.Deadline(); ok {
		within = min(within, time.Until(until)*3/4) // to hear of it
	}
	_, err := s.transact(ctx, op{"op": "wait", "timeout": max(within.Milliseconds(), 0), "table": "Open_vSwitch", "where": where{{"cur_cfg", "<", number}},
		"columns": []string{"cur_cfg"}, "until": "==", "rows": []any{}})
	if timedOut(err) {
		return fault.Errorf(fault.Unavailable, "the switch's database has the change, but ovs-vswitchd did not carry it out in %s: is it running?", within.Round(time.Millisecond))
	}
	return err
}
