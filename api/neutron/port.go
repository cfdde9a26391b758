package neutron

import (
	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

// dhcpOption is an option as a client gives it: null takes it away.
type dhcpOption struct {
	Name    string   `json:"opt_name"`
	Value   *string  `json:"opt_value"`
	Version *integer `json:"ip_version"`
}

type portBody struct {
	Name           *string                  `json:"name"`
	Description    *string                  `json:"description"`
	AdminUp        *bool                    `json:"admin_state_up"`
	DeviceID       *string                  `json:"device_id"`
	DeviceOwner    *string                  `json:"device_owner"`
	FixedIPs       *[]network.FixedIP       `json:"fixed_ips"`
	Pairs          optional[[]network.Pair] `json:"allowed_address_pairs"`
	SecurityGroups optional[[]string]       `json:"security_groups"`
	PortSecurity   *bool                    `json:"port_security_enabled"`
	Options        optional[[]dhcpOption]   `json:"extra_dhcp_opts"`
	VNICType       *string                  `json:"binding:vnic_type"`
	Tags           tagsBody                 `json:"tags"`
	MAC            string                   `json:"mac_address"`
	Host           *string                  `json:"binding:host_id" for:"operators"`
	Profile        optional[map[string]any] `json:"binding:profile" for:"operators"`
	Trusted        optional[bool]           `json:"trusted" for:"operators"`
	Segmentation   optional[any]            `json:"segmentation_id"`
	SegType        optional[any]            `json:"segmentation_type"`
	NetworkID      string                   `json:"network_id" on:"post"`
	TenantID       string                   `json:"tenant_id" on:"post"`
	ProjectID      string                   `json:"project_id" on:"post"`
}

func (n *neutron) portKind() kind[network.Port, portBody] {
	return kind[network.Port, portBody]{one: "port", many: "ports", doc: portDoc, list: n.ListPorts, get: n.Port,
		create: n.createPorts, update: n.updatePort, remove: n.DeletePort,
		readOnly: "id status created_at updated_at revision_number managed_by_service binding:vif_type binding:vif_details"}
}

func portDoc(r *api.Request, p network.Port) api.Object {
	status, vnic := "DOWN", p.VNICType
	if p.DeviceID != "" {
		status = "ACTIVE"
	}
	if p.OfServer() {
		vnic = "baremetal"
	}
	d := api.Object{"id": p.ID, "name": p.Name, "description": p.Description, "network_id": p.NetworkID, "tenant_id": p.ProjectID, "project_id": p.ProjectID,
		"admin_state_up": p.AdminUp, "mac_address": p.MAC, "device_id": p.DeviceID, "device_owner": p.DeviceOwner, "fixed_ips": orEmpty(p.FixedIPs),
		"allowed_address_pairs": orEmpty(p.Pairs), "security_groups": orEmpty(p.Groups), "port_security_enabled": p.PortSecurity, "status": status,
		"tags": tags(p.Tags, p.Labels), "managed_by_service": nil, "segmentation_id": nil, "segmentation_type": nil,
		"extra_dhcp_opts": orEmpty(p.DHCPOptions), "binding:vnic_type": vnic,
		"revision_number": p.Revision, "created_at": api.Time(p.CreatedAt), "updated_at": api.Time(p.UpdatedAt)}
	if r.Caller.Operator() {
		d["binding:host_id"], d["binding:vif_type"], d["binding:vif_details"], d["trusted"] = p.Host, "other", api.Object{}, p.Trusted
		d["binding:profile"] = p.Profile
		if p.Profile == nil {
			d["binding:profile"] = api.Object{}
		}
	}
	return d
}

func (b portBody) apply(p *network.Port) error {
	if b.Segmentation.value != nil || b.SegType.value != nil {
		return fault.Field("segmentation_id", "tagged ports are not served yet")
	}
	api.Set(&p.Name, b.Name)
	api.Set(&p.Description, b.Description)
	api.Set(&p.AdminUp, b.AdminUp)
	api.Set(&p.DeviceID, b.DeviceID)
	api.Set(&p.DeviceOwner, b.DeviceOwner)
	api.Set(&p.FixedIPs, b.FixedIPs)
	api.Set(&p.VNICType, b.VNICType)
	api.Set(&p.Host, b.Host)
	b.Pairs.into(&p.Pairs)
	b.Profile.into(&p.Profile)
	if b.Trusted.given {
		p.Trusted = b.Trusted.value
	}
	if b.SecurityGroups.given {
		p.Groups = []string{}
		api.Set(&p.Groups, b.SecurityGroups.value)
	}
	if b.Options.value != nil {
		for _, o := range *b.Options.value {
			o.apply(p)
		}
	}
	return b.Tags.into(&p.Tags, &p.Labels)
}

// apply puts an option into a port's, in the place of one with its name and IP version.
func (o dhcpOption) apply(p *network.Port) {
	version := 4
	api.Set(&version, (*int)(o.Version))
	var kept []network.Option
	for _, old := range p.DHCPOptions {
		if old.Name != o.Name || old.Version != version {
			kept = append(kept, old)
		}
	}
	if o.Value != nil {
		kept = append(kept, network.Option{Name: o.Name, Value: *o.Value, Version: version})
	}
	p.DHCPOptions = kept
}

func (n *neutron) createPorts(r *api.Request, bodies []portBody) ([]network.Port, error) {
	ps := make([]network.NewPort, len(bodies))
	for i, b := range bodies {
		project, err := projectOf(r, b.TenantID, b.ProjectID)
		if err != nil {
			return nil, err
		}
		ps[i] = network.NewPort{Port: network.Port{ProjectID: project, NetworkID: b.NetworkID, MAC: b.MAC, AdminUp: true}, Secure: b.PortSecurity}
		if err := b.apply(&ps[i].Port); err != nil {
			return nil, err
		}
	}
	return n.CreatePorts(r.Context(), owner(r), ps)
}

func (n *neutron) updatePort(r *api.Request, id string, rev int64, b portBody) (network.Port, error) {
	return n.EditPort(r.Context(), owner(r), id, rev, func(p *network.Port) error {
		if b.MAC != "" && b.MAC != p.MAC {
			if !r.Caller.Operator() {
				return fault.Errorf(fault.Denied, "only an operator may change the mac_address of a port")
			}
			p.MAC = b.MAC
		}
		api.Set(&p.PortSecurity, b.PortSecurity)
		return b.apply(p)
	})
}
