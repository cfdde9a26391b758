package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
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
	var drift []string
	for _, part := range []func(ctx context.Context, j *Job, d *bmc.Composed) ([]string, error){tidyMedia, tidyOverride, tidyOrder, tidyLight, tidyUsers, tidySessions, tidyEvents} {
		words, err := part(ctx, j, d)
		if err != nil && !lacking(err) {
			j.keepTrace(ctx, err)
			return err
		}
		drift = append(drift, words...)
	}
	if len(drift) > 0 {
		return j.tell(ctx, "drift", "put back: "+strings.Join(drift, "; "))
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

func tidyMedia(ctx context.Context, j *Job, d *bmc.Composed) ([]string, error) {
	slots, err := d.Media(ctx)
	if err != nil {
		return nil, err
	}
	var drift []string
	for _, s := range slots {
		if s.Inserted {
			drift = append(drift, "ejected "+s.Image+" from "+s.ID)
		}
	}
	if len(drift) > 0 {
		if err := d.Eject(ctx, ""); err != nil {
			return nil, err
		}
	}
	return drift, j.lookUp(ctx, d, "media", Proven)
}

func tidyOverride(ctx context.Context, _ *Job, d *bmc.Composed) ([]string, error) {
	b, err := d.Boot(ctx)
	if err != nil || b.Device == bmc.None {
		return nil, err
	}
	return nil, d.SetBoot(ctx, bmc.Boot{Device: bmc.None}) // every deployment leaves one: no drift
}

func tidyLight(ctx context.Context, _ *Job, d *bmc.Composed) ([]string, error) {
	l, err := d.Light(ctx)
	if err != nil || l == bmc.LightOff || l == "" {
		return nil, err
	}
	return []string{"identify LED off"}, d.SetLight(ctx, bmc.LightOff)
}

// tidyOrder puts the boot options back into the order in which the node was first cleaned. Options that came since stay
// behind those: an operating system adds its own to the firmware's.
func tidyOrder(ctx context.Context, j *Job, d *bmc.Composed) ([]string, error) {
	now, err := d.BootOrder(ctx)
	if err != nil {
		return nil, err
	}
	first, fresh, err := atFirst(ctx, j, firstOrder, now)
	if err != nil || fresh {
		return nil, err
	}
	want, err := bmc.Ordered(now, first)
	if err != nil || slices.Equal(now, want) {
		return nil, nil // none of the options of then is left: there is nothing to put back
	}
	if err := d.SetBootOrder(ctx, want); err != nil {
		return nil, err
	}
	return []string{fmt.Sprintf("the boot order was %s, and is %s again", strings.Join(now, " "), strings.Join(want, " "))}, nil
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
func tidySessions(ctx context.Context, _ *Job, d *bmc.Composed) ([]string, error) {
	all, err := d.Sessions(ctx)
	if err != nil {
		return nil, err
	}
	var drift []string
	for _, s := range all {
		err := d.EndSession(ctx, s.ID)
		switch {
		case err == nil:
			drift = append(drift, "ended a session of "+s.User)
		case lacking(err), bmc.ClassOf(err) == bmc.Refused:
			drift = append(drift, fmt.Sprintf("a session of %s (%s) can not be ended: %v", s.User, s.ID, err))
		default:
			return drift, err
		}
	}
	return drift, nil
}

// tidyUsers removes users that were not there when the node was first cleaned.
func tidyUsers(ctx context.Context, j *Job, d *bmc.Composed) ([]string, error) {
	all, err := d.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	first, fresh, err := atFirst(ctx, j, firstUsers, all)
	if err != nil || fresh {
		return nil, err
	}
	var drift []string
	for _, a := range all {
		if slices.ContainsFunc(first, func(f bmc.Account) bool { return f.Name == a.Name }) {
			continue
		}
		if err := d.RemoveAccount(ctx, a.Name); err != nil {
			return drift, err
		}
		drift = append(drift, "removed the BMC's user "+a.Name)
	}
	return drift, nil
}

// tidyEvents keeps the event log of the tenancy and clears it.
func tidyEvents(ctx context.Context, j *Job, d *bmc.Composed) ([]string, error) {
	if err := j.lookUp(ctx, d, "events", Told); err != nil {
		return nil, err
	}
	return nil, d.ClearEvents(ctx)
}
