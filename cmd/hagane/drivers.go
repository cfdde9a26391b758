package main

import (
	"context"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/fake"
	"github.com/hagane-cloud/hagane/bmc/ipmi"
	"github.com/hagane-cloud/hagane/bmc/profile"
	"github.com/hagane-cloud/hagane/bmc/redfish"
	"github.com/hagane-cloud/hagane/bmc/ribcl"
	"github.com/hagane-cloud/hagane/bmc/scci"
	"github.com/hagane-cloud/hagane/bmc/wsman"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network/fabric"
	labswitch "github.com/hagane-cloud/hagane/network/fabric/lab"
	"github.com/hagane-cloud/hagane/network/fabric/ovs"
)

// bmcs is the list of BMC drivers.
type bmcs map[string]bmc.Opener

func newBMCs(book *profile.Book) bmcs {
	return bmcs{"redfish": redfish.Opener(book), "ipmi": ipmi.Open, "ribcl": ribcl.Open, "wsman": wsman.Open, "scci": scci.Open, "fake": fake.NewRack().Open}
}

// open opens the driver of the access's name.
func (b bmcs) open(ctx context.Context, a bmc.Access) (bmc.Driver, error) {
	if open := b[a.Driver]; open != nil {
		return open(ctx, a)
	}
	return nil, fault.Errorf(fault.Invalid, "there is no BMC driver %q", a.Driver)
}

// openSwitch opens the switch driver of the access's name.
func openSwitch(ctx context.Context, a fabric.Access) (fabric.Driver, error) {
	switch a.Driver {
	case "lab":
		return labswitch.Open(ctx, a)
	case "ovs":
		return ovs.Open(ctx, a)
	}
	return nil, fault.Field("driver", "there is no switch driver %q; there are lab and ovs", a.Driver)
}
