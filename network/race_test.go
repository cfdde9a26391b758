package network_test

import (
	"sync"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

// TestRaces makes and deletes at the same time what belongs together: one of the two is refused, and nothing breaks.
func TestRaces(t *testing.T) {
	each(t, func(s site) {
		for range 8 {
			n := s.network(mine, "n")
			s.subnet(n, "10.0.0.0/24")
			made, err := s.CreateGroups(s.Context(), []network.Group{{Record: network.Record{ProjectID: mine}, Name: "g"}})
			g := must(s, made, err)[0].ID
			var wg sync.WaitGroup
			var port network.Port
			var errs [3]error
			wg.Go(func() { port, errs[0] = s.port(mine, network.Port{NetworkID: n.ID, Groups: []string{g}}) })
			wg.Go(func() { errs[1] = s.DeleteNetwork(s.Context(), mine, n.ID, 0) })
			wg.Go(func() { errs[2] = s.DeleteGroup(s.Context(), mine, g, 0) })
			wg.Wait()
			for _, err := range errs {
				if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Conflict) {
					s.Errorf("a race ended with %v", err)
				}
			}
			if errs[0] == nil && (errs[1] == nil || errs[2] == nil) {
				s.Errorf("the port was made on a network (%v) and in a group (%v) that were deleted", errs[1], errs[2])
			}
			if errs[0] == nil {
				if err := s.DeletePort(s.Context(), mine, port.ID, 0); err != nil {
					s.Error(err)
				}
			}
			if errs[2] != nil {
				if err := s.DeleteGroup(s.Context(), mine, g, 0); err != nil {
					s.Error(err)
				}
			}
		}
	})
}
