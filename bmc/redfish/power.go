package redfish

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
)

func powerOf(s system) bmc.Power {
	switch s.PowerState {
	case "On":
		return bmc.On
	case "Off":
		return bmc.Off
	}
	return bmc.Unknown // PoweringOn, PoweringOff, Paused, or nothing
}

func (d *driver) Power(ctx context.Context) (bmc.Power, error) {
	s, _, err := d.read(ctx)
	if err != nil {
		return bmc.Unknown, err
	}
	return powerOf(s), nil
}

// resets are the reset types for each action, best first. A soft off never becomes a hard one.
var resets = map[bmc.Action][]string{
	bmc.PowerOn:  {"On", "ForceOn"},
	bmc.PowerOff: {"ForceOff"},
	bmc.SoftOff:  {"GracefulShutdown"},
	bmc.Reset:    {"ForceRestart", "PowerCycle"},
}

func (d *driver) SetPower(ctx context.Context, a bmc.Action) error {
	s, _, err := d.read(ctx)
	if err != nil {
		return err
	}
	now := powerOf(s)
	switch {
	case a == bmc.PowerOn && now == bmc.On, (a == bmc.PowerOff || a == bmc.SoftOff) && now == bmc.Off:
		return nil
	case a == bmc.Reset && now == bmc.Off:
		a = bmc.PowerOn
	}
	reset := s.Actions.Reset
	if reset == nil {
		return fault.Errorf(fault.Invalid, "the BMC offers no reset of the system")
	}
	offered, err := d.offered(ctx, s)
	if err != nil {
		return err
	}
	for _, kind := range resets[a] {
		if len(offered) > 0 && !slices.Contains(offered, kind) {
			continue
		}
		target := reset.Target
		if target == "" {
			target = d.system + "/Actions/ComputerSystem.Reset"
		}
		_, _, err := d.do(ctx, string(a), func(c *gofish.APIClient) (*http.Response, error) {
			return c.Post(target, map[string]string{"ResetType": kind})
		})
		return err
	}
	return fault.Errorf(fault.Invalid, "the BMC offers no %q; it offers %s", a, strings.Join(offered, ", "))
}

// offered returns the reset types that the BMC says it knows; none when it does not say.
func (d *driver) offered(ctx context.Context, s system) ([]string, error) {
	if len(s.Actions.Reset.Types) > 0 || s.Actions.Reset.Info == "" {
		return s.Actions.Reset.Types, nil
	}
	// Some tell it only in a document of its own: Supermicro X13, AMI, OpenBMC.
	var info struct {
		Parameters []struct {
			Name   string
			Values []string `json:"AllowableValues"`
		}
	}
	if _, err := d.get(ctx, s.Actions.Reset.Info, &info); err != nil {
		return nil, err
	}
	for _, p := range info.Parameters {
		if p.Name == "ResetType" {
			return p.Values, nil
		}
	}
	return nil, nil
}
