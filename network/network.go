// Package network is the logical side of the wires: tenants' networks, subnets and ports with their
// addresses, a VLAN per network, and the switches that carry them. The dialect and the server noun call its
// Service; a node's steps use it to plug switch ports in.
package network

import (
	"net/netip"
	"time"

	"github.com/uptrace/bun"
)

// Planes of ECL2.0: data for everything, storage for traffic between servers and storage.
const (
	Data    = "data"
	Storage = "storage"
)

// Network is a layer-2 segment of a tenant. Its VLAN never changes.
type Network struct {
	bun.BaseModel `bun:"table:network"`

	ID, ProjectID, Name, Description string
	Plane                            string
	AdminUp, Shared                  bool
	MTU                              int  // bytes
	VLAN                             int  `bun:"vlan"`
	PortSecurity                     bool // what ports have that do not say
	External                         bool // routers lead to it; every project sees it
	Tags                             map[string]string
	Labels                           Labels
	Revision                         int64
	CreatedAt, UpdatedAt             time.Time

	Subnets        []string `bun:"-"` // their ids
	Scope4, Scope6 string   `bun:"-"` // address scopes of its subnets' pools
}

// Range is an inclusive range of addresses.
type Range struct {
	Start netip.Addr `json:"start"`
	End   netip.Addr `json:"end"`
}

// Route is a host route.
type Route struct {
	Destination netip.Prefix `json:"destination"`
	NextHop     netip.Addr   `json:"nexthop"`
}

// Subnet is a range of addresses on a network.
type Subnet struct {
	bun.BaseModel `bun:"table:subnet"`

	ID, NetworkID, ProjectID, Name, Description string
	IPVersion                                   int    `bun:"ip_version"`
	CIDR                                        string `bun:"cidr"`
	Gateway                                     string // "" is none
	DHCP                                        bool   `bun:"dhcp"`
	Pools                                       []Range
	DNS                                         []string `bun:"dns"`
	NTP                                         []string `bun:"ntp"`
	Routes                                      []Route
	PoolID                                      string   `bun:"pool_id"`      // the subnet pool that the range is from
	RAMode                                      string   `bun:"ra_mode"`      // how routers announce an IPv6 subnet
	AddressMode                                 string   `bun:"address_mode"` // how ports get their IPv6 addresses
	ServiceTypes                                []string // owners of devices that it is for; of all when there are none
	Tags                                        map[string]string
	Labels                                      Labels
	Revision                                    int64
	CreatedAt, UpdatedAt                        time.Time
}

// Prefix returns the subnet's prefix.
func (s Subnet) Prefix() netip.Prefix { return netip.MustParsePrefix(s.CIDR) }

// Pair is an address, or a range of them, that a port may use besides its own.
type Pair struct {
	Address string `json:"ip_address"`
	MAC     string `json:"mac_address,omitempty"`
}

// Option is a DHCP option that a port's device is given besides what its subnets say.
type Option struct {
	Name    string `json:"opt_name"`
	Value   string `json:"opt_value"`
	Version int    `json:"ip_version"`
}

// Port is a place on a network for one device.
type Port struct {
	bun.BaseModel `bun:"table:port"`

	ID, NetworkID, ProjectID, Name, Description string
	AdminUp                                     bool
	MAC                                         string `bun:"mac"`
	DeviceID, DeviceOwner                       string
	Pairs                                       []Pair
	MadeBy                                      string // the server that the port was made for and goes away with; "" if a tenant made it
	PortSecurity                                bool
	Trusted                                     *bool    // nil: nobody said
	DHCPOptions                                 []Option `bun:"dhcp_options"`
	Host                                        string
	Profile                                     map[string]any
	VNICType                                    string `bun:"vnic_type"`
	Tags                                        map[string]string
	Labels                                      Labels
	Revision                                    int64
	CreatedAt, UpdatedAt                        time.Time

	FixedIPs []FixedIP `bun:"-"`
	Groups   []string  `bun:"-"` // ids of its security groups
}

// FixedIP is an address of a port.
type FixedIP struct {
	bun.BaseModel `bun:"table:fixed_ip" json:"-"`

	SubnetID string `json:"subnet_id"`
	Address  string `json:"ip_address"`
	PortID   string `json:"-"`
}

// Switch is a device that carries the networks.
type Switch struct {
	bun.BaseModel `bun:"table:switch"`

	Name, Driver, Address, Username string
	Password                        []byte // sealed
	CreatedAt                       time.Time
}
