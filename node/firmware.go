package node

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// updatesKind is the kind of truth that tells how far the firmware updates of a run are.
const updatesKind = "firmware updates"

// updates are the firmware updates of one run.
type updates struct {
	Run workflow.RunID    `json:"run"`
	Of  map[string]*flash `json:"of"` // by component
}

// flash is the update of one component. It is on record before the BMC is asked, so that it is asked once: whether a request
// that nobody saw answered was carried out is told by the version, which is read in the end anyway.
type flash struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Task    string    `json:"task,omitempty"`
	Stage   stage     `json:"stage"`
	Own     bool      `json:"own,omitempty"`  // it is the BMC's own firmware
	At      time.Time `json:"at"`             // when the BMC was restarted for it
	Good    int       `json:"good,omitempty"` // good answers in a row since it is in force
}

// stage is how far an update is.
type stage string

const (
	asked     stage = "asked"
	staged    stage = "staged"    // it waits for the next boot
	restarted stage = "restarted" // the BMC was restarted for it
	ended     stage = "ended"     // in force, or after the next boot; the version tells
)

func (j *Job) updates(ctx context.Context) (updates, error) {
	t, err := j.Truth(ctx, j.Node.ID, updatesKind)
	if err != nil {
		return updates{}, err
	}
	up, err := Known[updates](t)
	if err != nil {
		return updates{}, err
	}
	if up.Run != j.Run.ID || up.Of == nil {
		up = updates{Run: j.Run.ID, Of: map[string]*flash{}}
	}
	return up, nil
}

func (j *Job) keepUpdates(ctx context.Context, up updates) error {
	return j.found(ctx, updatesKind, up, "what the BMC's tasks say", Told)
}

// bmcNames are what vendors call the BMC in their inventories of firmware.
var bmcNames = regexp.MustCompile(`(?i)^(bmc|ilo|idrac|integrated dell remote access|irmc|xcc|imm|cimc)\b`)

// ownFirst returns the components with the BMC's own first: it is the BMC that installs the others.
func (j *Job) ownFirst(all []bmc.Component) []bmc.Component {
	out := slices.Clone(all)
	rank := func(c bmc.Component) int {
		if j.own(c) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(out, func(a, b bmc.Component) int { return cmp.Compare(rank(a), rank(b)) })
	return out
}

func (j *Job) own(c bmc.Component) bool {
	id := j.Node.Identity
	return bmcNames.MatchString(c.ID) || bmcNames.MatchString(c.Name) || (id != nil && id.BMCVersion != "" && c.Version == id.BMCVersion)
}

// settleFirmware has the BMC install what differs from the baseline: its own firmware first, with a restart of the BMC, and then one
// component after the other, until each is installed or waits for the server's next boot, which is one for all of them. While firmware
// is written the run can not be aborted.
func (j *Job) settleFirmware(ctx context.Context, d *bmc.Composed, want map[string]FirmwareAim) error {
	if len(want) == 0 {
		return nil
	}
	up, err := j.updates(ctx)
	if err != nil {
		return err
	}
	now, err := d.Firmware(ctx)
	if err != nil {
		if lacking(err) {
			return j.differs(ctx, Drift{Thing: "firmware", Want: "the baseline's", Remedy: "it can not be installed: " + fault.Message(err)})
		}
		return err
	}
	for _, c := range j.ownFirst(now) {
		aim, ok := want[c.ID]
		if !ok {
			continue
		}
		if err := j.settleComponent(ctx, d, up, c, aim); err != nil {
			return err
		}
	}
	return j.lookUp(ctx, d, "firmware", Told)
}

// awaitOwn waits for a BMC that was restarted for its new firmware and does not answer as it should. Good answers that it gave before
// count no more.
func (j *Job) awaitOwn(ctx context.Context, cause error) error {
	if !bmc.Passing(cause) {
		return cause
	}
	up, err := j.updates(ctx)
	if err != nil {
		return err
	}
	for _, u := range up.Of {
		if u.Stage != restarted || db.Since(u.At) > backWithin {
			continue
		}
		u.Good = 0
		if err := j.keepUpdates(ctx, up); err != nil {
			return err
		}
		return workflow.Firmly(fmt.Sprintf("the BMC to come back with its firmware %s: %s", u.Version, fault.Message(cause)), j.Pace.OrDefault().Every)
	}
	return cause
}

// settleComponent brings one component a step further; nil when there is nothing to do for it before the next boot.
func (j *Job) settleComponent(ctx context.Context, d *bmc.Composed, up updates, c bmc.Component, aim FirmwareAim) error {
	u := up.Of[c.ID]
	if u != nil && u.Version != aim.Version {
		u = nil // an earlier step of the run wanted another one
	}
	switch {
	case c.Version == aim.Version:
		if u == nil || u.Stage == ended {
			return nil
		}
		return j.inForce(ctx, d, up, u)
	case u == nil:
		return j.beginUpdate(ctx, d, up, c, aim)
	case u.Stage == asked && u.Task != "":
		return j.followUpdate(ctx, d, up, u)
	case u.Own && u.Stage == staged:
		return j.restartForUpdate(ctx, d, up, u)
	case u.Stage == restarted && db.Since(u.At) < backWithin:
		return workflow.Firmly("the BMC to show its firmware "+u.Version, j.Pace.OrDefault().Every)
	}
	return nil
}

func (j *Job) beginUpdate(ctx context.Context, d *bmc.Composed, up updates, c bmc.Component, aim FirmwareAim) error {
	u := &flash{Name: cmp.Or(c.Name, c.ID), Version: aim.Version, Stage: asked, Own: j.own(c)}
	up.Of[c.ID] = u
	if err := j.keepUpdates(ctx, up); err != nil {
		return err
	}
	t, err := d.Update(ctx, aim.URL, c.ID)
	switch {
	case bmc.ClassOf(err) == bmc.Uncertain:
		// Asking again could write it twice. What came of it shows in the version.
	case err != nil:
		delete(up.Of, c.ID)
		if err := j.keepUpdates(ctx, up); err != nil {
			return err
		}
		if bmc.Passing(err) { // nothing is written: the run can be aborted
			return workflow.Polling(fmt.Sprintf("the BMC to take the update of %s: %s", u.Name, fault.Message(err)), j.soon())
		}
		return fault.Wrap("updating "+u.Name, workflow.GiveUp(err))
	}
	u.Task = t.ID
	switch {
	case t.ID == "" && u.Own:
		u.Stage, u.At = restarted, db.Now() // nobody tells when it is written: it is not restarted by us
	case t.ID == "", t.Done && !u.Own:
		u.Stage = ended
	}
	if err := j.keepUpdates(ctx, up); err != nil {
		return err
	}
	if err := j.tell(ctx, "firmware", fmt.Sprintf("updating %s from %s to %s", u.Name, c.Version, aim.Version)); err != nil {
		return err
	}
	return j.writing(u, 0)
}

// writing waits while firmware is written.
func (j *Job) writing(u *flash, percent int) error {
	return workflow.Firmly(fmt.Sprintf("the update of %s, %d %%", u.Name, percent), min(j.soon(), j.Pace.OrDefault().Every))
}

func (j *Job) followUpdate(ctx context.Context, d *bmc.Composed, up updates, u *flash) error {
	t, err := d.Follow(ctx, u.Task)
	switch {
	case err != nil:
		return err
	case t.Failed != "":
		return workflow.GiveUp(fault.Errorf(fault.Conflict, "the update of %s failed: %s", u.Name, t.Failed))
	case t.Staged:
		u.Stage = staged
	case !t.Done:
		return j.writing(u, t.Percent)
	case u.Own && t.Gone:
		u.Stage, u.At = restarted, db.Now() // BMCs that restart by themselves forget their tasks
	case u.Own:
		u.Stage = staged // others want to be told
	default:
		u.Stage = ended
	}
	if err := j.keepUpdates(ctx, up); err != nil {
		return err
	}
	if !u.Own {
		return nil
	}
	return j.writing(u, t.Percent)
}

// backWithin is how long a BMC may take to come back with new firmware. Lenovo's and NVIDIA's want the restart at all
// (NVIDIA/infra-controller, preingestion-manager).
const backWithin = 15 * time.Minute

func (j *Job) restartForUpdate(ctx context.Context, d *bmc.Composed, up updates, u *flash) error {
	u.Stage, u.At = restarted, db.Now()
	if err := j.keepUpdates(ctx, up); err != nil {
		return err
	}
	if err := d.RestartBMC(ctx, bmc.Warm); err != nil && !bmc.Passing(err) && !lacking(err) { // one that can not be told restarts by itself
		return workflow.GiveUp(fault.Wrap("restarting the BMC for its new firmware", err))
	}
	if err := j.tell(ctx, "firmware", "the BMC was restarted for its firmware "+u.Version); err != nil {
		return err
	}
	return workflow.Firmly("the BMC to restart with its firmware "+u.Version, j.Pace.OrDefault().Every)
}

// inForce ends an update whose version is in force. A BMC with new firmware falls silent again before it stays, and may be able to do
// other things than before.
func (j *Job) inForce(ctx context.Context, d *bmc.Composed, up updates, u *flash) error {
	if u.Good++; u.Good >= goodReads || !u.Own {
		u.Stage = ended
	}
	if err := j.keepUpdates(ctx, up); err != nil {
		return err
	}
	if u.Stage != ended {
		return workflow.Firmly("the BMC to stay with its new firmware", j.Pace.OrDefault().Every)
	}
	if u.Own {
		return j.surveyAgain(ctx, d)
	}
	return nil
}

// installing waits while the server, which was started for its agent, installs firmware: a reset would break it. made reports whether
// there was anything to install, as such a boot takes longer.
func (j *Job) installing(ctx context.Context) (made bool, err error) {
	up, err := j.updates(ctx)
	if err != nil || len(up.Of) == 0 {
		return false, err
	}
	d, err := j.BMC(ctx)
	if err != nil {
		return true, err
	}
	for _, u := range up.Of {
		if u.Stage != staged {
			continue
		}
		t, err := d.Follow(ctx, u.Task)
		switch {
		case err != nil:
			return true, err
		case t.Failed != "":
			return true, workflow.GiveUp(fault.Errorf(fault.Conflict, "the update of %s failed: %s", u.Name, t.Failed))
		case !t.Done:
			return true, workflow.Firmly(fmt.Sprintf("the server to install the firmware of %s, %d %%; it must be neither reset nor powered off", u.Name, t.Percent), j.soon())
		}
		u.Stage = ended
		if err := j.keepUpdates(ctx, up); err != nil {
			return true, err
		}
	}
	return true, nil
}
