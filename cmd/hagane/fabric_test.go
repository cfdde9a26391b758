package main

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network/fabric/ovs/ovstest"
	"github.com/hagane-cloud/hagane/network/trunk/trunktest"
)

// TestRealFabric runs a cloud whose switch is an Open vSwitch, and which serves networks over a NIC that is a trunk to it. A client at a port that the
// cloud moved to a tenant's VLAN gets its address by DHCP, and its metadata.
func TestRealFabric(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a switch in user space its interfaces")
	}
	if !trunktest.Inside(t) {
		return
	}
	sw := ovstest.Start(t)
	sw.Forward(t)
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 5}
	machine := trunktest.NewSpace(t)
	trunktest.Veth(t, "trunk0", nil, "uplink0", nil)
	trunktest.Veth(t, "port0", machine, "nic0", mac)
	machine.Finish(t, "nic0")
	sw.Set(t, strings.Fields("add-br br0 -- set bridge br0 datapath_type=netdev -- add-port br0 uplink0 -- add-port br0 port0")...)
	carries := func() string {
		return strings.Join(strings.Fields(sw.Set(t, "get", "port", "port0", "vlan_mode", "tag", "trunks")), " ")
	}

	c := &testCloud{T: t, data: filepath.Join(t.TempDir(), "data")}
	if err := os.Mkdir(c.data, 0o700); err != nil {
		t.Fatal(err)
	}
	dbtest.SeedSQLite(t, filepath.Join(c.data, "hagane.db"))
	c.serveWith(serveOptions{roles: allRoles, trunk: []string{"trunk0"}})
	c.reconnect()
	must[any](c, c.admin, "POST", "operator", "/v1/switches", object{"name": "tor", "driver": "ovs", "address": "unix:" + sw.Socket})
	n := must[nodeDoc](c, c.admin, "POST", "baremetal", "/v1/nodes", object{"name": "n1", "driver": "fake-hardware", "resource_class": "baremetal"})
	must[any](c, c.admin, "POST", "baremetal", "/v1/ports", object{"node_uuid": n.UUID, "address": mac.String(),
		"local_link_connection": object{"switch_id": "02:00:00:00:00:ff", "switch_info": "tor", "port_id": "port0"}})
	c.ready(n.UUID, "manage", "provide")
	const isolated = "trunk [] [4095]"
	if got := carries(); got != isolated {
		t.Errorf("the port of an available node carries %s", got)
	}
	tenant := c.tenant("tenant")
	g := c.ground(tenant)
	body := g.body("web")
	body["server"].(object)["networks"] = []object{{"uuid": g.network, "fixed_ip": "10.20.0.77"}}
	s := must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", body)
	c.serverUntil(tenant, s.Server.ID, "ACTIVE")
	if got, want := carries(), "access "+strconv.Itoa(c.vlan(g.network))+" []"; got != want {
		t.Errorf("the server's port carries %s, want %s", got, want)
	}
	if got := machine.Address(t, "nic0", mac).String(); got != "10.20.0.77/24" {
		t.Errorf("DHCP gave %s", got)
	}
	if got := machine.Metadata(t, "openstack/latest/meta_data.json"); !strings.Contains(got, s.Server.ID) {
		t.Errorf("metadata: %s", got)
	}
	nic, err := netlink.LinkByName("trunk0")
	if err == nil {
		err = netlink.LinkSetDown(nic)
	}
	if err != nil {
		t.Fatal(err)
	}
	trunktest.Up(t, "trunk0")
	if got := machine.Metadata(t, "latest/meta-data/local-ipv4"); got != "10.20.0.77" {
		t.Errorf("metadata after the trunk was down: %s", got)
	}
	must[any](c, tenant, "DELETE", "baremetal-server", "/servers/"+s.Server.ID, nil)
	c.nodeUntil(n.UUID, "available")
	if got := carries(); got != isolated {
		t.Errorf("after its server the port carries %s", got)
	}
}

func TestTrunkFlag(t *testing.T) {
	for _, bad := range []serveOptions{
		{roles: allRoles, trunk: []string{"eth1", "eth1:7"}},
		{roles: allRoles, trunk: []string{"eth1:4095"}},
		{roles: []string{"api", "conductor"}, database: "postgres://db.example/hagane", trunk: []string{"eth1"}},
	} {
		wantFault(t, bad.check(), fault.Invalid)
	}
	o := serveOptions{roles: allRoles, trunk: []string{"eth1", "eth2:7"}}
	if err := o.check(); err != nil || len(o.trunks) != 2 || o.trunks[1].Native != 7 {
		t.Errorf("%+v, %v", o.trunks, err)
	}
}
