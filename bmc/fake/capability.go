package fake

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hagane-cloud/hagane/bmc"
)

// settings are the BIOS settings of a fake server.
var settings = []bmc.Setting{
	{Name: "BootMode", Label: "Boot Mode", Type: "enumeration", Value: "Uefi", Default: "Uefi", Allowed: []string{"Uefi", "Bios"}, NeedsReboot: true},
	{Name: "LogicalProc", Label: "Logical Processor", Type: "enumeration", Value: "Enabled", Default: "Enabled", Allowed: []string{"Enabled", "Disabled"}, NeedsReboot: true},
	{Name: "PowerDelay", Label: "Power Delay", Type: "integer", Value: int64(0), Default: int64(0), Min: new(int64), Max: ptr(int64(240)), NeedsReboot: true},
	{Name: "SystemModelName", Label: "Model", Type: "string", Value: "Fake", ReadOnly: true},
}

func ptr[T any](v T) *T { return &v }

// device is what a fake BMC keeps beside power and boot device.
type device struct {
	order    []string // of boot options
	image    string
	values   map[string]any
	pending  map[string]any
	secure   bool
	light    bmc.Light
	users    map[string]string
	restarts int
	consoles int // that are open
	events   []bmc.Event
	firmware string
}

func newDevice() device {
	d := device{order: []string{"disk", "network", "cd"}, values: map[string]any{}, light: bmc.LightOff, users: map[string]string{"admin": ""}, firmware: "1.0", events: []bmc.Event{{ID: "1", Severity: "ok", Message: "log cleared"}}}
	for _, s := range settings {
		d.values[s.Name] = s.Value
	}
	return d
}

// applies brings what is pending into force, at a boot.
func (d *device) applies() {
	maps.Copy(d.values, d.pending)
	d.pending = nil
}

// Media reads the one slot.
func (d *driver) Media(ctx context.Context) (out []bmc.Slot, err error) {
	err = d.with(ctx, "media", func(s *state) {
		out = []bmc.Slot{{ID: "1", Media: []bmc.Medium{bmc.CD, bmc.USB}, Inserted: s.device.image != "", Image: s.device.image}}
	})
	return out, err
}

// Insert keeps the image's URL; nobody fetches it.
func (d *driver) Insert(ctx context.Context, _ bmc.Medium, url string) (string, error) {
	return "1", d.with(ctx, "insert", func(s *state) { s.device.image = url })
}

// Eject forgets the image.
func (d *driver) Eject(ctx context.Context, slot string) error {
	if slot != "" && slot != "1" {
		return refused("a fake BMC has no slot %q", slot)
	}
	return d.with(ctx, "eject", func(s *state) { s.device.image = "" })
}

func refused(format string, args ...any) error {
	return bmc.Fail(bmc.Failure{Class: bmc.Refused}, format, args...)
}

// Settings reads the BIOS settings.
func (d *driver) Settings(ctx context.Context) (out []bmc.Setting, err error) {
	err = d.with(ctx, "settings", func(s *state) {
		for _, one := range settings {
			one.Value = s.device.values[one.Name]
			if v, ok := s.device.pending[one.Name]; ok {
				one.Pending = v
			}
			out = append(out, one)
		}
	})
	return out, err
}

// SetSettings keeps values for the next boot.
func (d *driver) SetSettings(ctx context.Context, values map[string]any) error {
	clean := map[string]any{}
	for name, v := range values {
		i := slices.IndexFunc(settings, func(s bmc.Setting) bool { return s.Name == name })
		if i < 0 || settings[i].ReadOnly {
			return refused("the BIOS has no setting %q that can be changed", name)
		}
		clean[name] = v
		switch s := settings[i]; s.Type {
		case "enumeration":
			if !slices.Contains(s.Allowed, fmt.Sprint(v)) {
				return refused("the setting %s can be %s, not %v", name, strings.Join(s.Allowed, ", "), v)
			}
		case "integer":
			n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
			if err != nil || n < *s.Min || n > *s.Max {
				return refused("the setting %s is a number from %d to %d, not %v", name, *s.Min, *s.Max, v)
			}
			clean[name] = n
		}
	}
	return d.with(ctx, "set settings", func(s *state) {
		if s.device.pending == nil {
			s.device.pending = map[string]any{}
		}
		for name, v := range clean {
			if delete(s.device.pending, name); s.device.values[name] != v {
				s.device.pending[name] = v
			}
		}
	})
}

// ResetSettings keeps the factory's values for the next boot.
func (d *driver) ResetSettings(ctx context.Context) error {
	return d.with(ctx, "reset settings", func(s *state) {
		s.device.pending = map[string]any{}
		for _, one := range settings {
			if one.Default != nil && s.device.values[one.Name] != one.Default {
				s.device.pending[one.Name] = one.Default
			}
		}
	})
}

// DropPending forgets what was kept for the next boot.
func (d *driver) DropPending(ctx context.Context) error {
	return d.with(ctx, "drop pending", func(s *state) { s.device.pending = nil })
}

var modeWords = map[bmc.Mode]string{bmc.UEFI: "Uefi", bmc.BIOS: "Bios"}

// BootMode reads the mode of the next boot.
func (d *driver) BootMode(ctx context.Context) (m bmc.Mode, err error) {
	err = d.with(ctx, "boot mode", func(s *state) {
		m = bmc.UEFI
		if v, ok := s.device.pending["BootMode"]; ok && v == "Bios" || !ok && s.device.values["BootMode"] == "Bios" {
			m = bmc.BIOS
		}
	})
	return m, err
}

// SetBootMode sets the mode of later boots.
func (d *driver) SetBootMode(ctx context.Context, m bmc.Mode) error {
	if modeWords[m] == "" {
		return refused("there is no boot mode %q", m)
	}
	return d.SetSettings(ctx, map[string]any{"BootMode": modeWords[m]})
}

// SecureBoot reads the state of UEFI Secure Boot.
func (d *driver) SecureBoot(ctx context.Context) (b bmc.SecureBoot, err error) {
	err = d.with(ctx, "secure boot", func(s *state) {
		b = bmc.SecureBoot{Enabled: s.device.secure, Active: s.device.secure, Mode: "UserMode"}
	})
	return b, err
}

// SetSecureBoot changes UEFI Secure Boot.
func (d *driver) SetSecureBoot(ctx context.Context, enabled bool) error {
	return d.with(ctx, "set secure boot", func(s *state) { s.device.secure = enabled })
}

// ResetSecureBootKeys does nothing: there are no keys.
func (d *driver) ResetSecureBootKeys(ctx context.Context) error {
	return d.with(ctx, "reset keys", func(*state) {})
}

// Firmware reads the one component.
func (d *driver) Firmware(ctx context.Context) (out []bmc.Component, err error) {
	err = d.with(ctx, "firmware", func(s *state) {
		out = []bmc.Component{{ID: "BIOS", Name: "BIOS", Version: s.device.firmware, Updatable: true}}
	})
	return out, err
}

// Update takes the version from the image's name and is done at once.
func (d *driver) Update(ctx context.Context, url, _ string) (bmc.Task, error) {
	name := url[strings.LastIndexByte(url, '/')+1:]
	version := strings.TrimSuffix(name[strings.LastIndexByte(name, '-')+1:], ".bin")
	return bmc.Task{ID: "1", Percent: 100, Done: true}, d.with(ctx, "update", func(s *state) { s.device.firmware = version })
}

// Follow says that everything is done.
func (d *driver) Follow(ctx context.Context, id string) (bmc.Task, error) {
	return bmc.Task{ID: id, Percent: 100, Done: true}, d.with(ctx, "follow", func(*state) {})
}

// Health is always ok.
func (d *driver) Health(ctx context.Context) (bmc.Health, error) {
	return bmc.Health{Word: "ok"}, d.with(ctx, "health", func(*state) {})
}

// Events reads the log.
func (d *driver) Events(ctx context.Context, limit int) (out []bmc.Event, err error) {
	err = d.with(ctx, "events", func(s *state) { out = slices.Clone(s.device.events) })
	if limit > 0 && len(out) > limit {
		out = out[len(out)-limit:]
	}
	return out, err
}

// ClearEvents empties the log.
func (d *driver) ClearEvents(ctx context.Context) error {
	return d.with(ctx, "clear events", func(s *state) { s.device.events = nil })
}

// Light reads the LED.
func (d *driver) Light(ctx context.Context) (l bmc.Light, err error) {
	err = d.with(ctx, "light", func(s *state) { l = s.device.light })
	return l, err
}

// SetLight switches the LED.
func (d *driver) SetLight(ctx context.Context, l bmc.Light) error {
	return d.with(ctx, "set light", func(s *state) { s.device.light = l })
}

// Interrupt is heard by nobody.
func (d *driver) Interrupt(ctx context.Context) error {
	return d.with(ctx, "interrupt", func(s *state) {
		s.device.events = append(s.device.events, bmc.Event{ID: strconv.Itoa(len(s.device.events) + 1), Severity: "critical", Message: "NMI"})
	})
}

// Accounts lists the users.
func (d *driver) Accounts(ctx context.Context) (out []bmc.Account, err error) {
	err = d.with(ctx, "accounts", func(s *state) {
		for name := range s.device.users {
			out = append(out, bmc.Account{ID: name, Name: name, Role: "Administrator", Enabled: true})
		}
	})
	slices.SortFunc(out, func(a, b bmc.Account) int { return cmp.Compare(a.Name, b.Name) })
	return out, err
}

// AddAccount adds a user.
func (d *driver) AddAccount(ctx context.Context, name, password, _ string) error {
	return d.with(ctx, "add account", func(s *state) { s.device.users[name] = password })
}

// SetPassword changes a user's password; nobody checks it.
func (d *driver) SetPassword(ctx context.Context, name, password string) error {
	return d.AddAccount(ctx, name, password, "")
}

// RemoveAccount removes a user.
func (d *driver) RemoveAccount(ctx context.Context, name string) error {
	return d.with(ctx, "remove account", func(s *state) { delete(s.device.users, name) })
}

// RestartBMC counts.
func (d *driver) RestartBMC(ctx context.Context, _ bmc.RestartKind) error {
	return d.with(ctx, "restart", func(s *state) { s.device.restarts++ })
}

// NICs finds none: ports are what the operator says.
func (d *driver) NICs(ctx context.Context) ([]bmc.NIC, error) {
	return nil, d.with(ctx, "nics", func(*state) {})
}

// Console opens the serial console, which shows what the power is, and nothing else until it is closed.
func (d *driver) Console(ctx context.Context) (io.ReadWriteCloser, error) {
	p, err := d.Power(ctx)
	if err != nil {
		return nil, err
	}
	c := &console{text: []byte(fmt.Sprintf("the console of a fake server, which is %s\r\n", p)), closed: make(chan struct{})}
	c.leave = func() {
		_ = d.with(context.WithoutCancel(ctx), "close console", func(s *state) { s.device.consoles-- })
	}
	return c, d.with(ctx, "console", func(s *state) { s.device.consoles++ })
}

// Consoles returns how many consoles of a BMC are open.
func (r *Rack) Consoles(address string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bmcs[address] == nil {
		return 0
	}
	return r.bmcs[address].device.consoles
}

// console is an open serial console.
type console struct {
	text   []byte // Read alone uses it
	once   sync.Once
	closed chan struct{}
	leave  func()
}

func (c *console) Read(b []byte) (int, error) {
	if len(c.text) == 0 {
		<-c.closed
		return 0, io.EOF
	}
	n := copy(b, c.text)
	c.text = c.text[n:]
	return n, nil
}

func (c *console) Write(b []byte) (int, error) { return len(b), nil }

func (c *console) Close() error {
	c.once.Do(func() { close(c.closed); c.leave() })
	return nil
}
