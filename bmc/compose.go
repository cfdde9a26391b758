package bmc

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/hagane-cloud/hagane/bmc/profile"
)

// Composed operates a server over all the protocols that its BMC speaks: each capability goes by the best
// path that works there, and by the next one when that fails in a way that another protocol may not. What was
// found out is kept in the memory that all paths share.
type Composed struct {
	open  Opener
	book  *profile.Book // nil knows nothing
	paths []*path
	known *Memory

	observe func(Call) // nil counts nothing
}

type path struct {
	access Access
	driver Driver // nil until it is needed
}

// Compose makes a driver of the paths to one BMC, the best first. It connects when a path is used.
func Compose(open Opener, paths []Access) *Composed {
	c := &Composed{open: open}
	for _, a := range paths {
		c.paths = append(c.paths, &path{access: a})
		c.known = a.Memory
	}
	return c
}

// pathFact remembers by which protocol a capability works, and probedFact what a probe found of each.
const (
	pathFact    = "path "
	probedFact  = "probed "
	profileFact = "profile"
)

// Protocols are the names of the drivers, in the order in which they are taken for a server that has several.
var Protocols = []string{"redfish", "ipmi", "ribcl", "wsman", "scci", "fake"}

// order returns the paths for a capability: the one that is known to work, the one that the profile prefers,
// then the others as they were given; those that a probe found lacking come last.
func (c *Composed) order(what Capability) []*path {
	var first, middle, last []*path
	known := c.known.Get(pathFact + string(what))
	for _, p := range c.paths {
		prefer := ""
		if p.access.Profile != nil {
			prefer = p.access.Profile.Prefer[string(what)]
		}
		switch name := p.access.Driver; {
		case name == known, known == "" && name == prefer:
			first = append(first, p)
		case strings.HasPrefix(c.known.Get(probedFact+name+" "+string(what)), "no"):
			last = append(last, p)
		default:
			middle = append(middle, p)
		}
	}
	return append(append(first, middle...), last...)
}

func (c *Composed) driver(ctx context.Context, p *path) (Driver, error) {
	if p.driver == nil {
		d, err := c.open(ctx, p.access)
		if err != nil {
			return nil, err
		}
		p.driver = d
	}
	return p.driver, nil
}

// Kinds of call, by what a failure of one path allows.
type effect int

const (
	reading effect = iota // changes nothing
	setting               // sets a state: every path looks before it acts
	pulsing               // acts each time: a restart, an interrupt, an update
)

// elsewhere reports whether the next path may be tried after a failure.
func elsewhere(err error, e effect) bool {
	switch ClassOf(err) {
	case Unsupported, Licence, SessionsFull, NotReady:
		return true
	case Unreachable, Garbled, Broken:
		return e != pulsing || ClassOf(err) == Unreachable
	case Untrue, Busy, Refused:
		return e == setting || (e == reading && ClassOf(err) != Refused)
	case Uncertain:
		return e != pulsing
	case Credentials, Privilege, NewPassword, Certificate, Changed:
	}
	return false
}

// by calls a capability over the paths in turn.
func by[C, R any](ctx context.Context, c *Composed, what Capability, e effect, call func(C) (R, error)) (R, error) {
	var none R
	var failed []error
	for _, p := range c.order(what) {
		r, err := through(ctx, c, p, what, call)
		if err == nil {
			c.learn(what, p, failed)
			return r, nil
		}
		failed = append(failed, err)
		if ctx.Err() != nil || !elsewhere(err, e) {
			break
		}
		if ClassOf(err) != Unsupported && len(c.paths) > 1 {
			p.access.Journal.Note("%s: %s does not serve (%s); another protocol is tried", what, p.access.Driver, ClassOf(err))
		}
	}
	return none, worst(failed)
}

// through calls a capability over one path.
func through[C, R any](ctx context.Context, c *Composed, p *path, what Capability, call func(C) (R, error)) (r R, err error) {
	begun := time.Now()
	name := cmp.Or(string(what), "identity")
	_, span := otel.Tracer("hagane/bmc").Start(ctx, "bmc "+name, trace.WithAttributes(attribute.String("bmc.protocol", p.access.Driver)))
	defer func() {
		if err != nil {
			span.SetStatus(codes.Error, string(ClassOf(err)))
		}
		span.End()
		if c.observe != nil {
			c.observe(Call{Capability: name, Protocol: p.access.Driver, Class: ClassOf(err), Failed: err != nil, Took: time.Since(begun)})
		}
	}()
	d, err := c.driver(ctx, p)
	if err != nil {
		return r, err
	}
	can, err := As[C](d)
	if err != nil {
		return r, err
	}
	return call(can)
}

// Call is one use of a capability over one path, for those who count.
type Call struct {
	Capability string // "identity" is reading what the server is
	Protocol   string
	Failed     bool
	Class      Class // of the failure
	Took       time.Duration
}

// Other makes the next path the first one for a capability, as when what the first accepts has no effect. It
// returns the path's protocol; "" when there is no other.
func (c *Composed) Other(what Capability) string {
	all := c.order(what)
	if len(all) < 2 {
		return ""
	}
	c.known.Set(pathFact+string(what), all[1].access.Driver)
	return all[1].access.Driver
}

// learn remembers the path that worked where a better one can not.
func (c *Composed) learn(what Capability, p *path, failed []error) {
	for _, err := range failed {
		switch ClassOf(err) {
		case Unsupported, Licence, Untrue, Refused:
			c.known.Set(pathFact+string(what), p.access.Driver)
			return
		default: // it may work again next time
		}
	}
}

// worst chooses the error that says most: the first that is not about a protocol that lacks the capability.
func worst(failed []error) error {
	for _, err := range failed {
		if ClassOf(err) != Unsupported {
			return err
		}
	}
	if len(failed) > 0 {
		return failed[0]
	}
	return Fail(Failure{Class: Unsupported}, "there is no way to the BMC")
}

// none is the result of calls that return an error only.
type none struct{}

func do[C any](ctx context.Context, c *Composed, what Capability, e effect, call func(C) error) error {
	_, err := by(ctx, c, what, e, func(can C) (none, error) { return none{}, call(can) })
	return err
}

// Identify reads what the server is, by the first path that answers. A BMC with other firmware than before is
// a new device: what was learnt about it is forgotten, but for the certificate.
func (c *Composed) Identify(ctx context.Context) (Identity, error) {
	id, err := by(ctx, c, "", reading, func(d Driver) (Identity, error) { return d.Identify(ctx) })
	const firmwareFact = "bmc firmware"
	if was := c.known.Get(firmwareFact); err == nil && id.BMCVersion != "" && was != id.BMCVersion {
		if was != "" {
			pin := c.known.Get("tls pin")
			c.known.Forget()
			c.known.Set("tls pin", pin)
		}
		c.known.Set(firmwareFact, id.BMCVersion)
	}
	if err == nil && c.known.Get(profileFact) == "" {
		f := profile.Facts{Vendor: id.BMCVendor, BMC: id.BMCModel, Firmware: id.BMCVersion, Maker: id.Manufacturer, Model: id.Model}
		if p := c.book.Find(f); p != nil {
			c.known.Set(profileFact, p.Name)
		}
	}
	return id, err
}

// Profile returns what is known about BMCs of this kind; nil when nothing is.
func (c *Composed) Profile() *profile.Profile { return c.book.Named(c.known.Get(profileFact)) }

// Sighting is what one witness says of a server's power.
type Sighting struct {
	Witness string // redfish, ipmi, …
	Power   Power
	Err     error // why it says nothing
}

// Witness asks every path for the power state: BMCs lie, and two that agree are believed more.
func (c *Composed) Witness(ctx context.Context) []Sighting {
	var out []Sighting
	for _, p := range c.paths {
		s := Sighting{Witness: p.access.Driver, Power: Unknown}
		d, err := c.driver(ctx, p)
		if err == nil {
			s.Power, err = d.Power(ctx)
		}
		s.Err = err
		out = append(out, s)
	}
	return out
}

// Reading is what one witness says of a server's sensors.
type Reading struct {
	Witness string
	Sensors []Sensor
	Err     error // why it says nothing
}

// AllSensors asks every path for its sensors.
func (c *Composed) AllSensors(ctx context.Context) []Reading {
	var out []Reading
	for _, p := range c.paths {
		r := Reading{Witness: p.access.Driver}
		d, err := c.driver(ctx, p)
		if err == nil {
			r.Sensors, err = d.Sensors(ctx)
		}
		r.Err = err
		out = append(out, r)
	}
	return out
}

// PathOffer is an offer of one path.
type PathOffer struct {
	Path string `json:"path"`
	Offer
}

// Survey probes every path that can be probed, remembers what works, and returns what was found.
func (c *Composed) Survey(ctx context.Context) ([]PathOffer, error) {
	var out []PathOffer
	var failed []error
	for _, p := range c.paths {
		d, err := c.driver(ctx, p)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		prober, ok := d.(Prober)
		if !ok {
			continue
		}
		offers, err := prober.Probe(ctx)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		for _, o := range offers {
			out = append(out, PathOffer{p.access.Driver, o})
			word := "no: "
			if o.Works {
				word = "yes: "
			}
			c.known.Set(probedFact+p.access.Driver+" "+string(o.Capability), word+o.Evidence)
		}
	}
	if len(out) == 0 && len(failed) > 0 {
		return nil, worst(failed)
	}
	return out, nil
}

// Close ends all sessions.
func (c *Composed) Close(ctx context.Context) error {
	var all []error
	for _, p := range c.paths {
		if p.driver != nil {
			all = append(all, p.driver.Close(ctx))
			p.driver = nil
		}
	}
	return errors.Join(all...)
}
