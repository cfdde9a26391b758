package ironic

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/workflow"
)

func theirs(ours string) string {
	for _, d := range driverNames {
		if d.ours == ours {
			return d.theirs
		}
	}
	return ours
}

func ours(theirs string) string {
	for _, d := range driverNames {
		if d.theirs == theirs {
			return d.ours
		}
	}
	return theirs
}

// masked stands where a password is.
const masked = "******"

func self(r *api.Request, kind, id string) []api.Object {
	base := api.BaseURL(r.Request) + Prefix
	return []api.Object{{"rel": "self", "href": base + "/v1/" + kind + "/" + id}, {"rel": "bookmark", "href": base + "/" + kind + "/" + id}}
}

// nodeDoc is a node as Ironic shows it. run is the zero Run for a node at rest.
func nodeDoc(r *api.Request, n *node.Node, run workflow.Run) api.Object {
	info := map[string]any{}
	for k, v := range n.DriverInfo {
		info[k] = v
	}
	if len(n.Password) > 0 {
		info[n.Driver+"_password"] = masked
	}
	props := ownProperties(n)
	for k, v := range n.Properties {
		if _, own := props[k]; own {
			continue
		}
		if i, err := strconv.Atoi(v); err == nil {
			props[k] = i
			continue
		}
		props[k] = v
	}
	var reason, kind any
	if len(n.Holds) > 0 {
		reason, kind = orNull(n.Holds[0].Reason), n.Holds[0].Category
	}
	d := api.Object{"uuid": n.ID, "name": orNull(n.Name), "driver": theirs(n.Driver), "driver_info": info, "properties": props, "extra": orObject(n.Extra),
		"resource_class": n.ResourceClass, "description": orNull(n.Description), "traits": orList(n.Traits), "conductor_group": n.ConductorGroup,
		"chassis_uuid": orNull(n.ChassisID), "parent_node": orNull(string(n.ParentID)), "raid_config": api.Object{}, "target_raid_config": orObject(n.TargetRAID),
		"provision_state": node.ProvisionState(n.State, run.Phase), "target_provision_state": orNull(node.TargetState(n.State, run.Phase)),
		"power_state": powerWord(n.Power), "target_power_state": orNull(targetWord(n.PowerTarget)), "last_error": orNull(n.LastError),
		"maintenance": len(n.Holds) > 0, "maintenance_reason": reason, "fault": kind, "instance_uuid": orNull(n.Owner), "instance_info": orObject(n.InstanceInfo),
		"deploy_step": api.Object{}, "clean_step": api.Object{}, "service_step": api.Object{}, "driver_internal_info": internal(run),
		"provision_updated_at": api.Time(n.StateAt), "created_at": api.Time(n.CreatedAt), "updated_at": api.Time(n.UpdatedAt),
		"inspection_finished_at": api.Time(n.InspectedAt.Time), "inspection_started_at": nil, "console_enabled": recorded(n), "protected": n.Protected, "protected_reason": orNull(n.ProtectedReason),
		"disable_power_off": false, "retired": n.Retired, "retired_reason": orNull(n.RetiredReason), "owner": orNull(n.Project), "lessee": orNull(n.Lessee), "reservation": nil, "boot_mode": n.BootMode,
		"secure_boot": nil, "shard": orNull(n.Shard), "network_data": orObject(n.NetworkData), "automated_clean": orFlag(n.AutomatedClean), "allocation_uuid": orNull(n.AllocationID), "links": self(r, "nodes", string(n.ID)), "ports": self(r, "nodes", string(n.ID)+"/ports")}
	for _, i := range []string{"power", "management"} {
		d[i+"_interface"] = n.Driver
	}
	for i, v := range map[string]string{"deploy": "direct", "boot": bootWord(n), "inspect": "agent", "network": "hagane", "bios": offers(n, bmc.CanSettings, "no-bios"), "console": offers(n, bmc.CanConsole, "no-console"),
		"raid": "no-raid", "rescue": "agent", "storage": "noop", "vendor": "no-vendor", "firmware": offers(n, bmc.CanFirmware, "no-firmware")} {
		d[i+"_interface"] = v
	}
	if n.Driver == "fake" {
		for _, i := range interfaces {
			d[i+"_interface"] = "fake"
		}
		d["network_interface"], d["storage_interface"] = "noop", "noop"
		if n.BootBy == node.ByMedia {
			d["boot_interface"] = bootByMedia
		}
	}
	if seen(r) != "" {
		d["driver_info"] = api.Object{"hidden": "only operators see how the BMC is reached"}
	}
	return d
}

// interfaces are the parts of a node that Ironic's drivers have one for.
var interfaces = []string{"bios", "boot", "console", "deploy", "firmware", "inspect", "management", "network", "power", "raid", "rescue", "storage", "vendor"}

// offers returns the driver's name where the BMC has a capability, and else the word for none.
func recorded(n *node.Node) bool {
	on, _ := n.Recorded()
	return on
}

func offers(n *node.Node, c bmc.Capability, none string) string {
	if has, _ := n.Has(c); has {
		return n.Driver
	}
	return none
}

// The words for how the agent is booted.
const (
	bootByMedia   = "redfish-virtual-media"
	bootByNetwork = "ipxe"
)

func bootWord(n *node.Node) string {
	if n.BootBy == node.ByMedia {
		return bootByMedia
	}
	return bootByNetwork
}

// setBootBy takes a boot_interface over; nil, as when it is unset, is the network.
func setBootBy(n *node.Node, word *string) error {
	switch {
	case word == nil || slices.Contains([]string{bootByNetwork, "pxe", "http-ipxe", "http", "fake"}, *word):
		n.BootBy = node.ByNetwork
	case *word == bootByMedia:
		n.BootBy = node.ByMedia
	default:
		return fault.Field("boot_interface", "%q is not possible; possible: %s, %s", *word, bootByNetwork, bootByMedia)
	}
	return nil
}

// ownProperties are the properties that we keep in fields of their own.
func ownProperties(n *node.Node) map[string]any {
	props := map[string]any{"capabilities": n.Capabilities(), "zone": n.Zone}
	if n.RootHint != (protocol.RootHint{}) {
		props["root_device"] = n.RootHint
	}
	return props
}

// internal shows how far the run of a moving node is: what Ironic has no field for.
func internal(run workflow.Run) api.Object {
	if run.ID == "" || run.Phase.Ended() {
		return api.Object{}
	}
	return api.Object{"workflow": run.Workflow, "step": run.Step, "phase": run.Phase, "waits_for": run.Reason, "since": api.Time(run.StepAt), "deadline": api.Time(run.StepDeadline)}
}

func powerWord(p bmc.Power) any {
	switch p {
	case bmc.On:
		return "power on"
	case bmc.Off:
		return "power off"
	case bmc.Unknown:
	}
	return nil
}

func targetWord(a bmc.Action) string {
	switch a {
	case bmc.PowerOn:
		return "power on"
	case bmc.PowerOff, bmc.SoftOff:
		return "power off"
	case bmc.Reset:
		return "rebooting"
	}
	return ""
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// orFlag is a flag that may be unset.
func orFlag(s string) any {
	if s == "" {
		return nil
	}
	return s == "true"
}

func orList(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}

func orObject(m map[string]json.RawMessage) map[string]json.RawMessage {
	if m == nil {
		return map[string]json.RawMessage{}
	}
	return m
}

func portDoc(r *api.Request, p node.Port) api.Object {
	link := map[string]string{}
	for k, v := range p.Link {
		link[k] = v
	}
	d := api.Object{"uuid": p.ID, "address": p.MAC, "node_uuid": p.NodeID, "local_link_connection": link, "pxe_enabled": p.PXE, "physical_network": p.Plane,
		"extra": orObject(p.Extra), "portgroup_uuid": orNull(p.GroupID), "internal_info": api.Object{}, "is_smartnic": p.SmartNIC, "name": orNull(p.Name), "description": orNull(p.Describes), "created_at": api.Time(p.CreatedAt),
		"updated_at": api.Time(p.UpdatedAt), "links": self(r, "ports", string(p.ID))}
	if p.VIF != "" {
		d["internal_info"] = api.Object{"tenant_vif_port_id": p.VIF}
	}
	return portSince.at(microOf(r), d)
}

// pick narrows a document to the fields that were asked for.
func pick(d api.Object, fields []string) (api.Object, error) {
	if len(fields) == 0 {
		return d, nil
	}
	out := api.Object{"links": d["links"]}
	for _, f := range fields {
		v, ok := d[f]
		if !ok {
			return nil, fault.Field("fields", "there is no field %q", f)
		}
		out[f] = v
	}
	return out, nil
}

func fieldsOf(r *api.Request) []string {
	var fields []string
	for _, v := range r.URL.Query()["fields"] {
		fields = append(fields, strings.Split(v, ",")...)
	}
	return fields
}

// boolOf reads a boolean query parameter; nil when it is not there.
func boolOf(r *api.Request, name string) (*bool, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return nil, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return nil, fault.Field(name, "must be true or false")
	}
	return &b, nil
}

func (i *ironic) showNode(w http.ResponseWriter, r *api.Request, status int, n *node.Node) error {
	runs, err := i.Phases(r.Context(), []node.Node{*n})
	if err != nil {
		return err
	}
	crew, err := i.Engine.Crew(r.Context())
	if err != nil {
		return err
	}
	d, err := picked(r, n, runs[n.ID], crew, fieldsOf(r))
	if err != nil {
		return err
	}
	return api.JSON(w, status, d)
}
