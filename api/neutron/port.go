package neutron

import (
	"encoding/json"
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

func portDoc(r *api.Request, p network.Port) api.Object {
	status := "DOWN"
	if p.DeviceID != "" {
		status = "ACTIVE"
	}
	d := api.Object{"id": p.ID, "name": p.Name, "description": p.Description, "network_id": p.NetworkID, "tenant_id": p.ProjectID, "project_id": p.ProjectID,
		"admin_state_up": p.AdminUp, "mac_address": p.MAC, "device_id": p.DeviceID, "device_owner": p.DeviceOwner, "fixed_ips": orEmpty(p.FixedIPs),
		"allowed_address_pairs": orEmpty(p.Pairs), "security_groups": []string{}, "status": status, "tags": tags(p.Tags), "managed_by_service": nil,
		"segmentation_id": nil, "segmentation_type": nil, "extra_dhcp_opts": []string{}, "binding:vnic_type": "baremetal",
		"revision_number": p.Revision, "created_at": api.Time(p.CreatedAt), "updated_at": api.Time(p.UpdatedAt)}
	if r.Caller.Operator() {
		d["binding:host_id"], d["binding:vif_type"] = "", "other"
	}
	return d
}

func (n *neutron) ports(w http.ResponseWriter, r *api.Request) error {
	q := r.URL.Query()
	all, err := n.Ports(r.Context(), owner(r), q.Get("network_id"), q.Get("device_id"))
	if err != nil {
		return err
	}
	docs := make([]api.Object, len(all))
	for i, p := range all {
		docs[i] = portDoc(r, p)
	}
	return list(w, r, "ports", docs)
}

type portBody struct {
	Port struct {
		Name           *string            `json:"name"`
		Description    *string            `json:"description"`
		NetworkID      string             `json:"network_id"`
		AdminUp        *bool              `json:"admin_state_up"`
		MAC            string             `json:"mac_address"`
		DeviceID       *string            `json:"device_id"`
		DeviceOwner    *string            `json:"device_owner"`
		FixedIPs       *[]network.FixedIP `json:"fixed_ips"`
		Pairs          *[]network.Pair    `json:"allowed_address_pairs"`
		Tags           *map[string]string `json:"tags"`
		TenantID       string             `json:"tenant_id"`
		ProjectID      string             `json:"project_id"`
		VNICType       string             `json:"binding:vnic_type"`
		SecurityGroups []string           `json:"security_groups"`
		PortSecurity   *bool              `json:"port_security_enabled"`
		Segmentation   json.RawMessage    `json:"segmentation_id"`
		SegType        json.RawMessage    `json:"segmentation_type"`
	} `json:"port"`
}

func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

func (b portBody) apply(p *network.Port) error {
	if len(b.Port.SecurityGroups) > 0 {
		return fault.Field("security_groups", "security groups are not served yet")
	}
	if given(b.Port.Segmentation) || given(b.Port.SegType) {
		return fault.Field("segmentation_id", "tagged ports are not served yet")
	}
	api.Set(&p.Name, b.Port.Name)
	api.Set(&p.Description, b.Port.Description)
	api.Set(&p.AdminUp, b.Port.AdminUp)
	api.Set(&p.DeviceID, b.Port.DeviceID)
	api.Set(&p.DeviceOwner, b.Port.DeviceOwner)
	api.Set(&p.Pairs, b.Port.Pairs)
	api.Set(&p.Tags, b.Port.Tags)
	return nil
}

func (n *neutron) createPort(w http.ResponseWriter, r *api.Request) error {
	var b portBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	project, err := projectOf(r, b.Port.TenantID, b.Port.ProjectID)
	if err != nil {
		return err
	}
	p := network.Port{ProjectID: project, NetworkID: b.Port.NetworkID, MAC: b.Port.MAC, AdminUp: true}
	if err := b.apply(&p); err != nil {
		return err
	}
	api.Set(&p.FixedIPs, b.Port.FixedIPs)
	if p, err = n.CreatePort(r.Context(), owner(r), p); err != nil {
		return err
	}
	return api.JSON(w, http.StatusCreated, api.Object{"port": portDoc(r, p)})
}

func (n *neutron) port(w http.ResponseWriter, r *api.Request) error {
	p, err := n.Port(r.Context(), owner(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"port": pick(portDoc(r, p), r.URL.Query()["fields"])})
}

func (n *neutron) updatePort(w http.ResponseWriter, r *api.Request) error {
	var b portBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	p, err := n.Port(r.Context(), owner(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	if b.Port.MAC != "" && b.Port.MAC != p.MAC {
		return fault.Field("mac_address", "can not be changed")
	}
	was := p.DeviceID
	if err := b.apply(&p); err != nil {
		return err
	}
	if p.DeviceID != was && p.DeviceOwner == "baremetal:server" {
		return fault.Errorf(fault.Conflict, "the port is in use by a server; delete that first")
	}
	var fixed []network.FixedIP
	api.Set(&fixed, b.Port.FixedIPs)
	if p, err = n.UpdatePort(r.Context(), p, fixed); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"port": portDoc(r, p)})
}

func (n *neutron) deletePort(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, n.DeletePort(r.Context(), owner(r), r.PathValue("id")))
}
