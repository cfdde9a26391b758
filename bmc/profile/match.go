package profile

import (
	"path"
	"regexp"
	"slices"
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
	if err := p.checkWords(); err != nil {
		return err
	}
	for _, d := range p.Deviations {
		if d.Fact == "" || d.Handling == "" || d.Source == "" {
			return fault.Errorf(fault.Invalid, "a deviation needs a fact, its handling and its source: %+v", d)
		}
	}
	return nil
}

// words are what can stand in a field that takes one of a few.
var words = map[string][]string{
	"http.max_tls": {"", "1.2", "1.3"}, "power.restart": {"", "off-on"}, "boot.persistent": {"", "continuous", "order", "once"},
	"boot.oem": {"", "irmc", "idrac"}, "media.style": {"", "action", "patch", "irmc"},
}

// preferable are the capabilities that a protocol can be preferred for, and the protocols.
var (
	preferable = []string{"power", "boot device", "boot mode", "virtual media", "BIOS settings", "secure boot", "firmware", "sensors", "health", "event log",
		"identify LED", "NMI", "console", "accounts", "BMC reset", "NIC inventory"}
	protocols = []string{"redfish", "ipmi", "ribcl", "wsman", "scci", "fake"}
)

// checkWords finds words that no driver would understand.
func (p Profile) checkWords() error {
	for field, word := range map[string]string{"http.max_tls": p.HTTP.MaxTLS, "power.restart": p.Power.Restart, "boot.persistent": p.Boot.Persistent,
		"boot.oem": p.Boot.Oem, "media.style": p.Media.Style} {
		if !slices.Contains(words[field], word) {
			return fault.Errorf(fault.Invalid, "%s: %q is none of %s", field, word, strings.Join(words[field][1:], ", "))
		}
	}
	for capability, protocol := range p.Prefer {
		if !slices.Contains(preferable, capability) {
			return fault.Errorf(fault.Invalid, "prefer: %q is none of %s", capability, strings.Join(preferable, ", "))
		}
		if !slices.Contains(protocols, protocol) {
			return fault.Errorf(fault.Invalid, "prefer: %q is none of %s", protocol, strings.Join(protocols, ", "))
		}
	}
	if m := p.Boot.Mode; len(m) > 0 && (m["attribute"] == "" || m["uefi"] == "" || m["bios"] == "") {
		return fault.Errorf(fault.Invalid, "boot.mode needs an attribute and its words for uefi and bios")
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
