package node

import (
	"encoding/json"
	"testing"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// TestParseHint reads root device hints as Metal3 and people write them.
func TestParseHint(t *testing.T) {
	for text, want := range map[string]protocol.RootHint{
		`{"name": "s== /dev/sda"}`:               {Name: "/dev/sda"},
		`{"serial": "S1", "wwn": "== 0x5"}`:      {Serial: "S1", WWN: "0x5"},
		`{"model": "s==X 1", "size": ">= 10"}`:   {Model: "X 1", MinBytes: 10 << 30},
		`{"size": 4}`:                            {MinBytes: 4 << 30},
		`{"name": "/dev/vda", "min_bytes": 512}`: {Name: "/dev/vda", MinBytes: 512},
		`{}`:                                     {},
	} {
		if got, err := ParseHint(json.RawMessage(text)); err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{`"sda"`, `{"vendor": "<in> x"}`, `{"model": "<in> x"}`, `{"rotational": false}`, `{"size": "< 10"}`, `{"size": -1}`, `{"name": 3}`, `{"serial": "s!= x"}`} {
		if got, err := ParseHint(json.RawMessage(text)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s is taken: %+v %v", text, got, err)
		}
	}
	n := Node{RootHint: protocol.RootHint{Name: "/dev/sda"}, InstanceInfo: map[string]json.RawMessage{"root_device": json.RawMessage(`{"serial": "s== S2"}`)}}
	if h, err := n.rootHint(); err != nil || h != (protocol.RootHint{Serial: "S2"}) {
		t.Errorf("the instance's own hint: %+v %v", h, err)
	}
}

// TestInventory has an inventory in Ironic's form, with our own fields beside it.
func TestInventory(t *testing.T) {
	inv := &protocol.Inventory{Manufacturer: "Hagane", Product: "Sim", Serial: "S", Architecture: "x86_64", BootMode: "uefi", CPU: protocol.CPU{Model: "C", Sockets: 1, Threads: 8},
		MemoryBytes: 1 << 30, Disks: []protocol.Disk{{Name: "/dev/sda", Bytes: 512, Rotational: true}}, NICs: []protocol.NIC{{Name: "eth0", MAC: "02:00:00:00:00:01", Link: true, Mbps: 100}}}
	doc, err := Inventory(inv)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		CPU struct {
			Count, Threads int
			Architecture   string
		}
		Memory struct {
			MiB int `json:"physical_mb"`
		}
		Disks []struct {
			Size, Bytes int64
			Rotational  bool
		}
		Interfaces []struct {
			MAC     string `json:"mac_address"`
			Carrier bool   `json:"has_carrier"`
		}
		Vendor struct{ Manufacturer string } `json:"system_vendor"`
		Mode   string                        `json:"boot_mode"`
	}
	if err := json.Unmarshal(raw, &got); err != nil || got.CPU.Count != 8 || got.CPU.Threads != 8 || got.CPU.Architecture != "x86_64" || got.Memory.MiB != 1024 ||
		got.Disks[0].Size != 512 || got.Disks[0].Bytes != 512 || !got.Disks[0].Rotational || got.Interfaces[0].MAC != "02:00:00:00:00:01" || !got.Interfaces[0].Carrier ||
		got.Vendor.Manufacturer != "Hagane" || got.Mode != "uefi" {
		t.Errorf("%s %v", raw, err)
	}
}
