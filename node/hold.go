package node

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/hagane-cloud/hagane/db"
)

// PutHold keeps a node from being chosen, in the caller's transaction. A hold of the same category by
// the same one is replaced.
func (s *Service) PutHold(ctx context.Context, tx db.Tx, id ID, h Hold) error {
	n, err := get(ctx, tx, id)
	if err != nil {
		return err
	}
	if h.Since.IsZero() {
		h.Since = db.Now()
	}
	n.Holds = append(slices.DeleteFunc(n.Holds, func(o Hold) bool { return o.Category == h.Category && o.By == h.By }), h)
	return s.saveHolds(ctx, tx, n, "hold", h.Category+": "+h.Reason)
}

// LiftHolds removes the holds of a category; of all when it is "".
func (s *Service) LiftHolds(ctx context.Context, tx db.Tx, id ID, category string) error {
	n, err := get(ctx, tx, id)
	if err != nil {
		return err
	}
	n.Holds = slices.DeleteFunc(n.Holds, func(o Hold) bool { return category == "" || o.Category == category })
	what := category
	if what == "" {
		what = "all holds"
	}
	return s.saveHolds(ctx, tx, n, "hold lifted", what)
}

func (s *Service) saveHolds(ctx context.Context, tx db.Tx, n *Node, kind, text string) error {
	if _, err := tx.NewUpdate().Model(n).Column("holds").WherePK().Exec(ctx); err != nil {
		return err
	}
	return s.note(ctx, tx, n.ID, kind, text)
}

// jsonOf encodes one of our own types, which can not fail.
func jsonOf(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}
