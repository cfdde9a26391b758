package workflow

import (
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/fault"
)

// Who gets a slot next. A run gets all the slots that it waits for or none, so that nobody holds one place while waiting for another
// of the same step. In each line tenants take turns: a tenant's next run stands behind as many runs as that tenant has there before
// it, at work or waiting. So one with a thousand requests and one with a single request wait equally long for their first.

// inLine is every slot that is waited for, with the turn that it is let in at: how many of its tenant are before it there.
const inLine = `SELECT s.run_id, s.pool, s.key, s.asked_at,
	(SELECT count(*) FROM slot g WHERE g.pool = s.pool AND g.key = s.key AND g.granted_at > 0) AS taken,
	(SELECT count(*) FROM slot g WHERE g.pool = s.pool AND g.key = s.key AND g.tenant = s.tenant AND g.granted_at > 0)
		+ row_number() OVER (PARTITION BY s.pool, s.key, s.tenant ORDER BY s.asked_at, s.run_id) AS turn
	FROM slot s WHERE s.granted_at = 0`

// lookInLine is how soon a run in line looks for itself whether it was let in: whoever lets it in nudges it.
const lookInLine = 30 * time.Second

// dealing does fn in a transaction that is the only one that gives or takes slots until it ends. Who waits for that in this process holds no
// connection to the database meanwhile, and no lock that others wait for; begin is what begins the transaction.
func (e *Engine) dealing(ctx context.Context, begin func(context.Context, func(context.Context, Tx) error) error, fn func(context.Context, Tx) error) error {
	select {
	case e.dealer <- struct{}{}:
		defer func() { <-e.dealer }()
	case <-ctx.Done():
		return fault.E(fault.Unavailable, "waiting to deal slots out", context.Cause(ctx))
	}
	return begin(ctx, func(ctx context.Context, tx Tx) error {
		if err := tx.Alone(ctx, "slots"); err != nil {
			return fault.E(fault.Unavailable, "waiting to deal slots out", err)
		}
		return fn(ctx, tx)
	})
}

// deal lets in whoever can be, and wakes them, but for the run except, which looks for itself. at bounds it to those who wait at one
// of these spots; nil is everywhere.
func (e *Engine) deal(ctx context.Context, tx Tx, except RunID, at []spot) error {
	waited, err := e.waited(ctx, tx)
	if err != nil || len(waited) == 0 {
		return err
	}
	l, err := e.limits(ctx, tx)
	if err != nil {
		return err
	}
	taken, err := e.taken(ctx, tx)
	if err != nil {
		return err
	}
	for {
		full := slices.DeleteFunc(slices.Clone(waited), func(s spot) bool { return !l.full(s, taken[s]) })
		next, err := e.nextInLine(ctx, tx, full, at)
		if err != nil || len(next) == 0 {
			return err
		}
		run := next[0].RunID
		if _, err := tx.NewRaw("UPDATE slot SET granted_at = "+e.db.NowMillis()+" WHERE run_id = ? AND granted_at = 0", run).Exec(ctx); err != nil {
			return fault.E(fault.Internal, "giving a slot", err)
		}
		for _, s := range spotsOf(next) {
			taken[s]++
		}
		if run == except {
			continue
		}
		if err := e.wake(ctx, tx, &Run{ID: run}); err != nil {
			return err
		}
	}
}

// waited returns the spots that somebody waits at.
func (e *Engine) waited(ctx context.Context, q bun.IDB) ([]spot, error) {
	var rows []slotRow
	if err := q.NewRaw("SELECT DISTINCT pool, key FROM slot WHERE granted_at = 0").Scan(ctx, &rows); err != nil {
		return nil, fault.E(fault.Internal, "reading where somebody waits", err)
	}
	return spotsOf(rows), nil
}

// taken counts the slots that runs have.
func (e *Engine) taken(ctx context.Context, q bun.IDB) (map[spot]int, error) {
	var rows []struct {
		Pool, Key string
		N         int
	}
	if err := q.NewRaw("SELECT pool, key, count(*) AS n FROM slot WHERE granted_at > 0 GROUP BY pool, key").Scan(ctx, &rows); err != nil {
		return nil, fault.E(fault.Internal, "counting the slots", err)
	}
	out := map[spot]int{}
	for _, r := range rows {
		out[spot{r.Pool, r.Key}] = r.N
	}
	return out, nil
}

// nextInLine returns what the run waits for that is to be let in next, where nobody can be at the full spots; nothing when none can be.
func (e *Engine) nextInLine(ctx context.Context, tx Tx, full, at []spot) ([]slotRow, error) {
	q := "SELECT run_id FROM (" + inLine + ") AS waits WHERE TRUE"
	var args []any
	if at != nil {
		q += " AND (FALSE"
		for _, s := range at {
			q += " OR (pool = ? AND key = ?)"
			args = append(args, s.pool, s.key)
		}
		q += ")"
	}
	for _, s := range full {
		q += " AND run_id NOT IN (SELECT run_id FROM slot WHERE granted_at = 0 AND pool = ? AND key = ?)"
		args = append(args, s.pool, s.key)
	}
	var ids []RunID
	if err := tx.NewRaw(q+" ORDER BY turn, asked_at, run_id LIMIT 1", args...).Scan(ctx, &ids); err != nil {
		return nil, fault.E(fault.Internal, "reading who is next in line", err)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	var next []slotRow
	err := tx.NewSelect().Model(&next).Where("run_id = ?", ids[0]).Where("granted_at = 0").Scan(ctx)
	return next, fault.Wrap("reading what the next in line waits for", err)
}

// Deal lets in whoever can be: a safety net under slots that were given back without anybody seeing it, as by another version of the program.
func (e *Engine) Deal(ctx context.Context) error {
	const stale = "run_id IN (SELECT id FROM run WHERE ended_at IS NOT NULL)"
	var found []int
	err := e.db.Read().NewRaw("SELECT 1 FROM slot WHERE granted_at = 0 OR "+stale+" LIMIT 1").Scan(ctx, &found)
	if err != nil {
		return fault.E(fault.Unavailable, "reading whether somebody waits in line", err)
	}
	if len(found) == 0 {
		return nil
	}
	return e.dealing(ctx, e.db.Tx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.NewRaw("DELETE FROM slot WHERE " + stale).Exec(ctx); err != nil {
			return err
		}
		return e.deal(ctx, tx, "", nil)
	})
}
