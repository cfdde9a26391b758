package redfish

import (
	"context"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/profile"
	"github.com/hagane-cloud/hagane/fault"
)

// bootDoc is the Boot object of a system or of its settings resource.
type bootDoc struct {
	Target  text       `json:"BootSourceOverrideTarget"`
	Enabled text       `json:"BootSourceOverrideEnabled"`
	Mode    *text      `json:"BootSourceOverrideMode"`
	Targets many[text] `json:"BootSourceOverrideTarget@Redfish.AllowableValues"`
	Terms   many[text] `json:"BootSourceOverrideEnabled@Redfish.AllowableValues"`
	Order   many[text] `json:"BootOrder"`
	Options link       `json:"BootOptions"`
}

// targets are the names of the boot devices, best first: vendors have their own for some.
var targets = map[bmc.Device][]string{
	bmc.None: {"None"}, bmc.PXE: {"Pxe", "UefiPxe"}, bmc.Disk: {"Hdd", "HDD", "UefiHdd"},
	bmc.CDROM: {"Cd", "UsbCd", "CD/DVD", "UefiCd"}, bmc.Setup: {"BiosSetup", "BIOS Setup"},
}

var modes = map[bmc.Mode]string{bmc.UEFI: "UEFI", bmc.BIOS: "Legacy"}

func (b *bootDoc) boot() bmc.Boot {
	out := bmc.Boot{Device: bmc.None}
	if b == nil {
		return out
	}
	if b.Mode != nil {
		for mode, name := range modes {
			if strings.EqualFold(string(*b.Mode), name) {
				out.Mode = mode
			}
		}
	}
	if b.Enabled == "Once" || b.Enabled == "Continuous" {
		for device, names := range targets {
			if slices.Contains(names, string(b.Target)) {
				out.Device, out.Persistent = device, b.Enabled == "Continuous"
			}
		}
	}
	return out
}

// Boot reads the override in force, where this device keeps it.
func (d *Driver) Boot(ctx context.Context) (bmc.Boot, error) {
	s, _, err := d.read(ctx)
	if err != nil {
		return bmc.Boot{}, err
	}
	if _, err := d.know(ctx); err != nil {
		return bmc.Boot{}, err
	}
	if d.irmc(s) {
		return d.irmcBoot(ctx, s)
	}
	got := s.Boot.boot()
	if d.idrac() && got.Device == bmc.None && d.access.Memory.Get(idracFact) != "" {
		first, err := d.idracFirst(ctx, s)
		if err != nil && !absent(err) {
			return bmc.Boot{}, err
		}
		if first.Device != "" {
			first.Mode = got.Mode
			return first, nil
		}
	}
	if at := d.bootPath(s); at != link(d.system) {
		var doc struct{ Boot *bootDoc }
		if _, err := d.get(ctx, at, &doc); err != nil && !absent(err) {
			return bmc.Boot{}, err
		}
		if there := doc.Boot.boot(); doc.Boot != nil && there.Device != bmc.None {
			got = there // not taken over by the system yet
		}
	}
	if kept := d.asserted(); kept.Device != "" && (got.Device == kept.Device || got.Device == bmc.None) {
		got.Device, got.Persistent = kept.Device, true // by setting it again before each boot
	}
	lasting := bmc.Device(d.access.Memory.Get(orderFact))
	if lasting != "" && got.Device == bmc.None {
		got.Device, got.Persistent = lasting, true
	}
	if lasting != "" || d.fixedMode() {
		// The override says nothing of the mode: it is a BIOS setting.
		if m, err := d.BootMode(ctx); err == nil {
			got.Mode = m
		} else if !absent(err) {
			return got, err
		}
	}
	return got, nil
}

// modeBySetting changes the boot mode where it is a BIOS setting; a BMC without such settings boots as it does.
func (d *Driver) modeBySetting(ctx context.Context, m bmc.Mode) error {
	if err := d.SetBootMode(ctx, m); err != nil && !absent(err) {
		return fault.Wrap("setting the boot mode", err)
	}
	return nil
}

// fixedMode reports whether the override can not carry the boot mode on this BMC.
func (d *Driver) fixedMode() bool { return d.profile != nil && d.profile.Boot.FixedMode }

// bootPath returns the resource that takes the override.
func (d *Driver) bootPath(s system) link {
	where := d.access.Memory.Get(bootFact)
	if where == "" && d.profile != nil {
		where = d.profile.Boot.Resource
	}
	switch where {
	case "", "system":
		return link(d.system)
	case "settings":
		if s.Settings.SettingsObject != "" {
			return s.Settings.SettingsObject
		}
		return link(d.system).under("Settings")
	}
	return link(d.system).under(where)
}

// SetBoot sets the override in the form that the device takes, and reads it back.
func (d *Driver) SetBoot(ctx context.Context, b bmc.Boot) error {
	if targets[b.Device] == nil {
		return wrong("Redfish has no boot device %q", b.Device)
	}
	s, _, err := d.read(ctx)
	if err != nil {
		return err
	}
	p, err := d.know(ctx)
	if err != nil {
		return err
	}
	if d.irmc(s) {
		return d.irmcSetBoot(ctx, s, b)
	}
	if s.Boot == nil && s.Settings.SettingsObject == "" {
		return lacks("boot override")
	}
	d.forgetLasting()
	if b.Device == bmc.None {
		if err := d.restoreOrder(ctx); err != nil {
			return err
		}
	}
	if d.idrac() {
		if b.Device == bmc.CDROM {
			if err := d.idracBoot(ctx, s, b); !absent(err) {
				return err
			}
		} else if err := d.idracLeave(ctx, s); err != nil {
			return err
		}
	}
	if b.Mode != "" && d.fixedMode() {
		if err := d.modeBySetting(ctx, b.Mode); err != nil {
			return err
		}
		b.Mode = ""
	}
	if b.Persistent && b.Device != bmc.None && !d.lasts(s, p) {
		return d.lasting(ctx, s, p, b)
	}
	err = d.override(ctx, s, p, b)
	if b.Persistent && b.Device != bmc.None && bmc.ClassOf(err) == bmc.Refused && blames(err, "Enabled") {
		return d.lasting(ctx, s, p, b)
	}
	return err
}

// override writes the override, trying the resources and shapes that BMCs take, and reads it back.
func (d *Driver) override(ctx context.Context, s system, p *profile.Profile, b bmc.Boot) error {
	return d.bootAt(ctx, s, func(at link) error { return d.overrideAt(ctx, s, p, b, at) })
}

// bootAt calls write with the resources that may take changes of the Boot object until one does, and remembers it.
func (d *Driver) bootAt(ctx context.Context, s system, write func(at link) error) error {
	places := d.bootPlaces(ctx, s)
	var last error
	for _, place := range places {
		last = write(place.path)
		switch {
		case last == nil:
			if place.name != "" {
				d.access.Memory.Set(bootFact, place.name)
			}
			return nil
		case bmc.ClassOf(last) == bmc.Unsupported && len(places) > 1, says(last, "OperationSupportedInFutureStateURI", "PropertyNotWritable", "PropertyUnknown"):
			continue // the device takes it elsewhere
		}
		return last
	}
	return last
}

type bootPlace struct {
	name string // to remember; "" when it is the known one
	path link
}

// bootPlaces lists where the override may be taken: the place that is known to, the system, its settings
// resource when that has a Boot object, and AMI's SD.
func (d *Driver) bootPlaces(ctx context.Context, s system) []bootPlace {
	if d.access.Memory.Get(bootFact) != "" || (d.profile != nil && d.profile.Boot.Resource != "") {
		first := d.bootPath(s)
		places := []bootPlace{{"", first}}
		if first != link(d.system) {
			places = append(places, bootPlace{"system", link(d.system)})
		}
		return places
	}
	places := []bootPlace{{"system", link(d.system)}}
	if at := s.Settings.SettingsObject; at != "" {
		var doc struct{ Boot *bootDoc }
		if _, err := d.get(ctx, at, &doc); err == nil && doc.Boot != nil {
			// The settings resource takes it; BMCs that name one without a Boot object refuse it there.
			places = []bootPlace{{"settings", at}, {"system", link(d.system)}}
		}
	}
	return append(places, bootPlace{"SD", link(d.system).under("SD")}, bootPlace{"settings", link(d.system).under("Settings")})
}

// overrideAt writes the override to one resource. Target, term and mode go together: some BMCs reset what is
// left out, others refuse a partial change; what a device does not know is dropped one by one.
func (d *Driver) overrideAt(ctx context.Context, s system, p *profile.Profile, b bmc.Boot, at link) error {
	boot := map[string]any{"BootSourceOverrideTarget": d.target(s, p, b.Device), "BootSourceOverrideEnabled": "Once"}
	switch {
	case b.Device == bmc.None:
		boot["BootSourceOverrideEnabled"] = "Disabled"
	case b.Persistent:
		boot["BootSourceOverrideEnabled"] = "Continuous"
	}
	if s.Boot != nil && s.Boot.Mode != nil && !d.fixedMode() {
		// The mode goes along only where the BMC shows one: X10's Redfish refuses the whole change otherwise.
		boot["BootSourceOverrideMode"] = string(*s.Boot.Mode)
		if b.Mode != "" {
			boot["BootSourceOverrideMode"] = modes[b.Mode]
		}
	}
	for {
		_, err := d.patch(ctx, "setting the boot device", at, "boot", map[string]any{"Boot": boot})
		if err == nil {
			return d.bootShows(ctx, b, at)
		}
		if drop := droppable(err, boot, b); drop != "" {
			delete(boot, drop)
			continue
		}
		return err
	}
}

// droppable returns the property of a refused override to leave out: one that the BMC does not know or that
// can not be changed on it. HPE refuses the mode, older Dells the term together with a UEFI target.
func droppable(err error, boot map[string]any, b bmc.Boot) string {
	if says(err, "OperationSupportedInFutureStateURI") {
		return ""
	}
	if c := bmc.ClassOf(err); c != bmc.Refused && c != bmc.Unsupported {
		return ""
	}
	_, mode := boot["BootSourceOverrideMode"]
	if mode && (blames(err, "BootSourceOverrideMode") || says(err, "UnsupportedOperation")) {
		return "BootSourceOverrideMode"
	}
	if _, term := boot["BootSourceOverrideEnabled"]; term && !b.Persistent && b.Device != bmc.None && says(err, "PropertyUnknown") && blames(err, "BootSourceOverrideEnabled") {
		return "BootSourceOverrideEnabled"
	}
	return ""
}

// target chooses the name of a device from what the BMC lists.
func (d *Driver) target(s system, p *profile.Profile, device bmc.Device) string {
	names := targets[device]
	if device == bmc.CDROM && p != nil && len(p.Boot.CD) > 0 {
		names = append(slices.Clone(p.Boot.CD), names...)
	}
	if s.Boot != nil {
		for _, n := range names {
			if slices.Contains(s.Boot.Targets, text(n)) {
				return n
			}
		}
	}
	return names[0]
}

// bootShows reads the override back: some BMCs answer 200 and change nothing.
func (d *Driver) bootShows(ctx context.Context, b bmc.Boot, at link) error {
	var got bmc.Boot
	ok, err := d.settles(ctx, func() (bool, error) {
		s, _, err := d.read(ctx)
		if err != nil {
			return false, err
		}
		if got = s.Boot.boot(); same(got, b) {
			return true, nil
		}
		if at == link(d.system) {
			return false, nil
		}
		var doc struct{ Boot *bootDoc }
		if _, err := d.get(ctx, at, &doc); err != nil && !absent(err) {
			return false, err
		}
		there := doc.Boot.boot()
		return doc.Boot != nil && same(there, b), nil
	})
	if err == nil && !ok {
		return untrue("the boot device", b, got)
	}
	return err
}

func same(got, want bmc.Boot) bool {
	if got.Device != want.Device {
		return false
	}
	return want.Device == bmc.None || (got.Persistent == want.Persistent && (want.Mode == "" || got.Mode == "" || got.Mode == want.Mode))
}
