package instance

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/hagane-cloud/hagane/agent/configdrive"
	"github.com/hagane-cloud/hagane/fault"
)

func TestParse(t *testing.T) {
	got, err := Parse(configdrive.Drive{
		"openstack/latest/meta_data.json": []byte(`{"uuid":"u1","name":"n","hostname":"kaji","public_keys":{"b":"ssh-ed25519 B\n","a":"ssh-ed25519 A"}}`),
		"openstack/latest/network_data.json": []byte(`{
			"links":[{"id":"l0","type":"phy","ethernet_mac_address":"52:54:00:AA:00:01","mtu":1500},
				{"id":"l1","type":"vlan","vlan_id":7,"vlan_link":"l0","vlan_mac_address":"52:54:00:aa:00:01"},
				{"id":"l2","type":"phy","ethernet_mac_address":"52:54:00:aa:00:02"}],
			"networks":[{"id":"n0","link":"l0","type":"ipv4","ip_address":"10.0.0.5","netmask":"255.255.255.0",
					"routes":[{"network":"0.0.0.0","netmask":"0.0.0.0","gateway":"10.0.0.1"}]},
				{"id":"n1","link":"l1","type":"ipv6","ip_address":"fd00::5/64","gateway":"fd00::1"},
				{"id":"n2","link":"l2","type":"ipv4_dhcp"}],
			"services":[{"type":"dns","address":"10.0.0.2"}]}`),
		"openstack/latest/user_data": []byte("#!/bin/sh\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Instance{
		UUID: "u1", Hostname: "kaji", Keys: []string{"ssh-ed25519 A", "ssh-ed25519 B"}, UserData: []byte("#!/bin/sh\n"),
		NICs: []NIC{
			{
				MAC: "52:54:00:aa:00:01", MTU: 1500, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/24")},
				Routes: []Route{{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.0.0.1")}},
			},
			{
				MAC: "52:54:00:aa:00:01", VLAN: 7, Addresses: []netip.Prefix{netip.MustParsePrefix("fd00::5/64")},
				Routes: []Route{{netip.MustParsePrefix("::/0"), netip.MustParseAddr("fd00::1")}},
			},
			{MAC: "52:54:00:aa:00:02", DHCP: true},
		},
		Nameserver: []netip.Addr{netip.MustParseAddr("10.0.0.2")},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseBad(t *testing.T) {
	for _, network := range []string{
		`{`, `{"networks":[{"link":"none","type":"ipv4","ip_address":"10.0.0.1","netmask":"24"}]}`,
		`{"links":[{"id":"l"}],"networks":[{"link":"l","type":"ipv4","ip_address":"10.0.0.1","netmask":"255.0.255.0"}]}`,
		`{"links":[{"id":"l"}],"networks":[{"link":"l","type":"ipv4","ip_address":"elsewhere","netmask":"24"}]}`,
	} {
		if _, err := Parse(configdrive.Drive{"openstack/latest/network_data.json": []byte(network)}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", network, err)
		}
	}
	if got, err := Parse(configdrive.Drive{}); err != nil || got.NICs != nil {
		t.Errorf("an empty drive: %+v, %v", got, err)
	}
}
