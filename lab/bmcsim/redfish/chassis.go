package redfish

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/hagane-cloud/hagane/lab/bmcsim"
)

func (c *call) chassisList() document {
	paths := []string{c.chassis()}
	if len(c.kind.Tree.Traps) > 0 {
		paths = append(paths, c.kind.Tree.Traps...)
	}
	return c.members("Chassis", paths...)
}

func (c *call) showChassis() document {
	spec := c.machine.Spec()
	d := c.resource("Chassis.v1_10_0.Chassis", "Chassis")
	for k, v := range (document{
		"ChassisType": "RackMount", "Manufacturer": spec.Manufacturer, "Model": spec.Product, "SerialNumber": spec.Serial, "PowerState": c.power(), "Status": c.health(),
		"NetworkAdapters": link(c.path + "/NetworkAdapters"),
		"Links":           document{"ComputerSystems": []document{link(c.system())}, "ManagedBy": []document{link(c.manager())}},
	}) {
		d[k] = v
	}
	if c.kind.Tree.OldSensors {
		d["Thermal"], d["Power"] = link(c.path+"/Thermal"), link(c.path+"/Power")
	}
	if c.kind.Tree.NewSensors {
		d["ThermalSubsystem"], d["PowerSubsystem"], d["Sensors"] = link(c.path+"/ThermalSubsystem"), link(c.path+"/PowerSubsystem"), link(c.path+"/Sensors")
	}
	c.lights(d)
	return d
}

func (c *call) changeChassis() {
	taken, refused := c.setLight()
	if refused {
		return
	}
	if !taken {
		c.refuse(http.StatusBadRequest, "PropertyUnknown", "Only the indicator can be changed.")
		return
	}
	c.changed()
}

// enclosure is a chassis of drives, which some BMCs do not survive being asked for.
func (c *call) enclosure() document {
	if len(c.kind.Tree.Traps) == 0 {
		return nil
	}
	d := c.resource("Chassis.v1_10_0.Chassis", "Backplane")
	d["ChassisType"], d["Status"] = "Enclosure", fine()
	return d
}

// reading returns a sensor's value as JSON: null when there is none.
func (c *call) reading(s bmcsim.Sensor) any {
	if value, ok := s.Value(c.machine.Status().On); ok {
		return value
	}
	return nil
}

func (c *call) sensorStatus(s bmcsim.Sensor) document {
	status := fine()
	if c.reading(s) == nil {
		status["State"] = "UnavailableOffline"
	}
	return status
}

// each makes a list of documents of the sensors of a kind.
func (c *call) each(kind bmcsim.Kind, make func(s bmcsim.Sensor) document) []any {
	list := []any{}
	for _, s := range c.sensors {
		if s.Kind != kind {
			continue
		}
		d := make(s)
		d["@odata.id"] = fmt.Sprintf("%s/%s#/%d", root, c.path, len(list))
		d["MemberId"], d["Name"], d["PhysicalContext"], d["Status"] = strconv.Itoa(len(list)), s.Name, s.Location, c.sensorStatus(s)
		list = append(list, d)
	}
	return list
}

func (c *call) thermal() document {
	if !c.kind.Tree.OldSensors {
		return nil
	}
	d := c.resource("Thermal.v1_6_0.Thermal", "Thermal")
	d["Temperatures"] = c.each(bmcsim.Temperature, func(s bmcsim.Sensor) document {
		return document{"ReadingCelsius": c.reading(s), "UpperThresholdCritical": float64(s.Max) * s.Step}
	})
	d["Fans"] = c.each(bmcsim.Fan, func(s bmcsim.Sensor) document {
		return document{"Reading": c.reading(s), "ReadingUnits": "RPM"}
	})
	return d
}

func (c *call) powerSensors() document {
	if !c.kind.Tree.OldSensors {
		return nil
	}
	d := c.resource("Power.v1_6_0.Power", "Power")
	d["Voltages"] = c.each(bmcsim.Voltage, func(s bmcsim.Sensor) document {
		return document{"ReadingVolts": c.reading(s), "UpperThresholdCritical": float64(s.Max) * s.Step}
	})
	d["PowerControl"] = c.each(bmcsim.Power, func(s bmcsim.Sensor) document {
		return document{"PowerConsumedWatts": c.reading(s), "PowerCapacityWatts": float64(s.Max) * s.Step}
	})
	d["PowerSupplies"] = []any{document{"@odata.id": root + "/" + c.path + "#/PowerSupplies/0", "MemberId": "0", "Name": "PSU1", "Status": fine(), "PowerCapacityWatts": 800}}
	return d
}

func (c *call) thermalSubsystem() document {
	if !c.kind.Tree.NewSensors {
		return nil
	}
	d := c.resource("ThermalSubsystem.v1_0_0.ThermalSubsystem", "Thermal Subsystem")
	d["Status"] = fine()
	return d
}

func (c *call) powerSubsystem() document {
	if !c.kind.Tree.NewSensors {
		return nil
	}
	d := c.resource("PowerSubsystem.v1_1_0.PowerSubsystem", "Power Subsystem")
	d["Status"] = fine()
	return d
}

func (c *call) sensorList() document {
	if !c.kind.Tree.NewSensors {
		return nil
	}
	var paths []string
	for i := range c.sensors {
		paths = append(paths, c.chassis()+"/Sensors/"+strconv.Itoa(i+1))
	}
	return c.members("Sensor", paths...)
}

func (c *call) sensor() document {
	n, err := strconv.Atoi(c.args[0])
	if err != nil || n < 1 || n > len(c.sensors) || !c.kind.Tree.NewSensors {
		return nil
	}
	s := c.sensors[n-1]
	d := c.resource("Sensor.v1_2_0.Sensor", s.Name)
	units := map[bmcsim.Kind][2]string{bmcsim.Temperature: {"Temperature", "Cel"}, bmcsim.Fan: {"Rotational", "{rev}/min"}, bmcsim.Voltage: {"Voltage", "V"}, bmcsim.Power: {"Power", "W"}}
	d["Reading"], d["ReadingType"], d["ReadingUnits"], d["PhysicalContext"], d["Status"] = c.reading(s), units[s.Kind][0], units[s.Kind][1], s.Location, c.sensorStatus(s)
	d["Thresholds"] = document{"UpperCritical": document{"Reading": float64(s.Max) * s.Step}}
	return d
}
