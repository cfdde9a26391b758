// Package fabric is the driver interface to switches: how the cloud puts a server's port into a VLAN
// or isolates it. Drivers live in the folders below (lab, ovs, fake) and pass the conformance suite of
// fabrictest; only the conductor's steps call them.
//
// As with BMCs, no answer is believed twice: SetPort returns only when the switch, read back, carries
// what was asked for.
package fabric

import (
	"context"
	"io"
	"slices"

	"github.com/hagane-cloud/hagane/fault"
)

// MaxVLAN is the highest VLAN number that can be used (IEEE 802.1Q reserves 0 and 4095).
const MaxVLAN = 4094

// Config is what a switch port carries. The zero value isolates the port: nothing passes.
type Config struct {
	Access int   // VLAN of untagged frames; 0: none
	Tagged []int // VLANs of tagged frames, in any order
}

// Isolated reports whether nothing passes.
func (c Config) Isolated() bool { return c.Access == 0 && len(c.Tagged) == 0 }

// Equal reports whether both carry the same VLANs; the order does not matter.
func (c Config) Equal(d Config) bool {
	return c.Access == d.Access && slices.Equal(slices.Sorted(slices.Values(c.Tagged)), slices.Sorted(slices.Values(d.Tagged)))
}

// Check returns an Invalid fault for a number that is no VLAN or for one that is given twice.
func (c Config) Check() error {
	if c.Access < 0 || c.Access > MaxVLAN {
		return fault.Field("access", "%d is no VLAN: 1 to %d are, 0 is none", c.Access, MaxVLAN)
	}
	for i, vlan := range c.Tagged {
		if vlan < 1 || vlan > MaxVLAN {
			return fault.Field("tagged", "%d is no VLAN: 1 to %d are", vlan, MaxVLAN)
		}
		if vlan == c.Access || slices.Contains(c.Tagged[:i], vlan) {
			return fault.Field("tagged", "VLAN %d is given twice", vlan)
		}
	}
	return nil
}

// Port is a switch port as the switch tells it.
type Port struct {
	Name string
	Config
	Link    bool           // something is plugged in and answers
	Filters map[int]string // of a Filterer: the sums of the port's filters, by VLAN
}

// Driver configures one switch. Every method returns faults: Unavailable when the switch did not
// answer (worth another try), NotFound when it has no such port, Invalid for a configuration that can not be,
// Denied when it refuses the credentials. Methods are safe to call twice and by many goroutines.
type Driver interface {
	// Ports reads all ports, by name.
	Ports(ctx context.Context) ([]Port, error)
	// Port reads one port.
	Port(ctx context.Context, name string) (Port, error)
	// SetPort makes a port carry exactly c and reads it back before it returns.
	SetPort(ctx context.Context, name string, c Config) error
	// Close ends the session with the switch.
	Close() error
}

// Uplinker is a switch, or a trunk to one, into which a process of the cloud can plug itself.
type Uplinker interface {
	// Uplink returns a cable in a VLAN: Ethernet frames, each after its length in four bytes, big-endian,
	// as in QEMU's socket back ends. Closing it unplugs it.
	Uplink(ctx context.Context, vlan int) (io.ReadWriteCloser, error)
}

// Access is how to reach a switch.
type Access struct {
	Driver   string // lab, ovs, fake
	Address  string // lab: unix:///absolute/path/of/switch.sock; ovs: unix:/path/of/db.sock, tcp:HOST:PORT, ssl:HOST:PORT
	Username string
	Password string // ovs by ssl: PEM of our key and certificate, and of those that vouch for the switch
}

// Opener opens a driver. It may return before the switch has been reached.
type Opener func(ctx context.Context, a Access) (Driver, error)

// Matches returns an Unavailable fault that says how the switch differs, or nil: what a driver calls on
// the port that it read back.
func (p Port) Matches(want Config) error {
	if p.Equal(want) {
		return nil
	}
	return fault.Errorf(fault.Unavailable, "the switch port %s carries access VLAN %d and tagged %v although access %d and tagged %v were set: look at the switch",
		p.Name, p.Access, p.Tagged, want.Access, want.Tagged)
}
