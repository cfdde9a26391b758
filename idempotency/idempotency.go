// Package idempotency lets a client repeat a call whose answer it did not get without its effect happening twice: the
// client sends a key, and calls with the same key are carried out once. The API asks it before it carries out a call
// with a key. The form is that of the IETF draft "The Idempotency-Key HTTP Header Field".
//
// That a key is used commits in the same transaction as the call's effect. Two calls at once with one key can both
// begin, and only one can commit.
package idempotency

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// Keep is how long a key is known.
const Keep = 24 * time.Hour

// MaxKey is the longest key in bytes.
const MaxKey = 255

// Answer is what a call was answered.
type Answer struct {
	Status int
	Header map[string][]string
	Body   []byte
}

type use struct {
	bun.BaseModel `bun:"table:idempotency"`

	ID          string `bun:",pk"` // fingerprint of whose key it is and the key
	Fingerprint string // of the call
	Answer      []byte // sealed: it may hold a password that is shown this once; nil until it is known
	CreatedAt   time.Time
}

// Service knows which keys were used.
type Service struct {
	db  *db.DB
	box *secret.Box
}

// NewService makes the service.
func NewService(d *db.DB, box *secret.Box) *Service { return &Service{db: d, box: box} }

// Begin is asked before a call is carried out. owner says whose key it is, and call is all that makes the call what
// it is. When the key was used for the same call, its answer is returned, and the call must not be carried out. A key that was used for
// another call is Invalid, one whose answer was lost or is not there yet a Conflict. Otherwise the call is to be carried out under the
// returned context, and end told what was answered when it went well.
func (s *Service) Begin(ctx context.Context, owner, key, call string) (under context.Context, end func(Answer) error, was *Answer, err error) {
	if key == "" || len(key) > MaxKey {
		return nil, nil, nil, fault.Field("Idempotency-Key", "must have 1 to %d bytes", MaxKey)
	}
	u := use{ID: secret.Hash(owner + "\x00" + key), Fingerprint: secret.Hash(call), CreatedAt: db.Now()}
	was, err = s.used(ctx, u)
	if err != nil || was != nil {
		return nil, nil, was, err
	}
	under, carried := db.Ride(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&u).Exec(ctx)
		if db.Duplicate(err) {
			return fault.Errorf(fault.Conflict, "another call with the same Idempotency-Key is under way; repeat it to get its answer")
		}
		return err
	})
	end = func(a Answer) error {
		if !carried() {
			return nil // nothing was changed: it may be asked for again
		}
		raw, err := json.Marshal(a)
		if err != nil {
			return fault.E(fault.Internal, "encoding an answer", err)
		}
		u.Answer = s.box.Seal(place(u), raw)
		return s.db.Tx(context.WithoutCancel(ctx), func(ctx context.Context, tx db.Tx) error {
			_, err := tx.NewUpdate().Model(&u).Column("answer").WherePK().Exec(ctx)
			return err
		})
	}
	return under, end, nil, nil
}

func place(u use) string { return "idempotency/" + u.ID }

// used returns what a call with the same key was answered; nil when there was none.
func (s *Service) used(ctx context.Context, u use) (*Answer, error) {
	var before use
	err := s.db.Read().NewSelect().Model(&before).Where("id = ?", u.ID).Scan(ctx)
	switch {
	case db.None(err):
		return nil, nil
	case err != nil:
		return nil, fault.E(fault.Unavailable, "looking for the Idempotency-Key", err)
	case before.Fingerprint != u.Fingerprint:
		return nil, fault.Field("Idempotency-Key", "was used for another call; take a new one for each")
	case before.Answer == nil:
		return nil, fault.Errorf(fault.Conflict, "the call with this Idempotency-Key was carried out, and its answer is not known; list to find what it made")
	}
	raw, err := s.box.Open(place(u), before.Answer)
	if err != nil {
		return nil, err
	}
	a := new(Answer)
	return a, json.Unmarshal(raw, a)
}

// Expire forgets the keys that are older than Keep. It is a reconciler.
func (s *Service) Expire(ctx context.Context) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewDelete().Model((*use)(nil)).Where("created_at < ?", db.Now().Add(-Keep)).Exec(ctx)
		return err
	})
}
