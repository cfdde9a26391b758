package redfish

import "strings"

// table is shared by all BMCs.
var table = routes()

// routes are the resources that simulated BMCs have.
func routes() []route {
	all := []route{
		at("", (*call).serviceRoot, route{open: true}),
		at("odata", (*call).odata, route{open: true}),
		at("SessionService", (*call).sessionService, route{}),
		at("SessionService/Sessions", (*call).sessionList, route{post: (*call).loginNew, open: true}),
		at("SessionService/Sessions/*", (*call).session, route{del: (*call).logout}),
		at("Sessions", (*call).oldSessionList, route{post: (*call).login, open: true}),
		at("Sessions/*", (*call).session, route{del: (*call).logout}),
		at("AccountService", (*call).accountService, route{}),
		at("AccountService/Accounts", (*call).accountList, route{post: (*call).addAccount}),
		at("AccountService/Accounts/*", (*call).showAccount, route{patch: (*call).changeAccount, del: (*call).removeAccount}),
		at("AccountService/Roles", (*call).roleList, route{}),
		at("AccountService/Roles/*", (*call).role, route{}),
		at("EventService", (*call).eventService, route{}),
		at("EventService/Subscriptions", (*call).noSubscriptions, route{}),
		at("Registries", (*call).registryList, route{}),
		at("Registries/*", (*call).registryFile, route{}),
		at("TelemetryService", (*call).telemetry, route{}),
		at("TelemetryService/MetricReports", (*call).metricReports, route{}),
		at("TelemetryService/MetricReports/*", (*call).metricReport, route{}),

		at("Systems", (*call).systems, route{}),
		at("Systems/{s}", (*call).showSystem, route{patch: (*call).changeSystem}),
		at("Systems/HGX_Baseboard_0", (*call).baseboard, route{}),
		at("Systems/{s}/Settings", (*call).systemSettings, route{patch: (*call).changeFutureBoot}),
		at("Systems/{s}/SD", (*call).systemSettings, route{patch: (*call).changeFutureBoot}),
		at("Systems/{s}/ResetActionInfo", (*call).resetInfo, route{}),
		at("Systems/{s}/Actions/ComputerSystem.Reset", nil, route{post: (*call).resetSystem}),
		at("Systems/{s}/Actions/Oem/FTSComputerSystem.Reset", nil, route{post: (*call).resetFTS}),
		at("Systems/{s}/Actions/Oem/FTSComputerSystem.VirtualMedia", nil, route{post: (*call).connectFTS}),
		at("Systems/{s}/Oem/*/BootConfig", (*call).bootConfig, route{patch: (*call).changeBootConfig}),
		at("Systems/{s}/Oem/*/VirtualMedia", (*call).mediaConfig, route{patch: (*call).changeMediaConfig}),
		at("Systems/{s}/Oem/*/System", (*call).systemFTS, route{}),
		at("Systems/{s}/BootOptions", (*call).bootOptions, route{}),
		at("Systems/{s}/BootOptions/*", (*call).bootOption, route{}),
		at("Systems/{s}/EthernetInterfaces", (*call).nicList, route{}),
		at("Systems/{s}/EthernetInterfaces/*", (*call).nic, route{}),
		at("Systems/{s}/SecureBoot", (*call).secureBoot, route{patch: (*call).changeSecureBoot}),
		at("Systems/{s}/SecureBoot/Actions/SecureBoot.ResetKeys", nil, route{post: (*call).resetKeys}),
		at("Systems/{s}/Storage", (*call).storageList, route{}),
		at("Systems/{s}/Storage/1", (*call).storage, route{}),
		at("Systems/{s}/Storage/1/Drives/*", (*call).drive, route{}),
		at("Systems/{s}/Memory", (*call).memoryList, route{}),
		at("Systems/{s}/Processors", (*call).processorList, route{}),
		at("Systems/{s}/Bios/BiosRegistry", (*call).ownRegistry, route{}),

		at("Managers", (*call).managers, route{}),
		at("Managers/{m}", (*call).showManager, route{patch: (*call).changeManager}),
		at("Managers/HGX_BMC_0", (*call).otherManager, route{}),
		at("Managers/{m}/Actions/Manager.Reset", nil, route{post: (*call).resetManager}),
		at("Managers/{m}/EthernetInterfaces", (*call).ownPorts, route{}),
		at("Managers/{m}/NetworkProtocol", (*call).protocols, route{}),
		at("Managers/{m}/Attributes", (*call).dellAttributes, route{patch: (*call).changeDellAttributes}),
		at("Managers/{m}/Oem/Dell/DellAttributes/*", (*call).dellAttributes, route{patch: (*call).changeDellAttributes}),
		at("Managers/{m}/Oem/Dell/Jobs", (*call).jobs, route{post: (*call).addJob}),
		at("Managers/{m}/Oem/Dell/Jobs/*", (*call).job, route{del: (*call).dropJob}),
		at("Managers/{m}/Jobs", (*call).jobs, route{post: (*call).addJob}),
		at("Managers/{m}/Jobs/*", (*call).job, route{del: (*call).dropJob}),
		at("Managers/{m}/Oem/Dell/DellJobService", (*call).jobService, route{}),
		at("Managers/{m}/Oem/Dell/DellJobService/Actions/DellJobService.DeleteJobQueue", nil, route{post: (*call).clearJobs}),
		at("Managers/{m}/Oem/Dell/DellLCService", (*call).lcService, route{}),
		at("Managers/{m}/Oem/Dell/DellLCService/Actions/DellLCService.GetRemoteServicesAPIStatus", nil, route{post: (*call).lcStatus}),

		at("Chassis", (*call).chassisList, route{}),
		at("Chassis/{c}", (*call).showChassis, route{patch: (*call).changeChassis}),
		at("Chassis/Enclosure.Internal.0-1", (*call).enclosure, route{}),
		at("Chassis/{c}/Thermal", (*call).thermal, route{}),
		at("Chassis/{c}/Power", (*call).powerSensors, route{}),
		at("Chassis/{c}/ThermalSubsystem", (*call).thermalSubsystem, route{}),
		at("Chassis/{c}/PowerSubsystem", (*call).powerSubsystem, route{}),
		at("Chassis/{c}/Sensors", (*call).sensorList, route{}),
		at("Chassis/{c}/Sensors/*", (*call).sensor, route{}),
		at("Chassis/{c}/NetworkAdapters", (*call).adapterList, route{}),
		at("Chassis/{c}/NetworkAdapters/1", (*call).adapter, route{}),
		at("Chassis/{c}/NetworkAdapters/1/NetworkPorts", (*call).portList, route{}),
		at("Chassis/{c}/NetworkAdapters/1/NetworkPorts/*", (*call).port, route{}),
		at("Chassis/{c}/NetworkAdapters/1/Ports", (*call).portList, route{}),
		at("Chassis/{c}/NetworkAdapters/1/Ports/*", (*call).port, route{}),

		at("TaskService", (*call).taskService, route{}),
		at("TaskService/Tasks", (*call).taskList, route{}),
		at("TaskService/Tasks/*", (*call).showTask, route{}),
		at("TaskService/TaskMonitors/*", (*call).monitor, route{}),
		at("UpdateService", (*call).updateService, route{}),
		at("UpdateService/FirmwareInventory", (*call).firmwareList, route{}),
		at("UpdateService/FirmwareInventory/*", (*call).firmware, route{}),
		at("UpdateService/Actions/UpdateService.SimpleUpdate", nil, route{post: (*call).update}),
	}
	for _, owner := range []string{"Systems/{s}", "Managers/{m}"} {
		all = append(all,
			at(owner+"/VirtualMedia", (*call).mediaList, route{}),
			at(owner+"/VirtualMedia/*", (*call).slot, route{patch: (*call).changeSlot}),
			at(owner+"/VirtualMedia/*/Actions/VirtualMedia.InsertMedia", nil, route{post: (*call).insert}),
			at(owner+"/VirtualMedia/*/Actions/VirtualMedia.EjectMedia", nil, route{post: (*call).eject}),
			at(owner+"/LogServices", (*call).logList, route{}),
			at(owner+"/LogServices/*", (*call).logService, route{}),
			at(owner+"/LogServices/*/Entries", (*call).entries, route{}),
			at(owner+"/LogServices/*/Entries/*", (*call).entry, route{}),
			at(owner+"/LogServices/*/Actions/LogService.ClearLog", nil, route{post: (*call).clearLog}),
		)
	}
	for _, bios := range []string{"Systems/{s}/Bios", "systems/1/bios"} {
		all = append(all, at(bios, (*call).bios, route{}))
		for _, pending := range []string{"Settings", "SD", "Pending", "settings"} {
			all = append(all, at(bios+"/"+pending, (*call).biosPending, route{patch: (*call).changeBios}),
				at(bios+"/"+pending+"/Actions/Oem/DellManager.ClearPending", nil, route{post: (*call).clearPending}),
				at(bios+"/"+pending+"/Actions/Bios.ResetBios", nil, route{post: (*call).resetBios}))
		}
		all = append(all, at(bios+"/Actions/Bios.ResetBios", nil, route{post: (*call).resetBios}))
	}
	return append(all, at("registrystore/registries/en/*", (*call).ownRegistry, route{}))
}

func at(pattern string, get func(*call) document, more route) route {
	more.pattern, more.get = strings.Split(pattern, "/"), get
	return more
}

func (c *call) odata() document {
	return document{"@odata.context": root + "/$metadata", "value": []document{{"name": "Service", "kind": "Singleton", "url": root + "/"}}}
}

func (c *call) serviceRoot() document {
	vendor, product := c.kind.Vendor, c.kind.Product
	if c.config.Vendor != "" {
		vendor = c.config.Vendor
	}
	if c.config.Model != "" {
		product = c.config.Model
	}
	d := document{
		"@odata.type": "#ServiceRoot.v1_5_0.ServiceRoot", "@odata.id": root + "/", "@odata.context": root + "/$metadata#ServiceRoot.ServiceRoot",
		"Id": "RootService", "Name": "Root Service", "RedfishVersion": c.kind.RedfishVersion, "UUID": c.machine.Spec().UUID,
		"Systems": link("Systems"), "Chassis": link("Chassis"), "Managers": link("Managers"),
		"SessionService": link("SessionService"), "AccountService": link("AccountService"), "UpdateService": link("UpdateService"),
		"Tasks": link("TaskService"), "EventService": link("EventService"), "Registries": link("Registries"), "TelemetryService": link("TelemetryService"),
		"Links": document{"Sessions": link(c.sessionPath())},
	}
	if vendor != "" {
		d["Vendor"] = vendor
	}
	if product != "" {
		d["Product"] = product
	}
	if c.kind.OEM != "" {
		d["Oem"] = document{c.kind.OEM: document{}}
	}
	if c.kind.Tree.NoRootLinks {
		delete(d, "Systems")
		delete(d, "Chassis")
		delete(d, "Managers")
	}
	return d
}

func (c *call) loginNew() {
	if c.kind.Logins.Old {
		c.refuse(405, "OperationNotAllowed", "The resource does not support the method.")
		return
	}
	c.login()
}

func (c *call) oldSessionList() document {
	if !c.kind.Logins.Old {
		return nil
	}
	return c.sessionList()
}

func (c *call) eventService() document {
	d := c.resource("EventService.v1_5_0.EventService", "Event Service")
	d["ServiceEnabled"], d["Status"], d["Subscriptions"] = true, fine(), link("EventService/Subscriptions")
	return d
}

func (c *call) noSubscriptions() document { return c.members("EventDestination") }

func (c *call) telemetry() document {
	d := c.resource("TelemetryService.v1_2_1.TelemetryService", "Telemetry Service")
	d["MetricReports"], d["Status"] = link("TelemetryService/MetricReports"), fine()
	return d
}

func (c *call) metricReports() document {
	return c.members("MetricReport", "TelemetryService/MetricReports/PowerMetrics")
}

func (c *call) metricReport() document {
	if c.args[0] != "PowerMetrics" {
		return nil
	}
	d := c.resource("MetricReport.v1_4_2.MetricReport", "Power")
	d["MetricValues"] = []any{document{"MetricId": "Power", "MetricValue": "168"}}
	return d
}
