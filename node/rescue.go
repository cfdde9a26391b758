package node

import (
	"context"
	"encoding/json"

	"github.com/uptrace/bun"
	"golang.org/x/crypto/bcrypt"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// mostPassword is how many bytes of a password bcrypt can tell apart.
const mostPassword = 72

// Rescue boots the rescue system on a node that is lent, for those who know the password. Only its hash is kept, sealed.
func (s *Service) Rescue(ctx context.Context, id ID, password string) error {
	hash, err := rescueHash(password)
	if err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error { return s.rescue(ctx, tx, id, hash) })
}

// RescueTx is Rescue in the caller's transaction.
func (s *Service) RescueTx(ctx context.Context, tx db.Tx, id ID, password string) error {
	hash, err := rescueHash(password)
	if err != nil {
		return err
	}
	return s.rescue(ctx, tx, id, hash)
}

// UnrescueTx boots what is on the node's disk again, in the caller's transaction.
func (s *Service) UnrescueTx(ctx context.Context, tx db.Tx, id ID) error {
	n, err := get(ctx, tx, id)
	if err != nil {
		return err
	}
	return s.enter(ctx, tx, n, "unrescue")
}

// Astray reports whether a node neither came into the rescue system nor out of it.
func (n *Node) Astray() bool {
	return (n.State == Rescuing || n.State == Unrescuing) && n.LastError != ""
}

// Astray is a query for the ids of such nodes, for use within other queries.
func (s *Service) Astray() *bun.SelectQuery {
	return s.In(Rescuing, Unrescuing).Where("last_error <> ''")
}

func rescueHash(password string) ([]byte, error) {
	if password == "" || len(password) > mostPassword {
		return nil, fault.Field("rescue_password", "must have 1 to %d bytes", mostPassword)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	return hash, fault.Wrap("hashing the password", err)
}

func (s *Service) rescue(ctx context.Context, tx db.Tx, id ID, hash []byte) error {
	n, err := get(ctx, tx, id)
	if err != nil {
		return err
	}
	if err := reachable(ctx, tx, n); err != nil {
		return err
	}
	return s.enterWith(ctx, tx, n, "rescue", s.Box.Seal(rescuePlace(id), hash))
}

// reachable says with a fault that the rescue system would be on no network: that of a server without one, or of a node
// that was adopted with networks which are not the cloud's.
func reachable(ctx context.Context, tx db.Tx, n *Node) error {
	if n.Driver == "fake" {
		return nil
	}
	d := new(Deployment)
	err := tx.NewSelect().Model(d).Where("node_id = ?", n.ID).Scan(ctx)
	if err != nil && !db.None(err) {
		return fault.E(fault.Internal, "reading the deployment", err)
	}
	if n.Owner != "" && len(d.Links) == 0 {
		return fault.Errorf(fault.Conflict, "the node is on no network of a tenant, by which the rescue system could be reached; boot an image of your own by virtual media instead")
	}
	return nil
}

func rescuePlace(id ID) string { return "node/" + string(id) + "/rescue" }

// openRescue has the agent become the rescue system.
func openRescue(ctx context.Context, j *Job) error {
	if j.imaginary() {
		return nil
	}
	res, err := j.order(ctx, "rescue", "the agent to open the rescue system", func(o *protocol.Order) { o.Rescue = &protocol.Rescue{} })
	if err != nil {
		return err
	}
	if res == nil || res.Rescued == nil || res.Rescued.HostKey == "" {
		return workflow.GiveUp(fault.Errorf(fault.Conflict, "the agent did not say how its rescue system is recognised"))
	}
	return j.tell(ctx, "rescue", "the rescue system has the SSH host key "+res.Rescued.HostKey)
}

// rescueOrder is the order to become the rescue system, with the password's hash: that is not kept with the order, but
// sealed with the run.
func (s *Service) rescueOrder(ctx context.Context, a *Agent) (*protocol.Order, error) {
	run, err := s.Engine.Run(ctx, s.DB.Read(), a.RunID)
	if err != nil {
		return nil, err
	}
	var sealed []byte
	if err := json.Unmarshal(run.Input, &sealed); err != nil {
		return nil, fault.E(fault.Internal, "reading what the rescue was started with", err)
	}
	hash, err := s.Box.Open(rescuePlace(a.NodeID), sealed)
	if err != nil {
		return nil, err
	}
	return &protocol.Order{ID: a.Task.ID, Rescue: &protocol.Rescue{PasswordHash: string(hash)}}, nil
}
