package ironic

import (
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/api"
)

// since tells from which microversion on a field is there. Source: Ironic's REST API Version History.
type since map[string]int

var nodeSince = since{
	"driver_internal_info": 3, "name": 5, "inspection_finished_at": 6, "inspection_started_at": 6, "clean_step": 7, "raid_config": 12, "target_raid_config": 12,
	"network_interface": 20, "resource_class": 21, "boot_interface": 31, "console_interface": 31, "deploy_interface": 31, "inspect_interface": 31,
	"management_interface": 31, "power_interface": 31, "raid_interface": 31, "vendor_interface": 31, "storage_interface": 33, "traits": 37,
	"rescue_interface": 38, "bios_interface": 40, "fault": 42, "deploy_step": 44, "conductor_group": 46, "automated_clean": 47, "protected": 48,
	"protected_reason": 48, "conductor": 49, "owner": 50, "description": 51, "allocation_uuid": 52, "retired": 61, "retired_reason": 61,
	"lessee": 65, "network_data": 66, "boot_mode": 75, "secure_boot": 75, "shard": 82, "parent_node": 83, "firmware_interface": 86, "service_step": 87, "disable_power_off": 95,
}

var portSince = since{
	"internal_info": 18, "local_link_connection": 19, "pxe_enabled": 19, "portgroup_uuid": 24, "physical_network": 34, "is_smartnic": 53, "name": 88, "description": 97,
}

// at drops the fields that came after a version.
func (s since) at(version int, d api.Object) api.Object {
	for field, from := range s {
		if from > version {
			delete(d, field)
		}
	}
	return d
}

// microOf is the microversion that a request was found to be of.
func microOf(r *api.Request) int {
	n, err := strconv.Atoi(strings.TrimPrefix(r.Header.Get(headerVersion), "1."))
	if err != nil {
		return maxMicro
	}
	return n
}
