package neutron

import (
	"encoding/json"
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

func subnetDoc(s network.Subnet) api.Object {
	var gateway any
	if s.Gateway != "" {
		gateway = s.Gateway
	}
	return api.Object{"id": s.ID, "name": s.Name, "description": s.Description, "network_id": s.NetworkID, "tenant_id": s.ProjectID, "project_id": s.ProjectID,
		"ip_version": s.IPVersion, "cidr": s.CIDR, "gateway_ip": gateway, "enable_dhcp": s.DHCP, "allocation_pools": orEmpty(s.Pools),
		"dns_nameservers": orEmpty(s.DNS), "ntp_servers": orEmpty(s.NTP), "host_routes": orEmpty(s.Routes), "tags": tags(s.Tags), "status": "ACTIVE",
		"ipv6_address_mode": nil, "ipv6_ra_mode": nil, "subnetpool_id": nil, "service_types": []string{},
		"revision_number": s.Revision, "created_at": api.Time(s.CreatedAt), "updated_at": api.Time(s.UpdatedAt)}
}

func orEmpty[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

func (n *neutron) subnets(w http.ResponseWriter, r *api.Request) error {
	all, err := n.Subnets(r.Context(), owner(r), r.URL.Query().Get("network_id"))
	if err != nil {
		return err
	}
	docs := make([]api.Object, len(all))
	for i, s := range all {
		docs[i] = subnetDoc(s)
	}
	return list(w, r, "subnets", docs)
}

type subnetBody struct {
	Subnet struct {
		Name        *string            `json:"name"`
		Description *string            `json:"description"`
		NetworkID   string             `json:"network_id"`
		IPVersion   int                `json:"ip_version"`
		CIDR        string             `json:"cidr"`
		Gateway     json.RawMessage    `json:"gateway_ip"`
		DHCP        *bool              `json:"enable_dhcp"`
		Pools       *[]network.Range   `json:"allocation_pools"`
		DNS         *[]string          `json:"dns_nameservers"`
		NTP         *[]string          `json:"ntp_servers"`
		Routes      *[]network.Route   `json:"host_routes"`
		Tags        *map[string]string `json:"tags"`
		TenantID    string             `json:"tenant_id"`
		ProjectID   string             `json:"project_id"`
	} `json:"subnet"`
}

// gateway tells what was given apart from null, which means none; nil is not given.
func (b subnetBody) gateway() (*string, error) {
	if b.Subnet.Gateway == nil {
		return nil, nil
	}
	var s *string
	if err := json.Unmarshal(b.Subnet.Gateway, &s); err != nil {
		return nil, fault.Field("gateway_ip", "must be an address or null")
	}
	if s == nil {
		s = new(string)
	}
	return s, nil
}

func (b subnetBody) apply(s *network.Subnet) {
	api.Set(&s.Name, b.Subnet.Name)
	api.Set(&s.Description, b.Subnet.Description)
	api.Set(&s.DHCP, b.Subnet.DHCP)
	api.Set(&s.Pools, b.Subnet.Pools)
	api.Set(&s.DNS, b.Subnet.DNS)
	api.Set(&s.NTP, b.Subnet.NTP)
	api.Set(&s.Routes, b.Subnet.Routes)
	api.Set(&s.Tags, b.Subnet.Tags)
}

func (n *neutron) createSubnet(w http.ResponseWriter, r *api.Request) error {
	var b subnetBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if _, err := projectOf(r, b.Subnet.TenantID, b.Subnet.ProjectID); err != nil {
		return err
	}
	s := network.Subnet{NetworkID: b.Subnet.NetworkID, IPVersion: b.Subnet.IPVersion, CIDR: b.Subnet.CIDR, DHCP: true}
	b.apply(&s)
	gateway, err := b.gateway()
	if err != nil {
		return err
	}
	if s, err = n.CreateSubnet(r.Context(), owner(r), s, gateway); err != nil {
		return err
	}
	return api.JSON(w, http.StatusCreated, api.Object{"subnet": subnetDoc(s)})
}

func (n *neutron) subnet(w http.ResponseWriter, r *api.Request) error {
	s, err := n.Subnet(r.Context(), owner(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"subnet": pick(subnetDoc(s), r.URL.Query()["fields"])})
}

func (n *neutron) updateSubnet(w http.ResponseWriter, r *api.Request) error {
	var b subnetBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	s, err := n.Subnet(r.Context(), owner(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	if o := owner(r); o != "" && s.ProjectID != string(o) {
		return fault.Errorf(fault.Denied, "the subnet belongs to another project")
	}
	if b.Subnet.CIDR != "" && b.Subnet.CIDR != s.CIDR {
		return fault.Field("cidr", "can not be changed")
	}
	b.apply(&s)
	gateway, err := b.gateway()
	if err != nil {
		return err
	}
	api.Set(&s.Gateway, gateway)
	if s, err = n.UpdateSubnet(r.Context(), s); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"subnet": subnetDoc(s)})
}

func (n *neutron) deleteSubnet(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, n.DeleteSubnet(r.Context(), owner(r), r.PathValue("id")))
}
