package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

// tidyBMC takes back what a tenant may have left at the BMC: media, boot override and order, users and their sessions,
// the lit LED. The event log is saved and cleared. What the BMC can not do is passed over.
func tidyBMC(ctx context.Context, j *Job) error {
	d, err := j.BMC(ctx)
	if err != nil || j.imaginary() {
		return err
	}
	if err := j.surveyAgain(ctx, d); err != nil {
		return err
	}
	if err := j.differs(ctx); err != nil {
		return err
	}
	for _, part := range []func(ctx context.Context, j *Job, d *bmc.Composed) error{tidyMedia, tidyOverride, tidyOrder, tidyLight, tidyUsers, tidySessions, tidyEvents} {
		if err := part(ctx, j, d); err != nil && !lacking(err) {
			j.keepTrace(ctx, err)
			return err
		}
	}
	return nil
}

// surveyAgain finds out anew what the BMC can do when its firmware has changed: what was known of the old one is
// forgotten with the first look.
func (j *Job) surveyAgain(ctx context.Context, d *bmc.Composed) error {
	id, err := d.Identify(ctx)
	if err != nil {
		return err
	}
	was := j.Node.Identity
	if was != nil && was.BMCVersion == id.BMCVersion && len(j.Node.Offers()) > 0 {
		return nil
	}
	if _, err := d.Survey(ctx); err != nil {
		return err
	}
	if was != nil && was.BMCVersion != id.BMCVersion {
		if err := j.tell(ctx, "firmware", fmt.Sprintf("the BMC's firmware is %s, and was %s: what it can do was found out anew", id.BMCVersion, was.BMCVersion)); err != nil {
			return err
		}
	}
	return j.update(ctx, func(n *Node) { n.Identity = &id }, "identity")
}

// lacking reports whether a BMC can not do something at all, which is no reason to stop.
func lacking(err error) bool {
	return slices.Contains([]bmc.Class{bmc.Unsupported, bmc.Licence}, bmc.ClassOf(err))
}

func tidyMedia(ctx context.Context, j *Job, d *bmc.Composed) error {
	slots, err := d.Media(ctx)
	if err != nil {
		return err
	}
	var drift []Drift
	for _, s := range slots {
		if s.Inserted {
			drift = append(drift, Drift{Thing: "virtual medium in " + s.ID, Found: cmp.Or(s.Image, "an image that the BMC does not name"), Remedy: "ejected"})
		}
	}
	if len(drift) > 0 {
		if err := d.Eject(ctx, ""); err != nil {
			return err
		}
		if err := j.differs(ctx, drift...); err != nil {
			return err
		}
	}
	return j.lookUp(ctx, d, "media", Proven)
}

func tidyOverride(ctx context.Context, _ *Job, d *bmc.Composed) error {
	b, err := d.Boot(ctx)
	if err != nil || b.Device == bmc.None {
		return err
	}
	return d.SetBoot(ctx, bmc.Boot{Device: bmc.None}) // every deployment leaves one: no drift
}

func tidyLight(ctx context.Context, j *Job, d *bmc.Composed) error {
	l, err := d.Light(ctx)
	if err != nil || l == bmc.LightOff || l == "" {
		return err
	}
	if err := d.SetLight(ctx, bmc.LightOff); err != nil {
		return err
	}
	return j.differs(ctx, Drift{Thing: "identify LED", Want: string(bmc.LightOff), Found: string(l), Remedy: putBack})
}

// putBack is what is done about most drift.
const putBack = "put back"

// tidyOrder puts the boot options back into the order in which the node was first cleaned. Options that came since stay
// behind those: an operating system adds its own to the firmware's.
func tidyOrder(ctx context.Context, j *Job, d *bmc.Composed) error {
	now, err := d.BootOrder(ctx)
	if err != nil {
		return err
	}
	first, fresh, err := atFirst(ctx, j, firstOrder, now)
	if err != nil || fresh {
		return err
	}
	want, err := bmc.Ordered(now, first)
	if err != nil || slices.Equal(now, want) {
		return nil // none of the options of then is left: there is nothing to put back
	}
	if err := d.SetBootOrder(ctx, want); err != nil {
		return err
	}
	return j.differs(ctx, Drift{Thing: "boot order", Want: strings.Join(want, " "), Found: strings.Join(now, " "), Remedy: putBack})
}

// atFirst returns how a thing was when the node was first cleaned. When that is now, it is kept, and fresh is true.
func atFirst[T any](ctx context.Context, j *Job, kind string, now T) (first T, fresh bool, err error) {
	t, err := j.Truth(ctx, j.Node.ID, kind)
	if err != nil {
		return first, false, err
	}
	if t == nil {
		return now, true, j.found(ctx, kind, now, "read at the first cleaning", Told)
	}
	first, err = Known[T](t)
	return first, false, err
}

// tidySessions ends the sessions of others: that of a tenant, or of a user who was removed, lives on otherwise. Monitoring
// logs in again by itself.
func tidySessions(ctx context.Context, j *Job, d *bmc.Composed) error {
	all, err := d.Sessions(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		err := d.EndSession(ctx, s.ID)
		drift := Drift{Thing: "session of " + s.User, Found: s.ID, Remedy: "ended"}
		switch {
		case err == nil:
		case lacking(err), bmc.ClassOf(err) == bmc.Refused:
			drift.Remedy = "it can not be ended: " + fault.Message(err)
		default:
			return err
		}
		if err := j.differs(ctx, drift); err != nil {
			return err
		}
	}
	return nil
}

// tidyUsers removes users that were not there when the node was first cleaned, but for the cloud's own. Those that are gone, or may do
// something else than then, are told: their passwords are known to whoever made them, and the cloud could only make up others.
func tidyUsers(ctx context.Context, j *Job, d *bmc.Composed) error {
	all, err := d.Accounts(ctx)
	if err != nil {
		return err
	}
	first, fresh, err := atFirst(ctx, j, firstUsers, all)
	if err != nil || fresh {
		return err
	}
	own, err := j.usernames()
	if err != nil {
		return err
	}
	for _, drift := range usersDiffer(first, all, own) {
		if drift.Want == "" {
			name := strings.TrimPrefix(drift.Thing, userThing)
			if err := d.RemoveAccount(ctx, name); err != nil {
				return err
			}
		}
		if err := j.differs(ctx, drift); err != nil {
			return err
		}
	}
	return nil
}

const userThing = "BMC user "

// usersDiffer compares a BMC's users with those at first. own are those that the cloud logs in with, which an operator may have changed.
func usersDiffer(first, now []bmc.Account, own []string) []Drift {
	rights := func(a bmc.Account) string {
		if !a.Enabled {
			return a.Role + ", disabled"
		}
		return cmp.Or(a.Role, "enabled")
	}
	var out []Drift
	for _, a := range now {
		i := slices.IndexFunc(first, func(f bmc.Account) bool { return f.Name == a.Name })
		switch {
		case slices.Contains(own, a.Name):
		case i < 0:
			out = append(out, Drift{Thing: userThing + a.Name, Found: rights(a), Remedy: "removed"})
		case rights(first[i]) != rights(a):
			out = append(out, Drift{Thing: userThing + a.Name, Want: rights(first[i]), Found: rights(a), Remedy: "left so: correct it, and its password, at the BMC"})
		}
	}
	for _, f := range first {
		if !slices.Contains(own, f.Name) && !slices.ContainsFunc(now, func(a bmc.Account) bool { return a.Name == f.Name }) {
			out = append(out, Drift{Thing: userThing + f.Name, Want: rights(f), Remedy: "left so: make the user again, with a password, at the BMC"})
		}
	}
	return out
}

// savedEvents is how many entries of an event log are saved before it is cleared: more than BMCs keep.
const savedEvents = 4096

// tidyEvents saves the event log of the tenancy in the node's history and clears it.
func tidyEvents(ctx context.Context, j *Job, d *bmc.Composed) error {
	all, err := d.Events(ctx, savedEvents)
	if err != nil || len(all) == 0 {
		return err
	}
	if err := j.found(ctx, "events", all[max(0, len(all)-mostEvents):], "read from the BMC before its log was cleared", Told); err != nil {
		return err
	}
	text := logText(all)
	if clock := j.kept(j.Node).Memory.Get(bmc.ClockFact); clock != "" {
		text = "the BMC's clock is " + clock + "\n" + text
	}
	if err := j.tell(ctx, "event log", text); err != nil {
		return err
	}
	return d.ClearEvents(ctx)
}

// logText writes an event log, the latest entries of it when it is long. Times are those of the BMC's clock.
func logText(all []bmc.Event) string {
	var lines []string
	size := 0
	for i := len(all) - 1; i >= 0; i-- {
		e := all[i]
		at := "no time"
		if !e.At.IsZero() {
			at = e.At.UTC().Format(time.RFC3339)
		}
		line := strings.TrimSpace(strings.Join([]string{e.ID, at, e.Severity, e.Sensor, e.Message}, " "))
		if size += len(line) + 1; size > maxLog {
			lines = append(lines, fmt.Sprintf("… (%d entries before)", i+1))
			break
		}
		lines = append(lines, line)
	}
	slices.Reverse(lines)
	return strings.ToValidUTF8(strings.ReplaceAll(strings.Join(lines, "\n"), "\x00", ""), "�")
}
