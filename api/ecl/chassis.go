package ecl

import (
	"net/http"

	"github.com/hagane-cloud/hagane/agent/layout"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/server"
)

// chassisDoc shows a chassis. The terms of the contract are what an operator wrote into the node's extra.
func chassisDoc(c server.Chassis, detail bool) api.Object {
	h := hardwareOf(c.Node.Inventory)
	d := api.Object{"id": c.Node.ID, "availability_zone": c.Node.Zone, "flavor_name": nil, "status": chassisState(c),
		"server_id": nil, "server_name": nil, "contract_year": nil, "start_time": nil, "hardware_summary": h.summary()}
	if c.Flavor != nil {
		d["flavor_name"] = c.Flavor.Name
	}
	if c.Server != nil {
		d["server_id"], d["server_name"] = c.Server.ID, c.Server.Name
	}
	for _, term := range []string{"contract_year", "start_time"} {
		if said, ok := c.Node.Extra[term]; ok {
			d[term] = said
		}
	}
	if detail {
		d["cpus"], d["disks"], d["rams"] = h.cpus, h.disks, h.rams
	}
	return d
}

// chassisState is available, in-use, held, or the state in which the node is on its way.
func chassisState(c server.Chassis) string {
	switch {
	case c.Node.Owner != "":
		return "in-use"
	case len(c.Node.Holds) > 0:
		return "held"
	case c.Node.State == node.Available:
		return "available"
	}
	return string(c.Node.State)
}

// hardware is what a chassis consists of, part by part.
type hardware struct{ cpus, disks, rams []api.Object }

// hardwareOf reads an inventory, which knows the processors and the memory as a whole.
func hardwareOf(inv *protocol.Inventory) hardware {
	h := hardware{[]api.Object{}, []api.Object{}, []api.Object{}}
	if inv == nil {
		return h
	}
	sockets := max(inv.CPU.Sockets, 1)
	for range sockets {
		h.cpus = append(h.cpus, api.Object{"model": inv.CPU.Model, "cores": inv.CPU.Cores / sockets, "threads": inv.CPU.Threads / sockets})
	}
	for _, d := range inv.Disks {
		h.disks = append(h.disks, api.Object{"hardware_id": layout.DiskID(d), "model": d.Model, "type": d.Bus, "size": gigabytes(d.Bytes), "rotational": d.Rotational})
	}
	h.rams = append(h.rams, api.Object{"size": gigabytes(inv.MemoryBytes)})
	return h
}

// summary counts the parts.
func (h hardware) summary() api.Object {
	cores, disk, ram := 0, int64(0), int64(0)
	for _, c := range h.cpus {
		cores += c["cores"].(int)
	}
	for _, d := range h.disks {
		disk += d["size"].(int64)
	}
	for _, r := range h.rams {
		ram += r["size"].(int64)
	}
	return api.Object{"cpus": api.Object{"count": len(h.cpus), "cores": cores}, "disks": api.Object{"count": len(h.disks), "size": disk}, "rams": api.Object{"size": ram}}
}

func (e *ecl) listChassis(w http.ResponseWriter, r *api.Request) error {
	return e.allChassis(w, r, false)
}

func (e *ecl) listChassisDetail(w http.ResponseWriter, r *api.Request) error {
	return e.allChassis(w, r, true)
}

func (e *ecl) allChassis(w http.ResponseWriter, r *api.Request, detail bool) error {
	all, err := e.servers.Chassis(r.Context(), r.Caller.ProjectID())
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, c := range all {
		docs = append(docs, chassisDoc(c, detail))
	}
	return api.JSON(w, http.StatusOK, api.Object{"chassis": docs})
}

func (e *ecl) showChassis(w http.ResponseWriter, r *api.Request) error {
	c, err := e.servers.OneChassis(r.Context(), r.Caller.ProjectID(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"chassis": chassisDoc(c, true)})
}
