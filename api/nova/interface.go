package nova

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/server"
)

// with returns the server that a path names, with what is around it.
func (n *nova) with(r *api.Request) (*server.Server, around, error) {
	var a around
	s, err := n.find(r)
	if err == nil {
		err = n.attached(r, &a, []string{string(s.ID)})
	}
	return s, a, err
}

func (n *nova) addresses(w http.ResponseWriter, r *api.Request) error {
	s, a, err := n.with(r)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"addresses": plainly(a.addresses(s))})
}

// plainly leaves of addresses what this resource of Nova's tells.
func plainly(d api.Object) api.Object {
	for _, list := range d {
		for _, one := range list.([]api.Object) {
			delete(one, "OS-EXT-IPS:type")
			delete(one, "OS-EXT-IPS-MAC:mac_addr")
		}
	}
	return d
}

func (n *nova) addressesOn(w http.ResponseWriter, r *api.Request) error {
	s, a, err := n.with(r)
	if err != nil {
		return err
	}
	name := r.PathValue("network")
	list, ok := plainly(a.addresses(s))[name]
	if !ok {
		return fault.Errorf(fault.NotFound, "Network name not found")
	}
	return api.JSON(w, http.StatusOK, api.Object{name: list})
}

func interfaceDoc(r *api.Request, s *server.Server, p network.Port) api.Object {
	ips := []api.Object{}
	for _, ip := range p.FixedIPs {
		ips = append(ips, api.Object{"subnet_id": ip.SubnetID, "ip_address": ip.Address})
	}
	state := "ACTIVE"
	if s.State != server.Active {
		state = "DOWN"
	}
	d := api.Object{"port_id": p.ID, "net_id": p.NetworkID, "mac_addr": p.MAC, "port_state": state, "fixed_ips": ips}
	if microOf(r) >= 70 {
		d["tag"] = nil
		for _, nic := range s.NICs {
			if nic.PortID == p.ID {
				d["tag"] = orNull(nic.Tag)
			}
		}
	}
	return d
}

func (n *nova) interfaces(w http.ResponseWriter, r *api.Request) error {
	s, a, err := n.with(r)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, p := range a.inOrder(s) {
		docs = append(docs, interfaceDoc(r, s, p))
	}
	return api.JSON(w, http.StatusOK, api.Object{"interfaceAttachments": docs})
}

func (n *nova) showInterface(w http.ResponseWriter, r *api.Request) error {
	s, a, err := n.with(r)
	if err != nil {
		return err
	}
	for _, p := range a.inOrder(s) {
		if p.ID == r.PathValue("port") {
			return api.JSON(w, http.StatusOK, api.Object{"interfaceAttachment": interfaceDoc(r, s, p)})
		}
	}
	return fault.Errorf(fault.NotFound, "Instance %s does not have a port with id %s", r.PathValue("id"), r.PathValue("port"))
}

// attachBody asks for an interface: on a network or with a port, or, without either, on the only network there is.
type attachBody struct {
	Interface struct {
		Port  string `json:"port_id"`
		Net   string `json:"net_id"`
		Tag   string `json:"tag"`
		Fixed []struct {
			Address string `json:"ip_address"`
		} `json:"fixed_ips"`
	} `json:"interfaceAttachment"`
}

func (b attachBody) wanted() (server.WantedNIC, error) {
	i := b.Interface
	w := server.WantedNIC{PortID: i.Port, NetworkID: i.Net, Tag: i.Tag}
	switch {
	case i.Port != "" && (i.Net != "" || len(i.Fixed) > 0):
		return w, fault.Field("port_id", "port_id can not be given together with net_id or fixed_ips")
	case len(i.Fixed) > 0 && i.Net == "":
		return w, fault.Field("fixed_ips", "fixed_ips need a net_id")
	case len(i.Fixed) > 1:
		return w, fault.Field("fixed_ips", "one address can be asked for here; for more make a port and give it as port_id")
	case len(i.Fixed) == 1:
		w.FixedIP = i.Fixed[0].Address
	}
	return w, nil
}

// attachInterface plugs an interface in at the switch, and answers when it is.
func (n *nova) attachInterface(w http.ResponseWriter, r *api.Request) error {
	var b attachBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	wanted, err := b.wanted()
	if err != nil {
		return err
	}
	p, err := n.servers.AttachNIC(r.Context(), scope(r), serverID(r), wanted)
	if err != nil {
		return err
	}
	s, err := n.find(r)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"interfaceAttachment": interfaceDoc(r, s, p)})
}

// detachInterface answers when the switch port is closed: a server may be deleted, and an address used again, right after it.
func (n *nova) detachInterface(w http.ResponseWriter, r *api.Request) error {
	if err := n.servers.DetachNIC(r.Context(), scope(r), serverID(r), r.PathValue("port")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// guards are the security groups of a server's ports, with their rules.
func (n *nova) guards(w http.ResponseWriter, r *api.Request) error {
	s, a, err := n.with(r)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	var ids []string
	for _, p := range a.inOrder(s) {
		ids = append(ids, p.Groups...)
	}
	if len(ids) > 0 {
		gs, err := n.networks.Groups(r.Context(), network.Owner(s.ProjectID), network.Query{Where: map[string][]string{"id": unique(ids)}})
		if err != nil {
			return err
		}
		for _, g := range gs {
			docs = append(docs, securityGroupDoc(g, a.groups))
		}
	}
	return api.JSON(w, http.StatusOK, api.Object{"security_groups": docs})
}

func (n *nova) volumes(w http.ResponseWriter, r *api.Request) error {
	if _, err := n.find(r); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"volumeAttachments": []api.Object{}})
}

func (n *nova) attachVolume(_ http.ResponseWriter, r *api.Request) error {
	if _, err := n.find(r); err != nil {
		return err
	}
	return fault.Errorf(fault.Conflict, "volumes can not be attached to a bare-metal server: it has its own disks")
}

// actionDoc is what was asked of a server. There are no events below it: what a node does is in its runs, for operators.
func actionDoc(r *api.Request, a server.Action) api.Object {
	d := api.Object{"action": a.Name, "instance_uuid": a.ServerID, "request_id": a.Request, "user_id": a.UserID,
		"project_id": a.ProjectID, "start_time": instant(a.At), "message": orNull(a.Message)}
	d["updated_at"] = instant(a.UpdatedAt)
	return since{"updated_at": 58}.at(r, d)
}

func (n *nova) instanceActions(w http.ResponseWriter, r *api.Request) error {
	q := server.ActionQuery{After: r.URL.Query().Get("marker")}
	var err error
	if q.Since, err = timeOf(r, "changes-since"); err != nil {
		return err
	}
	if q.Before, err = timeOf(r, "changes-before"); err != nil {
		return err
	}
	most, err := limit(r)
	if err != nil {
		return err
	}
	q.Limit = most + 1
	all, err := n.servers.Actions(r.Context(), scope(r), serverID(r), q)
	if err != nil {
		return err
	}
	out := api.Object{}
	if len(all) > most {
		all = all[:most]
		out["links"] = next(r, all[most-1].Request)
	}
	docs := []api.Object{}
	for _, a := range all {
		docs = append(docs, actionDoc(r, a))
	}
	out["instanceActions"] = docs
	return api.JSON(w, http.StatusOK, out)
}

func (n *nova) instanceAction(w http.ResponseWriter, r *api.Request) error {
	a, err := n.servers.Action(r.Context(), scope(r), serverID(r), r.PathValue("request"))
	if err != nil {
		return err
	}
	d := actionDoc(r, a)
	d["events"] = []api.Object{}
	return api.JSON(w, http.StatusOK, api.Object{"instanceAction": d})
}
