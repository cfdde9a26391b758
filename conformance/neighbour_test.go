package conformance

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"
)

// tenant makes a project with a member, and returns the cloud as that one sees it.
func (c *cloud) tenant(name string) *cloud {
	c.Helper()
	const password = "a tenant's own word"
	var p, u struct{ Project, User struct{ ID string } }
	c.call("POST", "/identity/v3/projects", object{"project": object{"name": name}}, &p)
	c.call("POST", "/identity/v3/users", object{"user": object{"name": name, "password": password}}, &u)
	c.call("PUT", "/identity/v3/projects/"+p.Project.ID+"/users/"+u.User.ID+"/roles/role-member", nil, nil)
	t := &cloud{T: c.T, data: c.data, base: c.base, rc: maps.Clone(c.rc)}
	t.rc["OS_USERNAME"], t.rc["OS_PASSWORD"], t.rc["OS_PROJECT_NAME"], t.rc["OS_PROJECT_ID"] = name, password, name, p.Project.ID
	if err := t.login(); err != nil {
		c.Fatal(err)
	}
	return t
}

// neighbour is a tenant with a server on the network that all share, and what must not be told to others of it.
type neighbour struct {
	*cloud
	server, port, address string
}

// moveIn makes a server that is named and described by words that nobody else has.
func (c *cloud) moveIn(network, image, flavor string) neighbour {
	c.Helper()
	n := neighbour{cloud: c}
	name := c.rc["OS_PROJECT_NAME"]
	var s struct{ Server struct{ ID, Status string } }
	c.call("POST", "/compute/v2.1/servers", object{"server": object{"name": "server-of-" + name, "flavorRef": flavor, "imageRef": image,
		"networks": []object{{"uuid": network}}, "metadata": object{"secret-of-" + name: "value-of-" + name}}}, &s)
	n.server = s.Server.ID
	c.until(time.Minute, "the server of "+name, func() bool {
		c.call("GET", "/compute/v2.1/servers/"+n.server, nil, &s)
		return s.Server.Status == "ACTIVE"
	})
	var all struct {
		Ports []struct {
			ID  string
			IPs []struct {
				Address string `json:"ip_address"`
			} `json:"fixed_ips"`
		}
	}
	c.call("GET", "/network/v2.0/ports?device_id="+n.server, nil, &all)
	if len(all.Ports) != 1 || len(all.Ports[0].IPs) != 1 {
		c.Fatalf("the ports of %s's server are %+v", name, all)
	}
	n.port, n.address = all.Ports[0].ID, all.Ports[0].IPs[0].Address
	return n
}

// words are what gives a neighbour away.
func (n neighbour) words() []string {
	name := n.rc["OS_PROJECT_NAME"]
	return []string{n.server, n.port, `"` + n.address + `"`, n.rc["OS_PROJECT_ID"], "server-of-" + name, "secret-of-" + name, "value-of-" + name}
}

// TestNeighbours puts the servers of two tenants on one shared network and looks in every list, and by every address that names a
// thing of the one, whether the other hears of it.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	c := start(t)
	c.enrol(2)
	network, image := c.ground("shared")
	c.call("POST", "/network/v2.0/ports", object{"port": object{"network_id": network}}, nil) // takes the address that the pool of the subnet begins with
	var f struct{ Flavors []struct{ ID string } }
	c.call("GET", "/compute/v2.1/flavors", nil, &f)
	a, b := c.tenant("alpha").moveIn(network, image, f.Flavors[0].ID), c.tenant("beta").moveIn(network, image, f.Flavors[0].ID)
	for _, pair := range [][2]neighbour{{a, b}, {b, a}} {
		me, other := pair[0], pair[1]
		ecl := "/baremetal-server/v2/" + me.rc["OS_PROJECT_ID"]
		me.silent(other.words(),
			"/compute/v2.1/servers", "/compute/v2.1/servers/detail", "/compute/v2.1/servers?name=server", "/compute/v2.1/limits", "/compute/v2.1/servers/"+me.server,
			"/compute/v2.1/servers/"+me.server+"/os-interface", "/compute/v2.1/servers/"+me.server+"/ips", "/compute/v2.1/os-availability-zone", "/compute/v2.1/os-server-groups",
			"/network/v2.0/ports", "/network/v2.0/ports?network_id="+network, "/network/v2.0/networks", "/network/v2.0/networks/"+network, "/network/v2.0/subnets",
			"/network/v2.0/security-groups", "/network/v2.0/quotas/"+me.rc["OS_PROJECT_ID"]+"/details",
			ecl+"/servers", ecl+"/servers/detail", ecl+"/servers/"+me.server, ecl+"/servers/"+me.server+"/nic_physical_ports", ecl+"/chassis", ecl+"/stock?flavor_id="+f.Flavors[0].ID, ecl+"/limits",
			"/baremetal/v1/nodes", "/baremetal/v1/ports", "/baremetal/v1/allocations", "/audit/v1/events")
		me.silent(append(other.words(), me.server, me.port), // what asks for the neighbour's finds nothing
			"/compute/v2.1/servers?ip="+other.address, "/compute/v2.1/servers/detail?uuid="+other.server, "/network/v2.0/ports?fixed_ips=ip_address="+other.address,
			"/network/v2.0/ports?device_id="+other.server, "/network/v2.0/ports?id="+other.port, "/baremetal/v1/nodes?instance_uuid="+other.server)
		me.refused(other, network)
	}
}

// silent reads documents that must not have any of the words.
func (n neighbour) silent(words []string, paths ...string) {
	n.Helper()
	for _, path := range paths {
		var doc json.RawMessage
		n.call("GET", path, nil, &doc)
		for _, word := range words {
			if strings.Contains(string(doc), word) {
				n.Errorf("GET %s tells of %s", path, word)
			}
		}
	}
}

// refused tries to get at the neighbour's things by their names. The answers must be the same as for things that are not there.
func (n neighbour) refused(other neighbour, network string) {
	n.Helper()
	const nothing = "00000000-0000-4000-8000-000000000000"
	ecl := "/baremetal-server/v2/" + n.rc["OS_PROJECT_ID"]
	for _, at := range []struct {
		verb, path string // the thing in place of %
		id         string
		body       any
	}{
		{"GET", "/compute/v2.1/servers/%", other.server, nil}, {"DELETE", "/compute/v2.1/servers/%", other.server, nil}, {"GET", "/compute/v2.1/servers/%/metadata", other.server, nil},
		{"GET", "/compute/v2.1/servers/%/os-interface", other.server, nil}, {"POST", "/compute/v2.1/servers/%/os-interface", other.server, object{"interfaceAttachment": object{}}},
		{"POST", "/compute/v2.1/servers/%/action", other.server, object{"os-getConsoleOutput": object{}}},
		{"POST", "/compute/v2.1/servers/" + n.server + "/os-interface", "", object{"interfaceAttachment": object{"port_id": "%"}}},
		{"GET", ecl + "/servers/%", other.server, nil}, {"POST", ecl + "/servers/%/action", other.server, object{"os-stop": nil}},
		{"GET", "/network/v2.0/ports/%", other.port, nil}, {"PUT", "/network/v2.0/ports/%", other.port, object{"port": object{"name": "mine"}}}, {"DELETE", "/network/v2.0/ports/%", other.port, nil},
		{"GET", "/baremetal/v1/nodes/%", other.server, nil},
	} {
		id := at.id
		if id == "" {
			id = other.port
		}
		var texts []string
		for _, which := range []string{id, nothing} {
			err := n.try(at.verb, strings.ReplaceAll(at.path, "%", which), replaced(n.cloud, at.body, which), nil)
			if err == nil {
				n.Errorf("%s %s was done", at.verb, at.path)
				continue
			}
			texts = append(texts, strings.ReplaceAll(err.Error(), which, "%"))
		}
		if len(texts) == 2 && texts[0] != texts[1] {
			n.Errorf("%s %s: the neighbour's is told from none: %s, and %s", at.verb, at.path, texts[0], texts[1])
		}
	}
	// That an address is taken can be found out, as it can be on the wire; whose it is can not.
	err := n.try("POST", "/network/v2.0/ports", object{"port": object{"network_id": network, "fixed_ips": []object{{"ip_address": other.address}}}}, nil)
	if err == nil || !strings.Contains(err.Error(), "409") {
		n.Errorf("taking the neighbour's address: %v", err)
		return
	}
	for _, word := range other.words() {
		if word != `"`+other.address+`"` && strings.Contains(err.Error(), word) {
			n.Errorf("the refusal of an address tells whose it is: %v", err)
		}
	}
}

// replaced is a body with an id in place of %.
func replaced(c *cloud, body any, id string) any {
	c.Helper()
	if body == nil {
		return nil
	}
	raw, err := json.Marshal(body)
	if err != nil {
		c.Fatal(err)
	}
	return json.RawMessage(strings.ReplaceAll(string(raw), "%", id))
}
