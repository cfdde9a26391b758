package profile

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
)

// Facts is what a BMC tells of itself.
type Facts struct {
	Vendor, BMC, Firmware string // of the BMC
	Maker, Model          string // of the server
}

// fits reports whether a profile is about a BMC, and how exactly: how many of its conditions held.
func (m Match) fits(f Facts) (exact int, ok bool) {
	if len(m.Vendor) > 0 {
		vendor := f.Vendor
		if vendor == "" {
			vendor = f.Maker
		}
		if !oneOf(m.Vendor, vendor) {
			return 0, false
		}
		exact++
	}
	for _, c := range []struct{ pattern, value string }{{m.BMC, f.BMC}, {m.Model, f.Model}} {
		if c.pattern == "" {
			continue
		}
		if !regexp.MustCompile("(?i)" + c.pattern).MatchString(c.value) {
			return 0, false
		}
		exact++
	}
	if m.Firmware != "" {
		if !within(m.Firmware, f.Firmware) {
			return 0, false
		}
		exact++
	}
	return exact, true
}

func oneOf(names []string, name string) bool {
	for _, n := range names {
		if strings.HasPrefix(strings.ToLower(strings.TrimSpace(name)), strings.ToLower(n)) {
			return true
		}
	}
	return false
}

// check finds mistakes in a profile that would only show later.
func (p Profile) check() error {
	if p.Name == "" {
		return fault.Errorf(fault.Invalid, "has no name")
	}
	for field, pattern := range map[string]string{"match.bmc": p.Match.BMC, "match.model": p.Match.Model, "media.slots": p.Media.Slots} {
		if _, err := regexp.Compile(pattern); err != nil {
			return fault.E(fault.Invalid, field+" is no regular expression", err)
		}
	}
	for _, term := range strings.Fields(p.Match.Firmware) {
		if op, v := cutOperator(term); op == "" || len(numbers(v)) == 0 {
			return fault.Errorf(fault.Invalid, "match.firmware: %q is not like >=2.60", term)
		}
	}
	for _, glob := range p.Deny {
		if _, err := path.Match(glob, ""); err != nil {
			return fault.E(fault.Invalid, "deny: "+glob, err)
		}
	}
	for _, d := range p.Deviations {
		if d.Fact == "" || d.Handling == "" || d.Source == "" {
			return fault.Errorf(fault.Invalid, "a deviation needs a fact, its handling and its source: %+v", d)
		}
	}
	return nil
}

func cutOperator(term string) (op, version string) {
	for _, op := range []string{">=", "<=", "=", ">", "<"} {
		if v, ok := strings.CutPrefix(term, op); ok {
			return op, v
		}
	}
	return "", term
}

// within reports whether a version lies in a range. A version that can not be read lies in none.
func within(bounds, version string) bool {
	have := numbers(version)
	if len(have) == 0 {
		return false
	}
	for _, term := range strings.Fields(bounds) {
		op, v := cutOperator(term)
		switch c := compare(have, numbers(v)); {
		case op == ">=" && c < 0, op == "<=" && c > 0, op == "=" && c != 0, op == ">" && c <= 0, op == "<" && c >= 0:
			return false
		}
	}
	return true
}

var dotted = regexp.MustCompile(`\d+(?:\.\d+)+`)

// numbers reads the dotted numbers of a version: vendors write "iLO 5 v2.72", "TGBT42S-2.83" and "11.01.01".
func numbers(version string) []int {
	var out []int
	for part := range strings.SplitSeq(dotted.FindString(version), ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil
		}
		out = append(out, n)
	}
	return out
}

func compare(a, b []int) int {
	for i := range max(len(a), len(b)) {
		var x, y int
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return x - y
		}
	}
	return 0
}

// Denies reports whether a path must never be read.
func (p *Profile) Denies(resource string) bool {
	if p == nil {
		return false
	}
	for _, glob := range p.Deny {
		if ok, err := path.Match(glob, strings.TrimSuffix(resource, "/")); ok && err == nil {
			return true
		}
	}
	return false
}
