package network

import (
	"context"
	"net/netip"
	"slices"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// AddressGroup is a list of addresses that rules of security groups name together.
type AddressGroup struct {
	bun.BaseModel `bun:"table:address_group"`
	Record

	Name, Description string
	Addresses         []netip.Prefix
	Shared            bool
}

// CreateAddressGroups makes address groups, all or none.
func (s *Service) CreateAddressGroups(ctx context.Context, gs []AddressGroup) ([]AddressGroup, error) {
	return gs, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		for i := range gs {
			g := &gs[i]
			if err := g.check(); err != nil {
				return err
			}
			if err := s.spend(ctx, tx, g.ProjectID, "address_group", 1); err != nil {
				return err
			}
			g.head().born()
			if _, err := tx.NewInsert().Model(g).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

func (g *AddressGroup) check() error {
	if len(g.Addresses) > mostPrefixes {
		return fault.Field("addresses", "at most %d", mostPrefixes)
	}
	return checkText(g.Name, g.Description)
}

// AddressGroup returns one address group that owner may see.
func (s *Service) AddressGroup(ctx context.Context, o Owner, id string) (AddressGroup, error) {
	return find[AddressGroup](ctx, s.DB.Read(), addressGroupNoun, o, id)
}

// AddressGroups returns the address groups that owner may see and w asks for.
func (s *Service) AddressGroups(ctx context.Context, o Owner, w Query) ([]AddressGroup, error) {
	return list[AddressGroup](ctx, s.DB.Read(), addressGroupNoun, o, w)
}

// EditAddressGroup lets fn change what may be changed of an address group.
func (s *Service) EditAddressGroup(ctx context.Context, o Owner, id string, rev int64, fn func(*AddressGroup) error) (AddressGroup, error) {
	return edit(ctx, s, addressGroupNoun, o, id, rev, func(_ context.Context, _ db.Tx, g *AddressGroup) error {
		if err := fn(g); err != nil {
			return err
		}
		return g.check()
	})
}

// AddAddresses adds addresses to a group. Those that it has already are a Conflict.
func (s *Service) AddAddresses(ctx context.Context, o Owner, id string, more []netip.Prefix) (AddressGroup, error) {
	return s.EditAddressGroup(ctx, o, id, 0, func(g *AddressGroup) error {
		for _, a := range more {
			if slices.Contains(g.Addresses, a) {
				return reason("AddressesAlreadyExist", fault.Field("addresses", "%s is in the group already", a))
			}
			g.Addresses = append(g.Addresses, a)
		}
		return nil
	})
}

// RemoveAddresses takes addresses out of a group. Those that it does not have are NotFound.
func (s *Service) RemoveAddresses(ctx context.Context, o Owner, id string, gone []netip.Prefix) (AddressGroup, error) {
	return s.EditAddressGroup(ctx, o, id, 0, func(g *AddressGroup) error {
		for _, a := range gone {
			i := slices.Index(g.Addresses, a)
			if i < 0 {
				return reason("AddressesNotFound", fault.Errorf(fault.NotFound, "%s is not in the group", a))
			}
			g.Addresses = slices.Delete(g.Addresses, i, i+1)
		}
		return nil
	})
}

// DeleteAddressGroup forgets an address group of the owner. Rules that name it are a Conflict.
func (s *Service) DeleteAddressGroup(ctx context.Context, o Owner, id string, rev int64) error {
	return remove(ctx, s, addressGroupNoun, o, id, rev, func(ctx context.Context, tx db.Tx, _ AddressGroup) error {
		count, err := tx.NewSelect().Model((*Rule)(nil)).Where("remote_address_group = ?", id).Count(ctx)
		if err == nil && count > 0 {
			return reason("AddressGroupInUse", fault.Errorf(fault.Conflict, "%d rules name the address group; delete them first", count))
		}
		return err
	})
}
