package identity

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// membership says that a user is in a group.
type membership struct {
	bun.BaseModel `bun:"table:membership"`

	AccountID, GroupID string
}

// Group returns a group by id.
func (s *Service) Group(ctx context.Context, id string) (Group, error) {
	return one[Group](ctx, s.db.Read(), "group", id)
}

// Groups returns groups; those of a user if one is given.
func (s *Service) Groups(ctx context.Context, q Query, user string) ([]Group, error) {
	var gs []Group
	sel := q.page(s.db.Read().NewSelect().Model(&gs), "user_group")
	if user != "" {
		sel = sel.Where("id IN (SELECT group_id FROM membership WHERE account_id = ?)", user)
	}
	return gs, fault.Wrap("listing groups", sel.Scan(ctx))
}

// CreateGroup makes a group, in the default domain unless another is given. Its name must be new in the domain.
func (s *Service) CreateGroup(ctx context.Context, g Group) (Group, error) {
	if g.DomainID == "" {
		g.DomainID = DomainID
	}
	if err := checkGroup(g); err != nil {
		return g, err
	}
	if _, err := s.Domain(ctx, g.DomainID); err != nil {
		return g, fault.Field("domain_id", "no domain %q", g.DomainID)
	}
	g.ID, g.CreatedAt = secret.Token(), db.Now()
	return g, s.insert(ctx, &g, "group "+g.Name)
}

func checkGroup(g Group) error {
	if err := checkName(g.Name); err != nil {
		return err
	}
	return checkExtras(g.Description, g.Extra)
}

// UpdateGroup writes a group that the caller has read and changed.
func (s *Service) UpdateGroup(ctx context.Context, g Group) error {
	if err := checkGroup(g); err != nil {
		return err
	}
	return s.update(ctx, &g, g.ID, "group "+g.Name, "name", "description", "extra")
}

// DeleteGroup forgets a group with its grants; tokens of its members carry what is left.
func (s *Service) DeleteGroup(ctx context.Context, id string) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := forgetActors(ctx, tx, "SELECT ?", id); err != nil {
			return err
		}
		return remove(ctx, tx, (*Group)(nil), "group", id)
	})
}

// InGroup reports with a fault whether a user is in a group.
func (s *Service) InGroup(ctx context.Context, user, group string) error {
	n, err := s.db.Read().NewSelect().Model((*membership)(nil)).Where("account_id = ? AND group_id = ?", user, group).Count(ctx)
	if err == nil && n == 0 {
		return fault.Errorf(fault.NotFound, "the user %q is not in the group %q", user, group)
	}
	return fault.Wrap("reading a group", err)
}

// AddToGroup puts a user into a group; doing it twice is no error.
func (s *Service) AddToGroup(ctx context.Context, user, group string) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&membership{AccountID: user, GroupID: group}).On("CONFLICT DO NOTHING").Exec(ctx)
		return err
	})
}

// RemoveFromGroup takes a user out of a group and ends the user's tokens, because rights came with it.
func (s *Service) RemoveFromGroup(ctx context.Context, user, group string) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		res, err := tx.NewDelete().Model((*membership)(nil)).Where("account_id = ? AND group_id = ?", user, group).Exec(ctx)
		if err := affected(res, err, "the user %q is not in the group %q", user, group); err != nil {
			return err
		}
		return endTokens(ctx, tx, user)
	})
}
