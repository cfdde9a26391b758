// Package profile holds what is known about BMCs by vendor, model and firmware: their quirks, as data. The
// profiles are YAML files in the folder data, embedded; an operator's folder adds to them or replaces
// them by name without a new build. Each deviation names the source of its fact.
//
// The drivers find most quirks out by themselves: they look, try the next form, and remember what worked. A
// profile holds what can not be found out by trying, or only at a price.
package profile

import "time"

// Profile is the sum of all that is known about BMCs of one kind. The nil Profile knows nothing.
type Profile struct {
	Name  string `yaml:"name"`
	Title string `yaml:"title"`          // for people
	Like  string `yaml:"like,omitempty"` // the profile whose knowledge this one adds to
	Match Match  `yaml:"match"`

	HTTP     HTTP     `yaml:"http,omitempty"`
	Power    Power    `yaml:"power,omitempty"`
	Boot     Boot     `yaml:"boot,omitempty"`
	Media    Media    `yaml:"media,omitempty"`
	Settings Settings `yaml:"settings,omitempty"`
	Accounts Accounts `yaml:"accounts,omitempty"`
	IPMI     IPMI     `yaml:"ipmi,omitempty"`
	// Prefer names the protocol to take first for a capability, where the usual order is wrong.
	Prefer map[string]string `yaml:"prefer,omitempty"`
	// Deny lists path globs that must never be read: some reads restart the BMC.
	Deny []string `yaml:"deny,omitempty"`

	Deviations []Deviation `yaml:"deviations,omitempty"`
}

// Match says which BMCs a profile is about. Empty fields match all; words are compared without case.
type Match struct {
	Vendor   []string `yaml:"vendor,omitempty"`   // of the BMC, or of the server where the BMC does not say
	BMC      string   `yaml:"bmc,omitempty"`      // regular expression on the BMC's model or product
	Model    string   `yaml:"model,omitempty"`    // regular expression on the server's model
	Firmware string   `yaml:"firmware,omitempty"` // of the BMC: ">=2.60 <2.75"
}

// Deviation is one fact in which BMCs of the kind differ from their specification.
type Deviation struct {
	Fact     string `yaml:"fact"`
	Handling string `yaml:"handling"`
	Source   string `yaml:"source"`
}

// HTTP is how a BMC likes HTTP.
type HTTP struct {
	KeepAlive bool   `yaml:"keep_alive,omitempty"` // connections may be reused
	MaxTLS    string `yaml:"max_tls,omitempty"`    // "1.2" where TLS 1.3 fails
}

// Power is how a BMC changes power.
type Power struct {
	// Restart is "off-on" where a reset by one call hangs the host or is none.
	Restart string `yaml:"restart,omitempty"`
	// Pause is how long the server stays off within such a restart.
	Pause time.Duration `yaml:"pause,omitempty"`
}

// Boot is how a BMC takes the boot device.
type Boot struct {
	Resource   string            `yaml:"resource,omitempty"`   // system, settings, or a path below the system such as SD
	CD         []string          `yaml:"cd,omitempty"`         // targets that mean the virtual CD, best first
	Persistent string            `yaml:"persistent,omitempty"` // continuous, order, or once (set again before each boot)
	Oem        string            `yaml:"oem,omitempty"`        // irmc: by the vendor's own resource; idrac: virtual CDs by attributes of the manager
	Mode       map[string]string `yaml:"mode,omitempty"`       // the BIOS attribute of the boot mode: attribute, uefi, bios
	FixedMode  bool              `yaml:"fixed_mode,omitempty"` // the override's mode can not be written
	// FindsDisk says that the firmware finds a new UEFI disk by itself, and that a boot call behind that spoils the next boot.
	FindsDisk bool `yaml:"finds_disk,omitempty"`
}

// Media is how a BMC takes virtual media.
type Media struct {
	Style string `yaml:"style,omitempty"` // action, patch, irmc
	Slots string `yaml:"slots,omitempty"` // regular expression of the slots that work
}

// Settings is how a BMC takes BIOS settings.
type Settings struct {
	Jobs bool `yaml:"jobs,omitempty"` // changes are jobs; the values are in force only when no configuration job is open
}

// Accounts is how a BMC keeps users.
type Accounts struct {
	FirstSlot int `yaml:"first_slot,omitempty"` // users live in fixed slots, of which those from this one on are ours to use
}

// IPMI is how a BMC speaks IPMI.
type IPMI struct {
	Between     time.Duration  `yaml:"between,omitempty"`      // least time between two commands
	EFISelector map[string]int `yaml:"efi_selector,omitempty"` // boot device selectors that differ in UEFI mode
	Suites      []int          `yaml:"suites,omitempty"`       // cipher suites to try, in order
}

// KeepsAlive reports whether connections may be reused.
func (p *Profile) KeepsAlive() bool { return p != nil && p.HTTP.KeepAlive }

// MaxTLS returns the highest TLS version that works; "" for any.
func (p *Profile) MaxTLS() string {
	if p == nil {
		return ""
	}
	return p.HTTP.MaxTLS
}
