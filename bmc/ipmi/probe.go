package ipmi

import (
	"context"
	"fmt"

	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/bmc"
)

// Probe reads once for each capability.
func (d *driver) Probe(ctx context.Context) ([]bmc.Offer, error) {
	id, err := d.Identify(ctx)
	if err != nil {
		return nil, err
	}
	var out []bmc.Offer
	offer := func(c bmc.Capability, evidence string, err error) {
		if err != nil {
			evidence = err.Error()
		}
		out = append(out, bmc.Offer{Capability: c, Works: err == nil, Evidence: evidence})
	}
	p, err := d.Power(ctx)
	offer(bmc.CanPower, fmt.Sprintf("Get Chassis Status says %s, by cipher suite %s", p, d.memory.Get(suiteFact)), err)
	b, err := d.Boot(ctx)
	offer(bmc.CanBoot, "the boot flags say "+string(b.Device), err)
	all, err := d.Sensors(ctx)
	if err == nil && len(all) == 0 {
		err = bmc.Fail(bmc.Failure{Class: bmc.Unsupported}, "the BMC has no sensor records")
	}
	offer(bmc.CanSensors, fmt.Sprintf("%d readings", len(all)), err)
	offer(bmc.CanHealth, "by the sensors' thresholds", err)
	_, err = d.Events(ctx, 1)
	offer(bmc.CanEvents, "Get SEL Info answers", err)
	l, err := d.Light(ctx)
	word := "the chassis status does not tell the light"
	if l != "" {
		word = "the chassis status says " + string(l)
	}
	offer(bmc.CanLight, word, err)
	_, err = d.ask(ctx, command{Command: types.CommandGetPayloadActivationStatus}, solPayload)
	offer(bmc.CanConsole, "Get Payload Activation Status knows Serial over LAN", err)
	users, err := d.Accounts(ctx)
	offer(bmc.CanAccounts, fmt.Sprintf("%d users", len(users)), err)
	offer(bmc.CanInterrupt, "Chassis Control is part of every "+id.BMCModel, nil)
	offer(bmc.CanRestart, "Cold Reset is part of every "+id.BMCModel, nil)
	return out, nil
}
