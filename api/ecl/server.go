package ecl

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/server"
)

// shown is a server with what is to be told of its node.
type shown struct {
	*server.Server
	node  *node.Node
	nics  []node.Port
	ports []network.Port

	health bmc.Health
	media  []server.Medium

	laidOut *protocol.Layout // as read back from the disks; nil when there is none, or not yet
}

// gather reads what a server's document needs.
func (e *ecl) gather(r *api.Request, s *server.Server) (shown, error) {
	out := shown{Server: s}
	if s.NodeID == "" {
		return out, nil
	}
	var err error
	if out.node, err = e.nodes.Get(r.Context(), string(s.NodeID)); err != nil {
		return out, err
	}
	if out.nics, err = e.nodes.Ports(r.Context(), s.NodeID); err != nil {
		return out, err
	}
	if out.ports, err = e.networks.Ports(r.Context(), network.Owner(s.ProjectID), "", string(s.ID)); err != nil {
		return out, err
	}
	t, err := e.nodes.Truth(r.Context(), s.NodeID, "health")
	if err != nil {
		return out, err
	}
	if out.health, err = node.Known[bmc.Health](t); err != nil {
		return out, err
	}
	if out.media, err = e.servers.Media(r.Context(), s.ID); err != nil || s.Layout == nil {
		return out, err
	}
	out.laidOut, err = e.nodes.LaidOut(r.Context(), s.NodeID)
	return out, err
}

// vmState is Nova's name for a state; status has the same words.
func (s shown) vmState() string {
	switch s.State {
	case server.Building:
		return "BUILD"
	case server.Failed:
		return "ERROR"
	case server.Active, server.Rebuilding:
	}
	return "ACTIVE"
}

// taskState is the word None when nothing is under way: the dialect's gate for actions.
func (s shown) taskState() string {
	switch {
	case s.Deleting:
		return "DELETING"
	case s.State == server.Building:
		return "BUILDING"
	case s.State == server.Rebuilding:
		return "REBUILDING"
	case s.node == nil:
		return "None"
	}
	switch s.node.PowerTarget {
	case bmc.PowerOn:
		return "STARTING"
	case bmc.PowerOff, bmc.SoftOff:
		return "STOPPING"
	case bmc.Reset:
		return "REBOOTING"
	}
	return "None"
}

func (s shown) powerState() string {
	if s.node == nil || s.node.Power == bmc.Off {
		return "SHUTDOWN"
	}
	if s.node.Power == bmc.Unknown {
		return "CRASHED" // control is lost for now; it recovers by itself
	}
	return "RUNNING"
}

func (s shown) doc(r *api.Request) api.Object {
	progress := 100
	if s.State != server.Active {
		progress = 0
	}
	zone := s.Zone
	if s.node != nil {
		zone = s.node.Zone
	}
	metadata := s.Metadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	arrays, groups, filesystems := s.layoutDocs()
	d := api.Object{"id": s.ID, "name": s.Name, "tenant_id": s.ProjectID, "project_id": s.ProjectID, "user_id": s.UserID,
		"created": api.Time(s.CreatedAt), "updated": api.Time(s.UpdatedAt), "status": s.vmState(), "progress": progress, "hostId": string(s.NodeID),
		"OS-EXT-STS:power_state": s.powerState(), "OS-EXT-STS:task_state": s.taskState(), "OS-EXT-STS:vm_state": s.vmState(),
		"OS-EXT-AZ:availability_zone": zone, "metadata": metadata, "key_name": s.KeyName, "links": links(r, "servers", string(s.ID)),
		"image":       api.Object{"id": s.ImageID, "links": links(r, "images", s.ImageID)},
		"flavor":      api.Object{"id": s.FlavorID, "links": links(r, "flavors", s.FlavorID)},
		"raid_arrays": arrays, "lvm_volume_groups": groups, "filesystems": filesystems, "personality": []any{}, "media_attachments": s.mediaDocs(r),
		"nic_physical_ports": s.nicDocs(), "managed_by_service": nil, "managed_service_resource_id": nil,
		"chassis-status": chassisStatus(s.health, s.powerState() == "RUNNING")}
	if s.Fault != "" {
		d["fault"] = api.Object{"code": http.StatusInternalServerError, "message": s.Fault, "created": api.Time(s.FaultAt.Time)}
	}
	return d
}

func (s shown) mediaDocs(r *api.Request) []api.Object {
	docs := []api.Object{}
	for _, m := range s.media {
		if m.In() {
			docs = append(docs, api.Object{"image": api.Object{"id": m.ImageID, "links": links(r, "images", m.ImageID)}})
		}
	}
	return docs
}

func (s shown) nicDocs() []api.Object {
	docs := []api.Object{}
	for _, n := range s.nics {
		attached := []api.Object{}
		for _, p := range s.ports {
			if p.MAC == n.MAC {
				attached = append(attached, api.Object{"port_id": p.ID, "network_id": p.NetworkID, "fixed_ips": p.FixedIPs})
			}
		}
		docs = append(docs, api.Object{"id": n.ID, "mac_addr": n.MAC, "network_physical_port_id": strings.Trim(n.Switch+"/"+n.Port, "/"), "plane": n.Plane,
			"hardware_id": n.ID, "attached_ports": attached})
	}
	return docs
}

// find returns the server that a path names.
func (e *ecl) find(r *api.Request) (shown, error) {
	s, err := e.servers.Get(r.Context(), r.Caller.ProjectID(), server.ID(r.PathValue("id")))
	if err != nil {
		return shown{}, err
	}
	return e.gather(r, s)
}

func (e *ecl) showServer(w http.ResponseWriter, r *api.Request) error {
	s, err := e.find(r)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"server": s.doc(r)})
}

func (e *ecl) listServers(w http.ResponseWriter, r *api.Request) error {
	return e.list(w, r, func(s *server.Server) (api.Object, error) {
		return api.Object{"id": s.ID, "name": s.Name, "links": links(r, "servers", string(s.ID))}, nil
	})
}

func (e *ecl) listServersDetail(w http.ResponseWriter, r *api.Request) error {
	return e.list(w, r, func(s *server.Server) (api.Object, error) {
		all, err := e.gather(r, s)
		if err != nil {
			return nil, err
		}
		return all.doc(r), nil
	})
}

// mostListed is how many servers a page has at most.
const mostListed = 1000

func (e *ecl) list(w http.ResponseWriter, r *api.Request, show func(*server.Server) (api.Object, error)) error {
	wanted, err := listed(r)
	if err != nil {
		return err
	}
	most := wanted.Limit
	wanted.Limit++ // to see whether there are more
	all, err := e.servers.List(r.Context(), wanted)
	if err != nil {
		return err
	}
	out := api.Object{}
	if len(all) > most {
		all = all[:most]
		q := r.URL.Query()
		q.Set("marker", all[most-1].ID.String())
		out["servers_links"] = []api.Object{{"rel": "next", "href": api.BaseURL(r.Request) + r.URL.Path + "?" + q.Encode()}}
	}
	docs := []api.Object{}
	for i := range all {
		d, err := show(&all[i])
		if err != nil {
			return err
		}
		docs = append(docs, d)
	}
	out["servers"] = docs
	return api.JSON(w, http.StatusOK, out)
}

// statesOf are the states that the dialect shows with a word.
var statesOf = map[string][]server.State{"BUILD": {server.Building}, "ERROR": {server.Failed}, "ACTIVE": {server.Active, server.Rebuilding}}

// listed reads which servers a request wants.
func listed(r *api.Request) (server.Query, error) {
	q := r.URL.Query()
	w := server.Query{Project: r.Caller.ProjectID(), Name: q.Get("name"), After: server.ID(q.Get("marker")), Limit: mostListed, Where: map[string][]string{},
		Sort: []server.Order{{By: "created_at"}}}
	if v := q.Get("changes-since"); v != "" {
		var err error
		if w.Since, err = time.Parse(time.RFC3339, v); err != nil {
			return w, fault.Field("changes-since", "%q is not a time such as 2030-01-31T12:00:00Z", v)
		}
	}
	if v := q.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return w, fault.Field("limit", "must be a number, 1 or more")
		}
		w.Limit = min(w.Limit, n)
	}
	for by, v := range map[string]string{"image": q.Get("image"), "flavor": q.Get("flavor")} {
		if v != "" {
			w.Where[by] = []string{last(v)}
		}
	}
	if v := q.Get("status"); v != "" {
		w.States = append([]server.State{}, statesOf[strings.ToUpper(v)]...) // of an unknown word there are none
	}
	return w, nil
}

func (e *ecl) renameServer(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Server struct {
			Name string `json:"name"`
		} `json:"server"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if err := e.servers.Edit(r.Context(), r.Caller.ProjectID(), server.ID(r.PathValue("id")), server.Change{Name: &b.Server.Name}); err != nil {
		return err
	}
	return e.showServer(w, r)
}

func (e *ecl) deleteServer(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, e.servers.Delete(r.Context(), r.Caller.ProjectID(), server.ID(r.PathValue("id"))))
}

func (e *ecl) listNICs(w http.ResponseWriter, r *api.Request) error {
	s, err := e.find(r)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"nic_physical_ports": s.nicDocs()})
}

func (e *ecl) showNIC(w http.ResponseWriter, r *api.Request) error {
	s, err := e.find(r)
	if err != nil {
		return err
	}
	for _, d := range s.nicDocs() {
		if string(d["id"].(node.PortID)) == r.PathValue("port") {
			return api.JSON(w, http.StatusOK, api.Object{"nic_physical_port": d})
		}
	}
	return fault.Errorf(fault.NotFound, "no physical port %q", r.PathValue("port"))
}
