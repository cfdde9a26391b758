package neutron

import (
	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

type subnetBody struct {
	Name         *string           `json:"name"`
	Description  *string           `json:"description"`
	Gateway      optional[string]  `json:"gateway_ip"`
	DHCP         *bool             `json:"enable_dhcp"`
	Pools        *[]network.Range  `json:"allocation_pools"`
	DNS          *[]string         `json:"dns_nameservers"`
	NTP          *[]string         `json:"ntp_servers"`
	Routes       *[]network.Route  `json:"host_routes"`
	ServiceTypes *[]string         `json:"service_types"`
	Tags         tagsBody          `json:"tags"`
	CIDR         optional[string]  `json:"cidr"`
	NetworkID    string            `json:"network_id" on:"post"`
	IPVersion    integer           `json:"ip_version" on:"post"`
	RAMode       optional[string]  `json:"ipv6_ra_mode" on:"post"`
	AddressMode  optional[string]  `json:"ipv6_address_mode" on:"post"`
	Pool         optional[string]  `json:"subnetpool_id" on:"post"`
	PrefixLen    optional[integer] `json:"prefixlen" on:"post"`
	DefaultPool  bool              `json:"use_default_subnetpool" on:"post"`
	TenantID     string            `json:"tenant_id" on:"post"`
	ProjectID    string            `json:"project_id" on:"post"`
}

func (n *neutron) subnetKind() kind[network.Subnet, subnetBody] {
	return kind[network.Subnet, subnetBody]{one: "subnet", many: "subnets", doc: subnetDoc, list: n.Subnets, get: n.Subnet,
		create: n.createSubnets, update: n.updateSubnet, remove: n.DeleteSubnet,
		readOnly: "id status created_at updated_at revision_number shared"}
}

func subnetDoc(_ *api.Request, s network.Subnet) api.Object {
	return api.Object{"id": s.ID, "name": s.Name, "description": s.Description, "network_id": s.NetworkID, "tenant_id": s.ProjectID, "project_id": s.ProjectID,
		"ip_version": s.IPVersion, "cidr": s.CIDR, "gateway_ip": orNull(s.Gateway), "enable_dhcp": s.DHCP, "allocation_pools": orEmpty(s.Pools),
		"dns_nameservers": orEmpty(s.DNS), "ntp_servers": orEmpty(s.NTP), "host_routes": orEmpty(s.Routes), "tags": tags(s.Tags, s.Labels), "status": "ACTIVE",
		"ipv6_address_mode": orNull(s.AddressMode), "ipv6_ra_mode": orNull(s.RAMode), "subnetpool_id": orNull(s.PoolID), "service_types": orEmpty(s.ServiceTypes),
		"revision_number": s.Revision, "created_at": api.Time(s.CreatedAt), "updated_at": api.Time(s.UpdatedAt)}
}

func (b subnetBody) apply(s *network.Subnet) error {
	api.Set(&s.Name, b.Name)
	api.Set(&s.Description, b.Description)
	api.Set(&s.DHCP, b.DHCP)
	api.Set(&s.Pools, b.Pools)
	api.Set(&s.DNS, b.DNS)
	api.Set(&s.NTP, b.NTP)
	api.Set(&s.Routes, b.Routes)
	api.Set(&s.ServiceTypes, b.ServiceTypes)
	return b.Tags.into(&s.Tags, &s.Labels)
}

func (n *neutron) createSubnets(r *api.Request, bodies []subnetBody) ([]network.Subnet, error) {
	want := make([]network.NewSubnet, len(bodies))
	for i, b := range bodies {
		if _, err := projectOf(r, b.TenantID, b.ProjectID); err != nil {
			return nil, err
		}
		w := &want[i]
		w.Subnet = network.Subnet{NetworkID: b.NetworkID, IPVersion: int(b.IPVersion), DHCP: true}
		w.DefaultPool = b.DefaultPool
		b.CIDR.into(&w.CIDR)
		b.RAMode.into(&w.RAMode)
		b.AddressMode.into(&w.AddressMode)
		b.Pool.into(&w.PoolID)
		api.Set(&w.PrefixLen, (*int)(b.PrefixLen.value))
		if b.Gateway.given {
			w.Gateway = new(string)
			b.Gateway.into(w.Gateway)
		}
		if err := b.apply(&w.Subnet); err != nil {
			return nil, err
		}
	}
	return n.CreateSubnets(r.Context(), owner(r), want)
}

func (n *neutron) updateSubnet(r *api.Request, id string, rev int64, b subnetBody) (network.Subnet, error) {
	return n.EditSubnet(r.Context(), owner(r), id, rev, func(s *network.Subnet) error {
		cidr := s.CIDR
		if b.CIDR.into(&cidr); cidr != s.CIDR {
			return fault.Field("cidr", "can not be changed")
		}
		b.Gateway.into(&s.Gateway)
		return b.apply(s)
	})
}
