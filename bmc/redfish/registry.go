package redfish

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/wire"
)

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
