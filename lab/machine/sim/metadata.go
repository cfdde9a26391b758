package sim

import (
	"encoding/json"
	"net"
	"net/netip"
	"strings"

	"github.com/hagane-cloud/hagane/agent/configdrive"
	"github.com/hagane-cloud/hagane/fault"
)

// The files of a config drive that the small operating system reads.
const (
	fileMeta    = "openstack/latest/meta_data.json"
	fileNetwork = "openstack/latest/network_data.json"
	fileUser    = "openstack/latest/user_data"
)

// settings is what a config drive asks for.
type settings struct {
	hostname string
	keys     []string // authorized_keys lines
	userData []byte
	links    []link
}

// link is an address on an untagged interface.
type link struct {
	mac     string
	addr    netip.Prefix
	gateway netip.Addr
	mtu     int
}

type metaData struct {
	UUID       string            `json:"uuid"`
	Name       string            `json:"name"`
	Hostname   string            `json:"hostname"`
	PublicKeys map[string]string `json:"public_keys"`
	Keys       []struct {
		Type string `json:"type"`
		Data string `json:"data"`
	} `json:"keys"`
}

type networkData struct {
	Links []struct {
		ID   string `json:"id"`
		Type string `json:"type"`
		MAC  string `json:"ethernet_mac_address"`
		MTU  int    `json:"mtu"`
	} `json:"links"`
	Networks []struct {
		Link    string `json:"link"`
		Type    string `json:"type"`
		Address string `json:"ip_address"`
		Netmask string `json:"netmask"`
		Gateway string `json:"gateway"`
		Routes  []struct {
			Network string `json:"network"`
			Netmask string `json:"netmask"`
			Gateway string `json:"gateway"`
		} `json:"routes"`
	} `json:"networks"`
}

func readSettings(drive configdrive.Drive) (settings, error) {
	s := settings{userData: drive[fileUser]}
	var meta metaData
	if err := json.Unmarshal(drive[fileMeta], &meta); err != nil {
		return s, fault.E(fault.Invalid, "read "+fileMeta, err)
	}
	s.hostname = meta.Hostname
	if s.hostname == "" {
		s.hostname = meta.Name
	}
	for _, key := range meta.PublicKeys {
		s.keys = append(s.keys, key)
	}
	for _, key := range meta.Keys {
		if key.Type == "ssh" {
			s.keys = append(s.keys, key.Data)
		}
	}
	if len(drive[fileNetwork]) == 0 {
		return s, nil
	}
	var network networkData
	if err := json.Unmarshal(drive[fileNetwork], &network); err != nil {
		return s, fault.E(fault.Invalid, "read "+fileNetwork, err)
	}
	s.links = network.addresses()
	return s, nil
}

// addresses returns the static IPv4 addresses of untagged links; the lab's small system uses no others.
func (n networkData) addresses() []link {
	var all []link
	for _, on := range n.Networks {
		for _, l := range n.Links {
			addr, ok := prefix(on.Address, on.Netmask)
			if on.Link != l.ID || on.Type != "ipv4" || l.Type == "vlan" || !ok {
				continue
			}
			found := link{mac: strings.ToLower(l.MAC), addr: addr, mtu: l.MTU}
			found.gateway, _ = netip.ParseAddr(on.Gateway)
			for _, r := range on.Routes {
				if to, ok := prefix(r.Network, r.Netmask); ok && to.Bits() == 0 {
					found.gateway, _ = netip.ParseAddr(r.Gateway)
				}
			}
			all = append(all, found)
		}
	}
	return all
}

// prefix reads 10.0.0.5/24, or 10.0.0.5 with the netmask 255.255.255.0.
func prefix(address, netmask string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(address); err == nil {
		return p, p.Addr().Is4()
	}
	addr, err := netip.ParseAddr(address)
	mask := net.ParseIP(netmask).To4()
	if err != nil || !addr.Is4() || mask == nil {
		return netip.Prefix{}, false
	}
	ones, _ := net.IPMask(mask).Size()
	return netip.PrefixFrom(addr, ones), true
}
