package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// How the agent is told to behave.
const (
	beatSeconds   = 2
	holdSeconds   = 5
	giveUpSeconds = 600
)

// wantAgent records that this run wants the node to boot the agent; what an earlier run's agent said is forgotten.
func (j *Job) wantAgent(ctx context.Context) error {
	a, err := agentOf(ctx, j.DB.Read(), j.Node.ID)
	if err != nil || (a != nil && a.RunID == j.Run.ID && a.Wanted) {
		return err
	}
	fresh := Agent{NodeID: j.Node.ID, RunID: j.Run.ID, Wanted: true}
	return j.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if _, err := tx.NewDelete().Model(&fresh).WherePK().Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&fresh).Exec(ctx)
		return err
	})
}

// dismissAgent ends the conversation: boot scripts, CDs, tokens and orders of it are worth nothing from here on.
func dismissAgent(ctx context.Context, j *Job) error {
	err := j.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model((*Agent)(nil)).Set("wanted = ?", false).Set("claim = ''").Set("token = ''").
			Where("node_id = ?", j.Node.ID).Exec(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if err := j.releaseBoot(ctx); err != nil {
		return err
	}
	return j.ejectAgent(ctx)
}

func (j *Job) giveOrder(ctx context.Context, o *protocol.Order) error {
	return j.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model((*Agent)(nil)).Set("order_id = ?", o.ID).Set("task = ?", jsonOf(o)).Set("done = ?", false).
			Set("error = ''").Set("progress = NULL").Set("result = NULL").Where("node_id = ?", j.Node.ID).Exec(ctx)
		return err
	})
}

// Boot says what a machine that boots over the network is to do.
type Boot struct {
	Node   ID
	Secret string // for the agent's claim; "" when the machine is to boot from its disk
}

// Known reports whether a MAC belongs to a node: only those are answered at all.
func (s *Service) Known(ctx context.Context, mac string) (bool, error) {
	_, err := s.Port(ctx, mac)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// BootFor decides what the machine with this MAC boots, and makes the single-use secret of the agent's claim.
// A machine that asks again, because it was reset, gets a new secret, and the old one is worth nothing.
func (s *Service) BootFor(ctx context.Context, mac string) (Boot, error) {
	p, err := s.Port(ctx, mac)
	if err != nil {
		return Boot{}, err
	}
	b := Boot{Node: p.NodeID}
	return b, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		b.Secret = ""
		a, err := agentOf(ctx, tx, p.NodeID)
		if err != nil || a == nil || !a.Wanted {
			return err
		}
		b.Secret = secret.Token()
		_, err = tx.NewUpdate().Model(a).Set("claim = ?", secret.Hash(b.Secret)).WherePK().Exec(ctx)
		return err
	})
}

// Claim lets an agent take over the run that its boot script was made for. A secret works once.
func (s *Service) Claim(ctx context.Context, c protocol.Claim) (protocol.Claimed, error) {
	// Made of what only this agent and we know, so that an agent whose answer was lost can ask again.
	token := secret.Hash("agent " + c.Secret + " " + c.Nonce)
	out := protocol.Claimed{Token: token, BeatSeconds: beatSeconds, HoldSeconds: holdSeconds, GiveUpSeconds: giveUpSeconds}
	var refused error
	err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		a := new(Agent)
		err := tx.NewSelect().Model(a).Where("claim = ? OR claim = ?", secret.Hash(c.Secret), used(c.Secret)).Where("claim <> ''").Scan(ctx)
		if db.None(err) {
			return fault.Errorf(fault.Unauthentic, "the claim's secret is not, or no longer, valid")
		}
		if err != nil {
			return fault.E(fault.Internal, "looking for the claim", err)
		}
		out.Node = string(a.NodeID)
		if a.Claim == used(c.Secret) && c.Nonce != "" && a.Token == secret.Hash(token) {
			return nil
		}
		if a.Claim == used(c.Secret) {
			refused = fault.Errorf(fault.Conflict, "the claim's secret was used already")
			return s.note(ctx, tx, a.NodeID, "claim refused", "an agent with the MACs "+strings.Join(c.MACs, " ")+" presented a secret that was used already")
		}
		ps, err := ports(ctx, tx, a.NodeID)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(ps, func(p Port) bool { return slices.Contains(c.MACs, p.MAC) }) {
			refused = fault.Errorf(fault.Unauthentic, "the claim comes from a machine without any of the node's MAC addresses")
			return s.note(ctx, tx, a.NodeID, "claim refused", "an agent with the foreign MACs "+strings.Join(c.MACs, " ")+" presented the node's secret")
		}
		now := bun.NullTime{Time: db.Now()}
		_, err = tx.NewUpdate().Model(a).Set("claim = ?", used(c.Secret)).Set("token = ?", secret.Hash(token)).
			Set("claimed_at = ?", now).Set("seen_at = ?", now).Set("boot_mode = ?", c.BootMode).WherePK().Exec(ctx)
		if err != nil {
			return err
		}
		return s.Engine.Nudge(ctx, tx, string(a.NodeID))
	})
	if err == nil {
		err = refused
	}
	return out, err
}

// used is what stands in place of a claim's fingerprint once it was used, so that a second use can be told from nonsense.
func used(claim string) string { return "used " + secret.Hash(claim) }

// AgentOf returns the conversation that a token belongs to.
func (s *Service) AgentOf(ctx context.Context, token string) (*Agent, error) {
	a := new(Agent)
	err := s.DB.Read().NewSelect().Model(a).Where("token = ?", secret.Hash(token)).Where("token <> ''").Scan(ctx)
	if db.None(err) {
		return nil, fault.Errorf(fault.Unauthentic, "the agent's token is not valid: the run has ended, or another boot took over")
	}
	if err != nil {
		return nil, fault.E(fault.Internal, "looking for the agent", err)
	}
	return a, nil
}

// Beat takes a heartbeat and returns the agent's order, or none.
func (s *Service) Beat(ctx context.Context, token string, b protocol.Beat) (*protocol.Order, error) {
	a, err := s.AgentOf(ctx, token)
	if err != nil {
		return nil, err
	}
	if err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error { return s.beat(ctx, tx, a, b) }); err != nil {
		return nil, err
	}
	return s.orderFor(ctx, a.NodeID, token)
}

func (s *Service) beat(ctx context.Context, tx db.Tx, a *Agent, b protocol.Beat) error {
	q := tx.NewUpdate().Model(a).Set("seen_at = ?", bun.NullTime{Time: db.Now()}).WherePK()
	ours := b.Order != "" && b.Order == a.OrderID && !a.Done
	if ours && !b.Done {
		q = q.Set("progress = ?", jsonOf(b.Progress))
	}
	if ours && b.Done {
		q = q.Set("done = ?", true).Set("error = ?", b.Error).Set("result = ?", jsonOf(b.Result)).Set("progress = NULL")
	}
	if _, err := q.Exec(ctx); err != nil {
		return fault.E(fault.Internal, "recording a heartbeat", err)
	}
	if ours && b.Done {
		return s.Engine.Nudge(ctx, tx, string(a.NodeID))
	}
	return nil
}

// orderFor returns the open order of an agent; nil when there is none.
func (s *Service) orderFor(ctx context.Context, id ID, token string) (*protocol.Order, error) {
	a, err := agentOf(ctx, s.DB.Read(), id)
	if err != nil {
		return nil, err
	}
	if a == nil || a.Token != secret.Hash(token) {
		return nil, fault.Errorf(fault.Unauthentic, "the agent's token is no longer valid: the run has ended")
	}
	if a.Task == nil || a.Done {
		return nil, nil
	}
	switch {
	case a.Task.Rescue != nil:
		return s.rescueOrder(ctx, a)
	case a.Task.Write != nil && s.Swarm != nil:
		return s.writeOrder(a.Task)
	}
	return a.Task, nil
}

// writeOrder is an order to write an image, with what lets the agent take it from others. Its key is not kept with the
// order.
func (s *Service) writeOrder(o *protocol.Order) (*protocol.Order, error) {
	swarm, err := s.Swarm(o.Write.SHA512)
	if err != nil {
		return nil, err
	}
	write := *o.Write
	write.Swarm = swarm
	return &protocol.Order{ID: o.ID, Write: &write}, nil
}

// lookEvery is how often a held-back answer looks for an order.
const lookEvery = 250 * time.Millisecond

// Await is Beat for an idle agent: it holds the answer back until there is an order, or for as long
// as the agent was told that it may.
func (s *Service) Await(ctx context.Context, token string, b protocol.Beat) (*protocol.Order, error) {
	o, err := s.Beat(ctx, token, b)
	if err != nil || o != nil || (b.Order != "" && !b.Done) {
		return o, err
	}
	a, err := s.AgentOf(ctx, token)
	if err != nil {
		return nil, err
	}
	if b.Done && a.Task != nil && (a.Task.Shutdown != nil || a.Task.Rescue != nil) {
		return nil, nil // it wants to be let go
	}
	ctx, cancel := context.WithTimeout(ctx, holdSeconds*time.Second)
	defer cancel()
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-t.C:
		}
		o, err := s.orderFor(ctx, a.NodeID, token)
		if err != nil && ctx.Err() != nil {
			return nil, nil
		}
		if err != nil || o != nil {
			return o, err
		}
	}
}

// maxLog bounds what is kept of an agent's log.
const maxLog = 64 << 10

// KeepLog keeps the end of the log that an agent sent home.
func (s *Service) KeepLog(ctx context.Context, token, text string) error {
	a, err := s.AgentOf(ctx, token)
	if err != nil {
		return err
	}
	if len(text) > maxLog {
		text = fmt.Sprintf("… (%d bytes before)\n%s", len(text)-maxLog, text[len(text)-maxLog:])
	}
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "�")
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error { return s.note(ctx, tx, a.NodeID, "agent log", text) })
}

// MayRead reports whether the agent with this token is to write the image now.
func (s *Service) MayRead(ctx context.Context, token, imageID string) error {
	a, err := s.AgentOf(ctx, token)
	if err != nil {
		return err
	}
	if a.Task == nil || a.Task.Write == nil || !strings.HasSuffix(a.Task.Write.URL, "/"+imageID) {
		return fault.Errorf(fault.Denied, "the agent has no order to write this image")
	}
	return nil
}

// Writes returns the SHA-512 of the image that the agent with this token is to write, or has just written; "" when it does
// something else by now.
func (s *Service) Writes(ctx context.Context, token string) (image string, err error) {
	a, err := s.AgentOf(ctx, token)
	if err != nil || a.Task == nil || a.Task.Write == nil {
		return "", err
	}
	return a.Task.Write.SHA512, nil
}
