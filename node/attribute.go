package node

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// fakeHardware is Ironic's name of the driver for nodes without hardware.
const fakeHardware = "fake-hardware"

// attributes is a node by Ironic's names, without passwords: what inspection rules read and change.
func (n *Node) attributes() map[string]any {
	props := map[string]any{}
	for k, v := range n.Properties {
		props[k] = v
	}
	props["capabilities"], props["zone"] = n.Capabilities(), n.Zone
	if n.RootHint != (protocol.RootHint{}) {
		props["root_device"] = n.RootHint
	}
	driver := n.Driver
	if driver == "fake" {
		driver = fakeHardware
	}
	d := map[string]any{"uuid": n.ID, "driver": driver, "driver_info": n.DriverInfo, "properties": props, "extra": n.Extra, "instance_info": n.InstanceInfo,
		"network_data": n.NetworkData, "protected": n.Protected, "retired": n.Retired}
	for key, to := range n.texts() {
		d[key] = *to
	}
	return d
}

// texts are the attributes that are texts.
func (n *Node) texts() map[string]*string {
	return map[string]*string{"name": &n.Name, "description": &n.Description, "resource_class": &n.ResourceClass, "conductor_group": &n.ConductorGroup, "owner": &n.Project,
		"lessee": &n.Lessee, "shard": &n.Shard, "protected_reason": &n.ProtectedReason, "retired_reason": &n.RetiredReason}
}

// setAttributes takes over what is in now otherwise than it was, and returns the BMC's password where that was set.
func (n *Node) setAttributes(was, now map[string]any) (password *string, err error) {
	for _, key := range changedKeys(was, now) {
		v, text := now[key], n.texts()[key]
		switch {
		case text != nil:
			*text, err = asText(key, v)
		case key == "driver":
			if n.Driver, err = asText(key, v); n.Driver == fakeHardware {
				n.Driver = "fake"
			}
		case key == "driver_info":
			password, err = n.setDriverInfo(v)
		case key == "properties":
			err = n.setProperties(v)
		case key == "extra":
			n.Extra, err = asDocument(key, v)
		case key == "instance_info":
			n.InstanceInfo, err = asDocument(key, v)
		case key == "network_data":
			n.NetworkData, err = asDocument(key, v)
		case key == "protected":
			n.Protected, err = asFlag(key, v)
		case key == "retired":
			n.Retired, err = asFlag(key, v)
		default:
			err = fault.Field(key, "can not be set by an inspection rule")
		}
		if err != nil {
			return nil, err
		}
	}
	return password, nil
}

func changedKeys(was, now map[string]any) []string {
	var keys []string
	for key := range now {
		if !reflect.DeepEqual(was[key], now[key]) {
			keys = append(keys, key)
		}
	}
	for key := range was {
		if _, ok := now[key]; !ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// asText reads a text; nothing is the empty one.
func asText(key string, v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case float64, bool:
		return Text(v), nil
	}
	return "", fault.Field(key, "must be a text")
}

// Text is a JSON value as driver_info and properties keep it: a number in plain digits (a node with 1 TiB has a memory_mb of
// 1048576, not 1.048576e+06), and what has parts as JSON.
func Text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}

func asFlag(key string, v any) (bool, error) {
	b, ok := v.(bool)
	if !ok && v != nil {
		return false, fault.Field(key, "must be true or false")
	}
	return b, nil
}

func asDocument(key string, v any) (map[string]json.RawMessage, error) {
	m, ok := v.(map[string]any)
	if !ok && v != nil {
		return nil, fault.Field(key, "must be an object")
	}
	out := map[string]json.RawMessage{}
	for k, inner := range m {
		raw, err := json.Marshal(inner)
		if err != nil {
			return nil, err
		}
		out[k] = raw
	}
	return out, nil
}

func (n *Node) setDriverInfo(v any) (password *string, err error) {
	info, ok := v.(map[string]any)
	if !ok && v != nil {
		return nil, fault.Field("driver_info", "must be an object")
	}
	n.DriverInfo = map[string]string{}
	for key, v := range info {
		text, err := asText("driver_info/"+key, v)
		switch {
		case err != nil:
			return nil, err
		case strings.HasSuffix(key, "_password"):
			password = &text
		default:
			n.DriverInfo[key] = text
		}
	}
	return password, nil
}

func (n *Node) setProperties(v any) error {
	props, ok := v.(map[string]any)
	if !ok && v != nil {
		return fault.Field("properties", "must be an object")
	}
	n.Properties, n.RootHint = map[string]string{}, protocol.RootHint{}
	for key, v := range props {
		if key == "root_device" {
			raw, err := json.Marshal(v)
			if err == nil {
				n.RootHint, err = ParseHint(raw)
			}
			if err != nil {
				return fault.Wrap("properties", err)
			}
			continue
		}
		text, err := asText("properties/"+key, v)
		switch {
		case err != nil:
			return err
		case key == "capabilities":
			n.SetCapabilities(text)
		case key == "zone":
			n.Zone = text
		default:
			n.Properties[key] = text
		}
	}
	return nil
}

// bootModeOf begins the capability that says how a node boots.
const bootModeOf = "boot_mode:"

// Capabilities are a node's capabilities as Ironic has them in its properties: names and values, with commas between.
func (n *Node) Capabilities() string {
	all := bootModeOf + string(n.BootMode)
	if more := n.Properties["capabilities"]; more != "" {
		all += "," + more
	}
	return all
}

// SetCapabilities takes capabilities over. Without a boot mode among them that stays.
func (n *Node) SetCapabilities(text string) {
	var more []string
	for _, c := range strings.Split(text, ",") {
		c = strings.TrimSpace(c)
		if mode, ok := strings.CutPrefix(c, bootModeOf); ok {
			n.BootMode = bmc.Mode(mode)
		} else if c != "" {
			more = append(more, c)
		}
	}
	delete(n.Properties, "capabilities")
	if len(more) > 0 {
		n.Properties["capabilities"] = strings.Join(more, ",")
	}
}

// attributes is a port by Ironic's names.
func (p *Port) attributes() map[string]any {
	return map[string]any{"uuid": p.ID, "address": p.MAC, "pxe_enabled": p.PXE, "physical_network": p.Plane, "local_link_connection": p.Link, "extra": p.Extra,
		"name": p.Name, "description": p.Describes, "is_smartnic": p.SmartNIC}
}

func (p *Port) setAttributes(was, now map[string]any) (err error) {
	for _, key := range changedKeys(was, now) {
		v := now[key]
		switch key {
		case "pxe_enabled":
			p.PXE, err = asFlag(key, v)
		case "is_smartnic":
			p.SmartNIC, err = asFlag(key, v)
		case "physical_network":
			p.Plane, err = asText(key, v)
		case "name":
			p.Name, err = asText(key, v)
		case "description":
			p.Describes, err = asText(key, v)
		case "extra":
			p.Extra, err = asDocument(key, v)
		case "local_link_connection":
			link, ok := v.(map[string]any)
			if !ok && v != nil {
				return fault.Field(key, "must be an object")
			}
			p.Link = map[string]string{}
			for k, inner := range link {
				if p.Link[k], err = asText(key+"/"+k, inner); err != nil {
					return err
				}
			}
		default:
			err = fault.Field(key, "of a port can not be set by an inspection rule")
		}
		if err != nil {
			return err
		}
	}
	p.UpdatedAt = db.Now()
	return checkPort(p)
}
