package neutron

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
)

// extensionsServed are the extensions whose behaviour is really there.
var extensionsServed = []struct{ alias, name, description string }{
	{"address-group", "Address group", "Lists of addresses that rules of security groups name"},
	{"address-scope", "Address scope", "Subnet pools whose addresses do not overlap"},
	{"allowed-address-pairs", "Allowed Address Pairs", "Addresses that a port may use besides its own: kept to by switches that have filters, such as the lab's"},
	{"binding", "Port Binding", "Attributes of the binding of ports, for operators"},
	{"default-subnetpools", "Default Subnetpools", "Subnets of the default subnet pool of their IP version"},
	{"external-net", "Neutron external network", "Networks that routers lead to: made by operators, seen by every project"},
	{"ext-gw-mode", "Neutron L3 Configurable external gateway mode", "The attribute enable_snat of a router's gateway, for operators"},
	{"extra_dhcp_opt", "Neutron Extra DHCP options", "DHCP options of ports; those that are known by name or number are served over IPv4"},
	{"extraroute", "Neutron Extra Route", "Routes of routers"},
	{"extraroute-atomic", "Atomically add/remove extra routes", "Routes are added to a router's and taken away"},
	{"filter-validation", "Filters validation", "Filters that are not known are refused"},
	{"ip-substring-filtering", "IP address substring filtering", "Ports by a part of their addresses"},
	{"net-mtu", "Network MTU", "The MTU of a network, which servers are told"},
	{"net-mtu-writable", "Network MTU (writable)", "The MTU of a network can be set"},
	{"network-ip-availability", "Network IP Availability", "How many addresses networks and subnets have left, for operators"},
	{"pagination", "Pagination support", "Lists come in pages"},
	{"port-security", "Port Security", "The attribute port_security_enabled: kept to by switches that have filters, such as the lab's"},
	{"port-trusted-vif", "Port trusted vif", "The attribute trusted: kept; the NICs are physical and have no functions to trust"},
	{"project-id", "project_id field enabled", "Things have project_id beside tenant_id"},
	{"provider", "Provider Network", "The VLAN of a network, for operators"},
	{"quotas", "Quota management support", "Quotas of projects, which are enforced"},
	{"quota_details", "Quota details management support", "What is used of quotas"},
	{"rbac-address-group", "Add address_group type to RBAC", "Address groups are shared by policies"},
	{"rbac-address-scope", "Address scope RBAC", "Address scopes are shared by policies"},
	{"rbac-policies", "RBAC Policies", "Networks are shared with single projects by policies"},
	{"rbac-security-groups", "Add security_group type to RBAC", "Security groups are shared by policies"},
	{"rbac-subnetpool", "Subnetpool RBAC", "Subnet pools are shared by policies"},
	{"revision-if-match", "If-Match constraints based on revision_number", "Changes of what was read, and of nothing else"},
	{"router", "Neutron L3 Router", "Routers between a project's networks and to external ones, and floating addresses; they carry IPv4"},
	{"security-group", "security-group", "Security groups and their rules: kept to by switches that have filters, such as the lab's"},
	{"security-groups-remote-address-group", "Remote address group in rules", "Rules may name address groups: kept to by switches that have filters, such as the lab's"},
	{"sorting", "Sorting support", "Lists are sorted by many attributes"},
	{"standard-attr-description", "standard-attr-description", "Things have descriptions"},
	{"standard-attr-revisions", "Resource revision numbers", "Things have revision numbers"},
	{"standard-attr-tag", "Tag support for resources with standard attribute", "Tags on networks, subnets, ports, subnet pools, security groups, routers and floating addresses"},
	{"standard-attr-timestamp", "Resource timestamps", "Things have the times of their making and last change"},
	{"stateful-security-group", "Stateful security group", "The attribute stateful: kept to by switches that have filters, such as the lab's"},
	{"subnet-service-types", "Subnet service types", "Subnets for some owners of devices only"},
	{"subnet_allocation", "Subnet Allocation", "Subnet pools"},
	{"subnetpool-prefix-ops", "Subnet Pool Prefix Operations", "Prefixes are added to subnet pools and taken away"},
}

func extensionDoc(alias, name, description string) api.Object {
	return api.Object{"alias": alias, "name": name, "description": description, "updated": "2016-01-01T00:00:00-00:00", "links": []string{}}
}

func (n *neutron) extensions(w http.ResponseWriter, _ *api.Request) error {
	out := []api.Object{}
	for _, e := range extensionsServed {
		out = append(out, extensionDoc(e.alias, e.name, e.description))
	}
	return api.JSON(w, http.StatusOK, api.Object{"extensions": out})
}

func (n *neutron) extension(w http.ResponseWriter, r *api.Request) error {
	for _, e := range extensionsServed {
		if e.alias == r.PathValue("alias") {
			return api.JSON(w, http.StatusOK, api.Object{"extension": extensionDoc(e.alias, e.name, e.description)})
		}
	}
	return fault.Errorf(fault.NotFound, "no extension %q", r.PathValue("alias"))
}
