package redfish

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/lab/bmcsim"
)

func link(path string) document { return document{"@odata.id": path} }

// resource returns the resource at a path below the root; ok is false when there is none.
func (b *BMC) resource(path string) (doc document, ok bool) {
	system, manager, chassis := "Systems/"+b.kind.SystemID, "Managers/"+b.kind.ManagerID, "Chassis/"+b.kind.ChassisID
	switch path {
	case "odata":
		return document{"@odata.context": root + "/$metadata", "value": []document{{"name": "Service", "kind": "Singleton", "url": root + "/"}}}, true
	case "Systems":
		return collection("ComputerSystemCollection.ComputerSystemCollection", path, system), true
	case system:
		return b.system(), true
	case system + "/EthernetInterfaces":
		return collection("EthernetInterfaceCollection.EthernetInterfaceCollection", path, b.nicPaths()...), true
	case "Managers":
		return collection("ManagerCollection.ManagerCollection", path, manager), true
	case manager:
		return b.manager(), true
	case "Chassis":
		return collection("ChassisCollection.ChassisCollection", path, chassis), true
	case chassis:
		return b.chassis(), true
	case chassis + "/Thermal":
		return b.thermal(), true
	case chassis + "/Power":
		return b.powerSensors(), true
	case "SessionService":
		return b.sessionService(), true
	case "SessionService/Sessions":
		return collection("SessionCollection.SessionCollection", path, b.sessionPaths()...), true
	case "AccountService", "AccountService/Accounts", "AccountService/Accounts/2", "AccountService/Roles", "AccountService/Roles/Administrator":
		return b.accounts(path), true
	}
	for _, known := range b.nicPaths() {
		if path == known {
			return b.nic(path), true
		}
	}
	for _, known := range b.sessionPaths() {
		if path == known {
			return b.session(path), true
		}
	}
	return nil, false
}

func collection(kind, path string, members ...string) document {
	links := []document{}
	for _, m := range members {
		links = append(links, link(root+"/"+m))
	}
	name, _, _ := strings.Cut(kind, ".")
	return document{
		"@odata.type": "#" + kind, "@odata.id": root + "/" + path, "Name": name,
		"Members": links, "Members@odata.count": len(links),
	}
}

func (b *BMC) serviceRoot() document {
	return document{
		"@odata.type": "#ServiceRoot.v1_5_0.ServiceRoot", "@odata.id": root + "/", "@odata.context": root + "/$metadata#ServiceRoot.ServiceRoot",
		"Id": "RootService", "Name": "Root Service", "RedfishVersion": b.kind.RedfishVersion, "UUID": b.machine.Spec().UUID,
		"Vendor": b.config.Vendor, "Product": b.config.Model,
		"Systems": link(root + "/Systems"), "Chassis": link(root + "/Chassis"), "Managers": link(root + "/Managers"),
		"SessionService": link(root + "/SessionService"), "AccountService": link(root + "/AccountService"),
		"Links": document{"Sessions": link(root + "/SessionService/Sessions")},
	}
}

func (b *BMC) manager() document {
	path := root + "/Managers/" + b.kind.ManagerID
	return document{
		"@odata.type": "#Manager.v1_5_0.Manager", "@odata.id": path, "Id": b.kind.ManagerID, "Name": "Manager", "ManagerType": "BMC",
		"Manufacturer": b.config.Vendor, "Model": b.config.Model, "FirmwareVersion": b.config.Firmware, "PowerState": "On",
		"UUID":   b.machine.Spec().UUID,
		"Status": document{"Health": "OK", "State": "Enabled"},
		"Links":  document{"ManagerForServers": []document{link(b.SystemPath())}, "ManagerForChassis": []document{link(root + "/Chassis/" + b.kind.ChassisID)}},
		"Actions": document{"#Manager.Reset": document{
			"target": path + "/Actions/Manager.Reset", "ResetType@Redfish.AllowableValues": []string{"GracefulRestart", "ForceRestart"},
		}},
	}
}

func (b *BMC) chassis() document {
	spec, path := b.machine.Spec(), root+"/Chassis/"+b.kind.ChassisID
	return document{
		"@odata.type": "#Chassis.v1_10_0.Chassis", "@odata.id": path, "Id": b.kind.ChassisID, "Name": "Chassis", "ChassisType": "RackMount",
		"Manufacturer": spec.Manufacturer, "Model": spec.Product, "SerialNumber": spec.Serial, "PowerState": power(b.machine.Status().On),
		"Status":  document{"Health": "OK", "State": "Enabled"},
		"Thermal": link(path + "/Thermal"), "Power": link(path + "/Power"),
		"Links": document{"ComputerSystems": []document{link(b.SystemPath())}, "ManagedBy": []document{link(root + "/Managers/" + b.kind.ManagerID)}},
	}
}

func (b *BMC) nicPaths() []string {
	var paths []string
	for i := range b.machine.Spec().NICs {
		paths = append(paths, fmt.Sprintf("Systems/%s/EthernetInterfaces/%d", b.kind.SystemID, i+1))
	}
	return paths
}

func (b *BMC) nic(path string) document {
	id := path[strings.LastIndexByte(path, '/')+1:]
	n, _ := strconv.Atoi(id)
	mac, status := b.machine.Spec().NICs[n-1].MAC.String(), "LinkDown"
	if b.machine.Status().On {
		status = "LinkUp"
	}
	return document{
		"@odata.type": "#EthernetInterface.v1_6_0.EthernetInterface", "@odata.id": root + "/" + path, "Id": id, "Name": "NIC " + id,
		"MACAddress": mac, "PermanentMACAddress": mac, "SpeedMbps": 10000, "LinkStatus": status,
		"Status": document{"Health": "OK", "State": "Enabled"},
	}
}

func (b *BMC) sessionService() document {
	return document{
		"@odata.type": "#SessionService.v1_1_6.SessionService", "@odata.id": root + "/SessionService", "Id": "SessionService", "Name": "Session Service",
		"ServiceEnabled": true, "SessionTimeout": int(sessionLife.Seconds()), "Sessions": link(root + "/SessionService/Sessions"),
	}
}

func (b *BMC) sessionPaths() []string {
	var paths []string
	for _, id := range b.sessions.ids() {
		paths = append(paths, "SessionService/Sessions/"+id)
	}
	return paths
}

func (b *BMC) session(path string) document {
	return document{
		"@odata.type": "#Session.v1_3_0.Session", "@odata.id": root + "/" + path, "Id": path[strings.LastIndexByte(path, '/')+1:],
		"Name": "User Session", "UserName": b.config.Username,
	}
}

func (b *BMC) accounts(path string) document {
	switch path {
	case "AccountService":
		return document{
			"@odata.type": "#AccountService.v1_6_0.AccountService", "@odata.id": root + "/" + path, "Id": "AccountService", "Name": "Account Service",
			"ServiceEnabled": true, "MinPasswordLength": 8, "MaxPasswordLength": 20,
			"Accounts": link(root + "/AccountService/Accounts"), "Roles": link(root + "/AccountService/Roles"),
		}
	case "AccountService/Accounts":
		return collection("ManagerAccountCollection.ManagerAccountCollection", path, "AccountService/Accounts/2")
	case "AccountService/Roles":
		return collection("RoleCollection.RoleCollection", path, "AccountService/Roles/Administrator")
	case "AccountService/Roles/Administrator":
		return document{
			"@odata.type": "#Role.v1_2_4.Role", "@odata.id": root + "/" + path, "Id": "Administrator", "Name": "Administrator", "IsPredefined": true,
			"AssignedPrivileges": []string{"Login", "ConfigureManager", "ConfigureUsers", "ConfigureComponents", "ConfigureSelf"},
		}
	}
	return document{
		"@odata.type": "#ManagerAccount.v1_4_0.ManagerAccount", "@odata.id": root + "/" + path, "Id": "2", "Name": "User Account",
		"UserName": b.config.Username, "Password": nil, "Enabled": true, "Locked": false, "RoleId": "Administrator",
		"Links": document{"Role": link(root + "/AccountService/Roles/Administrator")},
	}
}

// reading returns a sensor's value as JSON: null when there is none.
func (b *BMC) reading(s bmcsim.Sensor) any {
	if value, ok := s.Value(b.machine.Status().On); ok {
		return value
	}
	return nil
}

// each makes a list of documents of the sensors of a kind.
func (b *BMC) each(kind bmcsim.Kind, path string, make func(s bmcsim.Sensor) document) []document {
	list := []document{}
	for _, s := range b.sensors {
		if s.Kind != kind {
			continue
		}
		d := make(s)
		state := "Enabled"
		if b.reading(s) == nil {
			state = "UnavailableOffline"
		}
		d["@odata.id"] = fmt.Sprintf("%s#/%d", path, len(list))
		d["MemberId"], d["Name"], d["PhysicalContext"] = strconv.Itoa(len(list)), s.Name, s.Location
		d["Status"] = document{"Health": "OK", "State": state}
		list = append(list, d)
	}
	return list
}

func (b *BMC) thermal() document {
	path := root + "/Chassis/" + b.kind.ChassisID + "/Thermal"
	return document{
		"@odata.type": "#Thermal.v1_6_0.Thermal", "@odata.id": path, "Id": "Thermal", "Name": "Thermal",
		"Temperatures": b.each(bmcsim.Temperature, path, func(s bmcsim.Sensor) document {
			return document{"ReadingCelsius": b.reading(s), "UpperThresholdCritical": float64(s.Max) * s.Step}
		}),
		"Fans": b.each(bmcsim.Fan, path, func(s bmcsim.Sensor) document {
			return document{"Reading": b.reading(s), "ReadingUnits": "RPM"}
		}),
	}
}

func (b *BMC) powerSensors() document {
	path := root + "/Chassis/" + b.kind.ChassisID + "/Power"
	return document{
		"@odata.type": "#Power.v1_6_0.Power", "@odata.id": path, "Id": "Power", "Name": "Power",
		"Voltages": b.each(bmcsim.Voltage, path, func(s bmcsim.Sensor) document {
			return document{"ReadingVolts": b.reading(s), "UpperThresholdCritical": float64(s.Max) * s.Step}
		}),
		"PowerControl": b.each(bmcsim.Power, path, func(s bmcsim.Sensor) document {
			return document{"PowerConsumedWatts": b.reading(s), "PowerCapacityWatts": float64(s.Max) * s.Step}
		}),
	}
}
