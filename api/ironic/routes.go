package ironic

import (
	"slices"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/server"
)

// Dialect makes the dialect.
func Dialect(s *node.Service, servers *server.Service) api.Dialect {
	i := &ironic{Service: s, servers: servers}
	routes := slices.Concat(i.nodeRoutes(), i.hardwareRoutes(), i.recordRoutes())
	for n := range routes {
		routes[n].Do = versioned(routes[n].Do)
	}
	return api.Dialect{Prefix: Prefix, Error: Error, Routes: routes}
}

func (i *ironic) nodeRoutes() []api.Route {
	return []api.Route{
		{"GET", "", api.Anyone, i.root},
		{"GET", "/v1", api.Anyone, i.v1},
		{"GET", "/v1/drivers", api.OperatorsRead, i.drivers},
		{"GET", "/v1/drivers/{name}", api.OperatorsRead, i.driver},
		{"GET", "/v1/drivers/{name}/properties", api.OperatorsRead, i.driverProperties},
		{"GET", "/v1/drivers/{name}/raid/logical_disk_properties", api.OperatorsRead, i.raidProperties},
		{"GET", "/v1/drivers/{name}/vendor_passthru/methods", api.OperatorsRead, i.driverMethods},
		{"POST", "/v1/drivers/{name}/vendor_passthru", api.Operators, i.noDriverMethod},
		{"GET", "/v1/conductors", api.OperatorsRead, i.conductors},
		{"GET", "/v1/conductors/{host}", api.OperatorsRead, i.conductor},
		{"GET", "/v1/lookup", api.Anyone, i.lookup},
		{"POST", "/v1/heartbeat/{node}", api.Anyone, i.heartbeat},
		{"POST", "/v1/events", api.Services, i.events},
		{"GET", "/v1/shards", api.OperatorsRead, i.shards},

		{"GET", "/v1/nodes", api.NodeReaders, i.nodes},
		{"POST", "/v1/nodes", api.Operators, i.createNode},
		{"GET", "/v1/nodes/detail", api.NodeReaders, i.nodesDetail},
		{"GET", "/v1/nodes/{node}", api.NodeReaders, i.node},
		{"PATCH", "/v1/nodes/{node}", api.NodeMembers, i.patchNode},
		{"DELETE", "/v1/nodes/{node}", api.Operators, i.deleteNode},
		{"GET", "/v1/nodes/{node}/validate", api.NodeReaders, i.validate},
		{"GET", "/v1/nodes/{node}/states", api.NodeReaders, i.states},
		{"PUT", "/v1/nodes/{node}/states/provision", api.NodeMembers, i.provision},
		{"PUT", "/v1/nodes/{node}/states/power", api.NodeMembers, i.power},
		{"PUT", "/v1/nodes/{node}/states/raid", api.Operators, i.setRAID},
		{"PUT", "/v1/nodes/{node}/maintenance", api.Operators, i.hold},
		{"DELETE", "/v1/nodes/{node}/maintenance", api.Operators, i.release},
		{"GET", "/v1/nodes/{node}/traits", api.NodeReaders, i.traits},
		{"PUT", "/v1/nodes/{node}/traits", api.Operators, i.setTraits},
		{"DELETE", "/v1/nodes/{node}/traits", api.Operators, i.dropTraits},
		{"PUT", "/v1/nodes/{node}/traits/{trait}", api.Operators, i.addTrait},
		{"DELETE", "/v1/nodes/{node}/traits/{trait}", api.Operators, i.dropTrait},
		{"GET", "/v1/nodes/{node}/inventory", api.NodeReaders, i.inventory},
		{"GET", "/v1/nodes/{node}/history", api.NodeReaders, i.history},
		{"GET", "/v1/nodes/{node}/history/{event}", api.NodeReaders, i.historyEvent},
		{"GET", "/v1/nodes/{node}/children", api.NodeReaders, i.children},
		{"GET", "/v1/nodes/{node}/vifs", api.NodeReaders, i.vifs},
		{"POST", "/v1/nodes/{node}/vifs", api.NodeMembers, i.attachVIF},
		{"DELETE", "/v1/nodes/{node}/vifs/{vif}", api.NodeMembers, i.detachVIF},
		{"GET", "/v1/nodes/{node}/allocation", api.NodeReaders, i.nodeAllocation},
		{"DELETE", "/v1/nodes/{node}/allocation", api.NodeMembers, i.dropNodeAllocation},
		{"GET", "/v1/nodes/{node}/vendor_passthru/methods", api.OperatorsRead, i.nodeMethods},
		{"POST", "/v1/nodes/{node}/vendor_passthru", api.Operators, i.noNodeMethod},

		{"GET", "/v1/nodes/{node}/ports", api.NodeReaders, i.nodePorts},
		{"GET", "/v1/nodes/{node}/ports/detail", api.NodeReaders, i.nodePorts},
		{"GET", "/v1/ports", api.NodeReaders, i.ports},
		{"POST", "/v1/ports", api.Operators, i.createPort},
		{"GET", "/v1/ports/detail", api.NodeReaders, i.ports},
		{"GET", "/v1/ports/{port}", api.NodeReaders, i.port},
		{"PATCH", "/v1/ports/{port}", api.Operators, i.patchPort},
		{"DELETE", "/v1/ports/{port}", api.Operators, i.deletePort},
	}
}

func (i *ironic) hardwareRoutes() []api.Route {
	return []api.Route{
		{"GET", "/v1/nodes/{node}/management/boot_device", api.OperatorsRead, i.bootDevice},
		{"PUT", "/v1/nodes/{node}/management/boot_device", api.Operators, i.setBootDevice},
		{"GET", "/v1/nodes/{node}/management/boot_device/supported", api.OperatorsRead, i.bootDevices},
		{"PUT", "/v1/nodes/{node}/management/inject_nmi", api.Operators, i.interrupt},
		{"GET", "/v1/nodes/{node}/management/indicators", api.OperatorsRead, i.indicators},
		{"GET", "/v1/nodes/{node}/management/indicators/{component}", api.OperatorsRead, i.indicatorsOf},
		{"GET", "/v1/nodes/{node}/management/indicators/{component}/{indicator}", api.OperatorsRead, i.indicator},
		{"PUT", "/v1/nodes/{node}/management/indicators/{component}/{indicator}", api.Operators, i.setIndicator},
		{"GET", "/v1/nodes/{node}/bios", api.OperatorsRead, i.biosSettings},
		{"GET", "/v1/nodes/{node}/bios/{setting}", api.OperatorsRead, i.biosSetting},
		{"GET", "/v1/nodes/{node}/firmware", api.OperatorsRead, i.firmware},
		{"PUT", "/v1/nodes/{node}/states/boot_mode", api.Operators, i.setBootMode},
		{"PUT", "/v1/nodes/{node}/states/secure_boot", api.Operators, i.setSecureBoot},
		{"GET", "/v1/nodes/{node}/states/console", api.Operators, i.console},
		{"PUT", "/v1/nodes/{node}/states/console", api.Operators, i.setConsole},
		{"GET", "/v1/nodes/{node}/vmedia", api.OperatorsRead, i.media},
		{"POST", "/v1/nodes/{node}/vmedia", api.Operators, i.attachMedia},
		{"DELETE", "/v1/nodes/{node}/vmedia", api.Operators, i.detachMedia},
	}
}

// recordRoutes are those of what operators write down beside nodes.
func (i *ironic) recordRoutes() []api.Route {
	deploy, book := templates{i, node.DeployTemplate, "deploy_templates"}, templates{i, node.Runbook, "runbooks"}
	connectors, targets := volumes{i, node.Connector}, volumes{i, node.Target}
	return []api.Route{
		{"GET", "/v1/chassis", api.OperatorsRead, i.listChassis},
		{"POST", "/v1/chassis", api.Operators, i.createChassis},
		{"GET", "/v1/chassis/detail", api.OperatorsRead, i.listChassis},
		{"GET", "/v1/chassis/{chassis}", api.OperatorsRead, i.showChassis},
		{"PATCH", "/v1/chassis/{chassis}", api.Operators, i.patchChassis},
		{"DELETE", "/v1/chassis/{chassis}", api.Operators, i.deleteChassis},
		{"GET", "/v1/chassis/{chassis}/nodes", api.OperatorsRead, i.chassisNodes},
		{"GET", "/v1/chassis/{chassis}/nodes/detail", api.OperatorsRead, i.chassisNodes},

		{"GET", "/v1/portgroups", api.OperatorsRead, i.portGroups},
		{"POST", "/v1/portgroups", api.Operators, i.createPortGroup},
		{"GET", "/v1/portgroups/detail", api.OperatorsRead, i.portGroups},
		{"GET", "/v1/portgroups/{portgroup}", api.OperatorsRead, i.portGroup},
		{"PATCH", "/v1/portgroups/{portgroup}", api.Operators, i.patchPortGroup},
		{"DELETE", "/v1/portgroups/{portgroup}", api.Operators, i.deletePortGroup},
		{"GET", "/v1/portgroups/{portgroup}/ports", api.OperatorsRead, i.groupPorts},
		{"GET", "/v1/nodes/{node}/portgroups", api.OperatorsRead, i.nodePortGroups},
		{"GET", "/v1/nodes/{node}/portgroups/detail", api.OperatorsRead, i.nodePortGroups},

		{"GET", "/v1/allocations", api.NodeReaders, i.allocations},
		{"POST", "/v1/allocations", api.NodeMembers, i.createAllocation},
		{"GET", "/v1/allocations/{allocation}", api.NodeReaders, i.allocation},
		{"PATCH", "/v1/allocations/{allocation}", api.NodeMembers, i.patchAllocation},
		{"DELETE", "/v1/allocations/{allocation}", api.NodeMembers, i.deleteAllocation},

		{"GET", "/v1/deploy_templates", api.OperatorsRead, deploy.list},
		{"POST", "/v1/deploy_templates", api.Operators, deploy.create},
		{"GET", "/v1/deploy_templates/{template}", api.OperatorsRead, deploy.show},
		{"PATCH", "/v1/deploy_templates/{template}", api.Operators, deploy.patch},
		{"DELETE", "/v1/deploy_templates/{template}", api.Operators, deploy.delete},
		{"GET", "/v1/runbooks", api.OperatorsRead, book.list},
		{"POST", "/v1/runbooks", api.Operators, book.create},
		{"GET", "/v1/runbooks/{template}", api.OperatorsRead, book.show},
		{"PATCH", "/v1/runbooks/{template}", api.Operators, book.patch},
		{"DELETE", "/v1/runbooks/{template}", api.Operators, book.delete},

		{"GET", "/v1/inspection_rules", api.OperatorsRead, i.inspectionRules},
		{"POST", "/v1/inspection_rules", api.Operators, i.createInspectionRule},
		{"DELETE", "/v1/inspection_rules", api.Operators, i.deleteInspectionRules},
		{"GET", "/v1/inspection_rules/{rule}", api.OperatorsRead, i.inspectionRule},
		{"PATCH", "/v1/inspection_rules/{rule}", api.Operators, i.patchInspectionRule},
		{"DELETE", "/v1/inspection_rules/{rule}", api.Operators, i.deleteInspectionRule},

		{"GET", "/v1/volume", api.OperatorsRead, i.volumeRoot},
		{"GET", "/v1/volume/connectors", api.OperatorsRead, connectors.list},
		{"POST", "/v1/volume/connectors", api.Operators, connectors.create},
		{"GET", "/v1/volume/connectors/{id}", api.OperatorsRead, connectors.show},
		{"PATCH", "/v1/volume/connectors/{id}", api.Operators, connectors.patch},
		{"DELETE", "/v1/volume/connectors/{id}", api.Operators, connectors.delete},
		{"GET", "/v1/volume/targets", api.OperatorsRead, targets.list},
		{"POST", "/v1/volume/targets", api.Operators, targets.create},
		{"GET", "/v1/volume/targets/{id}", api.OperatorsRead, targets.show},
		{"PATCH", "/v1/volume/targets/{id}", api.Operators, targets.patch},
		{"DELETE", "/v1/volume/targets/{id}", api.Operators, targets.delete},
		{"GET", "/v1/nodes/{node}/volume", api.OperatorsRead, i.volumeRoot},
		{"GET", "/v1/nodes/{node}/volume/connectors", api.OperatorsRead, connectors.list},
		{"GET", "/v1/nodes/{node}/volume/targets", api.OperatorsRead, targets.list},
	}
}
