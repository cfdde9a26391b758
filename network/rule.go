package network

import (
	"context"
	"net/netip"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// EtherTypes of rules.
const (
	IPv4 = "IPv4"
	IPv6 = "IPv6"
)

// Ingress is the direction of rules for what may come in.
const Ingress = "ingress"

const (
	egress  = "egress"
	anyPort = -1
)

// Rule says what may pass at the ports of a security group. Empty texts and ports of -1 mean any.
type Rule struct {
	bun.BaseModel `bun:"table:security_group_rule"`
	Record

	GroupID, Description string
	Direction, EtherType string
	Protocol             string // a name, or a number in decimal
	PortMin, PortMax     int    // of ICMP: type and code
	RemotePrefix         string
	RemoteGroup          string
	RemoteAddressGroup   string
}

// protocols are the names of IP protocols that rules may use, with their numbers (IANA, Protocol Numbers).
var protocols = map[string]int{"ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "icmp": 1, "icmpv6": 58, "igmp": 2, "ipip": 4, "ipv6-encap": 41,
	"ipv6-frag": 44, "ipv6-icmp": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "ipv6-route": 43, "ospf": 89, "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6,
	"udp": 17, "udplite": 136, "vrrp": 112}

// CreateRules adds rules to security groups of the owner, all or none.
func (s *Service) CreateRules(ctx context.Context, o Owner, rs []Rule) ([]Rule, error) {
	return rs, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		for i := range rs {
			r := &rs[i]
			if err := r.check(); err != nil {
				return err
			}
			g, err := own[Group](ctx, tx, groupNoun, o, r.GroupID)
			if err != nil {
				return err
			}
			r.ProjectID = g.ProjectID
			if err := s.spend(ctx, tx, r.ProjectID, "security_group_rule", 1); err != nil {
				return err
			}
			if err := r.checkRemote(ctx, tx, o); err != nil {
				return err
			}
			if err := insertRule(ctx, tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkRemote looks for the group that a rule names, and keeps it from being deleted.
func (r *Rule) checkRemote(ctx context.Context, tx db.Tx, o Owner) error {
	if r.RemoteGroup != "" {
		if _, err := find[Group](ctx, tx, groupNoun, o, r.RemoteGroup); err != nil {
			return err
		}
		return lock(ctx, tx, groupNoun, r.RemoteGroup)
	}
	if r.RemoteAddressGroup != "" {
		if _, err := find[AddressGroup](ctx, tx, addressGroupNoun, o, r.RemoteAddressGroup); err != nil {
			return err
		}
		return lock(ctx, tx, addressGroupNoun, r.RemoteAddressGroup)
	}
	return nil
}

// insertRule writes a rule unless its group has the same one.
func insertRule(ctx context.Context, tx db.Tx, r *Rule) error {
	if err := touch(ctx, tx, groupNoun, r.GroupID); err != nil { // also locks the group
		return err
	}
	var same []string
	err := tx.NewSelect().Model((*Rule)(nil)).Column("id").Where("group_id = ? AND direction = ? AND ether_type = ? AND protocol = ? AND port_min = ? AND port_max = ?",
		r.GroupID, r.Direction, r.EtherType, r.Protocol, r.PortMin, r.PortMax).
		Where("remote_prefix = ? AND remote_group = ? AND remote_address_group = ?", r.RemotePrefix, r.RemoteGroup, r.RemoteAddressGroup).Scan(ctx, &same)
	if err != nil {
		return err
	}
	if len(same) > 0 {
		return reason("SecurityGroupRuleExists", fault.Errorf(fault.Conflict, "Security group rule already exists. Rule id is %s.", same[0]))
	}
	r.head().born()
	_, err = tx.NewInsert().Model(r).Exec(ctx)
	return err
}

// check checks a rule by itself and writes its parts in one form.
func (r *Rule) check() error {
	if err := checkText("", r.Description); err != nil {
		return err
	}
	if r.Direction != Ingress && r.Direction != egress {
		return fault.Field("direction", "must be ingress or egress")
	}
	if r.EtherType != IPv4 && r.EtherType != IPv6 {
		return reason("SecurityGroupRuleInvalidEtherType", fault.Field("ethertype", "must be IPv4 or IPv6"))
	}
	given := 0
	for _, remote := range []string{r.RemotePrefix, r.RemoteGroup, r.RemoteAddressGroup} {
		if remote != "" {
			given++
		}
	}
	if given > 1 {
		return reason("SecurityGroupMultipleRemoteEntites", fault.Field("remote_ip_prefix", "only one of remote_ip_prefix, remote_group_id and remote_address_group_id may be given"))
	}
	if err := r.checkPrefix(); err != nil {
		return err
	}
	return r.checkPorts()
}

func (r *Rule) checkPrefix() error {
	if r.RemotePrefix == "" {
		return nil
	}
	p, err := netip.ParsePrefix(r.RemotePrefix)
	if err != nil {
		a, err := netip.ParseAddr(r.RemotePrefix)
		if err != nil {
			return reason("InvalidInput", fault.Field("remote_ip_prefix", "%q is not a network such as 10.0.0.0/8", r.RemotePrefix))
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4() != (r.EtherType == IPv4) {
		return reason("SecurityGroupRuleParameterConflict", fault.Field("remote_ip_prefix", "%s is not of the ethertype %s", p, r.EtherType))
	}
	r.RemotePrefix = p.Masked().String()
	return nil
}

// number returns the number of the rule's protocol; ok is false when it has none, or one that is unknown.
func (r *Rule) number() (n int, ok bool) {
	if n, ok = protocols[r.Protocol]; ok {
		return n, true
	}
	n, err := strconv.Atoi(r.Protocol)
	return n, err == nil && n >= 0 && n <= 255
}

func (r *Rule) checkPorts() error {
	r.Protocol = strings.ToLower(r.Protocol)
	if r.Protocol == "any" {
		r.Protocol = ""
	}
	proto, ok := r.number()
	if r.Protocol != "" && !ok {
		return reason("SecurityGroupRuleInvalidProtocol", fault.Field("protocol", "%q is no IP protocol: a name such as tcp, or a number up to 255", r.Protocol))
	}
	if r.EtherType == IPv6 && proto == protocols["icmp"] && ok || r.Protocol == "icmpv6" {
		r.Protocol, proto = "ipv6-icmp", protocols["ipv6-icmp"]
	}
	if r.EtherType == IPv4 && ok && strings.HasPrefix(r.Protocol, "ipv6-") && r.Protocol != "ipv6-encap" {
		return reason("SecurityGroupEthertypeConflictWithProtocol", fault.Field("ethertype", "%s is not of the ethertype %s", r.Protocol, r.EtherType))
	}
	if r.PortMin == anyPort && r.PortMax == anyPort {
		return nil
	}
	if r.Protocol == "" {
		return reason("SecurityGroupProtocolRequiredWithPorts", fault.Field("protocol", "ports need a protocol"))
	}
	for _, p := range []int{r.PortMin, r.PortMax} {
		if p < anyPort || p > 65535 {
			return reason("SecurityGroupInvalidPortValue", fault.Field("port_range_min", "%d is no port", p))
		}
	}
	switch proto {
	case protocols["tcp"], protocols["udp"], protocols["sctp"], protocols["dccp"], protocols["udplite"]:
		if r.PortMin == 0 || r.PortMax == 0 {
			return reason("SecurityGroupInvalidPortValue", fault.Field("port_range_min", "0 is no port"))
		}
		if r.PortMin == anyPort || r.PortMax == anyPort || r.PortMin > r.PortMax {
			return reason("SecurityGroupInvalidPortRange", fault.Field("port_range_min", "must be port_range_max or less"))
		}
	case protocols["icmp"], protocols["ipv6-icmp"]:
		if r.PortMin == anyPort {
			return reason("SecurityGroupMissingIcmpType", fault.Field("port_range_min", "an ICMP code needs a type"))
		}
		if r.PortMin > 255 || r.PortMax > 255 {
			return reason("SecurityGroupInvalidIcmpValue", fault.Field("port_range_min", "ICMP types and codes are 0 to 255"))
		}
	default:
		return reason("SecurityGroupInvalidProtocolForPort", fault.Field("port_range_min", "%s has no ports", r.Protocol))
	}
	return nil
}

// Rule returns one rule of a security group that owner may see.
func (s *Service) Rule(ctx context.Context, o Owner, id string) (Rule, error) {
	return find[Rule](ctx, s.DB.Read(), ruleNoun, o, id)
}

// Rules returns the rules that owner may see and w asks for.
func (s *Service) Rules(ctx context.Context, o Owner, w Query) ([]Rule, error) {
	return list[Rule](ctx, s.DB.Read(), ruleNoun, o, w)
}

// DeleteRule takes a rule out of a security group of the owner.
func (s *Service) DeleteRule(ctx context.Context, o Owner, id string, rev int64) error {
	return remove(ctx, s, ruleNoun, o, id, rev, func(ctx context.Context, tx db.Tx, r Rule) error {
		return touch(ctx, tx, groupNoun, r.GroupID)
	})
}
