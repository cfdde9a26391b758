// Package bmcsim is what the lab's simulated BMCs have in common: whose machine they control, how they
// are reached, and the sensors they read. The protocols are in the folders below: redfish and ipmi. A
// simulated BMC really controls its machine, through package machine and in no other way.
package bmcsim

import (
	"crypto/tls"
	"hash/fnv"
	"log/slog"
	"net/netip"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// Config describes one BMC.
type Config struct {
	Machine  machine.Machine
	Address  netip.Addr // to listen on, a loopback address
	Port     uint16     // to prefer; another one is taken when it is not free. 0: any
	Username string
	Password string
	Vendor   string // of the BMC; "" is what its kind says, and so for the next two
	Model    string
	Firmware string // version; of IPMI major.minor
	Log      *slog.Logger

	Faults      *inject.Engine   // what goes wrong; nil: nothing. Who made it closes it
	Certificate *tls.Certificate // to share among many; nil makes one
	SelfTest    time.Duration    // how long the machine's power-on self-test takes; 0 is what the kind says, below 0 none
	Away        time.Duration    // how long a restart of the BMC takes; 0 is 300 ms
	NewPassword bool             // the password must be changed before anything else works, as when fresh from the factory
}

// InSelfTest reports whether a machine is in its power-on self-test, which takes so long.
func InSelfTest(s machine.Status, takes time.Duration) bool {
	return s.On && time.Since(s.Since) < takes
}

// Bind opens a port by listen: the preferred one, or else one that the system chooses.
func Bind[L any](c Config, listen func(netip.AddrPort) (L, error)) (L, error) {
	if c.Port != 0 {
		if l, err := listen(netip.AddrPortFrom(c.Address, c.Port)); err == nil {
			return l, nil
		}
	}
	l, err := listen(netip.AddrPortFrom(c.Address, 0))
	if err != nil {
		return l, fault.E(fault.Unavailable, "open the port of a simulated BMC", err)
	}
	return l, nil
}

// Kind is what a sensor measures.
type Kind string

// The kinds of sensor.
const (
	Temperature Kind = "temperature" // degrees Celsius
	Fan         Kind = "fan"         // revolutions a minute
	Voltage     Kind = "voltage"     // volts
	Power       Kind = "power"       // watts
)

// Sensor is a sensor of a server. A reading is Raw times Step: BMCs report bytes.
type Sensor struct {
	Name     string
	Kind     Kind
	Raw      uint8
	Step     float64 // unit of Raw
	Max      uint8   // upper critical threshold, in Raw
	Standby  bool    // has a reading while the server is off
	Location string  // Intake, CPU, …
}

// Value returns the reading; ok is false when there is none.
func (s Sensor) Value(on bool) (value float64, ok bool) {
	return float64(s.Raw) * s.Step, on || s.Standby
}

// Sensors returns a machine's sensors. Readings differ a little from machine to machine and stay as they are.
func Sensors(spec machine.Spec) []Sensor {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(spec.Serial))
	off := uint8(hash.Sum32() % 5)
	return []Sensor{
		{Name: "Inlet Temp", Kind: Temperature, Raw: 21 + off, Step: 1, Max: 45, Standby: true, Location: "Intake"},
		{Name: "CPU1 Temp", Kind: Temperature, Raw: 44 + off, Step: 1, Max: 95, Location: "CPU"},
		{Name: "Fan1", Kind: Fan, Raw: 52 + off, Step: 100, Max: 180, Location: "SystemBoard"},
		{Name: "Fan2", Kind: Fan, Raw: 54 + off, Step: 100, Max: 180, Location: "SystemBoard"},
		{Name: "P12V", Kind: Voltage, Raw: 200, Step: 0.06, Max: 215, Location: "SystemBoard"},
		{Name: "Total Power", Kind: Power, Raw: 38 + off, Step: 4, Max: 200, Location: "PowerSupply"},
	}
}
