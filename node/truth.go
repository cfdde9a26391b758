package node

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Confidence says how well something is known.
type Confidence string

// The degrees of confidence.
const (
	Told     Confidence = "told"     // one witness said so
	Proven   Confidence = "proven"   // read back after a change, or seen in what it caused
	Agreed   Confidence = "agreed"   // two witnesses say the same
	Doubtful Confidence = "doubtful" // witnesses contradict each other
)

// Truth is what is known of one thing about a node, and why.
type Truth struct {
	bun.BaseModel `bun:"table:node_truth"`

	NodeID     ID              `bun:",pk" json:"-"`
	Kind       string          `bun:",pk" json:"kind"` // power, boot, media, settings, firmware, nics, …
	Value      json.RawMessage `json:"value"`
	Evidence   string          `json:"evidence"`
	At         time.Time       `json:"at"`
	Confidence Confidence      `json:"confidence"`
}

// found keeps a truth about the node.
func (j *Job) found(ctx context.Context, kind string, value any, evidence string, c Confidence) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fault.E(fault.Internal, "writing what was found out about a node", err)
	}
	t := &Truth{NodeID: j.Node.ID, Kind: kind, Value: raw, Evidence: evidence, At: db.Now(), Confidence: c}
	return j.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(t).On("CONFLICT (node_id, kind) DO UPDATE").Set("value = EXCLUDED.value").Set("evidence = EXCLUDED.evidence").
			Set("at = EXCLUDED.at").Set("confidence = EXCLUDED.confidence").Exec(ctx)
		return err
	})
}

// Truth returns what is known of one kind; nil when nothing is.
func (s *Service) Truth(ctx context.Context, id ID, kind string) (*Truth, error) {
	t := &Truth{}
	err := s.DB.Read().NewSelect().Model(t).Where("node_id = ?", id).Where("kind = ?", kind).Scan(ctx)
	if db.None(err) {
		return nil, nil
	}
	return t, fault.Wrap("reading what is known of a node", err)
}

// Truths returns all that is known of a node, but for its trace.
func (s *Service) Truths(ctx context.Context, id ID) ([]Truth, error) {
	out := []Truth{}
	err := s.DB.Read().NewSelect().Model(&out).Where("node_id = ?", id).Where("kind <> ?", traceKind).OrderExpr("kind").Scan(ctx)
	return out, fault.Wrap("reading what is known of a node", err)
}
