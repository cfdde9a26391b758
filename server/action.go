package server

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Action is something that was asked of a server, or of its node for it.
type Action struct {
	bun.BaseModel `bun:"table:server_action"`

	ID                string `bun:",pk"`
	ServerID          ID
	Request           string // id of the request that asked for it
	Name              string // in Nova's words, such as create or reboot
	ProjectID, UserID string // who asked
	Message           string // why it failed; "" while it has not
	At, UpdatedAt     time.Time
}

// Asker is who asks for something, by which request.
type Asker struct{ Project, User, Request string }

type askerKey struct{}

// AskedBy says who asks for what is done under the context: server's actions are recorded with it.
func AskedBy(ctx context.Context, a Asker) context.Context {
	return context.WithValue(ctx, askerKey{}, a)
}

// note records an action on a server, in the transaction that records what it does.
func note(ctx context.Context, tx db.Tx, id ID, name string) error {
	a, _ := ctx.Value(askerKey{}).(Asker)
	now := db.Now()
	_, err := tx.NewInsert().Model(&Action{ID: uuid.NewString(), ServerID: id, Request: a.Request, Name: name, ProjectID: a.Project, UserID: a.User, At: now, UpdatedAt: now}).Exec(ctx)
	return fault.Wrap("recording an action", err)
}

// failLast records that the last action of a kind on a server failed.
func failLast(ctx context.Context, tx db.Tx, id ID, name, why string) error {
	_, err := tx.NewUpdate().Model((*Action)(nil)).Set("message = ?", why).Set("updated_at = ?", db.Now()).
		Where("id = (SELECT a.id FROM server_action AS a WHERE a.server_id = ? AND a.name = ? ORDER BY a.at DESC LIMIT 1)", id, name).Exec(ctx)
	return fault.Wrap("recording what became of an action", err)
}

// ActionQuery says which actions are wanted; zero fields do not.
type ActionQuery struct {
	Since, Before time.Time
	After         string // the request of the last one of the page before
	Limit         int
}

// Actions returns what was asked of a server of a project, the last first.
func (s *Service) Actions(ctx context.Context, project string, id ID, w ActionQuery) ([]Action, error) {
	if _, err := s.Get(ctx, project, id); err != nil {
		return nil, err
	}
	all := []Action{}
	q := s.db.Read().NewSelect().Model(&all).Where("server_id = ?", id).OrderExpr("at DESC, id DESC")
	if !w.Since.IsZero() {
		q = q.Where("updated_at >= ?", w.Since)
	}
	if !w.Before.IsZero() {
		q = q.Where("updated_at <= ?", w.Before)
	}
	if w.After != "" {
		last, err := s.Action(ctx, project, id, w.After)
		if err != nil {
			return nil, fault.Field("marker", "no action of the request %s", w.After)
		}
		q = q.Where("(at, id) < (?, ?)", last.At, last.ID)
	}
	if w.Limit > 0 {
		q = q.Limit(int64(w.Limit))
	}
	return all, fault.Wrap("listing actions", q.Scan(ctx))
}

// Action returns what a request asked of a server of a project.
func (s *Service) Action(ctx context.Context, project string, id ID, request string) (Action, error) {
	var a Action
	if _, err := s.Get(ctx, project, id); err != nil {
		return a, err
	}
	err := s.db.Read().NewSelect().Model(&a).Where("server_id = ? AND request = ?", id, request).Limit(1).Scan(ctx)
	if db.None(err) {
		return a, fault.Errorf(fault.NotFound, "no action of the request %s on the server", request)
	}
	return a, fault.Wrap("reading an action", err)
}
