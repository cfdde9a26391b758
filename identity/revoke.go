package identity

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// Revocation says which tokens were ended: those of a user, of a target, of both, or one by its audit id. Only
// those that were issued before a time. The cloud itself needs none: a token that was ended is gone.
type Revocation struct {
	bun.BaseModel `bun:"table:revocation"`

	ID, AccountID, Target, AuditID string
	Domain                         bool // the target is a domain, with all that is in it
	IssuedBefore, RevokedAt        time.Time
}

// revoke ends the tokens that meet a condition, and tells so.
func revoke(ctx context.Context, tx db.Tx, r Revocation, which string, args ...any) error {
	if _, err := tx.NewDelete().Model((*Token)(nil)).Where(which, args...).Exec(ctx); err != nil {
		return err
	}
	r.ID, r.IssuedBefore, r.RevokedAt = secret.Token(), db.Now(), db.Now()
	_, err := tx.NewInsert().Model(&r).Exec(ctx)
	return err
}

// Revocations returns what was ended since a time, oldest first.
func (s *Service) Revocations(ctx context.Context, since time.Time) ([]Revocation, error) {
	var rs []Revocation
	err := s.db.Read().NewSelect().Model(&rs).Where("revoked_at >= ?", since.UTC()).OrderExpr("revoked_at, id").Scan(ctx)
	return rs, fault.Wrap("listing revocations", err)
}

// Revoke ends a token.
func (s *Service) Revoke(ctx context.Context, t Token) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		return revoke(ctx, tx, Revocation{AuditID: t.AuditID}, "hash = ?", t.Hash)
	})
}

// AllowExpired is for how long an expired token can still be looked at by whoever asks for that, as in Keystone.
const AllowExpired = 48 * time.Hour

// Expire drops what is past its time: tokens, revocations and trusts. It is a reconciler.
func (s *Service) Expire(ctx context.Context) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		old := db.Now().Add(-AllowExpired)
		if _, err := tx.NewDelete().Model((*Token)(nil)).Where("expires_at < ?", old).Exec(ctx); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model((*Revocation)(nil)).Where("revoked_at < ?", old).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewDelete().Model((*Trust)(nil)).Where("expires_at < ?", old).Exec(ctx)
		return err
	})
}
