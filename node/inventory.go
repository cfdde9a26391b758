package node

import (
	"encoding/json"

	"github.com/hagane-cloud/hagane/agent/protocol"
)

// Inventory is what the agent found, as Ironic's agent writes it down; beside it stand our own fields, where Ironic has none of
// the name.
// Source: ironic-python-agent's documentation, "Hardware Inventory"; gophercloud's package baremetal/inventory.
func Inventory(inv *protocol.Inventory) (map[string]any, error) {
	raw, err := json.Marshal(inv)
	if err != nil {
		return nil, err
	}
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	const mib = 1 << 20
	cpu := asObject(doc["cpu"])
	cpu["architecture"], cpu["count"], cpu["socket_count"], cpu["model_name"], cpu["flags"] = inv.Architecture, inv.CPU.Threads, inv.CPU.Sockets, inv.CPU.Model, []any{}
	disks := []any{}
	for i, d := range inv.Disks {
		disk := asObject(asList(doc["disks"])[i])
		disk["size"], disk["model"], disk["serial"], disk["wwn"] = d.Bytes, d.Model, d.Serial, d.WWN
		disks = append(disks, disk)
	}
	interfaces := []any{}
	for _, n := range inv.NICs {
		interfaces = append(interfaces, map[string]any{"name": n.Name, "mac_address": n.MAC, "has_carrier": n.Link, "speed_mbps": n.Mbps, "product": n.Product, "driver": n.Driver})
	}
	doc["cpu"], doc["disks"], doc["interfaces"] = cpu, disks, interfaces
	doc["memory"] = map[string]any{"physical_mb": inv.MemoryBytes / mib, "total": inv.MemoryBytes}
	doc["boot"] = map[string]any{"current_boot_mode": inv.BootMode}
	doc["bmc_address"] = inv.BMCAddress
	doc["system_vendor"] = map[string]any{"manufacturer": inv.Manufacturer, "product_name": inv.Product, "serial_number": inv.Serial,
		"firmware": map[string]any{"vendor": inv.BIOSVendor, "version": inv.BIOSVersion}}
	return doc, nil
}

func asObject(v any) map[string]any {
	m, _ := v.(map[string]any)
	if m == nil {
		m = map[string]any{}
	}
	return m
}

func asList(v any) []any {
	l, _ := v.([]any)
	return l
}
