package layout

import (
	"testing"

	"github.com/hagane-cloud/hagane/agent/protocol"
)

// TestHint finds the disk that a layout names for the image, by what stays the same when disks get other names.
func TestHint(t *testing.T) {
	disks := []protocol.Disk{{Name: "/dev/sda", Serial: "A"}, {Name: "/dev/sdb", WWN: "0x5b"}, {Name: "/dev/sdc"}}
	own := protocol.RootHint{Model: "M"}
	for i, want := range []protocol.RootHint{{Serial: "A"}, {WWN: "0x5b"}, {Name: "/dev/sdc"}} {
		l := &protocol.Layout{Arrays: []protocol.Array{{}, {Primary: true, Disks: []string{DiskID(disks[i])}}}}
		if got, err := Hint(l, disks, own); err != nil || got != want {
			t.Errorf("%s: %+v, %v", disks[i].Name, got, err)
		}
	}
	for _, l := range []*protocol.Layout{nil, {}, {Arrays: []protocol.Array{{Primary: true}}}} {
		if got, err := Hint(l, disks, own); err != nil || got != own {
			t.Errorf("%+v: %+v, %v", l, got, err)
		}
	}
}

func TestChoose(t *testing.T) {
	of := func(name string, gib int64, serial string) protocol.Disk {
		return protocol.Disk{Name: name, Bytes: gib << 30, Serial: serial, Model: "M", WWN: "0x5" + serial}
	}
	disks := []protocol.Disk{of("/dev/sdb", 8, "B"), of("/dev/sda", 8, "A"), of("/dev/sdc", 1, "C"), of("/dev/sdd", 100, "D")}
	for name, c := range map[string]struct {
		disks []protocol.Disk
		hint  protocol.RootHint
		want  string
	}{
		"empty":       {disks, protocol.RootHint{}, "/dev/sda"},
		"only":        {disks[2:3], protocol.RootHint{}, "/dev/sdc"},
		"serial":      {disks, protocol.RootHint{Serial: " d"}, "/dev/sdd"},
		"model":       {disks, protocol.RootHint{Model: "m"}, "/dev/sdc"},
		"size":        {disks, protocol.RootHint{MinBytes: 9 << 30}, "/dev/sdd"},
		"both":        {disks, protocol.RootHint{Name: "/dev/sdb", WWN: "0x5B"}, "/dev/sdb"},
		"contradicts": {disks, protocol.RootHint{Name: "/dev/sdb", Serial: "A"}, ""},
		"none":        {nil, protocol.RootHint{}, ""},
	} {
		i, err := Choose(c.disks, c.hint)
		if got := ""; err == nil {
			if got = c.disks[i].Name; got != c.want {
				t.Errorf("%s: chose %s, want %s", name, got, c.want)
			}
		} else if c.want != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
