package network

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network/fabric"
)

// Bounds of a network's MTU in bytes: what IPv4 and IPv6 need (RFC 791, RFC 8200), and jumbo frames.
const (
	leastMTU   = 68
	leastMTU6  = 1280
	defaultMTU = 1500
	mostMTU    = 9000
)

// CreateNetworks makes networks, all or none. Each gets a VLAN of its own; one that names its VLAN gets that.
func (s *Service) CreateNetworks(ctx context.Context, ns []Network) ([]Network, error) {
	for i := range ns {
		n := &ns[i]
		if n.Plane == "" {
			n.Plane = Data
		}
		if n.Plane != Data && n.Plane != Storage {
			return nil, fault.Field("plane", "must be data or storage")
		}
		if n.MTU == 0 {
			n.MTU = defaultMTU
		}
		if err := n.check(); err != nil {
			return nil, err
		}
		n.head().born()
	}
	const tries = 5 // another network may take the VLAN between our look and our insert
	for range tries {
		err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
			for i := range ns {
				n := ns[i]
				if err := s.addNetwork(ctx, tx, &n); err != nil {
					return err
				}
				ns[i].VLAN, ns[i].Subnets = n.VLAN, []string{}
			}
			return nil
		})
		if !db.Duplicate(err) {
			return ns, err
		}
	}
	return nil, fault.Errorf(fault.Unavailable, "many networks are made at the same time; try again")
}

func (s *Service) addNetwork(ctx context.Context, tx db.Tx, n *Network) error {
	if err := s.spend(ctx, tx, n.ProjectID, "network", 1); err != nil {
		return err
	}
	var err error
	if n.VLAN == 0 {
		n.VLAN, err = s.freeVLAN(ctx, tx)
	} else {
		err = s.checkVLAN(ctx, tx, n.VLAN)
	}
	if err != nil {
		return err
	}
	return insert(ctx, tx, networkNoun, n, n.Shared)
}

func (n *Network) check() error {
	if err := checkText(n.Name, n.Description); err != nil {
		return err
	}
	if n.MTU < leastMTU || n.MTU > mostMTU {
		return fault.Field("mtu", "must be %d to %d", leastMTU, mostMTU)
	}
	return nil
}

// checkVLAN refuses a VLAN that can not be a tenant's network.
func (s *Service) checkVLAN(ctx context.Context, tx db.Tx, vlan int) error {
	if vlan < 1 || vlan > fabric.MaxVLAN || slices.ContainsFunc(s.Systems, func(sys System) bool { return sys.VLAN == vlan }) {
		return fault.Field("provider:segmentation_id", "%d is no VLAN of a network: 1 to %d are, without the cloud's own", vlan, fabric.MaxVLAN)
	}
	taken, err := tx.NewSelect().Model((*Network)(nil)).Where("vlan = ?", vlan).Exists(ctx)
	if err != nil {
		return err
	}
	if taken {
		return reason("VlanIdInUse", fault.Errorf(fault.Conflict, "the VLAN %d is another network's", vlan))
	}
	return nil
}

// freeVLAN returns the lowest VLAN of the tenants' range that no network has.
func (s *Service) freeVLAN(ctx context.Context, tx db.Tx) (int, error) {
	var used []int
	if err := tx.NewSelect().Model((*Network)(nil)).Column("vlan").Where("vlan >= ?", s.VLANLo).Order("vlan").Scan(ctx, &used); err != nil {
		return 0, err
	}
	for _, sys := range s.Systems {
		used = append(used, sys.VLAN)
	}
	slices.Sort(used)
	vlan := s.VLANLo
	for _, u := range used {
		if u == vlan {
			vlan++
		}
	}
	if vlan > s.VLANHi {
		return 0, reason("NoNetworkAvailable", fault.Errorf(fault.Conflict, "all VLANs from %d to %d are in use; the operator can widen the range", s.VLANLo, s.VLANHi))
	}
	return vlan, nil
}

// Network returns one network that owner may see.
func (s *Service) Network(ctx context.Context, o Owner, id string) (Network, error) {
	n, err := find[Network](ctx, s.DB.Read(), networkNoun, o, id)
	if err != nil {
		return n, err
	}
	ns := []Network{n}
	err = fillNetworks(ctx, s.DB.Read(), ns)
	return ns[0], err
}

// Networks returns the networks that owner may see and w asks for.
func (s *Service) Networks(ctx context.Context, o Owner, w Query) ([]Network, error) {
	ns, err := list[Network](ctx, s.DB.Read(), networkNoun, o, w)
	if err != nil {
		return nil, err
	}
	return ns, fillNetworks(ctx, s.DB.Read(), ns)
}

// fillNetworks fills in the subnets of networks and the address scopes that these are from.
func fillNetworks(ctx context.Context, q bun.IDB, ns []Network) error {
	at := map[string]*Network{}
	ids := make([]string, len(ns))
	for i := range ns {
		ids[i], at[ns[i].ID], ns[i].Subnets = ns[i].ID, &ns[i], []string{}
	}
	var pooled []Subnet
	err := eachPart(ctx, q, ids, "network_id", "created_at, id", func(sub Subnet) {
		at[sub.NetworkID].Subnets = append(at[sub.NetworkID].Subnets, sub.ID)
		if sub.PoolID != "" {
			pooled = append(pooled, sub)
		}
	})
	if err != nil || len(pooled) == 0 {
		return err
	}
	scopes := map[string]string{}
	var pools []string
	for _, sub := range pooled {
		pools = append(pools, sub.PoolID)
	}
	if err := eachPart(ctx, q, pools, "id", "id", func(p Pool) { scopes[p.ID] = p.ScopeID }); err != nil {
		return err
	}
	for _, sub := range pooled {
		if sub.IPVersion == 4 {
			at[sub.NetworkID].Scope4 = scopes[sub.PoolID]
		} else {
			at[sub.NetworkID].Scope6 = scopes[sub.PoolID]
		}
	}
	return nil
}

// EditNetwork lets fn change what may be changed of a network of the owner.
func (s *Service) EditNetwork(ctx context.Context, o Owner, id string, rev int64, fn func(*Network) error) (Network, error) {
	n, err := edit(ctx, s, networkNoun, o, id, rev, func(ctx context.Context, tx db.Tx, n *Network) error {
		was := *n
		if err := fn(n); err != nil {
			return err
		}
		if n.Plane != was.Plane {
			return fault.Field("plane", "can not be changed")
		}
		if err := taggedOnce(n.Tags, n.Labels); err != nil {
			return err
		}
		if n.MTU != was.MTU && n.MTU < leastMTU6 {
			six, err := tx.NewSelect().Model((*Subnet)(nil)).Where("network_id = ? AND ip_version = 6", id).Exists(ctx)
			if err != nil {
				return err
			}
			if six {
				return fault.Field("mtu", "must be %d at least on a network with IPv6 subnets", leastMTU6)
			}
		}
		if was.External && !n.External {
			if err := notLedTo(ctx, tx, id); err != nil {
				return err
			}
		}
		if n.Shared != was.Shared {
			if err := s.setShared(ctx, tx, networkNoun, n.ProjectID, id, n.Shared); err != nil {
				return err
			}
		}
		return n.check()
	})
	if err != nil {
		return n, err
	}
	ns := []Network{n}
	err = fillNetworks(ctx, s.DB.Read(), ns)
	return ns[0], err
}

// notLedTo is a Conflict while routers lead to a network, or floating addresses are of it.
func notLedTo(ctx context.Context, tx db.Tx, id string) error {
	count, err := tx.NewSelect().Model((*Port)(nil)).Where("network_id = ? AND device_owner IN (?)", id, bun.In([]string{gatewayOwner, floatingOwner})).Count(ctx)
	if err == nil && count > 0 {
		return reason("ExternalNetworkInUse", fault.Errorf(fault.Conflict, "%d routers and floating addresses use the network; take them away first", count))
	}
	return err
}

// DeleteNetwork forgets a network with its subnets. Ports on it are a Conflict.
func (s *Service) DeleteNetwork(ctx context.Context, o Owner, id string, rev int64) error {
	return remove(ctx, s, networkNoun, o, id, rev, func(ctx context.Context, tx db.Tx, _ Network) error {
		count, err := tx.NewSelect().Model((*Port)(nil)).Where("network_id = ?", id).Count(ctx)
		if err != nil {
			return err
		}
		if count > 0 {
			return reason("NetworkInUse", fault.Errorf(fault.Conflict, "the network has %d ports in use; delete them, or the servers that they belong to, first", count))
		}
		_, err = tx.NewDelete().Model((*Subnet)(nil)).Where("network_id = ?", id).Exec(ctx)
		return err
	})
}
