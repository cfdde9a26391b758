package bmc

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"
)

// Capability names something that a BMC may be able to do.
type Capability string

// The capabilities, in the order in which people read them.
const (
	CanPower      Capability = "power"
	CanBoot       Capability = "boot device"
	CanOrder      Capability = "boot order"
	CanBootMode   Capability = "boot mode"
	CanMedia      Capability = "virtual media"
	CanSettings   Capability = "BIOS settings"
	CanSecureBoot Capability = "secure boot"
	CanFirmware   Capability = "firmware"
	CanSensors    Capability = "sensors"
	CanHealth     Capability = "health"
	CanEvents     Capability = "event log"
	CanLight      Capability = "identify LED"
	CanInterrupt  Capability = "NMI"
	CanConsole    Capability = "console"
	CanAccounts   Capability = "accounts"
	CanSessions   Capability = "sessions"
	CanRestart    Capability = "BMC reset"
	CanNICs       Capability = "NIC inventory"
)

// Capabilities lists all capabilities in that order.
var Capabilities = []Capability{CanPower, CanBoot, CanOrder, CanBootMode, CanMedia, CanSettings, CanSecureBoot, CanFirmware, CanSensors, CanHealth,
	CanEvents, CanLight, CanInterrupt, CanConsole, CanAccounts, CanSessions, CanRestart, CanNICs}

// Offer says whether a BMC has a capability, and how that was found.
type Offer struct {
	Capability Capability `json:"capability"`
	Works      bool       `json:"works"`
	Evidence   string     `json:"evidence"` // what was read, or the reason why it does not work
}

// Prober finds out by reading alone what a BMC can do.
type Prober interface {
	// Probe asks for the capabilities that the driver implements. It changes nothing at the BMC.
	Probe(ctx context.Context) ([]Offer, error)
}

// As returns the driver's implementation of a capability's interface; a fault of class Unsupported
// when its protocol has none. Drivers that implement it may still answer that the device at hand does not.
func As[C any](d Driver) (C, error) {
	c, ok := d.(C)
	if !ok {
		return c, Fail(Failure{Class: Unsupported}, "the BMC's protocol has no such function")
	}
	return c, nil
}

// ModeControl reads and changes the firmware mode that a server boots in.
type ModeControl interface {
	// BootMode reads the mode of the next boot.
	BootMode(ctx context.Context) (Mode, error)
	// SetBootMode sets the mode of later boots. On some servers it takes a boot to come into force.
	SetBootMode(ctx context.Context, m Mode) error
}

// OrderControl reads and changes the order in which the firmware tries its boot options when there is no override.
type OrderControl interface {
	// BootOrder reads the options as the BMC names them, first the one that is tried first; of the mode of the next boot
	// where each mode has an order.
	BootOrder(ctx context.Context) ([]string, error)
	// SetBootOrder changes the order, as Ordered understands it, and returns when reading back shows it in force or pending.
	SetBootOrder(ctx context.Context, order []string) error
}

// Ordered returns the options that there are now in the order that is wanted: those which the list lacks stay behind it,
// and those that are gone are left out, because BMCs take whole lists of what there is only. A list without any option
// that there is, such as one in another protocol's names, is Refused.
func Ordered(now, want []string) ([]string, error) {
	var out []string
	for _, o := range want {
		if slices.Contains(now, o) && !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	if len(out) == 0 {
		return nil, Fail(Failure{Class: Refused}, "none of %s is a boot option of the server; there are %s", strings.Join(want, ", "), strings.Join(now, ", "))
	}
	for _, o := range now {
		if !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	return out, nil
}

// Medium is a kind of virtual medium.
type Medium string

// The kinds of medium.
const (
	CD  Medium = "cd"
	USB Medium = "usb" // a disk image
)

// Slot is a virtual drive of a BMC.
type Slot struct {
	ID       string   `json:"id"` // as the BMC names it
	Media    []Medium `json:"media"`
	Inserted bool     `json:"inserted"`
	Image    string   `json:"image,omitempty"` // the URL that it was inserted from; BMCs may hide it
}

// MediaControl inserts and ejects images that the server sees as drives.
type MediaControl interface {
	// Media reads the slots.
	Media(ctx context.Context) ([]Slot, error)
	// Insert makes the image at a URL (http or https, that the BMC can reach; nfs and cifs where the BMC
	// knows no other) appear as a drive, and returns its slot when reading back shows it. What was in the slot is ejected.
	Insert(ctx context.Context, m Medium, url string) (slot string, err error)
	// Eject empties a slot; "" empties all. An empty slot is no error. It returns when reading back shows it.
	Eject(ctx context.Context, slot string) error
}

// Setting is a BIOS (UEFI) setting.
type Setting struct {
	Name        string   `json:"name"`
	Label       string   `json:"label,omitempty"` // what the set-up menu shows
	Type        string   `json:"type"`            // string, integer, boolean, enumeration, password; "" when the BMC has no registry
	Value       any      `json:"value"`           // string, int64, bool or nil
	Default     any      `json:"default,omitempty"`
	Pending     any      `json:"pending,omitempty"` // the value after the next boot, where it differs
	Allowed     []string `json:"allowed,omitempty"` // of an enumeration
	Min         *int64   `json:"min,omitempty"`
	Max         *int64   `json:"max,omitempty"`
	MaxLength   *int64   `json:"max_length,omitempty"`
	ReadOnly    bool     `json:"read_only,omitempty"`
	NeedsReboot bool     `json:"needs_reboot,omitempty"`
}

// SettingsControl reads and changes BIOS settings.
type SettingsControl interface {
	// Settings reads all settings with their types from the BIOS's own registry.
	Settings(ctx context.Context) ([]Setting, error)
	// SetSettings asks for values (string, int64 or bool), all or none; they come into force at the next boot.
	// It returns when reading back shows them in force or pending.
	SetSettings(ctx context.Context, values map[string]any) error
	// ResetSettings asks for the factory's values at the next boot.
	ResetSettings(ctx context.Context) error
	// DropPending gives up what was asked for and is not in force yet.
	DropPending(ctx context.Context) error
}

// SecureBoot is the state of UEFI Secure Boot.
type SecureBoot struct {
	Enabled bool   `json:"enabled"` // at the next boot
	Active  bool   `json:"active"`  // during the last boot
	Mode    string `json:"mode"`    // SetupMode, UserMode, AuditMode, DeployedMode; "" when the BMC does not tell
	// Keys tells sets of keys apart: those in force of whoever may say what boots (PK, KEK, db); "" when the BMC does not show them.
	Keys string `json:"keys,omitempty"`
}

// SecureBootControl reads and changes UEFI Secure Boot.
type SecureBootControl interface {
	SecureBoot(ctx context.Context) (SecureBoot, error)
	SetSecureBoot(ctx context.Context, enabled bool) error
	// ResetSecureBootKeys puts the factory's keys back.
	ResetSecureBootKeys(ctx context.Context) error
}

// Component is a piece of firmware.
type Component struct {
	ID        string `json:"id"` // as the BMC names it; unique on the device
	Name      string `json:"name"`
	Version   string `json:"version"`
	Updatable bool   `json:"updatable"`
}

// Task is long work at a BMC.
type Task struct {
	ID      string `json:"id"` // to ask for it again
	Percent int    `json:"percent"`
	Done    bool   `json:"done"`
	Staged  bool   `json:"staged,omitempty"` // it waits for the next boot of the server, or, of the BMC's own firmware, for its restart
	Failed  string `json:"failed,omitempty"` // why, when it ended badly
	Message string `json:"message,omitempty"`
	Gone    bool   `json:"gone,omitempty"` // the BMC has forgotten the task: its outcome must be read from what it did
}

// FirmwareControl reads and updates firmware.
type FirmwareControl interface {
	Firmware(ctx context.Context) ([]Component, error)
	// Update asks the BMC to fetch an image (http or https) and install it, at the next boot where the BMC can put it off, so that
	// one boot serves several components; component "" lets it choose.
	// The task is to be followed with Follow. A version that was read back is the proof, not the task.
	Update(ctx context.Context, url, component string) (Task, error)
	// Follow reads how a task is doing.
	Follow(ctx context.Context, id string) (Task, error)
}

// Health is what a BMC says of its server's condition. It is a claim, never a reason to page anybody by itself.
type Health struct {
	Word   string   `json:"word"`   // ok, warning, critical, unknown
	Causes []string `json:"causes"` // the parts that are not ok, as path: word
}

// HealthReader reads the health and drills down to what causes it.
type HealthReader interface {
	Health(ctx context.Context) (Health, error)
}

// Event is an entry of a BMC's event log.
type Event struct {
	ID       string    `json:"id"`
	At       time.Time `json:"at"` // by the BMC's clock, which may be wrong; zero when it had none
	Severity string    `json:"severity"`
	Message  string    `json:"message"`
	Sensor   string    `json:"sensor,omitempty"`
}

// EventLog reads and clears the event log (SEL).
type EventLog interface {
	// Events reads the entries, oldest first by id: clocks lie. It returns at most limit, the newest.
	Events(ctx context.Context, limit int) ([]Event, error)
	ClearEvents(ctx context.Context) error
}

// Light is a state of the identify LED.
type Light string

// The states of an identify LED.
const (
	LightOff   Light = "off"
	LightOn    Light = "on"
	LightBlink Light = "blinking"
)

// LightControl reads and changes the identify LED.
type LightControl interface {
	// Light reads the LED; "" when the BMC can not tell.
	Light(ctx context.Context) (Light, error)
	SetLight(ctx context.Context, l Light) error
}

// Interrupter raises a non-maskable interrupt, which makes an operating system dump its memory.
type Interrupter interface {
	Interrupt(ctx context.Context) error
}

// Console connects to the serial console over the BMC.
type Console interface {
	// Console opens the serial console. A stale connection of our own is taken over. Closing ends it at the BMC.
	Console(ctx context.Context) (io.ReadWriteCloser, error)
}

// Account is a user of a BMC.
type Account struct {
	ID      string `json:"id"` // slot or name, as the BMC names it
	Name    string `json:"name"`
	Role    string `json:"role"` // Administrator, Operator, ReadOnly, or the BMC's word
	Enabled bool   `json:"enabled"`
}

// AccountControl looks after a BMC's users.
type AccountControl interface {
	// Accounts lists the users; empty slots are left out.
	Accounts(ctx context.Context) ([]Account, error)
	// AddAccount adds a user, into an empty slot where the BMC has slots.
	AddAccount(ctx context.Context, name, password, role string) error
	// SetPassword changes a user's password. Changing the password in use keeps the driver working.
	SetPassword(ctx context.Context, name, password string) error
	// RemoveAccount removes a user, or empties its slot. No such user is no error.
	RemoveAccount(ctx context.Context, name string) error
}

// Session is a login at a BMC.
type Session struct {
	ID   string `json:"id"` // as the BMC names it
	User string `json:"user"`
}

// SessionControl looks after the logins at a BMC.
type SessionControl interface {
	// Sessions lists the open sessions but for the driver's own.
	Sessions(ctx context.Context) ([]Session, error)
	// EndSession ends one. No such session is no error.
	EndSession(ctx context.Context, id string) error
}

// RestartKind is how a BMC is restarted.
type RestartKind string

// The ways to restart a BMC. Neither touches the server's power.
const (
	Warm RestartKind = "warm" // in order, where the BMC knows a difference
	Cold RestartKind = "cold"
)

// Restarter restarts the BMC itself.
type Restarter interface {
	// RestartBMC restarts the BMC and returns when it accepted that; it is away for minutes then and forgets its sessions.
	RestartBMC(ctx context.Context, k RestartKind) error
}

// NIC is a network interface of the server as its BMC tells it.
type NIC struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	MAC       string `json:"mac"`             // lower case with colons; "" when the BMC does not know
	SpeedMbps int    `json:"speed_mbps"`      // 0 when unknown
	Link      string `json:"link"`            // up, down; "" when unknown
	Slot      string `json:"slot,omitempty"`  // where it sits
	Model     string `json:"model,omitempty"` // of its card
}

// NICReader reads the network interfaces.
type NICReader interface {
	NICs(ctx context.Context) ([]NIC, error)
}
