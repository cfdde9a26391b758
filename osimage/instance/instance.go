// Package instance reads from a config drive what an operating system is to become: its name, the
// keys that may log in, its addresses and its user data, in OpenStack's formats. The tiny test system
// uses it, and whatever else plays an operating system.
package instance

import (
	"encoding/json"
	mathbits "math/bits"
	"net/netip"
	"sort"
	"strings"

	"github.com/hagane-cloud/hagane/agent/configdrive"
	"github.com/hagane-cloud/hagane/fault"
)

// The files of the OpenStack format that matter here.
const (
	metaDataFile    = "openstack/latest/meta_data.json"
	networkDataFile = "openstack/latest/network_data.json"
	userDataFile    = "openstack/latest/user_data"
	vendorDataFile  = "openstack/latest/vendor_data.json"
)

// Instance is what an operating system is to become.
type Instance struct {
	UUID     string
	Hostname string
	Keys     []string // authorized_keys lines, sorted
	UserData []byte
	// NICs are the interfaces to set up; nil when the drive does not say (then DHCP is meant).
	NICs       []NIC
	Nameserver []netip.Addr
	Mounts     []Mount
}

// Mount is a file system to mount, or swap to use.
type Mount struct {
	Device string
	Point  string // none for swap
	Type   string
}

// NIC is the set-up of one interface.
type NIC struct {
	MAC       string // lower case
	MTU       int    // 0: leave as it is
	VLAN      int    // 0: none; otherwise the tagged VLAN on top of the interface with this MAC
	DHCP      bool
	Addresses []netip.Prefix
	Routes    []Route
}

// Route is a route through a gateway.
type Route struct {
	To  netip.Prefix // 0.0.0.0/0 for the default route
	Via netip.Addr
}

// Parse reads a config drive. A missing file means that the drive does not say; a file that can not
// be understood is an Invalid fault.
func Parse(d configdrive.Drive) (Instance, error) {
	i := Instance{UserData: d[userDataFile]}
	if b, ok := d[metaDataFile]; ok {
		if err := i.parseMeta(b); err != nil {
			return i, fault.E(fault.Invalid, "reading "+metaDataFile, err)
		}
	}
	if b, ok := d[networkDataFile]; ok {
		if err := i.parseNetwork(b); err != nil {
			return i, fault.E(fault.Invalid, "reading "+networkDataFile, err)
		}
	}
	if b, ok := d[vendorDataFile]; ok {
		if err := i.parseVendor(b); err != nil {
			return i, fault.E(fault.Invalid, "reading "+vendorDataFile, err)
		}
	}
	return i, nil
}

// parseVendor reads the mounts among the provider's instructions for cloud-init, where these are in JSON, which is YAML as
// well. Others are left to systems with cloud-init.
func (i *Instance) parseVendor(b []byte) error {
	var vendor struct {
		CloudInit string `json:"cloud-init"`
	}
	if err := json.Unmarshal(b, &vendor); err != nil {
		return err
	}
	text, ok := strings.CutPrefix(vendor.CloudInit, "#cloud-config\n")
	var config struct {
		Mounts [][]string `json:"mounts"`
	}
	if !ok || json.Unmarshal([]byte(text), &config) != nil {
		return nil
	}
	for _, m := range config.Mounts {
		if len(m) >= 3 {
			i.Mounts = append(i.Mounts, Mount{Device: m[0], Point: m[1], Type: m[2]})
		}
	}
	return nil
}

func (i *Instance) parseMeta(b []byte) error {
	var meta struct {
		UUID       string            `json:"uuid"`
		Hostname   string            `json:"hostname"`
		Name       string            `json:"name"`
		PublicKeys map[string]string `json:"public_keys"`
	}
	if err := json.Unmarshal(b, &meta); err != nil {
		return err
	}
	i.UUID, i.Hostname = meta.UUID, meta.Hostname
	if i.Hostname == "" {
		i.Hostname = meta.Name
	}
	for _, text := range meta.PublicKeys {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				i.Keys = append(i.Keys, line)
			}
		}
	}
	sort.Strings(i.Keys)
	return nil
}

// networkData is OpenStack's network_data.json, as far as it is understood here.
type networkData struct {
	Links []struct {
		ID       string `json:"id"`
		Type     string `json:"type"`
		MAC      string `json:"ethernet_mac_address"`
		MTU      int    `json:"mtu"`
		VLAN     int    `json:"vlan_id"`
		VLANLink string `json:"vlan_link"`
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
	Services []struct {
		Type    string `json:"type"`
		Address string `json:"address"`
	} `json:"services"`
}

func (i *Instance) parseNetwork(b []byte) error {
	var data networkData
	if err := json.Unmarshal(b, &data); err != nil {
		return err
	}
	place, macs := map[string]int{}, map[string]string{}
	i.NICs = []NIC{}
	for _, l := range data.Links {
		macs[l.ID] = strings.ToLower(l.MAC)
	}
	for _, l := range data.Links {
		nic := NIC{MAC: strings.ToLower(l.MAC), MTU: l.MTU}
		if l.Type == "vlan" {
			nic.MAC, nic.VLAN = macs[l.VLANLink], l.VLAN
		}
		place[l.ID] = len(i.NICs)
		i.NICs = append(i.NICs, nic)
	}
	for _, n := range data.Networks {
		at, ok := place[n.Link]
		if !ok {
			return fault.Errorf(fault.Invalid, "a network names the link %q, which there is not", n.Link)
		}
		nic := &i.NICs[at]
		if strings.HasSuffix(n.Type, "dhcp") || n.Address == "" {
			nic.DHCP = nic.DHCP || n.Type == "ipv4_dhcp"
			continue
		}
		address, err := prefix(n.Address, n.Netmask)
		if err != nil {
			return err
		}
		nic.Addresses = append(nic.Addresses, address)
		if n.Gateway != "" {
			via, err := netip.ParseAddr(n.Gateway)
			if err != nil {
				return err
			}
			nic.Routes = append(nic.Routes, Route{netip.PrefixFrom(unspecified(via), 0), via})
		}
		for _, r := range n.Routes {
			to, err := prefix(r.Network, r.Netmask)
			if err != nil {
				return err
			}
			via, err := netip.ParseAddr(r.Gateway)
			if err != nil {
				return err
			}
			nic.Routes = append(nic.Routes, Route{to.Masked(), via})
		}
	}
	for _, s := range data.Services {
		if address, err := netip.ParseAddr(s.Address); err == nil && s.Type == "dns" {
			i.Nameserver = append(i.Nameserver, address)
		}
	}
	return nil
}

func unspecified(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// prefix reads an address with its mask in any of the ways in which OpenStack writes them:
// 10.0.0.5/24, or 10.0.0.5 with 255.255.255.0, or with 24, or (IPv6) with ffff:ffff:ffff:ffff::.
func prefix(address, mask string) (netip.Prefix, error) {
	if strings.Contains(address, "/") {
		return netip.ParsePrefix(address)
	}
	if !strings.ContainsAny(mask, ".:") {
		return netip.ParsePrefix(address + "/" + mask)
	}
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}, err
	}
	m, err := netip.ParseAddr(mask)
	if err != nil {
		return netip.Prefix{}, err
	}
	if m.BitLen() != a.BitLen() {
		return netip.Prefix{}, fault.Errorf(fault.Invalid, "%s is no netmask for %s", mask, address)
	}
	bits := 0
	for _, b := range m.AsSlice() {
		bits += mathbits.LeadingZeros8(^b)
		if b != 0xff {
			break
		}
	}
	if netip.PrefixFrom(m, bits).Masked().Addr() != m {
		return netip.Prefix{}, fault.Errorf(fault.Invalid, "%s is no netmask", mask)
	}
	return netip.PrefixFrom(a, bits), nil
}
