package main

import (
	"context"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/fake"
	"github.com/hagane-cloud/hagane/bmc/ipmi"
	"github.com/hagane-cloud/hagane/bmc/redfish"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network/fabric"
	labswitch "github.com/hagane-cloud/hagane/network/fabric/lab"
)

// bmcs is the list of BMC drivers.
type bmcs struct{ fakes *fake.Rack }

func newBMCs() *bmcs { return &bmcs{fakes: fake.NewRack()} }

// open opens the driver of the access's name.
func (b *bmcs) open(ctx context.Context, a bmc.Access) (bmc.Driver, error) {
	switch a.Driver {
	case "redfish":
		return redfish.Open(ctx, a)
	case "ipmi":
		return ipmi.Open(ctx, a)
	case "fake":
		return b.fakes.Open(ctx, a)
	}
	return nil, fault.Errorf(fault.Invalid, "there is no BMC driver %q", a.Driver)
}

// openSwitch opens the switch driver of the access's name.
func openSwitch(ctx context.Context, a fabric.Access) (fabric.Driver, error) {
	if a.Driver == "lab" {
		return labswitch.Open(ctx, a)
	}
	return nil, fault.Errorf(fault.Invalid, "there is no switch driver %q; there is: lab", a.Driver)
}
