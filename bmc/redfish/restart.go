package redfish

import (
	"context"
	"slices"

	"github.com/hagane-cloud/hagane/bmc"
)

// RestartBMC restarts the BMC with a type that it offers: Dell and Supermicro know GracefulRestart only, HPE
// takes none at all.
func (d *Driver) RestartBMC(ctx context.Context, k bmc.RestartKind) error {
	s, _, err := d.read(ctx)
	if err != nil {
		return err
	}
	m, err := d.bmcOf(ctx, s)
	if err != nil {
		return err
	}
	reset := m.Actions.Reset
	if reset == nil {
		return lacks("restart of itself")
	}
	kinds := []string{"GracefulRestart", "ForceRestart"}
	if k == bmc.Cold {
		kinds = []string{"ForceRestart", "GracefulRestart"}
	}
	offered, err := d.offered(ctx, *reset)
	if err != nil {
		return err
	}
	target := reset.Target
	if target == "" {
		target = link(d.manager).under("Actions/Manager.Reset")
	}
	body := any(struct{}{})
	for _, kind := range kinds {
		if slices.Contains(offered, kind) {
			body = map[string]string{"ResetType": kind}
			break
		}
	}
	_, err = d.post(ctx, "restarting the BMC", target, body)
	if bmc.ClassOf(err) == bmc.Uncertain {
		err = nil // it went away before it could answer: its absence is the proof that follows
	}
	if err == nil {
		d.token, d.session, d.basic, d.root = "", "", false, nil // it forgets its sessions
	}
	return err
}
