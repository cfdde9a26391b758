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

// AskPower is SetPower in a transaction of its own.
func (s *Service) AskPower(ctx context.Context, id ID, a bmc.Action) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error { return s.SetPower(ctx, tx, id, a) })
}

// Hold is PutHold in a transaction of its own.
func (s *Service) Hold(ctx context.Context, id ID, h Hold) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error { return s.PutHold(ctx, tx, id, h) })
}

// Release lifts all holds of a node.
func (s *Service) Release(ctx context.Context, id ID) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error { return s.LiftHolds(ctx, tx, id, "") })
}

// Reachable reports with a fault what is missing in a node's record to reach its BMC.
func (s *Service) Reachable(n *Node) error {
	_, err := s.access(n)
	return err
}

// setBoot sets the boot device of a node at rest, and reads it back.
var setBoot = workflow.Workflow[*Job]{Name: "set-boot-device/1", Steps: []workflow.Step[*Job]{
	{Name: "set the boot device", Do: setBootDevice, Within: time.Minute},
}}

func setBootDevice(ctx context.Context, j *Job) error {
	var want bmc.Boot
	if err := json.Unmarshal(j.Run.Input, &want); err != nil {
		return workflow.GiveUp(fault.E(fault.Internal, "reading the boot device", err))
	}
	d, err := j.BMC(ctx)
	if err != nil {
		return err
	}
	if err := d.SetBoot(ctx, want); err != nil {
		return err
	}
	return j.update(ctx, func(n *Node) { n.Boot = &want }, "boot")
}

// SetBootDevice has the boot device of a node at rest set, and waits for the outcome.
func (s *Service) SetBootDevice(ctx context.Context, id ID, b bmc.Boot) error {
	var run workflow.Run
	err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) (err error) {
		run, err = s.Engine.Start(ctx, tx, setBoot.Name, string(id), b)
		return err
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, setBoot.Within())
	defer cancel()
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		now, err := s.Engine.Run(ctx, s.DB.Read(), run.ID)
		switch {
		case err != nil:
			return err
		case now.Phase == workflow.Done:
			return nil
		case now.Phase == workflow.Failed:
			return fault.Errorf(fault.Unavailable, "%s", now.Error)
		}
		select {
		case <-ctx.Done():
			return fault.Errorf(fault.Unavailable, "the BMC has not answered yet; the boot device is still being set")
		case <-t.C:
		}
	}
}

// BootDevice returns the boot device that was last set and read back.
func (s *Service) BootDevice(ctx context.Context, id ID) (bmc.Boot, error) {
	n, err := get(ctx, s.DB.Read(), id)
	if err != nil || n.Boot == nil {
		return bmc.Boot{}, err
	}
	return *n.Boot, nil
}

// Conductor is a process that drives runs.
type Conductor struct {
	Host  string
	Alive bool
}

// Conductors returns the conductors of the last day.
func (s *Service) Conductors(ctx context.Context) ([]Conductor, error) {
	const day = 24 * 60 * 60 * 1000
	out := []Conductor{}
	now := s.DB.NowMillis()
	err := s.DB.Read().NewRaw("SELECT host, seen >= "+now+" - ? AS alive FROM conductor WHERE seen >= "+now+" - ? ORDER BY started_at",
		workflow.LeaseTime.Milliseconds(), day).Scan(ctx, &out)
	return out, fault.Wrap("listing conductors", err)
}
