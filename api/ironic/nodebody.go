package ironic

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// raw is a document that is kept as it is given.
type raw = map[string]json.RawMessage

// nodeBody has the fields that a client may set. Of those that choose interfaces only boot_interface means something, how the
// agent is booted; the others are read and dropped: a driver is composed by what works.
type nodeBody struct {
	UUID            string         `json:"uuid"`
	Name            *string        `json:"name"`
	Driver          string         `json:"driver"`
	DriverInfo      map[string]any `json:"driver_info"`
	Properties      map[string]any `json:"properties"`
	Extra           raw            `json:"extra"`
	ResourceClass   *string        `json:"resource_class"`
	Description     *string        `json:"description"`
	BootInterface   *string        `json:"boot_interface"`
	Chassis         *string        `json:"chassis_uuid"`
	ConductorGroup  *string        `json:"conductor_group"`
	Owner           *string        `json:"owner"`
	Lessee          *string        `json:"lessee"`
	Shard           *string        `json:"shard"`
	Parent          *string        `json:"parent_node"`
	Protected       any            `json:"protected"`
	ProtectedReason *string        `json:"protected_reason"`
	Retired         any            `json:"retired"`
	RetiredReason   *string        `json:"retired_reason"`
	AutomatedClean  any            `json:"automated_clean"`
	InstanceInfo    raw            `json:"instance_info"`
	InstanceUUID    *string        `json:"instance_uuid"`
	NetworkData     raw            `json:"network_data"`
	DisablePowerOff any            `json:"disable_power_off"`
	Maintenance     any            `json:"maintenance"`
	Reason          *string        `json:"maintenance_reason"`
}

// flag reads a boolean that clients also write as a string; nil leaves it.
func flag(field string, v any) (*bool, error) {
	if v == nil {
		return nil, nil
	}
	b, err := strconv.ParseBool(strings.ToLower(fmt.Sprint(v)))
	if err != nil {
		return nil, fault.Field(field, "must be true or false")
	}
	return &b, nil
}

// or returns what a field was set to; null is the empty text.
func or(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// apply takes over what a body says. A body is whole: what it lacks is taken away.
func (b *nodeBody) apply(i *ironic, r *api.Request, n *node.Node) (password *string, err error) {
	n.Driver, n.Extra, n.Name, n.Description = ours(b.Driver), b.Extra, or(b.Name), or(b.Description)
	api.Set(&n.ResourceClass, b.ResourceClass)
	n.ConductorGroup, n.Project, n.Lessee, n.Shard = strings.ToLower(or(b.ConductorGroup)), or(b.Owner), or(b.Lessee), or(b.Shard)
	n.ProtectedReason, n.RetiredReason, n.InstanceInfo, n.NetworkData = or(b.ProtectedReason), or(b.RetiredReason), b.InstanceInfo, b.NetworkData
	for field, to := range map[string]struct {
		v   any
		out *bool
	}{"protected": {b.Protected, &n.Protected}, "retired": {b.Retired, &n.Retired}} {
		set, err := flag(field, to.v)
		if err != nil {
			return nil, err
		}
		*to.out = set != nil && *set
	}
	on, err := flag("disable_power_off", b.DisablePowerOff)
	if err != nil {
		return nil, err
	}
	if on != nil && *on {
		return nil, fault.Field("disable_power_off", "can not be true here: a node is handed over only when it was read as off")
	}
	clean, err := flag("automated_clean", b.AutomatedClean)
	if err != nil {
		return nil, err
	}
	n.AutomatedClean = ""
	if clean != nil {
		n.AutomatedClean = strconv.FormatBool(*clean)
	}
	if n.ChassisID = or(b.Chassis); n.ChassisID != "" {
		if _, err := i.Chassis(r.Context(), n.ChassisID); err != nil {
			return nil, fault.Field("chassis_uuid", "there is no chassis %q", n.ChassisID)
		}
	}
	if n.ParentID, err = i.nodeID(r, or(b.Parent)); err != nil {
		return nil, fault.Field("parent_node", "there is no node %q", or(b.Parent))
	}
	if n.ParentID == n.ID && n.ID != "" {
		return nil, fault.Field("parent_node", "is the node itself")
	}
	password = setInfo(n, b.DriverInfo)
	if err := setProperties(n, b.Properties); err != nil {
		return nil, err
	}
	return password, setBootBy(n, b.BootInterface)
}

// document is a node in the form of a body.
func document(n *node.Node) api.Object {
	info := map[string]any{}
	for k, v := range n.DriverInfo {
		info[k] = v
	}
	props := ownProperties(n)
	for k, v := range n.Properties {
		if _, own := props[k]; !own {
			props[k] = v
		}
	}
	return api.Object{"name": n.Name, "driver": theirs(n.Driver), "driver_info": info, "properties": props, "extra": orObject(n.Extra),
		"resource_class": n.ResourceClass, "description": n.Description, "boot_interface": bootWord(n), "chassis_uuid": orNull(n.ChassisID),
		"conductor_group": n.ConductorGroup, "owner": orNull(n.Project), "lessee": orNull(n.Lessee), "shard": orNull(n.Shard), "parent_node": orNull(string(n.ParentID)),
		"protected": n.Protected, "protected_reason": orNull(n.ProtectedReason), "retired": n.Retired, "retired_reason": orNull(n.RetiredReason),
		"automated_clean": orFlag(n.AutomatedClean), "instance_info": orObject(n.InstanceInfo), "instance_uuid": orNull(n.Owner), "network_data": orObject(n.NetworkData),
		"maintenance": len(n.Holds) > 0, "maintenance_reason": nil}
}

func (i *ironic) createNode(w http.ResponseWriter, r *api.Request) error {
	var fields raw
	if err := api.Decode(w, r, &fields); err != nil {
		return err
	}
	dropInterfaces(fields)
	var b nodeBody
	if err := api.Redecode(fields, &b); err != nil {
		return err
	}
	if b.Driver == "" {
		return fault.Field("driver", "driver is missing")
	}
	n := node.Node{ID: node.ID(strings.ToLower(b.UUID))}
	password, err := b.apply(i, r, &n)
	if err != nil {
		return err
	}
	if n, err = i.Create(r.Context(), n, or(password)); err != nil {
		return err
	}
	w.Header().Set("Location", api.BaseURL(r.Request)+Prefix+"/v1/nodes/"+string(n.ID))
	return i.showNode(w, r, http.StatusCreated, &n)
}

// dropInterfaces takes the interfaces out that mean nothing here.
func dropInterfaces(fields raw) {
	for k := range fields {
		if strings.HasSuffix(k, "_interface") && k != "boot_interface" {
			delete(fields, k)
		}
	}
}

// patchNode changes a node. A project that owns or leases it may change what it deploys, and no more.
func (i *ironic) patchNode(w http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	var b nodeBody
	touched, err := patchNoting(w, r, document(n), &b)
	if err != nil {
		return err
	}
	if seen(r) != "" {
		for _, field := range touched {
			if field != "instance_info" && field != "extra" && field != "network_data" {
				return fault.Errorf(fault.Denied, "only operators change %s of a node", field)
			}
		}
	}
	if err := i.Reserve(r.Context(), n.ID, strings.ToLower(or(b.InstanceUUID))); err != nil {
		return err
	}
	n.Owner = strings.ToLower(or(b.InstanceUUID))
	password, err := b.apply(i, r, n)
	if err != nil {
		return err
	}
	held, err := flag("maintenance", b.Maintenance)
	if err != nil {
		return err
	}
	out, err := i.Update(r.Context(), *n, password)
	if err != nil {
		return err
	}
	switch {
	case held != nil && *held && len(n.Holds) == 0:
		err = i.Hold(r.Context(), n.ID, node.Hold{Category: "operator", By: r.Caller.User.Name, Reason: or(b.Reason)})
	case held != nil && !*held && len(n.Holds) > 0:
		err = i.Release(r.Context(), n.ID)
	default:
		return i.showNode(w, r, http.StatusOK, &out)
	}
	if err != nil {
		return err
	}
	if n, err = i.get(r); err != nil {
		return err
	}
	return i.showNode(w, r, http.StatusOK, n)
}

// setInfo takes driver_info over and returns the password in it, if it was given and is not the mask that we show. What is null is not there.
func setInfo(n *node.Node, info map[string]any) *string {
	var password *string
	n.DriverInfo = map[string]string{}
	for k, v := range info {
		if v == nil {
			continue
		}
		if strings.HasSuffix(k, "_password") {
			if s := node.Text(v); s != masked {
				password = &s
			}
			continue
		}
		n.DriverInfo[k] = node.Text(v)
	}
	return password
}

// setProperties takes properties over; capabilities hold the boot mode among others, and zone says where the node stands. What is null is not there.
func setProperties(n *node.Node, props map[string]any) error {
	n.Properties, n.RootHint = map[string]string{}, protocol.RootHint{}
	for k, v := range props {
		if v == nil {
			continue
		}
		switch k {
		case "capabilities":
			n.SetCapabilities(node.Text(v))
		case "zone":
			n.Zone = node.Text(v)
		case "root_device":
			raw, err := json.Marshal(v)
			if err == nil {
				n.RootHint, err = node.ParseHint(raw)
			}
			if err != nil {
				return fault.Wrap("properties", err)
			}
		default:
			n.Properties[k] = node.Text(v)
		}
	}
	return nil
}
