// Package bmc is the driver interface to baseboard management controllers: what the bare-metal
// controller asks of a server's BMC, whatever its protocol. Drivers live in the folders below
// (redfish, ipmi, fake) and pass the conformance suite of bmctest; only the conductor calls them.
//
// No answer is believed twice: a driver reads back what it wrote, and reports a power state that
// it could not establish as Unknown rather than guessing.
package bmc

import (
	"context"
	"time"

	"github.com/hagane-cloud/hagane/bmc/profile"
	"github.com/hagane-cloud/hagane/bmc/record"
)

// Power is the power state of a server as its BMC tells it.
type Power string

// The power states. Unknown never makes anyone press the button.
const (
	On      Power = "on"
	Off     Power = "off"
	Unknown Power = "unknown"
)

// Action is a change of power that someone asks for.
type Action string

// The power actions.
const (
	PowerOn  Action = "power on"
	PowerOff Action = "power off" // at once, as by pulling the plug
	SoftOff  Action = "soft off"  // asks the operating system (ACPI); never becomes PowerOff by itself
	Reset    Action = "reset"     // hard reset of a server that is on; of one that is off: a power on
)

// Device is what a server boots from.
type Device string

// The boot devices.
const (
	Disk  Device = "disk"
	PXE   Device = "pxe"
	CDROM Device = "cdrom"
	Setup Device = "bios"
	None  Device = "none" // no override: the firmware's own order
)

// Mode is a server's firmware mode.
type Mode string

// The firmware modes.
const (
	UEFI Mode = "uefi"
	BIOS Mode = "bios"
)

// Boot is a boot device override.
type Boot struct {
	Device     Device
	Persistent bool // every boot; otherwise the next boot only
	Mode       Mode // "" leaves the mode as it is
}

// Identity says what a server and its BMC are. Fields that the BMC does not tell are empty.
type Identity struct {
	Manufacturer, Model, Serial, UUID, AssetTag string
	BIOSVersion                                 string
	BMCVendor, BMCModel, BMCVersion             string
}

// Sensor is one reading.
type Sensor struct {
	Name   string
	Kind   string   // temperature, fan, voltage, current, power, other
	Value  *float64 // nil when the BMC has no reading: absent, not zero
	Unit   string   // Cel, RPM, V, A, W, %
	Health string   // ok, warning, critical, unknown
}

// Driver operates one server through its BMC: what every protocol can do. What only some BMCs can do are
// capabilities, each an interface of its own (capability.go) that a driver may implement as well; As
// asks for one.
//
// Methods return faults of package fault with a Failure in their chain (failure.go). They are safe to
// call twice and look before they act. A driver is used by one goroutine at a time.
type Driver interface {
	// Identify reads what the server is. It is the cheapest proof that address and credentials are right.
	Identify(ctx context.Context) (Identity, error)
	PowerControl
	BootControl
	SensorReader
	// Close ends the session at the BMC.
	Close(ctx context.Context) error
}

// PowerControl reads and changes a server's power.
type PowerControl interface {
	// Power reads the power state.
	Power(ctx context.Context) (Power, error)
	// SetPower carries out an action and returns when the BMC has accepted it; it does not wait for the
	// state to be reached. It does nothing when the server already is in the state asked for.
	SetPower(ctx context.Context, a Action) error
}

// BootControl reads and changes what a server boots from.
type BootControl interface {
	// Boot reads the override in force.
	Boot(ctx context.Context) (Boot, error)
	// SetBoot sets the override and reads it back.
	SetBoot(ctx context.Context, b Boot) error
}

// SensorReader reads sensors.
type SensorReader interface {
	// Sensors reads all sensors.
	Sensors(ctx context.Context) ([]Sensor, error)
}

// Access is how to reach a BMC.
type Access struct {
	Driver   string // redfish, ipmi, ribcl, wsman, scci, fake
	Address  string // redfish, ribcl, wsman, scci: URL (https://host:port); ipmi: host or host:port (623 by default)
	Username string
	Password string
	// Insecure accepts any certificate of the BMC. Without it the certificate must verify against the system's roots or CA.
	Insecure bool
	CA       string        // PEM; additional roots
	System   string        // redfish: the resource path of the ComputerSystem; "" finds it
	Timeout  time.Duration // of one exchange; 0 is the driver's default
	// OldTLS allows TLS 1.0 and the ciphers of its time, which old BMCs speak alone (HPE iLO 2 and 3).
	OldTLS bool
	// PinFirst remembers the certificate of an Insecure BMC at first use (in Memory), and refuses another one later.
	PinFirst bool
	// Profile is what is known about BMCs of this kind; nil finds it by asking the BMC.
	Profile *profile.Profile
	// Memory is what is known about this very device; nil starts from nothing.
	Memory *Memory
	// Recorder takes down every exchange; nil records nothing.
	Recorder *record.Recorder
	// Journal collects what the driver overcame; nil collects nothing.
	Journal *Journal
	// Gate and Breaker are shared by all who speak with the BMC; nil bounds nothing.
	Gate    *Gate
	Breaker *Breaker
	// Pace is how patient the driver is; the zero value is DefaultPace.
	Pace Pace
}

// Opener opens a driver. It may return before the BMC has been reached.
type Opener func(ctx context.Context, a Access) (Driver, error)
