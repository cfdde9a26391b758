package node

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
	"github.com/hagane-cloud/hagane/workflow"
)

// Ramdisk is what Ironic's own agent told of itself, in a run that it was looked up for. The work of the run is done by our
// agent: this one is heard, and the run looks again sooner.
type Ramdisk struct {
	bun.BaseModel `bun:"table:node_ramdisk"`

	NodeID  ID `bun:",pk"`
	RunID   workflow.RunID
	Token   string // fingerprint of the token that was given at the first lookup
	URL     string `bun:"url"` // at which the agent listens; nothing ever calls it
	Version string
	Status  string // start, end, error, or ""
	Message string
	SeenAt  bun.NullTime // the last heartbeat
}

// ramdiskStates are those in which a node may be running an agent.
var ramdiskStates = map[State]bool{Inspecting: true, Cleaning: true, Deploying: true, Rebuilding: true, Rescuing: true, Tending: true, Servicing: true}

// expecting reads a node whose run may be waiting for an agent: any other is not found, whatever the reason.
func (s *Service) expecting(ctx context.Context, q bun.IDB, id ID) (*Node, error) {
	lost := fault.Errorf(fault.NotFound, "no node that waits for an agent is known by this")
	n, err := get(ctx, q, id)
	if fault.Is(err, fault.NotFound) || (err == nil && !ramdiskStates[n.State]) {
		return nil, lost
	}
	if err != nil {
		return nil, err
	}
	at, err := s.placeOf(ctx, q, n)
	if err == nil && at.Failed {
		err = lost
	}
	return n, err
}

// Lookup finds the node that an agent runs on by its id, or by the addresses of its NICs. token is "" when it was given
// before in this run: it is told once.
func (s *Service) Lookup(ctx context.Context, id string, macs []string) (n *Node, token string, err error) {
	if _, bad := uuid.Parse(id); bad != nil {
		id = ""
		for _, mac := range macs {
			p, err := s.Port(ctx, strings.TrimSpace(mac))
			if fault.Is(err, fault.NotFound) {
				continue
			}
			if err != nil {
				return nil, "", err
			}
			if id != "" && id != string(p.NodeID) {
				return nil, "", fault.Errorf(fault.NotFound, "no node that waits for an agent is known by this")
			}
			id = string(p.NodeID)
		}
	}
	err = s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		token = ""
		if n, err = s.expecting(ctx, tx, ID(strings.ToLower(id))); err != nil {
			return err
		}
		r := &Ramdisk{NodeID: n.ID}
		if err := tx.NewSelect().Model(r).WherePK().Scan(ctx); err != nil && !db.None(err) {
			return err
		}
		if r.RunID == n.RunID {
			return nil
		}
		token = secret.Token()
		if _, err := tx.NewDelete().Model(r).WherePK().Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&Ramdisk{NodeID: n.ID, RunID: n.RunID, Token: secret.Hash(token)}).Exec(ctx)
		return err
	})
	return n, token, err
}

// maxWords bounds what is kept of an agent's words about itself.
const maxWords = 1000

// Heartbeat records what an agent with a token of Lookup tells of itself, and has the node's run look again. What does not
// belong to a node that waits for it is NotFound.
func (s *Service) Heartbeat(ctx context.Context, id, token string, r Ramdisk) error {
	for _, word := range []string{r.URL, r.Version, r.Status, r.Message} {
		if len(word) > maxWords {
			return fault.E(fault.TooLarge, "an agent's words about itself are at most 1000 bytes each", nil)
		}
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		n, err := s.expecting(ctx, tx, ID(strings.ToLower(id)))
		if err != nil {
			return err
		}
		res, err := tx.NewUpdate().Model((*Ramdisk)(nil)).Set("url = ?", r.URL).Set("version = ?", r.Version).Set("status = ?", r.Status).Set("message = ?", r.Message).
			Set("seen_at = ?", db.Now()).Where("node_id = ? AND run_id = ? AND token = ?", n.ID, n.RunID, secret.Hash(token)).Exec(ctx)
		if err != nil {
			return fault.E(fault.Internal, "recording a heartbeat", err)
		}
		if count, err := res.RowsAffected(); err != nil || count == 0 {
			return fault.Errorf(fault.NotFound, "no node that waits for an agent is known by this")
		}
		return s.Engine.Nudge(ctx, tx, string(n.ID))
	})
}

// RamdiskOf returns what Ironic's own agent told of itself on a node; nil when none has.
func (s *Service) RamdiskOf(ctx context.Context, id ID) (*Ramdisk, error) {
	r := &Ramdisk{NodeID: id}
	err := s.DB.Read().NewSelect().Model(r).WherePK().Where("seen_at IS NOT NULL").Scan(ctx)
	if db.None(err) {
		return nil, nil
	}
	return r, fault.Wrap("reading what an agent told", err)
}

// PortEvent hears of something that happened to the network port behind a NIC, keeps it with the node's events, and has
// the node's run look again. NICs that nobody knows are passed over.
func (s *Service) PortEvent(ctx context.Context, mac, text string) error {
	p, err := s.Port(ctx, mac)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := s.note(ctx, tx, p.NodeID, "network", text); err != nil {
			return err
		}
		return s.Engine.Nudge(ctx, tx, string(p.NodeID))
	})
}
