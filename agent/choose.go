package agent

import (
	"context"

	"github.com/hagane-cloud/hagane/agent/layout"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// root opens the disk that a hint means; the caller closes it.
func (a *agent) root(ctx context.Context, hint protocol.RootHint) (Disk, error) {
	disks, err := a.Machine.Disks(ctx)
	if err != nil {
		return nil, fault.Wrap("opening the disks", err)
	}
	chosen, err := layout.Choose(described(disks), hint)
	for i, d := range disks {
		if err != nil || i != chosen {
			_ = d.Close() // nothing was written to it
		}
	}
	if err != nil {
		return nil, err
	}
	return disks[chosen], nil
}

// described returns what is known of each disk.
func described(disks []Disk) []protocol.Disk {
	out := make([]protocol.Disk, len(disks))
	for i, d := range disks {
		out[i] = d.Info().Disk
	}
	return out
}
