package identity

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// Trust lets one user, the trustee, act with roles of another, the trustor, on a project.
type Trust struct {
	bun.BaseModel `bun:"table:trust"`

	ID, TrustorID, TrusteeID, ProjectID string
	Impersonation                       bool          // tokens are in the trustor's name
	Roles                               []string      // ids
	RemainingUses                       sql.NullInt64 // invalid: any number
	RedelegatedFrom                     string        // the trust that this one was made with
	RedelegationCount                   int           // how many further generations it may have
	ExpiresAt                           bun.NullTime
	CreatedAt                           time.Time
}

func (t Trust) over() bool {
	return (t.RemainingUses.Valid && t.RemainingUses.Int64 <= 0) || (!t.ExpiresAt.IsZero() && t.ExpiresAt.Before(db.Now()))
}

// deepestTrust bounds the generations of trusts that are made with trusts, as Keystone does by default.
const deepestTrust = 3

// CreateTrust makes a trust of the caller, who must hold its roles on the project by the token at hand. With a token of a trust that may be
// delegated further, the new trust has fewer generations left, no more roles and no longer a life.
func (s *Service) CreateTrust(ctx context.Context, c Caller, t Trust) (Trust, error) {
	switch {
	case c.User.ID != t.TrustorID:
		return t, fault.Errorf(fault.Denied, "a user makes trusts for itself: trustor_user_id must be the caller")
	case c.AppCred != nil && !c.AppCred.Unrestricted:
		return t, fault.Errorf(fault.Denied, "a restricted application credential can not be used to make trusts")
	case c.ProjectID() == "" || (t.ProjectID != "" && t.ProjectID != c.ProjectID()) && c.Trust != nil:
		return t, fault.Errorf(fault.Denied, "a trust needs a token that is scoped to its project")
	case len(t.Roles) == 0:
		return t, fault.Errorf(fault.Denied, "a trust needs at least one role")
	case !t.ExpiresAt.IsZero() && t.ExpiresAt.Before(db.Now()):
		return t, fault.Field("expires_at", "lies in the past")
	case t.RemainingUses.Valid && t.RemainingUses.Int64 < 1:
		return t, fault.Field("remaining_uses", "must be at least 1")
	case t.RedelegationCount < 0 || t.RedelegationCount > deepestTrust:
		return t, fault.Errorf(fault.Denied, "redelegation_count must be 0 to %d", deepestTrust)
	case t.RemainingUses.Valid && t.RedelegationCount > 0:
		return t, fault.Errorf(fault.Denied, "a trust with remaining_uses can not be delegated further")
	}
	if _, err := s.User(ctx, t.TrusteeID); err != nil {
		return t, err
	}
	if t.ProjectID == "" {
		t.ProjectID = c.ProjectID()
	}
	if c.Trust != nil {
		if err := c.Trust.redelegate(&t); err != nil {
			return t, err
		}
	}
	if err := s.holds(ctx, c, t); err != nil {
		return t, err
	}
	if err := s.room(ctx, (*Trust)(nil), "trustor_id", c.User.ID, "trusts"); err != nil {
		return t, err
	}
	t.ID, t.CreatedAt = secret.Token(), db.Now()
	return t, s.insert(ctx, &t, "trust")
}

// redelegate checks a trust that is made with another one.
func (t *Trust) redelegate(next *Trust) error {
	if t.RedelegationCount < 1 {
		return fault.Errorf(fault.Denied, "the trust may not be delegated further")
	}
	if next.RedelegationCount >= t.RedelegationCount {
		return fault.Errorf(fault.Denied, "redelegation_count must be less than %d", t.RedelegationCount)
	}
	if next.RemainingUses.Valid {
		return fault.Errorf(fault.Denied, "a trust that is delegated further has no remaining_uses")
	}
	if !t.Impersonation {
		return fault.Errorf(fault.Denied, "only a trust with impersonation can be delegated further")
	}
	if !t.ExpiresAt.IsZero() && (next.ExpiresAt.IsZero() || next.ExpiresAt.After(t.ExpiresAt.Time)) {
		next.ExpiresAt = t.ExpiresAt
	}
	next.RedelegatedFrom = t.ID
	return nil
}

// holds checks that the caller has what a trust hands on: by the token's own roles where that is limited, otherwise by
// what the user holds on the project.
func (s *Service) holds(ctx context.Context, c Caller, t Trust) error {
	have := c.Roles
	if t.ProjectID != c.ProjectID() {
		if c.AppCred != nil {
			return fault.Errorf(fault.Denied, "an application credential makes trusts on its own project only")
		}
		p, err := s.Project(ctx, t.ProjectID)
		if err != nil || p.IsDomain {
			return fault.Errorf(fault.NotFound, "no project %q", t.ProjectID)
		}
		held, err := s.held(ctx, c.User.ID, t.ProjectID)
		if err != nil {
			return err
		}
		g, err := s.graph.get(ctx, s.loadGraph)
		if err != nil {
			return err
		}
		have = g.effective(held)
	}
	for _, id := range t.Roles {
		if !(Caller{Roles: have}).Has(id) {
			return fault.Errorf(fault.Denied, "the caller does not have the role %q on the project", id)
		}
	}
	return nil
}

// Trusts returns trusts, of a trustor and to a trustee where these are given.
func (s *Service) Trusts(ctx context.Context, trustor, trustee string) ([]Trust, error) {
	var ts []Trust
	q := s.db.Read().NewSelect().Model(&ts).Where("(expires_at IS NULL OR expires_at > ?)", db.Now()).OrderExpr("created_at DESC, id")
	if trustor != "" {
		q = q.Where("trustor_id = ?", trustor)
	}
	if trustee != "" {
		q = q.Where("trustee_id = ?", trustee)
	}
	return ts, fault.Wrap("listing trusts", q.Scan(ctx))
}

// Trust returns a trust by id.
func (s *Service) Trust(ctx context.Context, id string) (Trust, error) {
	return one[Trust](ctx, s.db.Read(), "trust", id)
}

// DeleteTrust ends a trust, those that were made with it, and all their tokens.
func (s *Service) DeleteTrust(ctx context.Context, id string) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		var ids []string
		if err := tx.NewRaw("WITH RECURSIVE gone (id) AS (SELECT id FROM trust WHERE id = ? UNION ALL SELECT t.id FROM trust AS t JOIN gone ON t.redelegated_from = gone.id) SELECT id FROM gone", id).Scan(ctx, &ids); err != nil {
			return missing(err, "trust", id)
		}
		if len(ids) == 0 {
			return fault.Errorf(fault.NotFound, "no trust %q", id)
		}
		if _, err := tx.NewDelete().Model((*Token)(nil)).Where("trust <> '' AND trust IN (?)", bun.In(ids)).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewDelete().Model((*Trust)(nil)).Where("id IN (?)", bun.In(ids)).Exec(ctx)
		return err
	})
}
