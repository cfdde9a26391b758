package network

import (
	"context"
	"net/netip"
	"slices"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Pool is addresses of which subnets take their ranges, so that no two are the same.
type Pool struct {
	bun.BaseModel `bun:"table:subnet_pool"`
	Record

	Name, Description                   string
	IPVersion                           int            `bun:"ip_version"`
	Prefixes                            []netip.Prefix // the fewest that cover its addresses, in order
	MinPrefix, DefaultPrefix, MaxPrefix int            // lengths; of a new pool 0 is what the IP version makes sensible
	Quota                               int            // a project's share: IPv4 addresses, or IPv6 /64s; Unlimited
	ScopeID                             string         `bun:"scope_id,nullzero"`
	IsDefault, Shared                   bool
	Tags                                map[string]string
	Labels                              Labels
}

// mostPrefixes bounds a pool's prefixes and an address group's addresses.
const mostPrefixes = 500

// CreatePools makes subnet pools, all or none.
func (s *Service) CreatePools(ctx context.Context, o Owner, ps []Pool) ([]Pool, error) {
	return ps, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		for i := range ps {
			p := &ps[i]
			if len(p.Prefixes) == 0 {
				return fault.Field("prefixes", "a subnet pool needs one at least")
			}
			p.IPVersion = 4
			if p.Prefixes[0].Addr().Is6() {
				p.IPVersion = 6
			}
			p.defaults()
			if err := s.spend(ctx, tx, p.ProjectID, "subnetpool", 1); err != nil {
				return err
			}
			p.head().born()
			if err := s.checkPool(ctx, tx, o, p); err != nil {
				return err
			}
			if err := insert(ctx, tx, poolNoun, p, p.Shared); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *Pool) defaults() {
	least, most := 8, 32
	if p.IPVersion == 6 {
		least, most = 64, 128
	}
	if p.MinPrefix == 0 {
		p.MinPrefix = least
	}
	if p.MaxPrefix == 0 {
		p.MaxPrefix = most
	}
	if p.DefaultPrefix == 0 {
		p.DefaultPrefix = p.MinPrefix
	}
}

// checkPool checks a pool by itself and against the others.
func (s *Service) checkPool(ctx context.Context, tx db.Tx, o Owner, p *Pool) error {
	if err := checkText(p.Name, p.Description); err != nil {
		return err
	}
	if err := taggedOnce(p.Tags, p.Labels); err != nil {
		return err
	}
	for _, prefix := range p.Prefixes {
		if !prefix.IsValid() || prefix != prefix.Masked() {
			return reason("InvalidInput", fault.Field("prefixes", "%s is not a network such as 10.0.0.0/8", prefix))
		}
		if prefix.Addr().Is4() != (p.IPVersion == 4) {
			return reason("PrefixVersionMismatch", fault.Field("prefixes", "all must be of one IP version"))
		}
	}
	if p.Prefixes = compact(p.Prefixes); len(p.Prefixes) > mostPrefixes {
		return fault.Field("prefixes", "at most %d", mostPrefixes)
	}
	bits := p.Prefixes[0].Addr().BitLen()
	if p.MinPrefix < 1 || p.MinPrefix > p.DefaultPrefix || p.DefaultPrefix > p.MaxPrefix || p.MaxPrefix > bits {
		return reason("IllegalSubnetPoolPrefixBounds", fault.Field("default_prefixlen", "min_prefixlen %d, default_prefixlen %d and max_prefixlen %d must be in this order, 1 to %d",
			p.MinPrefix, p.DefaultPrefix, p.MaxPrefix, bits))
	}
	if p.Quota < Unlimited {
		return fault.Field("default_quota", "must be 0 or more")
	}
	if p.IsDefault {
		taken, err := tx.NewSelect().Model((*Pool)(nil)).Where("is_default AND ip_version = ? AND id <> ?", p.IPVersion, p.ID).Exists(ctx)
		if err != nil {
			return err
		}
		if taken {
			return reason("InvalidInput", fault.Field("is_default", "there is a default subnet pool for IPv%d already", p.IPVersion))
		}
	}
	if p.ScopeID == "" {
		return nil
	}
	return checkScope(ctx, tx, o, p)
}

// checkScope refuses a pool whose addresses another one of its address scope has.
func checkScope(ctx context.Context, tx db.Tx, o Owner, p *Pool) error {
	scope, err := find[Scope](ctx, tx, scopeNoun, o, p.ScopeID)
	if err != nil {
		return err
	}
	if scope.IPVersion != p.IPVersion {
		return reason("IllegalSubnetPoolIpVersionAssociation", fault.Field("address_scope_id", "the address scope is for IPv%d", scope.IPVersion))
	}
	if err := lock(ctx, tx, scopeNoun, scope.ID); err != nil {
		return err
	}
	others, err := list[Pool](ctx, tx, poolNoun, "", one("address_scope_id", scope.ID))
	if err != nil {
		return err
	}
	for _, other := range others {
		for _, q := range other.Prefixes {
			if other.ID != p.ID && slices.ContainsFunc(p.Prefixes, q.Overlaps) {
				return reason("AddressScopePrefixConflict", fault.Errorf(fault.Conflict, "%s is in another subnet pool of the address scope", q))
			}
		}
	}
	return nil
}

// Pool returns one subnet pool that owner may see.
func (s *Service) Pool(ctx context.Context, o Owner, id string) (Pool, error) {
	return find[Pool](ctx, s.DB.Read(), poolNoun, o, id)
}

// Pools returns the subnet pools that owner may see and w asks for.
func (s *Service) Pools(ctx context.Context, o Owner, w Query) ([]Pool, error) {
	return list[Pool](ctx, s.DB.Read(), poolNoun, o, w)
}

// EditPool lets fn change what may be changed of a subnet pool of the owner. Prefixes that subnets have stay.
func (s *Service) EditPool(ctx context.Context, o Owner, id string, rev int64, fn func(*Pool) error) (Pool, error) {
	return edit(ctx, s, poolNoun, o, id, rev, func(ctx context.Context, tx db.Tx, p *Pool) error {
		was := *p
		if err := fn(p); err != nil {
			return err
		}
		if len(p.Prefixes) == 0 {
			return fault.Field("prefixes", "a subnet pool needs one at least")
		}
		p.defaults()
		if err := s.checkPool(ctx, tx, o, p); err != nil {
			return err
		}
		if p.Shared != was.Shared {
			if err := s.setShared(ctx, tx, poolNoun, p.ProjectID, id, p.Shared); err != nil {
				return err
			}
		}
		if slices.Equal(p.Prefixes, was.Prefixes) {
			return nil
		}
		taken, _, err := takenOf(ctx, tx, id, "")
		if err != nil {
			return err
		}
		for _, t := range taken {
			if !slices.ContainsFunc(p.Prefixes, func(q netip.Prefix) bool { return covers(q, t) }) {
				return reason("IllegalSubnetPoolPrefixUpdate", fault.Field("prefixes", "the subnet %s of the pool would be in none of the prefixes", t))
			}
		}
		return nil
	})
}

// AddPrefixes adds addresses to a subnet pool and returns all that it has.
func (s *Service) AddPrefixes(ctx context.Context, o Owner, id string, more []netip.Prefix) (Pool, error) {
	return s.EditPool(ctx, o, id, 0, func(p *Pool) error {
		p.Prefixes = append(p.Prefixes, more...)
		return nil
	})
}

// RemovePrefixes takes addresses away from a subnet pool that no subnet has, and returns all that it still has.
func (s *Service) RemovePrefixes(ctx context.Context, o Owner, id string, cut []netip.Prefix) (Pool, error) {
	return s.EditPool(ctx, o, id, 0, func(p *Pool) error {
		for _, c := range cut {
			if !c.IsValid() || c != c.Masked() {
				return fault.Field("prefixes", "%s is not a network such as 10.0.0.0/8", c)
			}
			p.Prefixes = without(p.Prefixes, c)
		}
		return nil
	})
}

// DeletePool forgets a subnet pool of the owner. Subnets of it are a Conflict.
func (s *Service) DeletePool(ctx context.Context, o Owner, id string, rev int64) error {
	return remove(ctx, s, poolNoun, o, id, rev, func(ctx context.Context, tx db.Tx, _ Pool) error {
		taken, _, err := takenOf(ctx, tx, id, "")
		if err == nil && len(taken) > 0 {
			return reason("SubnetPoolInUse", fault.Errorf(fault.Conflict, "%d subnets are of the pool; delete them first", len(taken)))
		}
		return err
	})
}

// takenOf returns the ranges of a pool's subnets, and how much of them a project has in the units of quotas.
func takenOf(ctx context.Context, tx db.Tx, pool, project string) ([]netip.Prefix, int64, error) {
	subs, err := list[Subnet](ctx, tx, subnetNoun, "", one("subnetpool_id", pool))
	var taken []netip.Prefix
	var share int64
	for _, sub := range subs {
		taken = append(taken, sub.Prefix())
		if sub.ProjectID == project {
			share += units(sub.Prefix())
		}
	}
	return taken, share, err
}

// units is a range's size as quotas count it: IPv4 addresses, or IPv6 /64s.
func units(p netip.Prefix) int64 {
	bits := 32
	if p.Addr().Is6() {
		bits = 64
	}
	return 1 << min(max(bits-p.Bits(), 0), 62)
}

// takePrefix gives a new subnet a range of a pool that no other subnet of the pool has.
func (s *Service) takePrefix(ctx context.Context, tx db.Tx, o Owner, project string, sub *Subnet, w NewSubnet) error {
	if w.DefaultPool {
		found, err := list[Pool](ctx, tx, poolNoun, "", Query{Where: map[string][]string{"is_default": {"true"}, "ip_version": {version(sub.IPVersion)}}})
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return reason("BadRequest", fault.Field("use_default_subnetpool", "there is no default subnet pool for IPv%s", version(sub.IPVersion)))
		}
		sub.PoolID = found[0].ID
	}
	if err := lock(ctx, tx, poolNoun, sub.PoolID); err != nil {
		return err
	}
	if w.DefaultPool {
		o = "" // it is for everybody
	}
	p, err := find[Pool](ctx, tx, poolNoun, o, sub.PoolID)
	if err != nil {
		return err
	}
	taken, share, err := takenOf(ctx, tx, p.ID, project)
	if err != nil {
		return err
	}
	prefix, err := p.choose(taken, sub.CIDR, w.PrefixLen)
	if err != nil {
		return err
	}
	if p.Quota != Unlimited && share+units(prefix) > int64(p.Quota) {
		return reason("SubnetPoolQuotaExceeded", fault.Errorf(fault.Conflict, "the project's share of the subnet pool is %d, of which it has %d", p.Quota, share))
	}
	sub.CIDR = prefix.String()
	return nil
}

func version(v int) string {
	if v == 6 {
		return "6"
	}
	return "4"
}

// choose returns a range for a new subnet: the one asked for, or the first that is free.
func (p *Pool) choose(taken []netip.Prefix, cidr string, length int) (netip.Prefix, error) {
	if cidr == "" && length == 0 {
		length = p.DefaultPrefix
	}
	var asked netip.Prefix
	if cidr != "" {
		var err error
		if asked, err = netip.ParsePrefix(cidr); err != nil {
			return asked, reason("InvalidInput", fault.Field("cidr", "%q is not a network such as 10.1.0.0/24", cidr))
		}
		asked = asked.Masked()
		if length != 0 {
			return asked, fault.Field("prefixlen", "cidr and prefixlen can not be given together")
		}
		length = asked.Bits()
	}
	if length < p.MinPrefix {
		return asked, reason("MinPrefixSubnetAllocationError", fault.Field("prefixlen", "is %d; the subnet pool's least is %d", length, p.MinPrefix))
	}
	if length > p.MaxPrefix {
		return asked, reason("MaxPrefixSubnetAllocationError", fault.Field("prefixlen", "is %d; the subnet pool's most is %d", length, p.MaxPrefix))
	}
	if cidr == "" {
		if free, ok := freePrefix(p.Prefixes, taken, length); ok {
			return free, nil
		}
		return asked, reason("SubnetAllocationError", fault.Errorf(fault.Conflict, "the subnet pool has no /%d left", length))
	}
	if !slices.ContainsFunc(p.Prefixes, func(q netip.Prefix) bool { return covers(q, asked) }) || slices.ContainsFunc(taken, asked.Overlaps) {
		return asked, reason("SubnetAllocationError", fault.Errorf(fault.Conflict, "%s is not in the subnet pool, or another subnet has it", asked))
	}
	return asked, nil
}
