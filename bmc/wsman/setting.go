package wsman

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/markup"
)

// kinds are the classes of BIOS attributes by their type.
var kinds = []struct{ class, kind string }{{"DCIM_BIOSEnumeration", "enumeration"}, {"DCIM_BIOSString", "string"}, {"DCIM_BIOSInteger", "integer"}}

// Settings reads all attributes of the BIOS.
func (d *driver) Settings(ctx context.Context) ([]bmc.Setting, error) {
	var out []bmc.Setting
	for _, k := range kinds {
		all, err := d.enumerate(ctx, k.class)
		if err != nil {
			return nil, err
		}
		for _, e := range all {
			out = append(out, setting(e, k.kind))
		}
	}
	return out, nil
}

func setting(e *markup.Element, kind string) bmc.Setting {
	s := bmc.Setting{Name: e.Value("AttributeName"), Label: e.Value("AttributeDisplayName"), Type: kind, ReadOnly: strings.EqualFold(e.Value("IsReadOnly"), "true"), NeedsReboot: true}
	s.Value, s.Default = value(e.Child("CurrentValue"), kind), value(e.Child("DefaultValue"), kind)
	if p := value(e.Child("PendingValue"), kind); p != nil && p != s.Value {
		s.Pending = p
	}
	for _, v := range e.Children {
		if v.Name == "PossibleValues" {
			s.Allowed = append(s.Allowed, v.Text)
		}
	}
	s.Min, s.Max, s.MaxLength = bound(e.Value("LowerBound")), bound(e.Value("UpperBound")), bound(e.Value("MaxLength"))
	return s
}

// value reads a value; nil where it is told to be nil or there is none.
func value(e *markup.Element, kind string) any {
	if e == nil || strings.EqualFold(e.Attr("nil"), "true") || (kind != "string" && e.Text == "") {
		return nil
	}
	if kind == "integer" {
		if n, err := strconv.ParseInt(e.Text, 10, 64); err == nil {
			return n
		}
	}
	return e.Text
}

func bound(s string) *int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil
	}
	return &n
}

// check holds a wanted value against what the BIOS allows, and returns it as the BIOS writes it.
func check(s bmc.Setting, want any) (string, error) {
	text := fmt.Sprint(want)
	refuse := func(format string, args ...any) (string, error) {
		return "", bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the setting %s: %s", s.Name, fmt.Sprintf(format, args...))
	}
	switch {
	case s.ReadOnly:
		return refuse("it can not be changed at present")
	case s.Type == "enumeration" && !slices.Contains(s.Allowed, text):
		return refuse("%q is none of %s", text, strings.Join(s.Allowed, ", "))
	case s.Type == "integer":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || (s.Min != nil && n < *s.Min) || (s.Max != nil && *s.Max > 0 && n > *s.Max) {
			return refuse("%q is no number in its bounds", text)
		}
	case s.MaxLength != nil && *s.MaxLength > 0 && int64(len(text)) > *s.MaxLength:
		return refuse("it takes at most %d characters", *s.MaxLength)
	}
	return text, nil
}

// SetSettings asks for values, which come into force by a job at the next boot. An earlier job of ours that has not run
// is replaced by one for its values and the new ones together, since the iDRAC takes one job at a time; one of
// somebody else's is left alone.
func (d *driver) SetSettings(ctx context.Context, values map[string]any) error {
	all, err := d.Settings(ctx)
	if err != nil {
		return err
	}
	want := map[string]string{}
	for name, v := range values {
		i := slices.IndexFunc(all, func(s bmc.Setting) bool { return s.Name == name })
		if i < 0 {
			return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the BIOS has no setting %q", name)
		}
		if want[name], err = check(all[i], v); err != nil {
			return err
		}
	}
	if shows(all, want) {
		return nil
	}
	return d.commit(ctx, all, want, nil)
}

// shows reports whether all wanted values are in force or pending.
func shows(all []bmc.Setting, want map[string]string) bool {
	for _, s := range all {
		w, ok := want[s.Name]
		if !ok {
			continue
		}
		after := s.Value
		if s.Pending != nil {
			after = s.Pending
		}
		if fmt.Sprint(after) != w {
			return false
		}
	}
	return true
}

// commit makes values and orders of boot sources (by their kind) pending, with those that were so before, and creates the job.
func (d *driver) commit(ctx context.Context, all []bmc.Setting, want map[string]string, orders map[string][]string) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	boot, err := d.bootSources(ctx)
	if err != nil {
		return err
	}
	dirty := pending(all)
	for _, o := range boot {
		dirty = dirty || !slices.Equal(o.pending, o.current)
	}
	if err := d.withdraw(ctx, dirty); err != nil {
		return err
	}
	for _, s := range all {
		if _, ok := want[s.Name]; !ok && s.Pending != nil {
			want[s.Name] = fmt.Sprint(s.Pending)
		}
	}
	todo := false
	for kind, order := range boot {
		if w, ok := orders[kind]; ok {
			order.pending = w
		}
		if slices.Equal(order.pending, order.current) {
			continue
		}
		todo = true
		var input []pair
		for _, id := range order.pending {
			input = append(input, pair{"source", id})
		}
		if _, err := d.invoke(ctx, "DCIM_BootConfigSetting", "ChangeBootOrderByInstanceID", false, []pair{{"InstanceID", kind}}, input...); err != nil {
			return err
		}
	}
	input := []pair{{"Target", biosTarget}}
	for _, s := range all {
		if w, ok := want[s.Name]; ok && fmt.Sprint(s.Value) != w {
			input = append(input, pair{"AttributeName", s.Name}, pair{"AttributeValue", w})
		}
	}
	if len(input) > 1 {
		todo = true
		if _, err := d.invoke(ctx, "DCIM_BIOSService", "SetAttributes", false, serviceOf("DCIM_BIOSService"), input...); err != nil {
			return err
		}
	}
	if todo {
		if err := d.createJob(ctx); err != nil {
			return err
		}
	}
	return d.settle(ctx, "the settings pending", func() (bool, error) {
		now, err := d.Settings(ctx)
		return shows(now, want), err
	})
}

func pending(all []bmc.Setting) bool {
	return slices.ContainsFunc(all, func(s bmc.Setting) bool { return s.Pending != nil })
}

// withdraw deletes our job that has not run, and what is pending where something is.
func (d *driver) withdraw(ctx context.Context, dirty bool) error {
	job, err := d.openJob(ctx)
	if err != nil {
		return err
	}
	if job != nil {
		id := job.Value("InstanceID")
		if id != d.memory.Get(jobFact) {
			return bmc.Fail(bmc.Failure{Class: bmc.Busy, Code: id}, "the iDRAC has the job %s (%s, %s) for the BIOS already, which is not ours; let it run by a reboot, or delete it", id, job.Value("Name"), job.Value("JobStatus"))
		}
		if err := d.deleteJob(ctx, id); err != nil {
			return err
		}
	}
	d.memory.Set(jobFact, "")
	if !dirty {
		return nil
	}
	_, err = d.invoke(ctx, "DCIM_BIOSService", "DeletePendingConfiguration", false, serviceOf("DCIM_BIOSService"), pair{"Target", biosTarget})
	return err
}

// DropPending gives up what was asked for.
func (d *driver) DropPending(ctx context.Context) error {
	all, err := d.Settings(ctx)
	if err != nil {
		return err
	}
	if !pending(all) {
		return nil
	}
	if err := d.ready(ctx); err != nil {
		return err
	}
	if err := d.withdraw(ctx, true); err != nil {
		return err
	}
	return d.settle(ctx, "that nothing is pending", func() (bool, error) {
		now, err := d.Settings(ctx)
		return !pending(now), err
	})
}

// ResetSettings asks for the defaults that the BIOS tells; WS-MAN has no method of its own for it.
func (d *driver) ResetSettings(ctx context.Context) error {
	all, err := d.Settings(ctx)
	if err != nil {
		return err
	}
	want, told := map[string]any{}, false
	for _, s := range all {
		if s.Default == nil || s.ReadOnly {
			continue
		}
		told = true
		want[s.Name] = s.Default
	}
	if !told {
		return bmc.Fail(bmc.Failure{Class: bmc.Unsupported}, "this iDRAC tells no defaults of BIOS settings; set a baseline of settings instead")
	}
	return d.SetSettings(ctx, want)
}
