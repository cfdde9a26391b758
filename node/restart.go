package node

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// Restart says how a server is to be restarted, and into what.
type Restart struct {
	Soft bool      `json:"soft,omitempty"` // asks the operating system to shut down
	Boot *bmc.Boot `json:"boot,omitempty"` // to boot from; nil leaves it
}

// restart stops a server at rest in order, sets what it boots from, and starts it.
var restart = workflow.Workflow[*Job]{Name: "restart/1", Urgent: true, Steps: []workflow.Step[*Job]{
	{Name: "stop the server", Do: stopForRestart, Within: 15 * time.Minute},
	{Name: "set what it boots from", Do: bootForRestart, Within: 5 * time.Minute},
	{Name: "start the server", Do: startAgain, Within: 15 * time.Minute},
}}

func stopForRestart(ctx context.Context, j *Job) error {
	r, err := input[Restart](j)
	if err != nil {
		return err
	}
	if r.Soft {
		return j.softOff(ctx)
	}
	return powerOff(ctx, j)
}

func bootForRestart(ctx context.Context, j *Job) error {
	r, err := input[Restart](j)
	if err != nil || r.Boot == nil {
		return err
	}
	d, err := j.BMC(ctx)
	if err != nil {
		return err
	}
	if err := d.SetBoot(ctx, *r.Boot); err != nil {
		if !bmc.Passing(err) {
			return workflow.GiveUp(err)
		}
		return err
	}
	return j.update(ctx, func(n *Node) { n.Boot = r.Boot }, "boot")
}

func startAgain(ctx context.Context, j *Job) error { return j.reach(ctx, bmc.On, bmc.PowerOn, nil) }

// softOff asks the operating system to shut down, and gives up when it does not.
func (j *Job) softOff(ctx context.Context) error {
	if db.Since(j.Run.StepAt) > softFor {
		return workflow.GiveUp(fault.Errorf(fault.Conflict, "the operating system did not shut down within %s; ask for a hard power off", softFor))
	}
	return j.reach(ctx, bmc.Off, bmc.SoftOff, nil)
}

// AskRestart starts a restart of a node at rest, in the caller's transaction.
func (s *Service) AskRestart(ctx context.Context, tx db.Tx, id ID, r Restart) error {
	if _, err := s.Engine.Start(ctx, tx, restart.Name, string(id), r); err != nil {
		return err
	}
	_, err := tx.NewUpdate().Model((*Node)(nil)).Set("power_target = ?", bmc.Reset).Where("id = ?", id).Exec(ctx)
	return err
}

// restartTheBMC restarts a node's BMC and waits until it is back for good.
var restartTheBMC = workflow.Workflow[*Job]{Name: "restart-bmc/1", Steps: []workflow.Step[*Job]{
	{Name: "restart the BMC", Do: askBMCToRestart, Within: 5 * time.Minute, NotAbortable: true},
	{Name: "wait for the BMC to be back", Do: awaitBMC, Within: 10 * time.Minute},
}}

func askBMCToRestart(ctx context.Context, j *Job) error {
	k, err := input[bmc.RestartKind](j)
	if err != nil {
		return err
	}
	d, err := j.BMC(ctx)
	if err != nil {
		return err
	}
	if err := d.RestartBMC(ctx, k); err != nil {
		if !bmc.Passing(err) {
			return workflow.GiveUp(err)
		}
		return err
	}
	j.kept(j.Node).Memory.Set(restartFact, db.Now().Format(time.RFC3339))
	return nil
}

// A BMC that comes back from a restart answers, falls silent and answers again: three good answers in a row, so
// far apart, prove that it is there.
const (
	goodReads  = 3
	readsApart = 5 * time.Second
	awayLooks  = 2 // looks to pass before the first answer counts: a BMC answers on for a moment
)

func awaitBMC(ctx context.Context, j *Job) error {
	if j.Run.Attempt < awayLooks && !j.imaginary() {
		return workflow.Polling("the BMC to go away and come back", readsApart)
	}
	d, err := j.BMC(ctx)
	if err != nil {
		return err
	}
	memory := j.kept(j.Node).Memory
	const goodFact = "good answers since the restart"
	if _, err := d.Power(ctx); err != nil {
		memory.Set(goodFact, "")
		if !bmc.Passing(err) {
			return workflow.GiveUp(err)
		}
		return workflow.Polling("the BMC to come back", readsApart)
	}
	marks := memory.Get(goodFact) + "+"
	if len(marks) < goodReads && !j.imaginary() {
		memory.Set(goodFact, marks)
		return workflow.Polling("the BMC to stay", readsApart)
	}
	memory.Set(goodFact, "")
	return nil
}

// AskBMCRestart starts a restart of a node's BMC, in the caller's transaction.
func (s *Service) AskBMCRestart(ctx context.Context, tx db.Tx, id ID, k bmc.RestartKind) error {
	_, err := s.Engine.Start(ctx, tx, restartTheBMC.Name, string(id), k)
	return err
}

// Ask has a deed begun in the caller's transaction; what becomes of it is told to the tenant's Asked.
func (s *Service) Ask(ctx context.Context, tx db.Tx, id ID, w Deed) (workflow.RunID, error) {
	if err := w.Check(); err != nil {
		return "", err
	}
	run, err := s.Engine.Start(ctx, tx, deed.Name, string(id), w)
	return run.ID, err
}

// deedEnded tells the owner of a node what became of a deed.
func (s *Service) deedEnded(ctx context.Context, tx db.Tx, n *Node, run workflow.Run) error {
	var w Deed
	if err := json.Unmarshal(run.Input, &w); err != nil {
		return fault.E(fault.Internal, "reading what was done", err)
	}
	if run.Phase == workflow.Failed && w.Do != LookUp {
		if err := s.note(ctx, tx, n.ID, "failed", w.Do+": "+run.Error); err != nil {
			return err
		}
	}
	if n.Owner == "" || s.tenant == nil {
		return nil
	}
	return s.tenant.Asked(ctx, tx, n.Owner, n.ID, w, run.Error)
}
