package network

// The nouns, with the attributes that lists filter and sort by.
var (
	networkNoun = &noun{name: "network", table: "network", missing: "NetworkNotFound", labels: true, shared: true, external: true, attributes: standard(attributes{
		"name": {sql: "name"}, "description": {sql: "description"}, "admin_state_up": {sql: "admin_up", form: truth}, "shared": {sql: "shared", form: truth},
		"plane": {sql: "plane"}, "mtu": {sql: "mtu", form: number}, "port_security_enabled": {sql: "port_security", form: truth},
		"status":                    {sql: "'ACTIVE' IN (?)", condition: true},
		"router:external":           {sql: "external", form: truth},
		"provider:network_type":     {sql: "'vlan' IN (?)", condition: true},
		"provider:physical_network": {sql: "plane"}, "provider:segmentation_id": {sql: "vlan", form: number}})}
	subnetNoun = &noun{name: "subnet", table: "subnet", missing: "SubnetNotFound", labels: true, within: networkNoun, at: "network_id", attributes: standard(attributes{
		"name": {sql: "name"}, "description": {sql: "description"}, "network_id": {sql: "network_id"}, "ip_version": {sql: "ip_version", form: number},
		"cidr": {sql: "cidr"}, "gateway_ip": {sql: "gateway"}, "enable_dhcp": {sql: "dhcp", form: truth}, "subnetpool_id": {sql: "pool_id"},
		"ipv6_ra_mode": {sql: "ra_mode"}, "ipv6_address_mode": {sql: "address_mode"},
		"shared": {sql: "(SELECT n.shared FROM network n WHERE n.id = network_id) IN (?)", form: truth, condition: true},
		"status": {sql: "'ACTIVE' IN (?)", condition: true}})}
	portNoun = &noun{name: "port", table: "port", missing: "PortNotFound", labels: true, attributes: standard(attributes{
		"name": {sql: "name"}, "description": {sql: "description"}, "network_id": {sql: "network_id"}, "admin_state_up": {sql: "admin_up", form: truth},
		"mac_address": {sql: "mac", form: mac}, "device_id": {sql: "device_id"}, "device_owner": {sql: "device_owner"},
		"port_security_enabled": {sql: "port_security", form: truth}, "trusted": {sql: "trusted", form: truth},
		"binding:host_id": {sql: "host"}, "binding:vnic_type": {sql: "vnic_type"},
		"segmentation_id": {sql: "NULL IN (?)", condition: true}, "segmentation_type": {sql: "NULL IN (?)", condition: true},
		"status":                      {sql: "CASE WHEN device_id <> '' THEN 'ACTIVE' ELSE 'DOWN' END"},
		"fixed_ips.ip_address":        {sql: "id IN (SELECT port_id FROM fixed_ip WHERE address IN (?))", condition: true},
		"fixed_ips.ip_address_substr": {sql: "id IN (SELECT port_id FROM fixed_ip WHERE REPLACE(address, ?, '') <> address)", condition: true, each: true},
		"fixed_ips.subnet_id":         {sql: "id IN (SELECT port_id FROM fixed_ip WHERE subnet_id IN (?))", condition: true},
		"security_groups":             {sql: "id IN (SELECT port_id FROM port_security_group WHERE group_id IN (?))", condition: true}})}
	poolNoun = &noun{name: "subnetpool", table: "subnet_pool", missing: "SubnetPoolNotFound", labels: true, shared: true, attributes: standard(attributes{
		"name": {sql: "name"}, "description": {sql: "description"}, "ip_version": {sql: "ip_version", form: number}, "address_scope_id": {sql: "scope_id"},
		"is_default": {sql: "is_default", form: truth}, "shared": {sql: "shared", form: truth}, "default_quota": {sql: "quota", form: number},
		"min_prefixlen": {sql: "min_prefix", form: number}, "default_prefixlen": {sql: "default_prefix", form: number}, "max_prefixlen": {sql: "max_prefix", form: number}})}
	scopeNoun = &noun{name: "address_scope", table: "address_scope", missing: "AddressScopeNotFound", shared: true, attributes: standard(attributes{
		"name": {sql: "name"}, "ip_version": {sql: "ip_version", form: number}, "shared": {sql: "shared", form: truth}})}
	groupNoun = &noun{name: "security_group", table: "security_group", missing: "SecurityGroupNotFound", labels: true, shared: true, attributes: standard(attributes{
		"name": {sql: "name"}, "description": {sql: "description"}, "stateful": {sql: "stateful", form: truth}, "shared": {sql: "shared", form: truth},
		"status": {sql: "'ACTIVE' IN (?)", condition: true}})}
	ruleNoun = &noun{name: "security_group_rule", table: "security_group_rule", missing: "SecurityGroupRuleNotFound", within: groupNoun, at: "group_id",
		attributes: standard(attributes{"description": {sql: "description"}, "security_group_id": {sql: "group_id"}, "direction": {sql: "direction"},
			"ethertype": {sql: "ether_type"}, "protocol": {sql: "protocol"}, "port_range_min": {sql: "port_min", form: number},
			"port_range_max": {sql: "port_max", form: number}, "remote_ip_prefix": {sql: "remote_prefix"}, "remote_group_id": {sql: "remote_group"},
			"remote_address_group_id": {sql: "remote_address_group"}})}
	addressGroupNoun = &noun{name: "address_group", table: "address_group", missing: "AddressGroupNotFound", shared: true, attributes: standard(attributes{
		"name": {sql: "name"}, "description": {sql: "description"}, "shared": {sql: "shared", form: truth}})}
	routerNoun = &noun{name: "router", table: "router", missing: "RouterNotFound", labels: true, attributes: standard(attributes{
		"name": {sql: "name"}, "description": {sql: "description"}, "admin_state_up": {sql: "admin_up", form: truth}, "status": {sql: "'ACTIVE' IN (?)", condition: true}})}
	floatingNoun = &noun{name: "floating IP", table: "floating_ip", missing: "FloatingIPNotFound", labels: true, attributes: standard(attributes{
		"description": {sql: "description"}, "floating_network_id": {sql: "network_id"}, "floating_ip_address": {sql: "address"}, "fixed_ip_address": {sql: "fixed_address"},
		"port_id": {sql: "port_id"}, "router_id": {sql: "router_id"}, "status": {sql: "CASE WHEN port_id <> '' THEN 'ACTIVE' ELSE 'DOWN' END"}})}
	policyNoun = &noun{name: "rbac_policy", table: "network_policy", missing: "RbacPolicyNotFound", attributes: standard(attributes{
		"object_type": {sql: "object_type"}, "object_id": {sql: "object_id"}, "action": {sql: "action"}, "target_tenant": {sql: "target"}, "target_project": {sql: "target"}})}
)
