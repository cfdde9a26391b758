package main

import "github.com/hagane-cloud/hagane/client"

// floating makes an external network, a router from a tenant's network to there, and a floating address with these attributes. It returns
// the external network and the address.
func (c *testCloud) floating(tenant *client.Cloud, network string, with object) (outside, address string) {
	c.Helper()
	out := must[struct{ Network struct{ ID string } }](c, c.admin, "POST", "network", "/v2.0/networks", object{"network": object{"name": "outside", "router:external": true}}).Network.ID
	must[any](c, c.admin, "POST", "network", "/v2.0/subnets", object{"subnet": object{"network_id": out, "cidr": "203.0.113.0/24"}})
	r := must[struct{ Router struct{ ID string } }](c, tenant, "POST", "network", "/v2.0/routers", object{"router": object{"external_gateway_info": object{"network_id": out}}})
	sub := must[struct{ Subnets []struct{ ID string } }](c, tenant, "GET", "network", "/v2.0/subnets?network_id="+network, nil)
	must[any](c, tenant, "PUT", "network", "/v2.0/routers/"+r.Router.ID+"/add_router_interface", object{"subnet_id": sub.Subnets[0].ID})
	with["floating_network_id"] = out
	f := must[struct {
		Floating struct {
			Address string `json:"floating_ip_address"`
		} `json:"floatingip"`
	}](c, tenant, "POST", "network", "/v2.0/floatingips", object{"floatingip": with})
	return out, f.Floating.Address
}
