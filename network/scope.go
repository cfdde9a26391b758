package network

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Scope is an address scope: the addresses of its subnet pools do not overlap.
type Scope struct {
	bun.BaseModel `bun:"table:address_scope"`
	Record

	Name      string
	IPVersion int `bun:"ip_version"`
	Shared    bool
}

// CreateScopes makes address scopes, all or none.
func (s *Service) CreateScopes(ctx context.Context, scopes []Scope) ([]Scope, error) {
	return scopes, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		for i := range scopes {
			sc := &scopes[i]
			if err := checkText(sc.Name, ""); err != nil {
				return err
			}
			if sc.IPVersion != 4 && sc.IPVersion != 6 {
				return fault.Field("ip_version", "must be 4 or 6")
			}
			if err := s.spend(ctx, tx, sc.ProjectID, "address_scope", 1); err != nil {
				return err
			}
			sc.head().born()
			if err := insert(ctx, tx, scopeNoun, sc, sc.Shared); err != nil {
				return err
			}
		}
		return nil
	})
}

// Scope returns one address scope that owner may see.
func (s *Service) Scope(ctx context.Context, o Owner, id string) (Scope, error) {
	return find[Scope](ctx, s.DB.Read(), scopeNoun, o, id)
}

// Scopes returns the address scopes that owner may see and w asks for.
func (s *Service) Scopes(ctx context.Context, o Owner, w Query) ([]Scope, error) {
	return list[Scope](ctx, s.DB.Read(), scopeNoun, o, w)
}

// EditScope lets fn change an address scope's name and sharing.
func (s *Service) EditScope(ctx context.Context, o Owner, id string, fn func(*Scope) error) (Scope, error) {
	return edit(ctx, s, scopeNoun, o, id, 0, func(ctx context.Context, tx db.Tx, sc *Scope) error {
		shared := sc.Shared
		if err := fn(sc); err != nil {
			return err
		}
		if sc.Shared != shared {
			if err := s.setShared(ctx, tx, scopeNoun, sc.ProjectID, id, sc.Shared); err != nil {
				return err
			}
		}
		return checkText(sc.Name, "")
	})
}

// DeleteScope forgets an address scope of the owner. Subnet pools in it are a Conflict.
func (s *Service) DeleteScope(ctx context.Context, o Owner, id string) error {
	return remove(ctx, s, scopeNoun, o, id, 0, func(ctx context.Context, tx db.Tx, _ Scope) error {
		count, err := tx.NewSelect().Model((*Pool)(nil)).Where("scope_id = ?", id).Count(ctx)
		if err == nil && count > 0 {
			return reason("AddressScopeInUse", fault.Errorf(fault.Conflict, "%d subnet pools are in the address scope; take them out first", count))
		}
		return err
	})
}
