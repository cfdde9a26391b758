package node

import (
	"context"
	"fmt"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// updateFact remembers the task of a component's update, so that no update begins twice.
const updateFact = "update "

// settleFirmware has the BMC install what differs from the baseline, one component after the other, and follows
// each until the task has ended. The version that is read back is the proof; some are in force after the boot only.
func (j *Job) settleFirmware(ctx context.Context, d *bmc.Composed, want map[string]FirmwareAim) error {
	if len(want) == 0 {
		return nil
	}
	now, err := d.Firmware(ctx)
	if err != nil {
		if lacking(err) {
			return j.tell(ctx, "drift", "the baseline's firmware can not be installed: "+err.Error())
		}
		return err
	}
	memory := j.kept(j.Node).Memory
	for _, c := range now {
		aim, ok := want[c.ID]
		fact := updateFact + c.ID + " " + aim.Version
		id := memory.Get(fact)
		if !ok || c.Version == aim.Version || id == "done" {
			memory.Set(fact, "")
			continue
		}
		if id == "" {
			t, err := d.Update(ctx, aim.URL, c.ID)
			if err != nil {
				return workflow.GiveUp(fault.Wrap("updating "+c.Name, err))
			}
			memory.Set(fact, t.ID)
			if err := j.tell(ctx, "firmware", fmt.Sprintf("updating %s from %s to %s", c.Name, c.Version, aim.Version)); err != nil {
				return err
			}
			return workflow.Polling(fmt.Sprintf("the update of %s", c.Name), j.soon())
		}
		t, err := d.Follow(ctx, id)
		switch {
		case err != nil:
			return err
		case t.Failed != "":
			memory.Set(fact, "")
			return workflow.GiveUp(fault.Errorf(fault.Conflict, "the update of %s failed: %s", c.Name, t.Failed))
		case !t.Done:
			return workflow.Polling(fmt.Sprintf("the update of %s, %d %%", c.Name, t.Percent), j.soon())
		}
		memory.Set(fact, "done") // in force, or after the boot that follows
	}
	return j.lookUp(ctx, d, "firmware", Told)
}
