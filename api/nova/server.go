package nova

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"time"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/server"
)

// around is what documents of servers need beside them, a few queries for all of them.
type around struct {
	nodes    map[node.ID]*node.Node
	ports    map[string][]network.Port // by server
	networks map[string]string         // names by id
	groups   map[string]string         // names of security groups by id
	flavors  map[string]server.Flavor
}

func (n *nova) around(r *api.Request, all []server.Server) (around, error) {
	var a around
	var err error
	var nodes []node.ID
	var ids, flavors []string
	for _, s := range all {
		ids, flavors = append(ids, string(s.ID)), append(flavors, s.FlavorID)
		if s.NodeID != "" {
			nodes = append(nodes, s.NodeID)
		}
	}
	if a.nodes, err = n.nodes.ByID(r.Context(), nodes); err != nil {
		return a, err
	}
	if a.flavors, err = n.servers.FlavorsOf(r.Context(), flavors); err != nil {
		return a, err
	}
	return a, n.attached(r, &a, ids)
}

// attached reads the ports of servers, and the names of the networks and security groups that these are in.
func (n *nova) attached(r *api.Request, a *around, servers []string) error {
	a.ports, a.networks, a.groups = map[string][]network.Port{}, map[string]string{}, map[string]string{}
	if len(servers) == 0 {
		return nil
	}
	ports, err := n.networks.ListPorts(r.Context(), "", network.Query{Where: map[string][]string{"device_id": servers}})
	if err != nil {
		return err
	}
	var networks, groups []string
	for _, p := range ports {
		a.ports[p.DeviceID] = append(a.ports[p.DeviceID], p)
		networks, groups = append(networks, p.NetworkID), append(groups, p.Groups...)
	}
	if len(ports) == 0 {
		return nil
	}
	found, err := n.networks.Networks(r.Context(), "", network.Query{Where: map[string][]string{"id": unique(networks)}})
	if err != nil {
		return err
	}
	for _, one := range found {
		a.networks[one.ID] = one.Name
	}
	if len(groups) == 0 {
		return nil
	}
	sgs, err := n.networks.Groups(r.Context(), "", network.Query{Where: map[string][]string{"id": unique(groups)}})
	for _, g := range sgs {
		a.groups[g.ID] = g.Name
	}
	return err
}

func unique(ids []string) []string { return slices.Compact(slices.Sorted(slices.Values(ids))) }

// inOrder are a server's ports in the order of its interfaces.
func (a around) inOrder(s *server.Server) []network.Port {
	var out []network.Port
	for _, nic := range s.NICs {
		for _, p := range a.ports[string(s.ID)] {
			if p.ID == nic.PortID {
				out = append(out, p)
			}
		}
	}
	return out
}

// condition is a server's state in Nova's terms.
type condition struct {
	status, vm string
	task       any // null when nothing is under way
	power      int
}

// Nova's power states.
const (
	powerNone     = 0
	powerRunning  = 1
	powerShutdown = 4
)

func conditionOf(s *server.Server, n *node.Node) condition {
	c := condition{status: string(server.StatusActive), vm: "active"}
	if n != nil && n.Power == bmc.On {
		c.power = powerRunning
	}
	if n != nil && n.Power == bmc.Off {
		c.power = powerShutdown
	}
	switch s.State {
	case server.Building:
		c = condition{string(server.StatusBuild), "building", "spawning", powerNone}
	case server.Failed:
		c.status, c.vm = string(server.StatusError), "error"
	case server.Rebuilding:
		c.status, c.task = string(server.StatusRebuild), "rebuild_spawning"
	case server.Active:
		c.active(n)
	}
	if s.Deleting {
		c.task = "deleting"
	}
	return c
}

// active tells by the power what an active server does.
func (c *condition) active(n *node.Node) {
	if n == nil {
		return
	}
	if n.Power == bmc.Off {
		c.status, c.vm = string(server.StatusShutoff), "stopped"
	}
	if c.rescued(n) {
		return
	}
	switch n.PowerTarget {
	case bmc.PowerOn:
		c.task = "powering-on"
	case bmc.PowerOff, bmc.SoftOff:
		c.task = "powering-off"
	case bmc.Reset:
		c.status, c.vm, c.task = string(server.StatusReboot), "active", "rebooting"
	}
}

// rescued tells of a server that is in the rescue system, or on its way there or back, and reports whether it is one.
func (c *condition) rescued(n *node.Node) bool {
	switch n.State {
	case node.Rescuing:
		c.status, c.vm, c.task = string(server.StatusActive), "active", "rescuing"
	case node.Unrescuing:
		c.status, c.vm, c.task = string(server.StatusRescue), "rescued", "unrescuing"
	case node.Rescue:
		c.status, c.vm = string(server.StatusRescue), "rescued"
	default:
		return false
	}
	if n.Astray() {
		c.status, c.vm, c.task = string(server.StatusError), "error", nil
	}
	return true
}

var serverSince = since{"OS-EXT-SRV-ATTR:reservation_id": 3, "OS-EXT-SRV-ATTR:launch_index": 3, "OS-EXT-SRV-ATTR:kernel_id": 3, "OS-EXT-SRV-ATTR:ramdisk_id": 3,
	"OS-EXT-SRV-ATTR:hostname": 3, "OS-EXT-SRV-ATTR:root_device_name": 3, "OS-EXT-SRV-ATTR:user_data": 3, "locked": 9, "host_status": 16, "description": 19,
	"tags": 26, "trusted_image_certificates": 63, "server_groups": 71, "locked_reason": 73}

// doc is the document of a server. one is for an answer about that server alone.
func (a around) doc(r *api.Request, s *server.Server, one bool) api.Object {
	n := a.nodes[s.NodeID]
	c := conditionOf(s, n)
	zone := s.Zone
	if n != nil {
		zone = n.Zone
	}
	d := api.Object{"id": s.ID, "name": s.Name, "status": c.status, "tenant_id": s.ProjectID, "user_id": s.UserID, "metadata": orEmpty(s.Metadata),
		"hostId": hostID(s), "image": api.Object{"id": s.ImageID, "links": bookmark(r, "images", s.ImageID)}, "flavor": a.flavor(r, s),
		"created": api.Time(s.CreatedAt), "updated": api.Time(s.UpdatedAt), "addresses": a.addresses(s), "accessIPv4": "", "accessIPv6": "",
		"links": links(r, "servers", string(s.ID)), "OS-DCF:diskConfig": "MANUAL", "OS-EXT-AZ:availability_zone": zone, "config_drive": "True",
		"key_name": orNull(s.KeyName), "OS-SRV-USG:launched_at": instant(s.LaunchedAt.Time), "OS-SRV-USG:terminated_at": nil,
		"security_groups": a.guards(s), "os-extended-volumes:volumes_attached": []api.Object{},
		"OS-EXT-STS:task_state": c.task, "OS-EXT-STS:vm_state": c.vm, "OS-EXT-STS:power_state": c.power}
	d["locked"], d["locked_reason"], d["description"] = s.LockedBy != "", orNull(s.LockedReason), orNull(s.Description)
	d["tags"], d["trusted_image_certificates"] = labels(s), nil
	switch s.State {
	case server.Active:
		d["progress"] = 100
	case server.Building, server.Rebuilding:
		d["progress"] = 0
	case server.Failed:
		d["fault"] = faultDoc(s.Fault, s.FaultAt.Time)
	}
	if s.State == server.Active && n != nil && n.Astray() {
		d["fault"] = faultDoc("the server neither came into the rescue system nor out of it; rescue or unrescue it again", n.StateAt)
	}
	if one {
		d["server_groups"] = []string{}
		if s.GroupID != "" {
			d["server_groups"] = []string{s.GroupID}
		}
	}
	if microOf(r) >= 90 {
		d["OS-EXT-SRV-ATTR:hostname"] = s.HostName()
	}
	if r.Caller.Operator() {
		forOperators(d, s)
	}
	return serverSince.at(r, d)
}

func faultDoc(why string, at time.Time) api.Object {
	return api.Object{"code": http.StatusInternalServerError, "message": why, "created": api.Time(at)}
}

// forOperators adds what only operators are told.
func forOperators(d api.Object, s *server.Server) {
	d["OS-EXT-SRV-ATTR:host"], d["OS-EXT-SRV-ATTR:hypervisor_hostname"] = orNull(string(s.NodeID)), orNull(string(s.NodeID))
	d["OS-EXT-SRV-ATTR:instance_name"], d["OS-EXT-SRV-ATTR:reservation_id"] = s.ID, s.Reservation
	d["OS-EXT-SRV-ATTR:launch_index"], d["OS-EXT-SRV-ATTR:hostname"] = s.LaunchIndex, s.HostName()
	d["OS-EXT-SRV-ATTR:kernel_id"], d["OS-EXT-SRV-ATTR:ramdisk_id"] = "", ""
	d["OS-EXT-SRV-ATTR:root_device_name"], d["OS-EXT-SRV-ATTR:user_data"] = "/dev/sda", nil // user data are sealed, and not shown
	d["host_status"] = "UP"
	if s.NodeID == "" {
		d["host_status"] = ""
	}
}

// labels are a server's tags, as a list that is never null.
func labels(s *server.Server) []string { return append([]string{}, s.Labels...) }

// hostID tells a project which of its servers share a host, and nothing else of it.
func hostID(s *server.Server) string {
	if s.NodeID == "" {
		return ""
	}
	sum := sha256.Sum224([]byte(s.ProjectID + string(s.NodeID)))
	return hex.EncodeToString(sum[:])
}

// flavor is how a server shows its flavor: a link, or from 2.47 on what it says.
func (a around) flavor(r *api.Request, s *server.Server) api.Object {
	if microOf(r) < 47 {
		return api.Object{"id": s.FlavorID, "links": bookmark(r, "flavors", s.FlavorID)}
	}
	f := a.flavors[s.FlavorID]
	return api.Object{"vcpus": f.VCPUs, "ram": f.RAM, "disk": f.Disk, "ephemeral": 0, "swap": 0, "original_name": f.Name, "extra_specs": orEmpty(f.Specs)}
}

// addresses are a server's addresses by the names of their networks.
func (a around) addresses(s *server.Server) api.Object {
	byNetwork := map[string][]api.Object{}
	for _, p := range a.inOrder(s) {
		name := a.networks[p.NetworkID]
		for _, ip := range p.FixedIPs {
			byNetwork[name] = append(byNetwork[name], api.Object{"addr": ip.Address, "version": ipVersion(ip.Address), "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": p.MAC})
		}
	}
	d := api.Object{}
	for name, list := range byNetwork {
		d[name] = list
	}
	return d
}

// guards are the names of the security groups that a server's ports are in.
func (a around) guards(s *server.Server) []api.Object {
	docs := []api.Object{}
	var names []string
	for _, p := range a.inOrder(s) {
		for _, g := range p.Groups {
			names = append(names, a.groups[g])
		}
	}
	for _, name := range unique(names) {
		docs = append(docs, api.Object{"name": name})
	}
	return docs
}

// shown is the document of one server.
func (n *nova) shown(r *api.Request, s *server.Server) (api.Object, error) {
	a, err := n.around(r, []server.Server{*s})
	if err != nil {
		return nil, err
	}
	return a.doc(r, s, true), nil
}

// find returns the server that a path names.
func (n *nova) find(r *api.Request) (*server.Server, error) {
	return n.servers.Get(r.Context(), scope(r), serverID(r))
}

func (n *nova) showServer(w http.ResponseWriter, r *api.Request) error {
	s, err := n.find(r)
	if err != nil {
		return err
	}
	d, err := n.shown(r, s)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"server": d})
}

func (n *nova) updateServer(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Server struct {
			Name        *string `json:"name"`
			Description *string `json:"description"`
			Hostname    *string `json:"hostname"`
			DiskConfig  string  `json:"OS-DCF:diskConfig"`
			AccessIPv4  string  `json:"accessIPv4"`
			AccessIPv6  string  `json:"accessIPv6"`
		} `json:"server"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	s := b.Server
	if err := only(map[string]string{"OS-DCF:diskConfig": s.DiskConfig, "accessIPv4": s.AccessIPv4, "accessIPv6": s.AccessIPv6}); err != nil {
		return err
	}
	if err := n.servers.Edit(r.Context(), scope(r), serverID(r), server.Change{Name: s.Name, Description: s.Description, Hostname: s.Hostname}); err != nil {
		return err
	}
	return n.showServer(w, r)
}

func (n *nova) deleteServer(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, n.servers.Delete(r.Context(), scope(r), serverID(r)))
}
