package workflow

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/fault"
)

// admitted reports whether the run has the slots that its step in hand takes. If not, it is put in line for them and the turn is
// over, unless something has happened to the run meanwhile: again says so.
func (t *turn) admitted(ctx context.Context, i int) (ok, again bool, err error) {
	wanted, err := t.wanted(ctx, i)
	if err != nil {
		return false, false, t.stumble(ctx, err)
	}
	t.slotted = len(wanted) > 0
	if !t.slotted {
		return true, false, nil
	}
	var has []slotRow
	if err := t.db.Read().NewSelect().Model(&has).Where("run_id = ?", t.run.ID).Where("granted_at > 0").Scan(ctx); err != nil {
		return false, false, fault.E(fault.Unavailable, "reading the run's slots", err)
	}
	switch {
	case !covers(has, wanted):
		return t.ask(ctx, i, wanted)
	case !t.inLine():
		return true, false, nil
	}
	err = t.commit(ctx, func(ctx context.Context, tx Tx) error { return t.letIn(ctx, tx, i) })
	return err == nil, false, err
}

// wanted returns the slots that a step takes, and, before the first one, those of the whole run.
func (t *turn) wanted(ctx context.Context, i int) ([]slotRow, error) {
	var wanted []slotRow
	add := func(step string, takes takes) error {
		if takes == nil {
			return nil
		}
		slots, err := takes(ctx, t.subject)
		for _, s := range slots {
			wanted = append(wanted, slotRow{RunID: t.run.ID, Pool: s.Pool, Key: s.Key, Tenant: s.Tenant, Step: step})
		}
		return err
	}
	if i == 0 {
		if err := add("", t.def.takes); err != nil {
			return nil, err
		}
	}
	err := add(t.def.steps[i].name, t.def.steps[i].takes)
	return wanted, err
}

// covers reports whether the slots that a run has are those that it wants.
func covers(has, wanted []slotRow) bool {
	for _, w := range wanted {
		if !slices.ContainsFunc(has, func(r slotRow) bool { return r.Pool == w.Pool && r.Key == w.Key }) {
			return false
		}
	}
	return true
}

// inLine reports whether the run was put in line.
func (t *turn) inLine() bool { return t.run.Phase == Queued && t.run.Reason != "" }

// ask takes the slots, or puts the run in line for them.
func (t *turn) ask(ctx context.Context, i int, wanted []slotRow) (ok, again bool, err error) {
	seen := t.run.Nudges
	l, err := t.limits(ctx, t.db.Read())
	if err != nil {
		return false, false, err
	}
	err = t.dealing(ctx, t.commit, func(ctx context.Context, tx Tx) error {
		ok, again = false, false
		free, err := t.free(ctx, tx, l, wanted)
		if err != nil {
			return err
		}
		if ok = free; ok {
			return t.want(ctx, tx, wanted, t.db.NowMillis())
		}
		var now Run
		if err := tx.NewRaw("UPDATE run SET nudges = nudges WHERE id = ? RETURNING nudges", t.run.ID).Scan(ctx, &now); err != nil {
			return err
		}
		at := spotsOf(wanted)
		if err := t.want(ctx, tx, wanted, "0"); err != nil {
			return err
		}
		if err := t.deal(ctx, tx, t.run.ID, at); err != nil {
			return err
		}
		waiting, err := tx.NewSelect().Model((*slotRow)(nil)).Where("run_id = ?", t.run.ID).Where("granted_at = 0").Count(ctx)
		if err != nil {
			return err
		}
		if ok = waiting == 0; ok {
			return t.letIn(ctx, tx, i)
		}
		again = now.Nudges != seen
		return t.lineUp(ctx, tx, i, at, again)
	})
	return ok && err == nil, again && err == nil, err
}

// free reports whether a run that is in no line finds all that it wants free, with nobody in line for it: then nobody needs to be asked who
// is next.
func (t *turn) free(ctx context.Context, tx Tx, l limits, wanted []slotRow) (bool, error) {
	if t.inLine() {
		return false, nil
	}
	q := tx.NewSelect().Model((*slotRow)(nil)).Column("pool", "key").ColumnExpr("count(*) AS have").ColumnExpr("sum(CASE WHEN granted_at = 0 THEN 1 ELSE 0 END) AS wait").Group("pool", "key")
	q = q.WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
		for _, w := range wanted {
			q = q.WhereOr("pool = ? AND key = ?", w.Pool, w.Key)
		}
		return q
	})
	var rows []struct {
		Pool, Key  string
		Have, Wait int
	}
	if err := q.Scan(ctx, &rows); err != nil {
		return false, fault.E(fault.Internal, "reading which slots are free", err)
	}
	have := map[spot]int{}
	for _, r := range rows {
		if r.Wait > 0 {
			return false, nil
		}
		have[spot{r.Pool, r.Key}] = r.Have
	}
	return !slices.ContainsFunc(spotsOf(wanted), func(s spot) bool { return l.full(s, have[s]) }), nil
}

// want records slots that the run wants, or has since granted, which is SQL.
func (t *turn) want(ctx context.Context, tx Tx, wanted []slotRow, granted string) error {
	var rows []string
	var args []any
	for _, w := range wanted {
		rows = append(rows, "(?, ?, ?, ?, ?, "+t.db.NowMillis()+", "+granted+")")
		args = append(args, w.RunID, w.Pool, w.Key, w.Tenant, w.Step)
	}
	_, err := tx.NewRaw("INSERT INTO slot (run_id, pool, key, tenant, step, asked_at, granted_at) VALUES "+strings.Join(rows, ", ")+" ON CONFLICT DO NOTHING", args...).Exec(ctx)
	return fault.Wrap("recording which slots the run wants", err)
}

// letIn begins the time of a step whose run was in line.
func (t *turn) letIn(ctx context.Context, tx Tx, i int) error {
	if !t.inLine() {
		return nil
	}
	now := t.now()
	t.run.Phase, t.run.Reason = Running, ""
	t.run.StepAt, t.run.WakeAt = now, now
	t.newTime(now, i)
	return t.save(ctx, tx)
}

// newTime gives the run all the time of the step in hand and of those that follow.
func (t *turn) newTime(now time.Time, i int) {
	t.run.StepDeadline, t.run.Deadline = now.Add(t.def.steps[i].within), now.Add(t.def.within(i))
}

// lineUp records that the run waits in line. The time of its step does not run meanwhile.
func (t *turn) lineUp(ctx context.Context, tx Tx, i int, at []spot, again bool) error {
	now := t.now()
	t.run.Phase, t.run.Reason = Queued, "in line for "+names(at)
	t.run.WakeAt = now.Add(lookInLine)
	t.newTime(t.run.WakeAt, i)
	if !again {
		var err error
		if t.run.JobID, err = t.enqueue(ctx, tx, t.run, t.run.WakeAt); err != nil {
			return err
		}
	}
	if err := t.save(ctx, tx); err != nil {
		return err
	}
	return t.write(ctx, tx, "waiting", t.run.Reason, false)
}

func names(at []spot) string {
	var words []string
	for _, s := range at {
		words = append(words, s.String())
	}
	return strings.Join(words, ", ")
}

// gives reports whether the run has or waits for slots that it gives back when the step in hand is over: those of the step, and, if the run ends with it,
// all.
func (t *turn) gives(ctx context.Context) (bool, error) {
	i := t.def.index(t.run.Step)
	q := t.db.Read().NewSelect().Model((*slotRow)(nil)).Where("run_id = ?", t.run.ID)
	switch {
	case t.def.takes != nil && (t.run.Undoing || i == len(t.def.steps)-1):
	case t.def.steps[i].takes != nil:
		q = q.Where("step <> ''")
	default:
		return false, nil
	}
	any, err := q.Exists(ctx)
	return any, fault.Wrap("reading the run's slots", err)
}

// giveBack gives back the slots of the step in hand, or, at its end, all of the run's, to whoever is next in line.
func (t *turn) giveBack(ctx context.Context, tx Tx) error {
	q := "DELETE FROM slot WHERE run_id = ?"
	if !t.run.Phase.Ended() {
		q += " AND step <> ''"
	}
	var gone []slotRow
	if err := tx.NewRaw(q+" RETURNING pool, key", t.run.ID).Scan(ctx, &gone); err != nil {
		return fault.E(fault.Internal, "giving slots back", err)
	}
	if len(gone) == 0 {
		return nil
	}
	return t.deal(ctx, tx, t.run.ID, spotsOf(gone))
}
