// Package doctor examines a BMC: it tries every protocol, reads what each can do, notes what deviates and
// which profile fits, and writes a profile for BMCs that none fits. It changes nothing unless it is told to,
// and then puts back what it changed.
package doctor

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/profile"
	"github.com/hagane-cloud/hagane/bmc/record"
	"github.com/hagane-cloud/hagane/fault"
)

// Visit is what to examine.
type Visit struct {
	Open  bmc.Opener
	Book  *profile.Book
	Paths []bmc.Access // one for each protocol to try
	Write bool         // also make changes that are put back: boot device, identify LED
}

// Report is what was found.
type Report struct {
	Identity bmc.Identity
	Profile  *profile.Profile // nil when none fits
	Paths    []Path
	Learnt   map[string]string
	Overcame []string
	Trials   []Trial
	Record   []record.Exchange
}

// Path is what was found of one protocol.
type Path struct {
	Protocol string
	Answers  bool
	Why      string // why it does not answer
	Took     time.Duration
	Identity bmc.Identity
	Power    bmc.Power
	Offers   []bmc.Offer
}

// Trial is a change that was made and put back.
type Trial struct {
	Name    string
	Outcome string
	Good    bool
}

// Examine examines a BMC.
func Examine(ctx context.Context, v Visit) (*Report, error) {
	rec, memory, journal := record.NewWhole(), &bmc.Memory{}, &bmc.Journal{}
	r := &Report{}
	var first bmc.Driver
	for _, a := range v.Paths {
		a.Recorder, a.Memory, a.Journal = rec, memory, journal
		p, d := examine(ctx, v.Open, a)
		r.Paths = append(r.Paths, p)
		if d == nil {
			continue
		}
		defer func() { _ = d.Close(context.WithoutCancel(ctx)) }()
		if first == nil {
			first, r.Identity = d, p.Identity
		}
	}
	if first != nil {
		r.Profile = v.Book.Named(memory.Get("profile"))
		if r.Profile == nil {
			r.Profile = v.Book.Find(profile.Facts{Vendor: r.Identity.BMCVendor, BMC: r.Identity.BMCModel, Firmware: r.Identity.BMCVersion, Maker: r.Identity.Manufacturer, Model: r.Identity.Model})
		}
		if v.Write {
			r.Trials = try(ctx, first)
		}
	}
	r.Learnt, r.Overcame, r.Record = memory.Facts(), journal.Take(), rec.Exchanges()
	if first == nil {
		return r, bmc.Fail(bmc.Failure{Class: bmc.Unreachable}, "the BMC answers by none of %d protocols; the report says why for each", len(v.Paths))
	}
	return r, nil
}

// examine tries one protocol. The driver is nil when it does not answer.
func examine(ctx context.Context, open bmc.Opener, a bmc.Access) (Path, bmc.Driver) {
	p := Path{Protocol: a.Driver, Power: bmc.Unknown}
	began := time.Now()
	d, err := open(ctx, a)
	if err == nil {
		p.Identity, err = d.Identify(ctx)
	}
	if err == nil {
		p.Power, err = d.Power(ctx)
	}
	p.Took = time.Since(began)
	if err != nil {
		p.Why = fault.Message(err)
		if d != nil {
			_ = d.Close(context.WithoutCancel(ctx))
		}
		return p, nil
	}
	p.Answers = true
	if prober, ok := d.(bmc.Prober); ok {
		if p.Offers, err = prober.Probe(ctx); err != nil {
			p.Why = "probing ended early: " + fault.Message(err)
		}
	}
	return p, d
}

// try makes harmless changes and puts them back.
func try(ctx context.Context, d bmc.Driver) []Trial {
	var out []Trial
	note := func(name string, err error) {
		t := Trial{Name: name, Good: err == nil, Outcome: "set, read back, and put back"}
		if err != nil {
			t.Outcome = fault.Message(err)
		}
		out = append(out, t)
	}
	note("boot device", func() error {
		was, err := d.Boot(ctx)
		if err != nil {
			return err
		}
		want := bmc.Boot{Device: bmc.PXE}
		if was.Device == bmc.PXE {
			want.Device = bmc.Disk
		}
		if err := d.SetBoot(ctx, want); err != nil {
			return err
		}
		return d.SetBoot(ctx, was)
	}())
	if l, err := bmc.As[bmc.LightControl](d); err == nil {
		note("identify LED", func() error {
			was, err := l.Light(ctx)
			if err != nil {
				return err
			}
			if err := l.SetLight(ctx, bmc.LightOn); err != nil {
				return err
			}
			if was == "" {
				was = bmc.LightOff
			}
			return l.SetLight(ctx, was)
		}())
	}
	return out
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	id := r.Identity
	p("Server   %s %s, serial %s, BIOS %s", id.Manufacturer, id.Model, id.Serial, id.BIOSVersion)
	p("BMC      %s %s, firmware %s", id.BMCVendor, id.BMCModel, id.BMCVersion)
	if r.Profile != nil {
		p("Profile  %s (%s)", r.Profile.Name, r.Profile.Title)
	} else {
		p("Profile  none fits; --write-profile FILE makes one")
	}
	for _, path := range r.Paths {
		if !path.Answers {
			p("\n%s does not answer: %s", path.Protocol, path.Why)
			continue
		}
		p("\n%s answers (%d ms); the power is %s", path.Protocol, path.Took.Milliseconds(), path.Power)
		for _, o := range path.Offers {
			mark := "✓"
			if !o.Works {
				mark = "–"
			}
			p("  %s %-15s %s", mark, o.Capability, o.Evidence)
		}
		if path.Why != "" {
			p("  %s", path.Why)
		}
	}
	if len(r.Trials) > 0 {
		p("\nChanges that were tried")
		for _, t := range r.Trials {
			mark := "✓"
			if !t.Good {
				mark = "✗"
			}
			p("  %s %-15s %s", mark, t.Name, t.Outcome)
		}
	}
	if facts := r.deviations(); len(facts) > 0 {
		p("\nWhat deviates")
		for _, f := range facts {
			p("  %s", f)
		}
	}
	if r.Profile != nil && len(r.Profile.Deviations) > 0 {
		p("\nKnown of this kind")
		for _, d := range r.Profile.Deviations {
			p("  %s: %s", d.Fact, d.Handling)
		}
	}
}

// deviations puts in words what was learnt by trying.
func (r *Report) deviations() []string {
	var out []string
	for name, value := range r.Learnt {
		switch {
		case strings.HasPrefix(name, "redfish etag ") && value != "header":
			out = append(out, fmt.Sprintf("takes the ETag of %s only in the form %q", strings.TrimPrefix(name, "redfish etag "), value))
		case name == "redfish boot" && value != "system":
			out = append(out, "takes the boot device at "+value+" instead of the system")
		case name == bmc.ClockFact:
			out = append(out, "its clock is "+value+": the times in its log are as wrong; set its time, or NTP")
		case name == "tls max":
			out = append(out, "fails TLS 1.3; TLS "+value+" works")
		case strings.HasPrefix(name, "redfish reset "):
			out = append(out, fmt.Sprintf("names no reset types; %s works by %s", strings.TrimPrefix(name, "redfish reset "), value))
		}
	}
	out = append(out, r.Overcame...)
	slices.Sort(out)
	return out
}

// Draft makes a profile of what was found, ready to be put into the operator's folder of profiles.
func (r *Report) Draft() ([]byte, error) {
	id := r.Identity
	p := profile.Profile{Name: strings.ToLower(strings.Join(strings.Fields(id.BMCVendor+" "+id.BMCModel), "-")), Title: strings.TrimSpace(id.BMCVendor + " " + id.BMCModel)}
	if p.Name == "" {
		p.Name = "unnamed"
	}
	if id.BMCVendor != "" {
		p.Match.Vendor = []string{id.BMCVendor}
	}
	p.Match.BMC = regexpOf(id.BMCModel)
	if r.Profile != nil {
		p.Like = r.Profile.Name
	}
	if r.Learnt["tls max"] != "" {
		p.HTTP.MaxTLS = r.Learnt["tls max"]
	}
	if at := r.Learnt["redfish boot"]; at != "" && at != "system" {
		p.Boot.Resource = at
	}
	source := "hagane bmc doctor, firmware " + id.BMCVersion
	for _, f := range r.deviations() {
		p.Deviations = append(p.Deviations, profile.Deviation{Fact: f, Handling: "found by trying", Source: source})
	}
	for _, path := range r.Paths {
		for _, o := range path.Offers {
			if !o.Works && path.Protocol != r.Paths[0].Protocol {
				continue
			}
			if !o.Works && r.worksBy(o.Capability) != "" {
				if p.Prefer == nil {
					p.Prefer = map[string]string{}
				}
				p.Prefer[string(o.Capability)] = r.worksBy(o.Capability)
			}
		}
	}
	text, err := yaml.Marshal(p)
	return text, fault.Wrap("writing a profile", err)
}

// worksBy returns the protocol by which a capability works; "" when there is none.
func (r *Report) worksBy(c bmc.Capability) string {
	for _, p := range r.Paths {
		for _, o := range p.Offers {
			if o.Capability == c && o.Works {
				return p.Protocol
			}
		}
	}
	return ""
}

// regexpOf matches a model as it is.
func regexpOf(model string) string {
	var out strings.Builder
	for _, c := range model {
		if strings.ContainsRune(`.+*?()[]{}|^$\`, c) {
			out.WriteByte('\\')
		}
		out.WriteRune(c)
	}
	return out.String()
}
