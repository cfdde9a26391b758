package agent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// smallestRoot is the smallest disk that an empty hint takes where there is a choice: smaller ones
// are virtual media and boot modules.
const smallestRoot = 4 << 30

// root opens the disk that a hint means; the caller closes it.
func (a *agent) root(ctx context.Context, hint protocol.RootHint) (Disk, error) {
	disks, err := a.Machine.Disks(ctx)
	if err != nil {
		return nil, fault.Wrap("opening the disks", err)
	}
	infos := make([]DiskInfo, len(disks))
	for i, d := range disks {
		infos[i] = d.Info()
	}
	chosen, err := choose(infos, hint)
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

// choose returns the index of the disk that a hint means.
func choose(disks []DiskInfo, hint protocol.RootHint) (int, error) {
	var fitting []int
	for i, d := range disks {
		if fits(d, hint) {
			fitting = append(fitting, i)
		}
	}
	if hint == (protocol.RootHint{}) && len(fitting) > 1 {
		if large := slices.DeleteFunc(slices.Clone(fitting), func(i int) bool { return disks[i].Bytes < smallestRoot }); len(large) > 0 {
			fitting = large
		}
	}
	if len(fitting) == 0 {
		return -1, fault.Errorf(fault.Invalid, "no disk fits the root hint %+v: the machine has %s", hint, list(disks))
	}
	return slices.MinFunc(fitting, func(i, j int) int {
		return cmp.Or(cmp.Compare(disks[i].Bytes, disks[j].Bytes), cmp.Compare(disks[i].Name, disks[j].Name))
	}), nil
}

func fits(d DiskInfo, hint protocol.RootHint) bool {
	matches := func(want, have string) bool {
		return want == "" || strings.EqualFold(strings.TrimSpace(want), strings.TrimSpace(have))
	}
	return matches(hint.Name, d.Name) && matches(hint.Serial, d.Serial) && matches(hint.WWN, d.WWN) &&
		matches(hint.Model, d.Model) && d.Bytes >= hint.MinBytes
}

func list(disks []DiskInfo) string {
	if len(disks) == 0 {
		return "none (is the driver of its disk controller in the ramdisk?)"
	}
	words := make([]string, len(disks))
	for i, d := range disks {
		words[i] = fmt.Sprintf("%s (%d bytes, model %q, serial %q)", d.Name, d.Bytes, d.Model, d.Serial)
	}
	return strings.Join(words, ", ")
}
