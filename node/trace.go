package node

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/record"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// What was said to a BMC is in the memory of the process that said it. With SQLite that is the one process there is; with PostgreSQL
// a process that is asked for it leaves a wish in the database, and each conductor tells what it has. Times are milliseconds by the
// database's clock.

const (
	traceKind   = "trace"                // of the truth that holds the exchanges before a failure
	tellWithin  = 3 * time.Second        // a conductor that has not told by then is cut off, or overloaded
	lookForTold = 100 * time.Millisecond // between two looks for what was told
	wishFor     = time.Minute            // a wish older than that has nobody who waits for it
	toldFor     = time.Hour              // what was told is dropped then
)

// toldTrace is what a conductor said of a node's BMC.
type toldTrace struct {
	bun.BaseModel `bun:"table:trace_told"`

	NodeID    ID              `bun:",pk"`
	Holder    workflow.Holder `bun:",pk"`
	At        int64
	Exchanges []record.Exchange
}

// Trace returns the latest exchanges with a node's BMC, the oldest first: those that this process and the conductors have in memory, and
// those that were kept at the last failure if nobody has any.
func (s *Service) Trace(ctx context.Context, id ID) ([]record.Exchange, error) {
	n, err := get(ctx, s.DB.Read(), id)
	if err != nil {
		return nil, err
	}
	all := s.kept(n).Recorder.Exchanges()
	if s.DB.Postgres() {
		more, err := s.ask(ctx, id)
		if err != nil {
			return nil, err
		}
		all = merged(append(all, more...))
	}
	if len(all) > 0 {
		return all, nil
	}
	t, err := s.Truth(ctx, id, traceKind)
	if err != nil || t == nil {
		return nil, err
	}
	return all, json.Unmarshal(t.Value, &all)
}

// merged sorts exchanges, and drops those that two told: a process that is a conductor as well.
func merged(all []record.Exchange) []record.Exchange {
	slices.SortStableFunc(all, func(a, b record.Exchange) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Took, b.Took), cmp.Compare(a.Path, b.Path))
	})
	return slices.CompactFunc(all, func(a, b record.Exchange) bool { return a.At.Equal(b.At) && a.Took == b.Took && a.Path == b.Path })
}

// ask has all conductors tell what they have of a node's exchanges, and waits a bounded time for it.
func (s *Service) ask(ctx context.Context, id ID) ([]record.Exchange, error) {
	var asked int64
	err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		now := s.DB.NowMillis()
		return tx.NewRaw("INSERT INTO trace_wish (node_id, at) VALUES (?, "+now+") ON CONFLICT (node_id) DO UPDATE SET at = EXCLUDED.at RETURNING at", id).Scan(ctx, &asked)
	})
	if err != nil {
		return nil, fault.Wrap("asking the conductors for exchanges with a BMC", err)
	}
	crew, err := s.Engine.Members(ctx, workflow.LeaseTime)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	for {
		var answers []toldTrace
		err := s.DB.Read().NewSelect().Model(&answers).Where("node_id = ?", id).Where("at >= ?", asked).Scan(ctx)
		if err != nil && ctx.Err() == nil {
			return nil, fault.Wrap("reading what conductors told", err)
		}
		if len(answers) >= len(crew) || !sleep(ctx, lookForTold) {
			var all []record.Exchange
			for _, a := range answers {
				all = append(all, a.Exchanges...)
			}
			return all, nil
		}
	}
}

// Tell writes down what this process knows of exchanges that others ask for. It is a reconciler of conductors.
func (s *Service) Tell(ctx context.Context, h workflow.Holder) error {
	var wanted []ID
	err := s.DB.Read().NewRaw("SELECT node_id FROM trace_wish WHERE at >= "+s.DB.NowMillis()+` - ? AND NOT EXISTS
		(SELECT 1 FROM trace_told WHERE trace_told.node_id = trace_wish.node_id AND holder = ? AND trace_told.at >= trace_wish.at)`, wishFor.Milliseconds(), h).Scan(ctx, &wanted)
	if err != nil {
		return fault.Wrap("looking who asks for exchanges", err)
	}
	for _, id := range wanted {
		n, err := get(ctx, s.DB.Read(), id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		text, err := json.Marshal(s.kept(n).Recorder.Exchanges())
		if err != nil {
			return fault.E(fault.Internal, "writing exchanges", err)
		}
		err = s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
			_, err := tx.NewRaw("INSERT INTO trace_told (node_id, holder, at, exchanges) VALUES (?, ?, "+s.DB.NowMillis()+", ?)"+
				" ON CONFLICT (node_id, holder) DO UPDATE SET at = EXCLUDED.at, exchanges = EXCLUDED.exchanges", id, h, string(text)).Exec(ctx)
			return err
		})
		if err != nil {
			return fault.Wrap("telling exchanges", err)
		}
	}
	return nil
}

// ForgetTold drops what was told long ago. It is a reconciler.
func (s *Service) ForgetTold(ctx context.Context) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		for _, table := range []string{"trace_wish", "trace_told"} {
			if _, err := tx.NewRaw("DELETE FROM ? WHERE at < "+s.DB.NowMillis()+" - ?", bun.Ident(table), toldFor.Milliseconds()).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// keepTrace keeps the exchanges of a turn that failed at the BMC, for processes that did not see them.
func (j *Job) keepTrace(ctx context.Context, err error) {
	if bmc.ClassOf(err) == "" || !j.DB.Postgres() {
		return
	}
	all := j.kept(j.Node).Recorder.Exchanges()
	const enough = 40
	all = all[max(0, len(all)-enough):]
	if len(all) == 0 {
		return
	}
	if err := j.found(ctx, traceKind, all, err.Error(), Told); err != nil {
		j.Log.Warn("the exchanges with a BMC could not be kept", "node", j.Node.ID, "err", err)
	}
}
