package redfish

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/wire"
)

// biosDoc is what we read of a Bios resource and of its settings resource.
type biosDoc struct {
	Attributes        map[string]any
	AttributeRegistry text
	Settings          struct {
		SettingsObject      link
		SupportedApplyTimes many[text]
	} `json:"@Redfish.Settings"`
	Actions struct {
		Reset *action `json:"#Bios.ResetBios"`
		Oem   struct {
			Clear *action `json:"#DellManager.ClearPending"`
		}
	}
}

// attribute is an entry of an attribute registry. Numbers come as strings from some, and Dell spells
// ReadOnly otherwise and gives -1 for "no bound".
type attribute struct {
	Name                    string `json:"AttributeName"`
	DisplayName, Type       text
	DefaultValue            any
	ReadOnly                flag
	ResetRequired           flag
	LowerBound, UpperBound  number
	MaxLength               number
	Value                   many[struct{ ValueName, ValueDisplayName text }]
	Hidden, Immutable, Gray flag
}

// bios reads the Bios resource and what is pending.
func (d *Driver) bios(ctx context.Context) (at link, doc biosDoc, pending map[string]any, err error) {
	s, _, err := d.read(ctx)
	if err != nil {
		return "", doc, nil, err
	}
	if s.Bios == "" {
		return "", doc, nil, lacks("BIOS settings")
	}
	if _, err := d.fetch(ctx, request{path: string(s.Bios), patience: wire.Settings}, &doc); err != nil {
		if c := bmc.ClassOf(err); c == bmc.Broken {
			return "", doc, nil, bmc.Fail(bmc.Failure{Class: bmc.Unsupported, Err: err}, "the BMC cannot read its BIOS settings now") // BlueField in NIC mode answers 500
		}
		return "", doc, nil, err
	}
	if at = doc.Settings.SettingsObject; at == "" {
		return s.Bios, doc, nil, nil
	}
	var later biosDoc
	if _, err := d.fetch(ctx, request{path: string(at), patience: wire.Settings}, &later); err != nil && !absent(err) {
		return "", doc, nil, err
	}
	if doc.Actions.Oem.Clear == nil {
		doc.Actions.Oem.Clear = later.Actions.Oem.Clear
	}
	if _, err := d.know(ctx); err != nil {
		return "", doc, nil, err
	}
	job, err := d.configJob(ctx)
	if err != nil {
		return "", doc, nil, err
	}
	if job != "" {
		// The values that are shown may be those that wait: with a job open, all that the settings resource holds waits.
		pending = map[string]any{}
		for name, v := range later.Attributes {
			if v != nil {
				pending[name] = v
			}
		}
		return at, doc, pending, nil
	}
	return at, doc, different(later.Attributes, doc.Attributes), nil
}

// different returns what is pending: some BMCs keep a full copy of the values there.
func different(later, now map[string]any) map[string]any {
	out := map[string]any{}
	for name, v := range later {
		if v != nil && fmt.Sprint(v) != fmt.Sprint(now[name]) {
			out[name] = v
		}
	}
	return out
}

// anyRegistry begins the name of the registry of BIOS settings on BMCs whose Bios resource names none (NVIDIA GH200).
const anyRegistry = "BiosAttributeRegistry"

// registry reads the attribute registry; without one there are no types. The name of its file may lack the
// version, or have another one than the Bios resource says (Dell).
func (d *Driver) registry(ctx context.Context, name string) (map[string]attribute, error) {
	exact := cmp.Or(name, anyRegistry)
	name, _, _ = strings.Cut(exact, ".v")
	root, err := d.service(ctx)
	if err != nil {
		return nil, err
	}
	type file struct {
		ID       text `json:"Id"`
		Registry text
		Location many[struct {
			Language text
			URI      link `json:"Uri"`
		}]
	}
	var uri link
	take := func(f file) {
		if uri != "" || (!strings.HasPrefix(string(f.ID), name) && !strings.HasPrefix(string(f.Registry), name) && !strings.HasPrefix(name, string(f.ID)+".")) || f.ID == "" {
			return
		}
		for _, l := range f.Location {
			if uri == "" || strings.HasPrefix(strings.ToLower(string(l.Language)), "en") {
				uri = l.URI
			}
		}
	}
	var f file
	if _, err := d.get(ctx, root.Registries.under(exact), &f); err == nil {
		take(f)
	}
	if uri == "" {
		if err := each(ctx, d, root.Registries, func(_ link, f file) { take(f) }); err != nil {
			return nil, err
		}
	}
	if uri == "" {
		return nil, nil
	}
	var doc struct {
		RegistryEntries struct{ Attributes many[attribute] }
	}
	if _, err := d.fetch(ctx, request{path: string(uri), patience: wire.Settings}, &doc); err != nil {
		if absent(err) {
			return nil, nil
		}
		return nil, err
	}
	out := map[string]attribute{}
	for _, a := range doc.RegistryEntries.Attributes {
		out[a.Name] = a
	}
	return out, nil
}

// Settings reads all BIOS settings.
func (d *Driver) Settings(ctx context.Context) ([]bmc.Setting, error) {
	_, doc, pending, err := d.bios(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := d.registry(ctx, string(doc.AttributeRegistry))
	if err != nil {
		return nil, err
	}
	var out []bmc.Setting
	for name, v := range doc.Attributes {
		s := bmc.Setting{Name: name, Value: plain(v)}
		if p, ok := pending[name]; ok {
			s.Pending = plain(p)
		}
		if a, ok := entries[name]; ok {
			a.describe(&s)
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b bmc.Setting) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// plain makes whole numbers of JSON's.
func plain(v any) any {
	if f, ok := v.(float64); ok && f == float64(int64(f)) {
		return int64(f)
	}
	return v
}

func (a attribute) describe(s *bmc.Setting) {
	s.Label, s.Type, s.Default = string(a.DisplayName), strings.ToLower(string(a.Type)), plain(a.DefaultValue)
	s.ReadOnly, s.NeedsReboot = a.ReadOnly.value || a.Immutable.value, !a.ResetRequired.set || a.ResetRequired.value
	for _, v := range a.Value {
		s.Allowed = append(s.Allowed, string(v.ValueName))
	}
	whole := func(n number) *int64 {
		if !n.set {
			return nil
		}
		v := int64(n.value)
		return &v
	}
	if a.LowerBound.set && a.UpperBound.set && a.UpperBound.value > a.LowerBound.value {
		s.Min, s.Max = whole(a.LowerBound), whole(a.UpperBound)
	}
	s.MaxLength = whole(a.MaxLength)
}

// check finds out before anything is sent whether a value can be right, and returns it in the registry's form:
// Dell shows display names where names are written.
func (a attribute) check(v any) (any, error) {
	var s bmc.Setting
	a.describe(&s)
	switch {
	case s.ReadOnly:
		return nil, wrong("the setting %s can not be changed", a.Name)
	case s.Type == "enumeration":
		for _, one := range a.Value {
			if word := fmt.Sprint(v); strings.EqualFold(string(one.ValueName), word) || strings.EqualFold(string(one.ValueDisplayName), word) {
				return string(one.ValueName), nil
			}
		}
		return nil, wrong("the setting %s can be %s, not %v", a.Name, strings.Join(s.Allowed, ", "), v)
	case s.Type == "integer":
		n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
		if err != nil || (s.Min != nil && (n < *s.Min || n > *s.Max)) {
			return nil, wrong("the setting %s is a whole number%s, not %v", a.Name, bounds(s), v)
		}
		return n, nil
	case s.Type == "boolean":
		b, err := strconv.ParseBool(fmt.Sprint(v))
		if err != nil {
			return nil, wrong("the setting %s is true or false, not %v", a.Name, v)
		}
		return b, nil
	case s.MaxLength != nil && *s.MaxLength > 0 && int64(len(fmt.Sprint(v))) > *s.MaxLength:
		return nil, wrong("the setting %s has at most %d characters", a.Name, *s.MaxLength)
	}
	return v, nil
}

func bounds(s bmc.Setting) string {
	if s.Min == nil {
		return ""
	}
	return fmt.Sprintf(" from %d to %d", *s.Min, *s.Max)
}

// SetSettings asks for values at the next boot.
func (d *Driver) SetSettings(ctx context.Context, values map[string]any) error {
	at, doc, pending, err := d.bios(ctx)
	if err != nil {
		return err
	}
	entries, err := d.registry(ctx, string(doc.AttributeRegistry))
	if err != nil {
		return err
	}
	change := map[string]any{}
	for name, v := range values {
		now, ok := doc.Attributes[name]
		if !ok {
			return wrong("the BIOS has no setting %q", name)
		}
		if a, known := entries[name]; known {
			if v, err = a.check(v); err != nil {
				return err
			}
		}
		if waits, ok := pending[name]; ok {
			now = waits
		}
		if fmt.Sprint(plain(now)) != fmt.Sprint(v) {
			change[name] = v
		}
	}
	if len(change) == 0 {
		return nil
	}
	if job, err := d.configJob(ctx); err != nil {
		return err
	} else if job != "" {
		// One job can be open: it makes way for one that changes all.
		if err := d.dropJob(ctx, job); err != nil {
			return err
		}
		for name, v := range pending {
			if _, asked := change[name]; !asked {
				change[name] = v
			}
		}
		d.access.Journal.Note("redfish: an open configuration job was replaced by one with all changes")
		if _, doc, _, err = d.bios(ctx); err != nil {
			return err
		}
		for name, v := range change {
			if fmt.Sprint(plain(doc.Attributes[name])) == fmt.Sprint(v) {
				delete(change, name)
			}
		}
		if len(change) == 0 {
			return nil
		}
	}
	body := map[string]any{"Attributes": change}
	if slices.Contains(doc.Settings.SupportedApplyTimes, "OnReset") {
		body["@Redfish.SettingsApplyTime"] = map[string]any{"ApplyTime": "OnReset"}
	}
	_, err = d.patch(ctx, "changing BIOS settings", at, "bios", body)
	if bmc.ClassOf(err) == bmc.Refused && blames(err, "ApplyTime") {
		delete(body, "@Redfish.SettingsApplyTime")
		_, err = d.patch(ctx, "changing BIOS settings", at, "bios", body)
	}
	if err != nil {
		return err
	}
	return d.settingsShow(ctx, change)
}

// settingsShow waits until values are in force or pending.
func (d *Driver) settingsShow(ctx context.Context, want map[string]any) error {
	var missing string
	ok, err := d.settles(ctx, func() (bool, error) {
		_, doc, pending, err := d.bios(ctx)
		if err != nil {
			return false, err
		}
		missing = ""
		for name, v := range want {
			if p, waits := pending[name]; waits && fmt.Sprint(plain(p)) == fmt.Sprint(v) {
				continue
			}
			if _, waits := pending[name]; !waits && fmt.Sprint(plain(doc.Attributes[name])) == fmt.Sprint(v) {
				continue
			}
			missing = name
		}
		return missing == "", nil
	})
	if err == nil && !ok {
		return untrue("the BIOS setting "+missing, want[missing], "another value")
	}
	return err
}

// ResetSettings asks for the factory's values. The empty body is needed: iDRAC8 refuses a request without.
func (d *Driver) ResetSettings(ctx context.Context) error {
	s, _, err := d.read(ctx)
	if err != nil {
		return err
	}
	_, doc, _, err := d.bios(ctx)
	if err != nil {
		return err
	}
	target := s.Bios.under("Actions/Bios.ResetBios")
	if doc.Actions.Reset != nil && doc.Actions.Reset.Target != "" {
		target = doc.Actions.Reset.Target
	}
	_, err = d.post(ctx, "resetting the BIOS settings", target, struct{}{})
	return err
}

// DropPending gives up what is pending: by the vendor's action where there is one, else by asking for the
// present values.
func (d *Driver) DropPending(ctx context.Context) error {
	at, doc, pending, err := d.bios(ctx)
	if err != nil {
		return err
	}
	if job, err := d.configJob(ctx); err != nil || job != "" {
		if err != nil {
			return err
		}
		return d.dropJob(ctx, job)
	}
	if clear := doc.Actions.Oem.Clear; clear != nil && clear.Target != "" {
		_, err := d.post(ctx, "dropping pending BIOS settings", clear.Target, struct{}{})
		if says(err, "BIOS017", "SYS430") || (err != nil && len(pending) == 0 && bmc.ClassOf(err) == bmc.Refused) {
			return nil // there is nothing pending
		}
		return err
	}
	if len(pending) == 0 {
		return nil
	}
	back := map[string]any{}
	for name := range pending {
		back[name] = doc.Attributes[name]
	}
	_, err = d.fetch(ctx, request{method: http.MethodPatch, path: string(at), body: map[string]any{"Attributes": back}, doing: "dropping pending BIOS settings", patience: wire.Settings}, nil)
	if bmc.ClassOf(err) == bmc.Changed {
		_, err = d.patch(ctx, "dropping pending BIOS settings", at, "bios", map[string]any{"Attributes": back})
	}
	return err
}

// BootMode reads the firmware mode of the next boot: from the override where it shows one, and else from the BIOS.
func (d *Driver) BootMode(ctx context.Context) (bmc.Mode, error) {
	attribute, words, err := d.modeSetting(ctx)
	if err != nil {
		return "", err
	}
	if attribute != "" {
		_, doc, pending, err := d.bios(ctx)
		if err == nil {
			v, ok := pending[attribute]
			if !ok {
				v = doc.Attributes[attribute]
			}
			for mode, word := range words {
				if strings.EqualFold(fmt.Sprint(v), word) {
					return mode, nil
				}
			}
		} else if !absent(err) {
			return "", err
		}
	}
	s, _, err := d.read(ctx)
	if err != nil {
		return "", err
	}
	if b := s.Boot.boot(); b.Mode != "" {
		return b.Mode, nil
	}
	return "", lacks("boot mode")
}

// modeSetting returns the BIOS setting of the boot mode and its words; "" where the override carries the mode.
func (d *Driver) modeSetting(ctx context.Context) (string, map[bmc.Mode]string, error) {
	p, err := d.know(ctx)
	if err != nil || p == nil || p.Boot.Mode["attribute"] == "" {
		return "", nil, err
	}
	return p.Boot.Mode["attribute"], map[bmc.Mode]string{bmc.UEFI: p.Boot.Mode["uefi"], bmc.BIOS: p.Boot.Mode["bios"]}, nil
}

// SetBootMode sets the firmware mode of later boots.
func (d *Driver) SetBootMode(ctx context.Context, m bmc.Mode) error {
	if modes[m] == "" {
		return wrong("there is no boot mode %q; there are uefi and bios", m)
	}
	now, err := d.BootMode(ctx)
	if err != nil || now == m {
		return err
	}
	attribute, words, err := d.modeSetting(ctx)
	if err != nil {
		return err
	}
	if attribute != "" {
		return d.SetSettings(ctx, map[string]any{attribute: words[m]})
	}
	b, err := d.Boot(ctx)
	if err != nil {
		return err
	}
	b.Mode = m
	if err := d.SetBoot(ctx, b); err != nil {
		return err
	}
	if got, err := d.BootMode(ctx); err != nil || got != m {
		if err == nil {
			err = untrue("the boot mode", m, got)
		}
		return err
	}
	return nil
}
