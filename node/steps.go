package node

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// stepper takes one of the steps that someone asks for. It may be called again while it returns a waiting.
type stepper func(ctx context.Context, j *Job, args map[string]json.RawMessage) error

// askable are the steps that can be asked for, by Ironic's names, interface and step. Those of every interface are
// under "*".
var askable = map[string]stepper{
	"*.power_on": func(ctx context.Context, j *Job, _ map[string]json.RawMessage) error {
		return j.reach(ctx, bmc.On, bmc.PowerOn, nil)
	},
	"*.power_off":                func(ctx context.Context, j *Job, _ map[string]json.RawMessage) error { return powerOff(ctx, j) },
	"*.reboot":                   rebootStep,
	"*.wait":                     waitStep,
	holdStep:                     nil, // by the run
	"bios.apply_configuration":   applyConfiguration,
	"bios.factory_reset":         asDeed(Deed{Do: ResetSettings}),
	"firmware.update":            updateFirmware,
	"management.clear_job_queue": asDeed(Deed{Do: DropSettings}),
	"management.reset_secure_boot_keys_to_default": asDeed(Deed{Do: ResetKeys}),
	"management.clear_sel":                         asDeed(Deed{Do: ClearEvents}),
	eraseStep:                                      nil, // by the agent, behind the others
}

// eraseStep erases all disks, as cleaning does.
const eraseStep = "deploy.erase_devices"

// holdStep holds the run until an operator lets it go on.
const holdStep = "*.hold"

// AskableSteps are the names of the steps that can be asked for.
func AskableSteps() []string { return slices.Sorted(maps.Keys(askable)) }

// key finds the step that was asked for.
func (t TemplateStep) key() (string, bool) {
	for _, k := range []string{t.Interface + "." + t.Step, "*." + t.Step} {
		if _, ok := askable[k]; ok {
			return k, true
		}
	}
	return "", false
}

// checkSteps refuses steps that nobody knows before the first is taken.
func checkSteps(steps []TemplateStep, erasing bool) error {
	if len(steps) == 0 {
		return fault.Field("steps", "there are none; name the steps to take")
	}
	for i, s := range steps {
		k, ok := s.key()
		if !ok || (k == eraseStep && !erasing) {
			return fault.Field("steps", "the step %s of %s is not possible here; possible: %s", s.Step, s.Interface, strings.Join(AskableSteps(), ", "))
		}
		if k == eraseStep && i != len(steps)-1 {
			return fault.Field("steps", "%s boots the agent and has to be the last", eraseStep)
		}
	}
	return nil
}

// Tend has steps taken on a manageable node: Ironic's manual cleaning.
func (s *Service) Tend(ctx context.Context, id ID, steps []TemplateStep) error {
	return s.withSteps(ctx, id, "clean", steps)
}

// Serve has steps taken on an active node: Ironic's servicing.
func (s *Service) Serve(ctx context.Context, id ID, steps []TemplateStep) error {
	return s.withSteps(ctx, id, "service", steps)
}

func (s *Service) withSteps(ctx context.Context, id ID, verb string, steps []TemplateStep) error {
	if err := checkSteps(steps, verb == "clean"); err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		n, err := get(ctx, tx, id)
		if err != nil {
			return err
		}
		return s.enterWith(ctx, tx, n, verb, steps)
	})
}

// stepsTaken is the kind of truth that tells how many of a run's steps have been taken.
const stepsTaken = "steps taken"

type taken struct {
	Run  workflow.RunID `json:"run"`
	Done int            `json:"done"`
}

// takeSteps takes the steps that the run was started with, in turn.
func takeSteps(ctx context.Context, j *Job) error {
	steps, err := input[[]TemplateStep](j)
	if err != nil {
		return err
	}
	t, err := j.Truth(ctx, j.Node.ID, stepsTaken)
	if err != nil {
		return err
	}
	at, err := Known[taken](t)
	if err != nil {
		return err
	}
	if at.Run != j.Run.ID {
		at = taken{Run: j.Run.ID}
	}
	for ; at.Done < len(steps); at.Done++ {
		k, _ := steps[at.Done].key()
		if k == holdStep {
			return j.holdBefore(ctx, at)
		}
		take := askable[k]
		if take == nil || (j.imaginary() && !strings.HasPrefix(k, "*")) {
			continue
		}
		if err := take(ctx, j, steps[at.Done].Args); err != nil {
			return fault.Wrap(fmt.Sprintf("step %d of %d, %s", at.Done+1, len(steps), k), err)
		}
		j.kept(j.Node).Memory.Set(pressFact, "") // the next step presses anew
		next := at
		next.Done++
		if err := j.found(ctx, stepsTaken, next, k, Proven); err != nil {
			return err
		}
	}
	return nil
}

// holdBefore holds the run, so that it goes on with the next step when it is released. A run that breaks off before that is
// recorded is held once more, rather than not at all.
func (j *Job) holdBefore(ctx context.Context, at taken) error {
	at.Done++
	if err := j.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		return j.Engine.Hold(ctx, tx, string(j.Node.ID), fmt.Sprintf("the step %d that was asked for", at.Done))
	}); err != nil {
		return err
	}
	if err := j.found(ctx, stepsTaken, at, holdStep, Proven); err != nil {
		return err
	}
	return workflow.Waiting("an operator to let it go on (unhold)")
}

// ifErasing does something only in runs that were asked to erase the disks.
func ifErasing(do func(ctx context.Context, j *Job) error) func(ctx context.Context, j *Job) error {
	return func(ctx context.Context, j *Job) error {
		steps, err := input[[]TemplateStep](j)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(steps, func(s TemplateStep) bool { k, _ := s.key(); return k == eraseStep }) {
			return nil
		}
		return do(ctx, j)
	}
}

// asDeed takes a step that is a deed.
func asDeed(w Deed) stepper {
	return func(ctx context.Context, j *Job, _ map[string]json.RawMessage) error {
		d, err := j.BMC(ctx)
		if err != nil {
			return err
		}
		return hopelessly(deeds[w.Do].do(ctx, d, w))
	}
}

// hopelessly gives up at what trying again can not cure.
func hopelessly(err error) error {
	if err != nil && !bmc.Passing(err) {
		return workflow.GiveUp(err)
	}
	return err
}

// arg reads an argument of a step.
func arg[T any](args map[string]json.RawMessage, name string) (T, error) {
	var v T
	raw, ok := args[name]
	if !ok {
		return v, workflow.GiveUp(fault.Field("args", "%s is missing", name))
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, workflow.GiveUp(fault.Field("args", "%s has a wrong form: %v", name, err))
	}
	return v, nil
}

// rebootStep resets the server once, or starts one that is off.
func rebootStep(ctx context.Context, j *Job, _ map[string]json.RawMessage) error {
	if times, _ := j.presses(); times == 0 {
		d, err := j.BMC(ctx)
		if err != nil {
			return err
		}
		if err := d.SetPower(ctx, bmc.Reset); err != nil {
			return hopelessly(err)
		}
		j.notePress()
	}
	return j.reach(ctx, bmc.On, bmc.PowerOn, nil)
}

// waitStep lets time pass: the argument seconds.
func waitStep(_ context.Context, j *Job, args map[string]json.RawMessage) error {
	seconds, err := arg[int](args, "seconds")
	if err != nil {
		return err
	}
	const most = 6 * 60 * 60
	if seconds < 0 || seconds > most {
		return workflow.GiveUp(fault.Field("args", "seconds must be 0 to %d", most))
	}
	if left := time.Duration(seconds)*time.Second - db.Since(j.Run.StepAt); left > 0 {
		return workflow.Polling(fmt.Sprintf("%d seconds to pass", seconds), left)
	}
	return nil
}

// applyConfiguration sets BIOS settings: the argument settings is a list of names and values.
func applyConfiguration(ctx context.Context, j *Job, args map[string]json.RawMessage) error {
	list, err := arg[[]struct {
		Name  string `json:"name"`
		Value any    `json:"value"`
	}](args, "settings")
	if err != nil {
		return err
	}
	values := map[string]any{}
	for _, s := range list {
		values[s.Name] = s.Value
	}
	d, err := j.BMC(ctx)
	if err != nil {
		return err
	}
	return hopelessly(d.SetSettings(ctx, values))
}

// updateFirmware has components updated: the argument settings is a list of components with the URL and version of their
// image.
func updateFirmware(ctx context.Context, j *Job, args map[string]json.RawMessage) error {
	list, err := arg[[]struct {
		Component string `json:"component"`
		URL       string `json:"url"`
		Version   string `json:"version"`
	}](args, "settings")
	if err != nil {
		return err
	}
	want := map[string]FirmwareAim{}
	for _, s := range list {
		if s.Component == "" || s.URL == "" || s.Version == "" {
			return workflow.GiveUp(fault.Field("args", "each of settings needs component, url and version: the version that is read afterwards is the proof"))
		}
		want[s.Component] = FirmwareAim{Version: s.Version, URL: s.URL}
	}
	d, err := j.BMC(ctx)
	if err != nil {
		return err
	}
	if err := j.awaitOwn(ctx, j.settleFirmware(ctx, d, want)); err != nil {
		return err
	}
	return j.tellStaged(ctx, d, want)
}

// tellStaged tells which components get their firmware with a later boot: no boot belongs to these steps.
func (j *Job) tellStaged(ctx context.Context, d *bmc.Composed, want map[string]FirmwareAim) error {
	now, err := d.Firmware(ctx)
	if err != nil {
		return err
	}
	for _, c := range now {
		if aim, ok := want[c.ID]; ok && c.Version != aim.Version {
			if err := j.tell(ctx, "firmware", fmt.Sprintf("%s is %s until the server's next boot, which has to bring %s", c.Name, c.Version, aim.Version)); err != nil {
				return err
			}
		}
	}
	return nil
}
