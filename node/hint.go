package node

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// ParseHint reads a root_device. A text may have Ironic's operator for equality before it; the size, in GiB, is the least one. A
// hint that can not be followed is refused: the image would go to another disk than is meant.
// Source: Ironic's documentation, "Specifying the disk for deployment (root device hints)".
func ParseHint(raw json.RawMessage) (protocol.RootHint, error) {
	const field, gib = "root_device", 1 << 30
	var h protocol.RootHint
	var words map[string]any
	if err := json.Unmarshal(raw, &words); err != nil {
		return h, fault.Field(field, "must be an object with name, serial, wwn, model or size")
	}
	texts := map[string]*string{"name": &h.Name, "serial": &h.Serial, "wwn": &h.WWN, "model": &h.Model}
	for key, v := range words {
		text, isText := v.(string)
		number, isNumber := v.(float64)
		switch {
		case texts[key] != nil && isText:
			text = strings.TrimSpace(text)
			for _, operator := range []string{"s==", "=="} {
				text = strings.TrimSpace(strings.TrimPrefix(text, operator))
			}
			if strings.HasPrefix(text, "<") || strings.HasPrefix(text, "s!=") || strings.HasPrefix(text, "!=") {
				return h, fault.Field(field, "%s: %q: disks are told by what equals them only", key, v)
			}
			*texts[key] = text
		case key == "size" && isText:
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), ">=")), 10, 32)
			if err != nil || n < 0 {
				return h, fault.Field(field, "size: %q must be a number of GiB, or >= and such", text)
			}
			h.MinBytes = n * gib
		case key == "size" && isNumber && number >= 0:
			h.MinBytes = int64(number) * gib
		case key == "min_bytes" && isNumber && number >= 0:
			h.MinBytes = int64(number)
		default:
			return h, fault.Field(field, "%q can not be followed; possible: name, serial, wwn, model and size", key)
		}
	}
	return h, nil
}

// rootHint is the disk that a deployment is to go to: what its instance_info says goes before what the node's properties say.
func (n *Node) rootHint() (protocol.RootHint, error) {
	raw, ok := n.InstanceInfo["root_device"]
	if !ok || string(raw) == "null" || string(raw) == "{}" {
		return n.RootHint, nil
	}
	h, err := ParseHint(raw)
	return h, fault.Wrap("instance_info", err)
}

// CheckRoot reports what is wrong with the hint to the root disk in a node's instance_info.
func (n *Node) CheckRoot() error {
	_, err := n.rootHint()
	return err
}
