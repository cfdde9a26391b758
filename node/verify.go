package node

import (
	"context"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// reachBMC proves that the BMC answers and accepts the credentials, and keeps what it says the server is.
func reachBMC(ctx context.Context, j *Job) error {
	d, err := j.BMC(ctx)
	if err != nil {
		return err
	}
	id, err := d.Identify(ctx)
	if err != nil {
		return fault.Wrap("identifying the server", err)
	}
	return j.update(ctx, func(n *Node) { n.Identity = &id }, "identity")
}

func readPower(ctx context.Context, j *Job) error {
	p, err := j.power(ctx)
	if err != nil {
		return err
	}
	if p == bmc.Unknown {
		return workflow.Polling("the BMC to know the power state", j.soon())
	}
	return nil
}

// surveyBMC reads what the BMC can do by each protocol, and what it says of the server's health and NICs. It is done
// again when the BMC's firmware has changed. What a BMC can not do is no failure.
func surveyBMC(ctx context.Context, j *Job) error {
	if j.imaginary() {
		return nil
	}
	d, err := j.BMC(ctx)
	if err != nil {
		return err
	}
	if _, err := d.Survey(ctx); err != nil {
		return fault.Wrap("finding out what the BMC can do", err)
	}
	for _, kind := range []string{"nics", "health", "firmware", "boot mode"} {
		if err := j.lookUp(ctx, d, kind, Told); err != nil && bmc.Passing(err) {
			return err
		}
	}
	return nil
}
