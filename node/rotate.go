package node

import (
	"context"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/secret"
	"github.com/hagane-cloud/hagane/workflow"
)

// rotate gives the user that Hagane works with a new password, which nobody ever sees. The input is that password,
// sealed: whatever breaks off in between, one of the two that are on record works.
var rotate = workflow.Workflow[*Job]{Name: "rotate-password/1", Steps: []workflow.Step[*Job]{
	{Name: "change the BMC's password", Do: changePassword, Within: 5 * time.Minute, NotAbortable: true},
}}

func changePassword(ctx context.Context, j *Job) error {
	sealed, err := input[[]byte](j)
	if err != nil {
		return err
	}
	fresh, err := j.Box.Open(place(j.Node.ID), sealed)
	if err != nil {
		return workflow.GiveUp(err)
	}
	d, err := j.BMC(ctx)
	if err != nil {
		return err
	}
	paths, err := j.paths(j.Node)
	if err != nil {
		return err
	}
	if _, err = d.Power(ctx); bmc.ClassOf(err) == bmc.Credentials && j.opens(ctx, paths[0], string(fresh)) {
		// An earlier turn changed it and could not record that any more.
		return j.takeOver(ctx, sealed)
	}
	if err == nil {
		err = d.SetPassword(ctx, paths[0].Username, string(fresh))
	}
	if err != nil {
		j.keepTrace(ctx, err)
		return giveUpUnlessPassing(err)
	}
	return j.takeOver(ctx, sealed)
}

// opens reports whether a password works.
func (j *Job) opens(ctx context.Context, a bmc.Access, password string) bool {
	a.Password, a.Memory = password, j.kept(j.Node).Memory
	d, err := j.Options.Open(ctx, a)
	if err != nil {
		return false
	}
	_, err = d.Power(ctx)
	_ = d.Close(ctx)
	return err == nil
}

// takeOver records the new password.
func (j *Job) takeOver(ctx context.Context, sealed []byte) error {
	if err := j.update(ctx, func(n *Node) { n.Password = sealed }, "password"); err != nil {
		return err
	}
	return j.tell(ctx, "bmc", "the BMC's password was changed")
}

// RotatePassword has the BMC's password of a node at rest changed to a random one, and waits for the outcome.
func (s *Service) RotatePassword(ctx context.Context, id ID) error {
	var run workflow.Run
	err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if _, err := get(ctx, tx, id); err != nil {
			return err
		}
		var err error
		run, err = s.Engine.Start(ctx, tx, rotate.Name, string(id), s.Box.Seal(place(id), []byte(secret.Token()[:consolePassword])))
		return err
	})
	if err != nil {
		return err
	}
	return s.outcome(ctx, run.ID, rotate.Within(), rotate.Steps[0].Name)
}
