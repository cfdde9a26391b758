package server

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/hagane-cloud/hagane/network"
)

// attached is a port with its network and that network's subnets.
type attached struct {
	port    network.Port
	network network.Network
	subnets []network.Subnet
	tag     string // that the tenant gave the interface
}

// configDrive makes the files of an OpenStack config drive, which cloud-init reads.
// Source: OpenStack Nova's documentation, "Metadata", and the schema of network_data.json.
func configDrive(srv *Server, p Private, nets []attached, zone string) (map[string][]byte, error) {
	meta := map[string]any{
		"uuid": srv.ID, "name": srv.Name, "hostname": srv.HostName(), "project_id": srv.ProjectID, "availability_zone": zone,
		"launch_index": 0, "admin_pass": p.AdminPass, "meta": orEmpty(srv.Metadata), "public_keys": map[string]string{}, "keys": []any{},
	}
	if p.PublicKey != "" {
		meta["public_keys"] = map[string]string{srv.KeyName: p.PublicKey}
		meta["keys"] = []any{map[string]string{"name": srv.KeyName, "type": "ssh", "data": p.PublicKey}}
	}
	var devices []any
	for _, n := range nets {
		if n.tag != "" {
			devices = append(devices, map[string]any{"type": "nic", "bus": "none", "address": "none", "mac": n.port.MAC, "tags": []string{n.tag}})
		}
	}
	if devices != nil {
		meta["devices"] = devices
	}
	files := map[string][]byte{}
	var listed []any
	for i, f := range p.Personality {
		at := fmt.Sprintf("/content/%04d", i)
		files["openstack"+at] = f.Contents
		listed = append(listed, map[string]string{"path": f.Path, "content_path": at})
	}
	if listed != nil {
		meta["files"] = listed
	}
	vendor, err := vendorData(srv.Layout)
	if err != nil {
		return nil, err
	}
	for name, v := range map[string]any{"meta_data.json": meta, "network_data.json": networkData(nets), "vendor_data.json": vendor} {
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		files["openstack/latest/"+name] = raw
	}
	if len(p.UserData) > 0 {
		files["openstack/latest/user_data"] = p.UserData
	}
	return files, nil
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// hostname makes a valid host name of a server's name (RFC 1123).
func hostname(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		case r == ' ', r == '_', r == '.':
			return '-'
		}
		return -1
	}, name)
	name = strings.Trim(name, "-")
	if name == "" {
		return "server"
	}
	return name[:min(len(name), 63)]
}

// networkData describes the interfaces. With more than one, the default gateway is on the first, as ECL2.0 documents.
func networkData(nets []attached) any {
	links, networks, services := []any{}, []any{}, []any{}
	gateway := true
	for i, a := range nets {
		link := fmt.Sprintf("link%d", i)
		links = append(links, map[string]any{"id": link, "type": "phy", "ethernet_mac_address": a.port.MAC, "mtu": a.network.MTU, "vif_id": a.port.ID})
		for j, ip := range a.port.FixedIPs {
			sub := subnetOf(a.subnets, ip.SubnetID)
			if sub == nil {
				continue
			}
			kind := fmt.Sprintf("ipv%d", sub.IPVersion)
			routes := []any{}
			if sub.Gateway != "" && gateway {
				zero, bits := "0.0.0.0", "0.0.0.0"
				if sub.IPVersion == 6 {
					zero, bits = "::", "::"
				}
				routes = append(routes, map[string]string{"network": zero, "netmask": bits, "gateway": sub.Gateway})
			}
			for _, r := range sub.Routes {
				routes = append(routes, map[string]string{"network": r.Destination.Addr().String(), "netmask": netmask(r.Destination), "gateway": r.NextHop.String()})
			}
			networks = append(networks, map[string]any{"id": fmt.Sprintf("network%d-%d", i, j), "network_id": a.network.ID, "link": link, "type": kind,
				"ip_address": ip.Address, "netmask": netmask(sub.Prefix()), "routes": routes})
			for _, d := range sub.DNS {
				services = append(services, map[string]string{"type": "dns", "address": d})
			}
		}
		gateway = false
	}
	return map[string]any{"links": links, "networks": networks, "services": services}
}

func subnetOf(subs []network.Subnet, id string) *network.Subnet {
	for i := range subs {
		if subs[i].ID == id {
			return &subs[i]
		}
	}
	return nil
}

func netmask(p netip.Prefix) string {
	return net.IP(net.CIDRMask(p.Bits(), p.Addr().BitLen())).String()
}
