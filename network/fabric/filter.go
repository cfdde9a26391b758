package fabric

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/netip"

	"github.com/hagane-cloud/hagane/fault"
)

// Filterer is a switch that keeps to filters at its ports: one for each VLAN that the port carries or will carry. Where a port
// has no filter for a VLAN, everything passes there.
type Filterer interface {
	// SetFilter gives a port a filter for a VLAN, or takes the one away that it has (nil), and reads back what it carries before
	// it returns. A filter is in force at once where the port carries the VLAN, and from the first frame on where it will.
	// Connections that the new filter allows as well go on. The port's filters for other VLANs stay as they are.
	SetFilter(ctx context.Context, name string, vlan int, f *Filter) error
}

// Filter says what may pass between a server and its port. It denies what it does not allow, and allows by itself what a server
// needs to have an address: ARP and the neighbour discovery of its own addresses, DHCP as a client, and the metadata address.
type Filter struct {
	MAC       string `json:"mac"`
	Addresses []Pair `json:"addresses,omitempty"` // that the server may send from; nothing else leaves it
	Rules     []Rule `json:"rules,omitempty"`
}

// Pair is a range of addresses with the MAC that they may be used with.
type Pair struct {
	MAC    string       `json:"mac"`
	Prefix netip.Prefix `json:"prefix"`
}

// Any stands for any port, and any type or code of ICMP.
const Any = -1

// Rule allows something. Answers to what it allowed pass too, unless it is stateless.
type Rule struct {
	In        bool           `json:"in,omitempty"`       // into the server; otherwise out of it
	Version   int            `json:"version"`            // of IP: 4 or 6
	Protocol  int            `json:"protocol,omitempty"` // IANA's number; 0: any
	Low       int            `json:"low"`                // first port of the destination; of ICMP its type; Any
	High      int            `json:"high"`               // last port; of ICMP its code; Any
	Remotes   []netip.Prefix `json:"remotes,omitempty"`  // the other side; any when there are none
	Stateless bool           `json:"stateless,omitempty"`
}

// Sum tells filters apart: two with one sum are the same.
func (f Filter) Sum() string {
	text, err := json.Marshal(f)
	if err != nil {
		return "" // there is nothing in a filter that can not be written
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// Check returns an Invalid fault for what can not be.
func (f Filter) Check() error {
	if _, err := net.ParseMAC(f.MAC); err != nil {
		return fault.Field("mac", "%q is no MAC address", f.MAC)
	}
	for _, a := range f.Addresses {
		if _, err := net.ParseMAC(a.MAC); err != nil || !a.Prefix.IsValid() {
			return fault.Field("addresses", "%q with %q is no address with its MAC", a.Prefix, a.MAC)
		}
	}
	for _, r := range f.Rules {
		if err := r.check(); err != nil {
			return err
		}
	}
	return nil
}

func (r Rule) check() error {
	const highest = 65535
	switch {
	case r.Version != 4 && r.Version != 6:
		return fault.Field("version", "%d is no version of IP: 4 and 6 are", r.Version)
	case r.Protocol < 0 || r.Protocol > 255:
		return fault.Field("protocol", "%d is no IP protocol", r.Protocol)
	case r.Low < Any || r.High < Any || r.Low > highest || r.High > highest:
		return fault.Field("low", "%d to %d are no ports", r.Low, r.High)
	}
	for _, p := range r.Remotes {
		if !p.IsValid() || p.Addr().Is4() != (r.Version == 4) {
			return fault.Field("remotes", "%s is no prefix of IPv%d", p, r.Version)
		}
	}
	return nil
}

// CheckFilter is Check for the filter of a VLAN, or for none.
func CheckFilter(vlan int, f *Filter) error {
	if vlan < 1 || vlan > MaxVLAN {
		return fault.Field("vlan", "%d is no VLAN: 1 to %d are", vlan, MaxVLAN)
	}
	if f == nil {
		return nil
	}
	return f.Check()
}

// Keeps returns an Unavailable fault when the filter of a port that was read back, if it has one, is not the one that was set.
func Keeps(port string, vlan int, got, want *Filter) error {
	if got == nil && want == nil || got != nil && want != nil && got.Sum() == want.Sum() {
		return nil
	}
	return fault.Errorf(fault.Unavailable, "the switch port %s does not have the filter for VLAN %d that was set: look at the switch", port, vlan)
}
