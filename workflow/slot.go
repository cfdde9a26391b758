package workflow

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/fault"
)

// Pool is something that bears only so many runs at once: a site, a switch, the image store, a tenant's share. Runs that find
// it full wait in line; none is refused.
type Pool struct {
	Name string
	Most int    // runs at once for each key of the pool, unless an operator says otherwise; negative is no limit
	Says string // what it protects, for people
}

// Slot is a place in a pool that a run takes.
type Slot struct {
	Pool   string
	Key    string // which of the pool's: a site's name, a switch's
	Tenant string // on whose behalf; "" is the operator's. Tenants take turns, whoever asks for how much.
}

// slotRow is a slot that a run has or waits for.
type slotRow struct {
	bun.BaseModel `bun:"table:slot"`

	RunID     RunID  `bun:",pk"`
	Pool      string `bun:",pk"`
	Key       string `bun:",pk"`
	Tenant    string
	Step      string // that it is for; "" is the whole run
	AskedAt   int64  // milliseconds since 1970, by the database's clock
	GrantedAt int64  // 0 while it waits
}

// slotLimit is a limit that an operator has set: of one key, or, with the key "", of all of the pool that have none of their own.
type slotLimit struct {
	bun.BaseModel `bun:"table:slot_limit"`

	Pool string `bun:",pk"`
	Key  string `bun:",pk"`
	Most int
}

// spot is a key of a pool.
type spot struct{ pool, key string }

// String is the spot for people.
func (s spot) String() string {
	if s.key == "" {
		return s.pool
	}
	return s.pool + " " + s.key
}

func spotsOf(rows []slotRow) []spot {
	var all []spot
	for _, r := range rows {
		all = append(all, spot{r.Pool, r.Key})
	}
	return all
}

// Provide makes a pool known. Runs can take slots of pools that are known.
func (e *Engine) Provide(p Pool) { e.pools = append(e.pools, p) }

// pool returns a pool by its name.
func (e *Engine) pool(name string) (Pool, error) {
	i := slices.IndexFunc(e.pools, func(p Pool) bool { return p.Name == name })
	if i < 0 {
		var names []string
		for _, p := range e.pools {
			names = append(names, p.Name)
		}
		return Pool{}, fault.Errorf(fault.NotFound, "nothing is limited by the name of %q; it is one of %s", name, strings.Join(names, ", "))
	}
	return e.pools[i], nil
}

// limits are the limits as they are set now.
type limits struct {
	of  map[string]int
	set map[spot]int
}

func (e *Engine) limits(ctx context.Context, q bun.IDB) (limits, error) {
	l := limits{of: map[string]int{}, set: map[spot]int{}}
	for _, p := range e.pools {
		l.of[p.Name] = p.Most
	}
	var rows []slotLimit
	if err := q.NewSelect().Model(&rows).Scan(ctx); err != nil {
		return l, fault.E(fault.Internal, "reading the limits", err)
	}
	for _, r := range rows {
		if r.Key == "" {
			l.of[r.Pool] = r.Most
		} else {
			l.set[spot{r.Pool, r.Key}] = r.Most
		}
	}
	return l, nil
}

// most returns how many runs may have a slot of a spot; negative is no limit.
func (l limits) most(s spot) int {
	if n, ok := l.set[s]; ok {
		return n
	}
	if n, ok := l.of[s.pool]; ok {
		return n
	}
	return -1 // a pool of another version of the program
}

func (l limits) full(s spot, granted int) bool {
	most := l.most(s)
	return most >= 0 && granted >= most
}

// Crowd is how things stand at one key of a pool.
type Crowd struct {
	Pool, Key string
	Says      string // what the pool protects
	Most      int    // negative is no limit
	Default   int    // what Most is when nobody sets it
	Set       bool   // Most was set, for this key or for the whole pool
	Granted   int    // runs that have a slot
	Waiting   int    // runs in line
	Oldest    int64  // since when the one waits that has waited for longest: milliseconds since 1970; 0 when none does
}

// Crowds returns how things stand at every pool: first all of it, with the key "" and what holds for keys without a limit of their
// own, then every key that somebody has or waits for a slot of, or that has a limit of its own.
func (e *Engine) Crowds(ctx context.Context) ([]Crowd, error) {
	l, err := e.limits(ctx, e.db.Read())
	if err != nil {
		return nil, err
	}
	var rows []Crowd
	err = e.db.Read().NewRaw(`SELECT pool, key, SUM(CASE WHEN granted_at > 0 THEN 1 ELSE 0 END) AS granted, SUM(CASE WHEN granted_at = 0 THEN 1 ELSE 0 END) AS waiting,
		COALESCE(MIN(CASE WHEN granted_at = 0 THEN asked_at END), 0) AS oldest FROM slot GROUP BY pool, key`).Scan(ctx, &rows)
	if err != nil {
		return nil, fault.E(fault.Internal, "reading who waits for what", err)
	}
	for s := range l.set {
		if !slices.ContainsFunc(rows, func(c Crowd) bool { return c.Pool == s.pool && c.Key == s.key }) {
			rows = append(rows, Crowd{Pool: s.pool, Key: s.key})
		}
	}
	out := []Crowd{}
	for _, p := range e.pools {
		whole := Crowd{Pool: p.Name, Says: p.Says, Most: l.of[p.Name], Default: p.Most, Set: l.of[p.Name] != p.Most}
		at := len(out)
		out = append(out, whole)
		for _, c := range rows {
			if c.Pool != p.Name {
				continue
			}
			s := spot{c.Pool, c.Key}
			c.Says, c.Default, c.Most = p.Says, p.Most, l.most(s)
			_, own := l.set[s]
			c.Set = own || whole.Set
			out[at].Granted += c.Granted
			out[at].Waiting += c.Waiting
			if c.Oldest > 0 && (out[at].Oldest == 0 || c.Oldest < out[at].Oldest) {
				out[at].Oldest = c.Oldest
			}
			if c.Key != "" {
				out = append(out, c)
			}
		}
		slices.SortFunc(out[at+1:], func(a, b Crowd) int { return cmp.Compare(a.Key, b.Key) })
	}
	return out, nil
}

// limitMost is the highest limit that can be set: more is no limit in earnest.
const limitMost = 100_000

// SetLimit sets how many runs may have a slot of a pool's key at once, or, with the key "", of each that has no limit of its own.
// 0 lets nobody begin; negative is no limit. It takes effect at once for those who wait; nobody loses a slot.
func (e *Engine) SetLimit(ctx context.Context, pool, key string, most int) error {
	if _, err := e.pool(pool); err != nil {
		return err
	}
	if most > limitMost {
		return fault.Field("most", "is at most %d; -1 is no limit", limitMost)
	}
	return e.changeLimit(ctx, func(ctx context.Context, tx Tx) error {
		_, err := tx.NewInsert().Model(&slotLimit{Pool: pool, Key: key, Most: max(most, -1)}).On("CONFLICT (pool, key) DO UPDATE").Set("most = EXCLUDED.most").Exec(ctx)
		return err
	})
}

// ResetLimit takes back what SetLimit set.
func (e *Engine) ResetLimit(ctx context.Context, pool, key string) error {
	if _, err := e.pool(pool); err != nil {
		return err
	}
	return e.changeLimit(ctx, func(ctx context.Context, tx Tx) error {
		_, err := tx.NewDelete().Model((*slotLimit)(nil)).Where("pool = ?", pool).Where("key = ?", key).Exec(ctx)
		return err
	})
}

func (e *Engine) changeLimit(ctx context.Context, change func(ctx context.Context, tx Tx) error) error {
	return e.dealing(ctx, e.db.Tx, func(ctx context.Context, tx Tx) error {
		if err := change(ctx, tx); err != nil {
			return fault.E(fault.Internal, "changing a limit", err)
		}
		return e.deal(ctx, tx, "", nil)
	})
}

// Line is a run's place in a line.
type Line struct {
	Run       RunID
	Pool, Key string
	Place     int // 1 is next
	Of        int // how many wait
	Granted   int // how many have a slot
	Most      int
}

// String tells it for people.
func (l Line) String() string {
	at := spot{l.Pool, l.Key}
	if l.Most == 0 {
		return fmt.Sprintf("%d of %d in line for %s, where an operator lets nobody begin for now", l.Place, l.Of, at)
	}
	return fmt.Sprintf("%d of %d in line for %s, which bears %d at once", l.Place, l.Of, at, l.Most)
}

// Lines returns the places of runs that wait in line, by run; with no run named, of all.
func (e *Engine) Lines(ctx context.Context, runs ...RunID) (map[RunID][]Line, error) {
	out := map[RunID][]Line{}
	l, err := e.limits(ctx, e.db.Read())
	if err != nil {
		return nil, err
	}
	var rows []struct {
		RunID               RunID
		Pool, Key           string
		Place, Total, Taken int
	}
	q := `SELECT * FROM (SELECT run_id, pool, key, taken, row_number() OVER (PARTITION BY pool, key ORDER BY turn, asked_at, run_id) AS place,
		count(*) OVER (PARTITION BY pool, key) AS total FROM (` + inLine + `) AS waits) AS lines`
	var args []any
	if len(runs) > 0 {
		q, args = q+" WHERE run_id IN (?)", []any{bun.List(runs)}
	}
	if err := e.db.Read().NewRaw(q+" ORDER BY run_id, place DESC, pool", args...).Scan(ctx, &rows); err != nil {
		return nil, fault.E(fault.Internal, "reading who waits in which line", err)
	}
	for _, r := range rows {
		s := spot{r.Pool, r.Key}
		if !l.full(s, r.Taken) && r.Place <= l.most(s)-r.Taken {
			continue // it would be let in here, and waits elsewhere
		}
		out[r.RunID] = append(out[r.RunID], Line{Run: r.RunID, Pool: r.Pool, Key: r.Key, Place: r.Place, Of: r.Total, Granted: r.Taken, Most: l.most(s)})
	}
	return out, nil
}
