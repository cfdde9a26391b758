package network

import (
	"context"
	"math/big"
	"slices"

	"github.com/hagane-cloud/hagane/fault"
)

// Usage is how many addresses a network's ports can get, and how many they have.
type Usage struct {
	Network     Network
	Total, Used *big.Int
	Subnets     []SubnetUsage
}

// SubnetUsage is the same of one subnet.
type SubnetUsage struct {
	Subnet      Subnet
	Total, Used *big.Int
}

// Usages returns the usage of the networks that owner may see and w asks for.
func (s *Service) Usages(ctx context.Context, o Owner, w Query) ([]Usage, error) {
	ns, err := s.Networks(ctx, o, w)
	if err != nil {
		return nil, err
	}
	out := make([]Usage, len(ns))
	at := map[string]*Usage{}
	ids := make([]string, len(ns))
	for i, n := range ns {
		out[i] = Usage{Network: n, Total: new(big.Int), Used: new(big.Int)}
		ids[i], at[n.ID] = n.ID, &out[i]
	}
	var counts []struct {
		SubnetID string
		Used     int64
	}
	q := s.DB.Read()
	if err := q.NewSelect().Model((*FixedIP)(nil)).ColumnExpr("subnet_id, COUNT(*) AS used").GroupExpr("subnet_id").Scan(ctx, &counts); err != nil {
		return nil, fault.E(fault.Internal, "counting addresses", err)
	}
	used := map[string]int64{}
	for _, c := range counts {
		used[c.SubnetID] = c.Used
	}
	return out, eachPart(ctx, q, ids, "network_id", "created_at, id", func(sub Subnet) {
		u, su := at[sub.NetworkID], SubnetUsage{Subnet: sub, Total: new(big.Int), Used: big.NewInt(used[sub.ID])}
		for _, p := range sub.Pools {
			su.Total.Add(su.Total, p.size())
		}
		u.Total.Add(u.Total, su.Total)
		u.Used.Add(u.Used, su.Used)
		u.Subnets = append(u.Subnets, su)
	})
}

// size is how many addresses a range has.
func (r Range) size() *big.Int {
	first, final := new(big.Int).SetBytes(r.Start.AsSlice()), new(big.Int).SetBytes(r.End.AsSlice())
	return final.Sub(final, first).Add(final, big.NewInt(1))
}

// Has reports whether the network has a subnet of an IP version, "4" or "6".
func (u Usage) Has(ipVersion string) bool {
	return slices.ContainsFunc(u.Subnets, func(s SubnetUsage) bool { return version(s.Subnet.IPVersion) == ipVersion })
}
