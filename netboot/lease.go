package netboot

import (
	"context"
	"net/netip"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// leaseTime is how long an address is a machine's: longer than any run keeps its agent busy between two boots.
const leaseTime = 24 * time.Hour

// firstHost is the first address of the range that is given out; those below are for the cloud itself.
const firstHost = 10

// Lease is an address that a machine has on one of the cloud's own networks.
type Lease struct {
	bun.BaseModel `bun:"table:dhcp_lease"`

	Network   string
	MAC       string `bun:"mac"`
	Address   string
	ExpiresAt time.Time
}

// staticTime is how long an address is a machine's that is told it once and never asks again: longer than any run.
const staticTime = 48 * time.Hour

// Leases are the addresses of one network, by whatever way machines get to know theirs.
type Leases struct {
	Network string       // its name
	Address netip.Prefix // ours on it, with the range that is given out
	DB      *db.DB
}

func (o Options) leases() Leases { return Leases{o.Network, o.Address, o.DB} }

// Static returns the address, with the network's length, of a machine that is to use no DHCP.
func (s Leases) Static(ctx context.Context, mac string) (netip.Prefix, error) {
	addr, err := s.lend(ctx, mac, staticTime, staticTime)
	return netip.PrefixFrom(addr, s.Address.Bits()), err
}

// lease returns the address of a machine that asks by DHCP.
func (s *Server) lease(ctx context.Context, mac string) (netip.Addr, error) {
	return s.leases().lend(ctx, mac, leaseTime, leaseTime/2)
}

// lend returns the address of a machine: the one that it had, else the lowest that is free or run out. It is lent for a
// time, and for as long again when less than least is left of that.
func (s Leases) lend(ctx context.Context, mac string, during, least time.Duration) (netip.Addr, error) {
	var addr netip.Addr
	err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		var all []Lease
		if err := tx.NewSelect().Model(&all).Where("network = ?", s.Network).Scan(ctx); err != nil {
			return err
		}
		now := db.Now()
		taken := map[string]bool{}
		for _, l := range all {
			if l.MAC == mac {
				a, err := netip.ParseAddr(l.Address)
				addr = a
				if err != nil || l.ExpiresAt.After(now.Add(least)) {
					return err
				}
				_, err = tx.NewUpdate().Model((*Lease)(nil)).Set("expires_at = ?", now.Add(during)).
					Where("network = ? AND mac = ?", s.Network, mac).Exec(ctx)
				return err
			}
			taken[l.Address] = l.ExpiresAt.After(now)
		}
		var err error
		if addr, err = s.freeAddress(taken); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model((*Lease)(nil)).Where("network = ? AND address = ?", s.Network, addr.String()).Exec(ctx); err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(&Lease{Network: s.Network, MAC: mac, Address: addr.String(), ExpiresAt: now.Add(during)}).Exec(ctx)
		return err
	})
	return addr, fault.Wrap("leasing an address", err)
}

func (s Leases) freeAddress(taken map[string]bool) (netip.Addr, error) {
	a := s.Address.Masked().Addr()
	for range firstHost {
		a = a.Next()
	}
	for ; s.Address.Contains(a.Next()); a = a.Next() {
		if !taken[a.String()] && a != s.Address.Addr() {
			return a, nil
		}
	}
	return a, fault.Errorf(fault.Conflict, "all addresses of the %s network are leased", s.Network)
}

// holder returns the MAC that an address is leased to; "" when to none.
func (s *Server) holder(ctx context.Context, addr string) (string, error) {
	var l Lease
	err := s.DB.Read().NewSelect().Model(&l).Where("network = ? AND address = ?", s.Network, addr).Scan(ctx)
	if db.None(err) {
		return "", nil
	}
	return l.MAC, fault.Wrap("looking for a lease", err)
}
