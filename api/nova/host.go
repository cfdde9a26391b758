package nova

import (
	"net/http"
	"strconv"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/server"
)

func (n *nova) zones(w http.ResponseWriter, r *api.Request) error {
	zones, err := n.nodes.Zones(r.Context())
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, z := range zones {
		docs = append(docs, api.Object{"zoneName": z, "zoneState": api.Object{"available": true}, "hosts": nil})
	}
	return api.JSON(w, http.StatusOK, api.Object{"availabilityZoneInfo": docs})
}

// amount is a number of a node's properties; 0 when it is not known.
func amount(one *node.Node, name string) int {
	v, err := strconv.Atoi(one.Properties[name])
	if err != nil {
		return 0
	}
	return v
}

// size is what a node has, and what of it is in use: all or nothing.
type size struct{ cpus, memory, disk, servers int }

func sizeOf(one *node.Node) (has, used size) {
	has = size{amount(one, "cpus"), amount(one, "memory_mb"), amount(one, "local_gb"), 0}
	if one.Owner != "" {
		used = has
		used.servers = 1
	}
	return has, used
}

// standing is whether a node may be chosen, and whether it is in reach.
func standing(one *node.Node) (status, state string, why any) {
	status, state = "enabled", "up"
	if one.Retired || len(one.Holds) > 0 {
		status, why = "disabled", orNull(one.RetiredReason)
	}
	if len(one.Holds) > 0 {
		why = one.Holds[0].Reason
	}
	if one.Power == bmc.Unknown {
		state = "down"
	}
	return status, state, why
}

// hypervisorDoc is a node, as Nova shows those of Ironic: a host with room for one server.
func hypervisorDoc(r *api.Request, one *node.Node, servers map[string][]server.Server, detail bool) api.Object {
	status, state, why := standing(one)
	d := api.Object{"id": one.ID, "hypervisor_hostname": one.ID, "status": status, "state": state}
	if servers != nil {
		list := []api.Object{}
		for _, s := range servers[string(one.ID)] {
			list = append(list, api.Object{"uuid": s.ID, "name": s.Name})
		}
		d["servers"] = list
	}
	if !detail {
		return d
	}
	has, used := sizeOf(one)
	d["hypervisor_type"], d["hypervisor_version"], d["host_ip"] = "ironic", 1, nil
	d["service"] = api.Object{"id": one.ID, "host": one.ID, "disabled_reason": why}
	if microOf(r) >= 88 {
		d["uptime"] = nil
		return d
	}
	var cpu any = ""
	if microOf(r) >= 28 {
		cpu = api.Object{}
	}
	for name, v := range map[string]any{"vcpus": has.cpus, "memory_mb": has.memory, "local_gb": has.disk, "vcpus_used": used.cpus, "memory_mb_used": used.memory,
		"local_gb_used": used.disk, "free_ram_mb": has.memory - used.memory, "free_disk_gb": has.disk - used.disk, "disk_available_least": has.disk - used.disk,
		"running_vms": used.servers, "current_workload": 0, "cpu_info": cpu} {
		d[name] = v
	}
	return d
}

func (n *nova) hypervisors(w http.ResponseWriter, r *api.Request) error {
	return n.listHypervisors(w, r, false)
}

func (n *nova) hypervisorsDetail(w http.ResponseWriter, r *api.Request) error {
	return n.listHypervisors(w, r, true)
}

func (n *nova) listHypervisors(w http.ResponseWriter, r *api.Request, detail bool) error {
	most, err := limit(r)
	if err != nil {
		return err
	}
	all, err := n.nodes.List(r.Context(), node.Filter{Limit: most + 1, Marker: r.URL.Query().Get("marker")})
	if err != nil {
		return err
	}
	out := api.Object{}
	if len(all) > most {
		all = all[:most]
		out["hypervisors_links"] = next(r, string(all[most-1].ID))
	}
	servers, err := n.serversOn(r, all)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for i := range all {
		docs = append(docs, hypervisorDoc(r, &all[i], servers, detail))
	}
	out["hypervisors"] = docs
	return api.JSON(w, http.StatusOK, out)
}

// serversOn are the servers on nodes, where they are asked for.
func (n *nova) serversOn(r *api.Request, all []node.Node) (map[string][]server.Server, error) {
	with, err := truth(r, "with_servers")
	if err != nil || with == nil || !*with {
		return nil, err
	}
	out := map[string][]server.Server{}
	var ids []string
	for _, one := range all {
		ids = append(ids, string(one.ID))
	}
	if len(ids) == 0 {
		return out, nil
	}
	servers, err := n.servers.List(r.Context(), server.Query{Where: map[string][]string{"node": ids}})
	for _, s := range servers {
		out[string(s.NodeID)] = append(out[string(s.NodeID)], s)
	}
	return out, err
}

func (n *nova) hypervisor(w http.ResponseWriter, r *api.Request) error {
	one, err := n.nodes.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	servers, err := n.serversOn(r, []node.Node{*one})
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"hypervisor": hypervisorDoc(r, one, servers, true)})
}

func (n *nova) statistics(w http.ResponseWriter, r *api.Request) error {
	if microOf(r) >= 88 {
		return fault.Errorf(fault.NotFound, "the statistics went away with 2.88; ask for an older version")
	}
	all, err := n.nodes.List(r.Context(), node.Filter{Limit: 1 << 20})
	if err != nil {
		return err
	}
	var has, used size
	for i := range all {
		h, u := sizeOf(&all[i])
		has = size{has.cpus + h.cpus, has.memory + h.memory, has.disk + h.disk, 0}
		used = size{used.cpus + u.cpus, used.memory + u.memory, used.disk + u.disk, used.servers + u.servers}
	}
	return api.JSON(w, http.StatusOK, api.Object{"hypervisor_statistics": api.Object{"count": len(all), "vcpus": has.cpus, "memory_mb": has.memory, "local_gb": has.disk,
		"vcpus_used": used.cpus, "memory_mb_used": used.memory, "local_gb_used": used.disk, "free_ram_mb": has.memory - used.memory,
		"free_disk_gb": has.disk - used.disk, "disk_available_least": has.disk - used.disk, "running_vms": used.servers, "current_workload": 0}})
}

// services are the processes that work on servers, in the place of nova-compute.
func (n *nova) services(w http.ResponseWriter, r *api.Request) error {
	all, err := n.nodes.Conductors(r.Context())
	if err != nil {
		return err
	}
	const binary = "hagane-conductor"
	docs := []api.Object{}
	for i, c := range all {
		if want := r.URL.Query().Get("binary"); want != "" && want != binary {
			continue
		}
		if want := r.URL.Query().Get("host"); want != "" && want != c.Host {
			continue
		}
		state := "down"
		if c.Alive {
			state = "up"
		}
		docs = append(docs, api.Object{"id": strconv.Itoa(i + 1), "binary": binary, "host": c.Host, "zone": "internal", "status": "enabled", "state": state,
			"updated_at": instant(c.SeenAt()), "disabled_reason": nil, "forced_down": false})
	}
	return api.JSON(w, http.StatusOK, api.Object{"services": docs})
}

// aggregates are not used: a node's zone and resource class say where it belongs.
func (n *nova) aggregates(w http.ResponseWriter, _ *api.Request) error {
	return api.JSON(w, http.StatusOK, api.Object{"aggregates": []api.Object{}})
}

// served are the extensions of old that are served, by alias.
var served = []struct{ alias, name, about string }{
	{"os-availability-zone", "AvailabilityZone", "where servers are"}, {"os-flavor-access", "FlavorAccess", "private flavors"},
	{"os-flavor-extra-specs", "FlavorExtraSpecs", "which nodes flavors are for"}, {"os-hypervisors", "Hypervisors", "the nodes"},
	{"os-instance-actions", "InstanceActions", "what was asked of servers"}, {"os-keypairs", "Keypairs", "public keys"}, {"os-quota-sets", "Quotas", "what projects may have"},
	{"OS-SCH-HNT", "SchedulerHints", "server groups of new servers"}, {"os-server-groups", "ServerGroups", "server groups"}, {"os-lock-server", "LockServer", "locks"},
}

func extensionDoc(i int) api.Object {
	e := served[i]
	return api.Object{"alias": e.alias, "name": e.name, "description": e.about, "namespace": "", "updated": "2014-12-03T00:00:00Z", "links": []api.Object{}}
}

func (n *nova) extensions(w http.ResponseWriter, _ *api.Request) error {
	docs := []api.Object{}
	for i := range served {
		docs = append(docs, extensionDoc(i))
	}
	return api.JSON(w, http.StatusOK, api.Object{"extensions": docs})
}

func (n *nova) extension(w http.ResponseWriter, r *api.Request) error {
	for i, e := range served {
		if e.alias == r.PathValue("alias") {
			return api.JSON(w, http.StatusOK, api.Object{"extension": extensionDoc(i)})
		}
	}
	return fault.Errorf(fault.NotFound, "there is no extension %q", r.PathValue("alias"))
}
