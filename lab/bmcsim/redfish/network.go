package redfish

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/lab/machine"
)

func (c *call) nicList() document {
	if c.kind.Tree.NoSystemNICs {
		return nil
	}
	var paths []string
	for i := range c.machine.Spec().NICs {
		paths = append(paths, c.system()+"/EthernetInterfaces/"+strconv.Itoa(i+1))
	}
	return c.members("EthernetInterface", paths...)
}

// nicNamed returns the NIC of a number.
func (c *call) nicNamed(number string) (machine.NICSpec, bool) {
	nics := c.machine.Spec().NICs
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > len(nics) {
		return machine.NICSpec{}, false
	}
	return nics[n-1], true
}

func (c *call) linkStatus() string {
	if c.machine.Status().On {
		return "Up"
	}
	return "Down"
}

func (c *call) nic() document {
	spec, ok := c.nicNamed(c.args[0])
	if !ok || c.kind.Tree.NoSystemNICs {
		return nil
	}
	mac := spec.MAC.String()
	d := c.resource("EthernetInterface.v1_6_0.EthernetInterface", "NIC "+c.args[0])
	d["MACAddress"], d["PermanentMACAddress"], d["SpeedMbps"], d["LinkStatus"], d["Status"] = mac, mac, 10000, "Link"+c.linkStatus(), fine()
	return d
}

func (c *call) adapterList() document {
	if c.kind.Tree.NoAdapters {
		c.refuse(http.StatusBadRequest, "InternalError", "The request failed due to an internal service error.")
		c.answered = true
		return document{}
	}
	return c.members("NetworkAdapter", c.chassis()+"/NetworkAdapters/1")
}

func (c *call) adapter() document {
	d := c.resource("NetworkAdapter.v1_5_0.NetworkAdapter", "Network Adapter")
	d["Manufacturer"], d["Model"], d["Status"], d["NetworkPorts"], d["Ports"] = "Hagane", "Lab NIC", fine(), link(c.path+"/NetworkPorts"), link(c.path+"/Ports")
	return d
}

func (c *call) portList() document {
	var paths []string
	for i := range c.machine.Spec().NICs {
		paths = append(paths, c.path+"/"+strconv.Itoa(i+1))
	}
	return c.members("NetworkPort", paths...)
}

func (c *call) port() document {
	spec, ok := c.nicNamed(c.args[0])
	if !ok {
		return nil
	}
	d := c.resource("NetworkPort.v1_2_3.NetworkPort", "Port "+c.args[0])
	mac := spec.MAC.String()
	d["AssociatedNetworkAddresses"], d["LinkStatus"], d["Status"], d["PhysicalPortNumber"] = []string{mac}, c.linkStatus(), fine(), c.args[0]
	if strings.Contains(c.path, "/Ports/") {
		d["@odata.type"] = "#Port.v1_4_0.Port"
		d["Ethernet"] = document{"AssociatedMACAddresses": []string{mac}}
		d["LinkStatus"] = "Link" + c.linkStatus()
	}
	return d
}
