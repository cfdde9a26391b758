package network

import (
	"context"
	"crypto/rand"
	"net"
	"sync"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network/fabric"
	"github.com/hagane-cloud/hagane/secret"
)

// System is one of the cloud's own networks, in which agents are at work.
type System struct {
	Name string // provisioning or cleaning
	VLAN int
}

// Options are what a Service works with.
type Options struct {
	DB             *db.DB
	Box            *secret.Box
	Open           fabric.Opener
	VLANLo, VLANHi int // for tenants' networks, inclusive
	Systems        []System
}

// Service keeps networks and plugs switch ports.
type Service struct {
	Options
	mu       sync.Mutex
	switches map[string]fabric.Driver // open ones, by name
	guarding guarding
}

// NewService makes the service.
func NewService(o Options) *Service {
	return &Service{Options: o, switches: map[string]fabric.Driver{}}
}

// Owner says whose things a call may see: those of a project, or all when it is "".
type Owner string

func checkText(name, description string) error {
	if len(name) > 255 {
		return fault.Field("name", "must have at most 255 bytes")
	}
	if len(description) > 255 {
		return fault.Field("description", "must have at most 255 bytes")
	}
	return nil
}

// randomMAC returns a locally administered unicast address.
func randomMAC() string {
	mac := make(net.HardwareAddr, 6)
	_, _ = rand.Read(mac)
	mac[0] = mac[0]&^1 | 2
	return mac.String()
}

// SystemVLAN returns the VLAN of one of the cloud's own networks.
func (s *Service) SystemVLAN(_ context.Context, name string) (int, error) {
	for _, sys := range s.Systems {
		if sys.Name == name {
			return sys.VLAN, nil
		}
	}
	return 0, fault.Errorf(fault.Internal, "no system network %q", name)
}
