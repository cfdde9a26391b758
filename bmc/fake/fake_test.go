package fake

import (
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/bmctest"
)

func TestConformance(t *testing.T) {
	const nowhere = "a fake BMC is called, not reached: it has no network, password or session"
	bmctest.Run(t, func(*testing.T) bmctest.Target {
		return bmctest.Target{
			Open: NewRack().Open, Access: bmc.Access{Driver: "fake", Address: "n1"}, Serial: "n1", Obeys: true,
			Lacks: map[bmctest.Check]string{bmctest.Credentials: nowhere, bmctest.Refusing: nowhere, bmctest.Silence: nowhere, bmctest.Forgetting: nowhere, bmctest.Users: nowhere},
		}
	})
}
