package network

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// CreatePorts makes ports, all or none; see AddPort.
func (s *Service) CreatePorts(ctx context.Context, o Owner, ps []NewPort) ([]Port, error) {
	out := make([]Port, len(ps))
	err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) (err error) {
		for i, p := range ps {
			if ours(p.DeviceOwner) {
				return claimed(p.DeviceOwner)
			}
			if out[i], err = s.addPort(ctx, tx, o, p); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// NewPort is a port that is asked for.
type NewPort struct {
	Port
	Secure *bool // nil: as the network says
}

// AddPort makes a port on a network that owner may see, in the caller's transaction, with the addresses asked for in
// p.FixedIPs (subnet, address or both of each). Without any asked for it gets one of each IP version of the network, and
// without any p.Groups the project's default security group.
func (s *Service) AddPort(ctx context.Context, tx db.Tx, o Owner, p Port) (Port, error) {
	return s.addPort(ctx, tx, o, NewPort{Port: p})
}

func (s *Service) addPort(ctx context.Context, tx db.Tx, o Owner, w NewPort) (Port, error) {
	p := w.Port
	n, err := find[Network](ctx, tx, networkNoun, o, p.NetworkID)
	if err != nil {
		return p, err
	}
	if n.External && o != "" {
		if err := mayPlug(ctx, tx, o, n); err != nil {
			return p, err
		}
	}
	if p.ProjectID != "" { // nobody's are the cloud's own
		if err := s.spend(ctx, tx, p.ProjectID, "port", 1); err != nil {
			return p, err
		}
	}
	if err := lock(ctx, tx, networkNoun, n.ID); err != nil { // it may be deleted since
		return p, err
	}
	if p.PortSecurity = n.PortSecurity; w.Secure != nil {
		p.PortSecurity = *w.Secure
	}
	if p.MAC == "" {
		p.MAC = randomMAC()
	}
	if p.VNICType == "" {
		p.VNICType = "normal"
	}
	if err := p.check(); err != nil {
		return p, err
	}
	if p.Groups == nil && p.PortSecurity && !strings.HasPrefix(p.DeviceOwner, "network:") {
		g, err := s.defaultGroup(ctx, tx, p.ProjectID)
		if err != nil {
			return p, err
		}
		p.Groups = []string{g}
	}
	p.head().born()
	if _, err := tx.NewInsert().Model(&p).Exec(ctx); err != nil {
		if db.Duplicate(err) {
			return p, macInUse(p.MAC)
		}
		return p, err
	}
	if err := s.join(ctx, tx, o, &p); err != nil {
		return p, err
	}
	return p, s.allocate(ctx, tx, &p, nil)
}

// mayPlug refuses a port on an external network to those who only see it because it is external.
func mayPlug(ctx context.Context, tx db.Tx, o Owner, n Network) error {
	where, args := networkNoun.sees(o)
	own, err := tx.NewSelect().Model((*Network)(nil)).Where("id = ?", n.ID).Where(where, args...).Exists(ctx)
	if err == nil && !own {
		return fault.Errorf(fault.Denied, "the network %s is external: reach it by a router, or by a floating address", n.ID)
	}
	return err
}

// ours reports whether a device is a server or a router of the cloud's: servers' metadata and routers' ways go by that.
func ours(deviceOwner string) bool { return deviceOwner == serverOwner || ofRouter(deviceOwner) }

// claimed refuses a client that says itself that its port is a server's or a router's.
func claimed(deviceOwner string) error {
	return fault.Field("device_owner", "%s is said of ports of servers and routers only, when they are made or given one", deviceOwner)
}

func macInUse(mac string) error {
	return reason("MacAddressInUse", fault.Errorf(fault.Conflict, "the MAC address %s is in use on the network", mac))
}

// Bounds of a port's lists.
const (
	mostPairs   = 10
	mostOptions = 50
	mostProfile = 4095 // bytes, as in OpenStack
)

// vnicTypes are the kinds of virtual NIC that Networking v2.0 knows; all are physical here.
var vnicTypes = []string{"normal", "baremetal", "direct", "direct-physical", "macvtap", "virtio-forwarder", "smart-nic", "vdpa", "accelerator-direct",
	"accelerator-direct-physical", "remote-managed"}

// check checks what a client may say of a port, and writes its addresses in one form.
func (p *Port) check() error {
	if err := checkText(p.Name, p.Description); err != nil {
		return err
	}
	if len(p.DeviceID) > 255 || len(p.DeviceOwner) > 255 || len(p.Host) > 255 {
		return fault.Field("device_id", "device_id, device_owner and binding:host_id must have at most 255 bytes")
	}
	if !slices.Contains(vnicTypes, p.VNICType) {
		return fault.Field("binding:vnic_type", "must be one of %s", strings.Join(vnicTypes, ", "))
	}
	hw, err := net.ParseMAC(p.MAC)
	if err != nil || len(hw) != 6 || hw[0]&1 == 1 || slices.Equal(hw, make(net.HardwareAddr, 6)) {
		return reason("InvalidInput", fault.Field("mac_address", "%q is not the MAC address of a NIC", p.MAC))
	}
	p.MAC = hw.String()
	if profile, err := json.Marshal(p.Profile); err != nil || len(profile) > mostProfile {
		return fault.Field("binding:profile", "must have at most %d bytes", mostProfile)
	}
	if len(p.DHCPOptions) > mostOptions {
		return fault.Field("extra_dhcp_opts", "at most %d", mostOptions)
	}
	for _, o := range p.DHCPOptions {
		if o.Name == "" || len(o.Name) > 64 || len(o.Value) > 255 || o.Version != 4 && o.Version != 6 {
			return fault.Field("extra_dhcp_opts", "opt_name needs 1 to 64 bytes, opt_value up to 255, ip_version 4 or 6")
		}
	}
	if err := p.checkPairs(); err != nil {
		return err
	}
	if !p.PortSecurity && len(p.Groups) > 0 {
		return reason("PortSecurityPortHasSecurityGroup", fault.Errorf(fault.Conflict, "the port has security groups; without port security it can have none"))
	}
	if !p.PortSecurity && len(p.Pairs) > 0 {
		return reason("AddressPairAndPortSecurityRequired", fault.Errorf(fault.Conflict, "allowed address pairs need port security"))
	}
	return taggedOnce(p.Tags, p.Labels)
}

func (p *Port) checkPairs() error {
	if len(p.Pairs) > mostPairs {
		return reason("AllowedAddressPairExhausted", fault.Field("allowed_address_pairs", "at most %d", mostPairs))
	}
	for i := range p.Pairs {
		pair := &p.Pairs[i]
		if _, err := netip.ParsePrefix(pair.Address); err != nil {
			if _, err := netip.ParseAddr(pair.Address); err != nil {
				return reason("InvalidInput", fault.Field("allowed_address_pairs", "%q is not an address or a range of them", pair.Address))
			}
		}
		if pair.MAC == "" {
			pair.MAC = p.MAC
		}
		hw, err := net.ParseMAC(pair.MAC)
		if err != nil || len(hw) != 6 {
			return reason("InvalidInput", fault.Field("allowed_address_pairs", "%q is not a MAC address", pair.MAC))
		}
		pair.MAC = hw.String()
		if slices.Contains(p.Pairs[:i], *pair) {
			return reason("DuplicateAddressPairInRequest", fault.Field("allowed_address_pairs", "%s with %s is given twice", pair.Address, pair.MAC))
		}
	}
	return nil
}

// Port returns one port of the owner.
func (s *Service) Port(ctx context.Context, o Owner, id string) (Port, error) {
	return findPort(ctx, s.DB.Read(), o, id)
}

func findPort(ctx context.Context, q bun.IDB, o Owner, id string) (Port, error) {
	p, err := find[Port](ctx, q, portNoun, o, id)
	if err != nil {
		return p, err
	}
	ps := []Port{p}
	err = fillPorts(ctx, q, ps)
	return ps[0], err
}

// Ports returns the ports of the owner; those of one network or device unless they are "".
func (s *Service) Ports(ctx context.Context, o Owner, network, device string) ([]Port, error) {
	w := Query{Where: map[string][]string{}}
	if network != "" {
		w.Where["network_id"] = []string{network}
	}
	if device != "" {
		w.Where["device_id"] = []string{device}
	}
	return s.ListPorts(ctx, o, w)
}

// ListPorts returns the ports of the owner that w asks for.
func (s *Service) ListPorts(ctx context.Context, o Owner, w Query) ([]Port, error) {
	ps, err := list[Port](ctx, s.DB.Read(), portNoun, o, w)
	if err != nil {
		return nil, err
	}
	return ps, fillPorts(ctx, s.DB.Read(), ps)
}

// fillPorts fills in the addresses and security groups of ports.
func fillPorts(ctx context.Context, q bun.IDB, ps []Port) error {
	at := map[string]*Port{}
	ids := make([]string, len(ps))
	for i := range ps {
		ids[i], at[ps[i].ID] = ps[i].ID, &ps[i]
		ps[i].FixedIPs, ps[i].Groups = []FixedIP{}, []string{}
	}
	if err := eachPart(ctx, q, ids, "port_id", "address", func(ip FixedIP) { at[ip.PortID].FixedIPs = append(at[ip.PortID].FixedIPs, ip) }); err != nil {
		return err
	}
	return eachPart(ctx, q, ids, "port_id", "group_id", func(m membership) { at[m.PortID].Groups = append(at[m.PortID].Groups, m.GroupID) })
}

// EditPort lets fn change what may be changed of a port of the owner. Its addresses are allocated anew when fn changes
// them; a list that is nil, as when it is made, takes what comes.
func (s *Service) EditPort(ctx context.Context, o Owner, id string, rev int64, fn func(*Port) error) (Port, error) {
	return edit(ctx, s, portNoun, o, id, rev, func(ctx context.Context, tx db.Tx, p *Port) error {
		full, err := findPort(ctx, tx, o, id)
		if err != nil {
			return err
		}
		*p = full
		if err := fn(p); err != nil {
			return err
		}
		if full.DeviceOwner == serverOwner && (p.DeviceID != full.DeviceID || p.DeviceOwner != full.DeviceOwner || p.MAC != full.MAC) {
			return reason("PortBound", fault.Errorf(fault.Conflict, "the port is in use by a server; delete that first"))
		}
		if ours(p.DeviceOwner) && p.DeviceOwner != full.DeviceOwner {
			return claimed(p.DeviceOwner)
		}
		if ofRouter(full.DeviceOwner) && !sameForRouter(p, &full) {
			return reason("PortBound", fault.Errorf(fault.Conflict, "the port is a router's, and its device, addresses and security can not be changed; take it off the router first"))
		}
		if err := p.check(); err != nil {
			return err
		}
		if p.MAC != full.MAC {
			taken, err := tx.NewSelect().Model((*Port)(nil)).Where("network_id = ? AND mac = ? AND id <> ?", p.NetworkID, p.MAC, id).Exists(ctx)
			if err != nil {
				return err
			}
			if taken {
				return macInUse(p.MAC)
			}
		}
		if !slices.Equal(p.Groups, full.Groups) {
			if err := s.join(ctx, tx, o, p); err != nil {
				return err
			}
		}
		if p.FixedIPs != nil && slices.Equal(p.FixedIPs, full.FixedIPs) {
			return readdress(ctx, tx, p)
		}
		if _, err := tx.NewDelete().Model((*FixedIP)(nil)).Where("port_id = ?", id).Exec(ctx); err != nil {
			return err
		}
		if err := s.allocate(ctx, tx, p, full.FixedIPs); err != nil {
			return err
		}
		return loseFloating(ctx, tx, p)
	})
}

// DeletePort forgets a port of the owner. One that a server or a router uses is a Conflict. Floating addresses of it are free again.
func (s *Service) DeletePort(ctx context.Context, o Owner, id string, rev int64) error {
	return remove(ctx, s, portNoun, o, id, rev, func(ctx context.Context, tx db.Tx, p Port) error {
		if p.DeviceOwner == serverOwner {
			return reason("PortInUse", fault.Errorf(fault.Conflict, "the port is in use by the server %s; delete that first", p.DeviceID))
		}
		if ofRouter(p.DeviceOwner) {
			return reason("ServicePortInUse", fault.Errorf(fault.Conflict, "the port can not be deleted by itself: it is %s of %s, which it goes away with", p.DeviceOwner, p.DeviceID))
		}
		return loseFloating(ctx, tx, &Port{ID: id})
	})
}
