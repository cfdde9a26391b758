package workflow

import (
	"context"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// While the database does not answer, or no conductor of a group is alive, nothing can be done for the group's runs, and nobody who calls
// is heard. That time must not count against anybody once it is over: it is a standstill. Every renewal of leases is a pulse of the
// conductor's group; the first one after a long time records that there was none.

// pulse records that a conductor of a group is alive, and a standstill if that was long ago.
func (e *Engine) pulse(ctx context.Context, tx Tx, group string) error {
	now := e.db.NowMillis()
	var p struct{ At, Before int64 }
	err := tx.NewRaw(`INSERT INTO pulse (grp, at, before) VALUES (?, `+now+`, `+now+`) ON CONFLICT (grp) DO UPDATE SET before = pulse.at, at = EXCLUDED.at
		RETURNING at, before`, group).Scan(ctx, &p)
	if err != nil || p.At-p.Before <= LeaseTime.Milliseconds() {
		return err
	}
	e.log.Warn("no conductor could work for a while: that time does not count", "group", group, "lasted", time.Duration(p.At-p.Before)*time.Millisecond)
	_, err = tx.NewRaw("INSERT INTO standstill (grp, since, until) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", group, p.Before, p.At).Exec(ctx)
	return err
}

// Stood returns for how long, since a moment, nothing could be done for the runs of a group: as no conductor of it was alive, or none
// reached the database.
func (e *Engine) Stood(ctx context.Context, group string, since time.Time) (time.Duration, error) {
	now, from := e.db.NowMillis(), since.UnixMilli()
	var ms []int64
	err := e.db.Read().NewRaw(`SELECT CAST(COALESCE(SUM(until - CASE WHEN since < ? THEN ? ELSE since END), 0) AS BIGINT) FROM
		(SELECT since, until FROM standstill WHERE grp = ? UNION ALL SELECT at, `+now+` FROM pulse WHERE grp = ? AND at < `+now+` - ?) AS stood WHERE until > ?`,
		from, from, group, group, LeaseTime.Milliseconds(), from).Scan(ctx, &ms)
	if err != nil || len(ms) == 0 {
		return 0, fault.Wrap("reading for how long nothing could be done", err)
	}
	return time.Duration(ms[0]) * time.Millisecond, nil
}

// forgetStandstills drops those that no run can have begun before.
func (e *Engine) forgetStandstills(ctx context.Context, tx Tx) error {
	const week = 7 * 24 * time.Hour
	_, err := tx.NewRaw("DELETE FROM standstill WHERE until < "+e.db.NowMillis()+" - ?", week.Milliseconds()).Exec(ctx)
	return err
}
