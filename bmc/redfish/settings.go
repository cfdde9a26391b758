package redfish

import (
	"context"
	"fmt"
	"net/http"
	"slices"
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
