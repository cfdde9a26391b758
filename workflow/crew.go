package workflow

import (
	"cmp"
	"context"
	"encoding/json"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Member is a conductor as the others see it.
type Member struct {
	bun.BaseModel `bun:"table:conductor,alias:conductor"`

	ID        Holder `bun:",pk"`
	Host      string
	Roles     string   // of its process, for people
	Group     string   `bun:"grp"` // whose subjects it works on; "" is those that are in no group
	Version   string   // of its program
	Workflows []string // those that it knows, with their versions
	StartedAt time.Time
	Seen      int64 // milliseconds since 1970, by the database's clock
	Draining  bool  // it takes nothing new
	Alive     bool  `bun:",scanonly"`
	Held      int   `bun:",scanonly"` // leases in its hand
	Waiting   int   `bun:",scanonly"` // runs that it has to look at, now or later
}

// SeenAt is when the conductor was last heard of, by the database's clock.
func (m Member) SeenAt() time.Time { return time.UnixMilli(m.Seen).UTC() }

// Name tells conductors apart for people: several may run on a host.
func (m Member) Name() string {
	const enough = 8
	return m.Host + "-" + string(m.ID)[:min(enough, len(m.ID))]
}

// Drained reports whether a conductor that was told to drain has nothing left to do.
func (m Member) Drained() bool { return m.Draining && m.Held == 0 && m.Waiting == 0 }

// Status says in a word what a conductor does: working, draining, drained or silent.
func (m Member) Status() string {
	switch {
	case !m.Alive:
		return "silent"
	case m.Drained():
		return "drained"
	case m.Draining:
		return "draining"
	}
	return "working"
}

// Nobody is the queue of runs that no living conductor can carry on.
const Nobody Holder = "nobody"

// crew is the conductors that take work, as last read.
type crew struct {
	mu      sync.Mutex
	members []Member
	readAt  time.Time
	moved   []Holder // the members when the jobs were last handed on
	movedAt time.Time
}

// known returns the conductors if they were read a moment ago.
func (c *crew) known() ([]Member, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.members, time.Since(c.readAt) < crewAge
}

// How old the list of conductors may be that runs are given to by, and how often all jobs are looked over though it has not changed.
const (
	crewAge   = time.Second
	crewSweep = 10 * time.Second
)

// working returns the conductors that are alive and take work. Whoever finds the list too old reads it anew by q, on the connection that
// it has: it waits for nobody, who could in turn be waiting for a connection.
func (e *Engine) working(ctx context.Context, q bun.IDB) ([]Member, error) {
	if members, ok := e.crew.known(); ok {
		return members, nil
	}
	return e.workingNow(ctx, q)
}

// workingNow is working, read anew.
func (e *Engine) workingNow(ctx context.Context, q bun.IDB) ([]Member, error) {
	read := time.Now()
	var all []Member
	err := q.NewSelect().Model(&all).Column("id", "host", "grp", "workflows").Where("NOT draining").
		Where("seen >= "+e.db.NowMillis()+" - ?", LeaseTime.Milliseconds()).Order("id").Scan(ctx)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "reading who is at work", err)
	}
	e.crew.mu.Lock()
	defer e.crew.mu.Unlock()
	if read.After(e.crew.readAt) {
		e.crew.members, e.crew.readAt = all, read
	}
	return all, nil
}

// keeper returns who of the members carries a run on: of those of its group who know its workflow, the one whose name and the
// subject's give the highest number. So subjects are spread evenly, and few change hands when somebody comes or goes.
func keeper(members []Member, group, workflow, subject string) Holder {
	best, most := Nobody, uint64(0)
	for _, m := range members {
		if m.Group != group || (workflow != "" && !slices.Contains(m.Workflows, workflow)) {
			continue
		}
		if n := weight(string(m.ID), subject); best == Nobody || n > most {
			best, most = m.ID, n
		}
	}
	return best
}

func weight(member, subject string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(member + "\x00" + subject))
	n := h.Sum64() // its high bits hardly feel the last bytes
	n ^= n >> 33
	n *= 0xff51afd7ed558ccd
	n ^= n >> 33
	n *= 0xc4ceb9fe1a85ec53
	return n ^ n>>33
}

// Keeps returns a function that reports whether h is who looks after a subject of a group when no run is at work on it.
func (e *Engine) Keeps(ctx context.Context, h Holder) (func(group, subject string) bool, error) {
	members, err := e.working(ctx, e.db.Read())
	return func(group, subject string) bool { return keeper(members, group, "", subject) == h }, err
}

// KeeperOf returns who looks after the subjects of a group; Nobody when no conductor of the group is alive and takes work.
func (e *Engine) KeeperOf(ctx context.Context, group, subject string) (Holder, error) {
	members, err := e.working(ctx, e.db.Read())
	return keeper(members, group, "", subject), err
}

// Crew is the conductors that take work at a moment.
type Crew struct{ members []Member }

// Crew returns the conductors that take work.
func (e *Engine) Crew(ctx context.Context) (Crew, error) {
	members, err := e.working(ctx, e.db.Read())
	return Crew{members}, err
}

// Keeper returns the name of who looks after a subject of a group; "" when no conductor of the group takes work.
func (c Crew) Keeper(group, subject string) string {
	h := keeper(c.members, group, "", subject)
	for _, m := range c.members {
		if m.ID == h {
			return m.Name()
		}
	}
	return ""
}

// String is the same for two crews only when they keep the same subjects.
func (c Crew) String() string {
	var b strings.Builder
	for _, m := range c.members {
		b.WriteString(string(m.ID) + "\x00" + m.Group + "\x00")
	}
	return b.String()
}

// SignOn makes a conductor known, so that it is given work. alone says that it has no other beside it: those that stand there are dead.
func (e *Engine) SignOn(ctx context.Context, m Member, alone bool) error {
	m.Workflows = slices.Sorted(maps.Keys(e.defs))
	known, err := json.Marshal(m.Workflows)
	if err != nil {
		return fault.E(fault.Internal, "naming the workflows", err)
	}
	return e.db.Tx(ctx, func(ctx context.Context, tx Tx) error {
		if alone {
			if _, err := tx.NewRaw("UPDATE lease SET expires = 0").Exec(ctx); err != nil {
				return err
			}
			if _, err := tx.NewRaw("UPDATE conductor SET seen = 0, draining = TRUE").Exec(ctx); err != nil {
				return err
			}
		}
		_, err := tx.NewRaw(`INSERT INTO conductor (id, host, roles, grp, version, workflows, started_at, seen) VALUES (?, ?, ?, ?, ?, ?, ?, `+e.db.NowMillis()+`)`,
			m.ID, m.Host, m.Roles, m.Group, m.Version, string(known), db.Now()).Exec(ctx)
		return err
	})
}

// SignOff takes a conductor out that stops: what waits for it passes to the others.
func (e *Engine) SignOff(ctx context.Context, h Holder) error {
	return e.db.Tx(ctx, func(ctx context.Context, tx Tx) error {
		_, err := tx.NewRaw("UPDATE conductor SET seen = 0, draining = TRUE WHERE id = ?", h).Exec(ctx)
		return err
	})
}

// Drain has a conductor take nothing new, or take work again.
func (e *Engine) Drain(ctx context.Context, h Holder, drain bool) error {
	return e.db.Tx(ctx, func(ctx context.Context, tx Tx) error {
		res, err := tx.NewRaw("UPDATE conductor SET draining = ? WHERE id = ? AND seen > 0", drain, h).Exec(ctx)
		if err != nil {
			return fault.E(fault.Internal, "draining a conductor", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return fault.Errorf(fault.NotFound, "no conductor %s is at work; hagane conductor list names them", h)
		}
		return nil
	})
}

// Members returns the conductors that were heard of since so long ago and have not stopped, eldest first.
func (e *Engine) Members(ctx context.Context, since time.Duration) ([]Member, error) {
	out := []Member{}
	now := e.db.NowMillis()
	err := e.db.Read().NewSelect().Model(&out).ColumnExpr("conductor.*").
		ColumnExpr("seen >= "+now+" - ? AS alive", LeaseTime.Milliseconds()).
		ColumnExpr("(SELECT count(*) FROM lease WHERE lease.owner = conductor.id AND lease.expires > 0 AND lease.expires >= "+now+") AS held").
		ColumnExpr("(SELECT count(*) FROM river_job WHERE river_job.queue = conductor.id AND "+jobLives+") AS waiting").
		Where("seen >= "+now+" - ?", since.Milliseconds()).Order("started_at", "id").Scan(ctx)
	return out, fault.Wrap("listing the conductors", err)
}

// Forget drops conductors that nobody has heard of for a day, and what is known of times in which nobody could work when no run can have
// begun before.
func (e *Engine) Forget(ctx context.Context) error {
	const day = 24 * time.Hour
	return e.db.Tx(ctx, func(ctx context.Context, tx Tx) error {
		_, err := tx.NewRaw("DELETE FROM conductor WHERE seen < "+e.db.NowMillis()+" - ? AND started_at < ?", day.Milliseconds(), db.Now().Add(-day)).Exec(ctx)
		if err != nil {
			return err
		}
		return e.forgetStandstills(ctx, tx)
	})
}

// HandOn gives the runs that wait to whoever has to carry them on by now: when a conductor came, went or drains, at once. It
// returns how many changed hands.
func (e *Engine) HandOn(ctx context.Context) (int, error) {
	members, err := e.workingNow(ctx, e.db.Read())
	if err != nil {
		return 0, err
	}
	ids := make([]Holder, len(members))
	for i := range members {
		ids[i] = members[i].ID
	}
	e.crew.mu.Lock()
	due := !slices.Equal(ids, e.crew.moved) || time.Since(e.crew.movedAt) > crewSweep
	e.crew.mu.Unlock()
	if !due {
		return 0, nil
	}
	moved, err := e.move(ctx, members)
	if err != nil {
		return 0, err
	}
	e.crew.mu.Lock()
	defer e.crew.mu.Unlock()
	e.crew.moved, e.crew.movedAt = ids, time.Now()
	return moved, nil
}

func (e *Engine) move(ctx context.Context, members []Member) (int, error) {
	var jobs []struct {
		ID                     int64
		Queue                  Holder
		Grp, Workflow, Subject string
	}
	err := e.db.Read().NewRaw(`SELECT river_job.id, river_job.queue, run.grp, run.workflow, run.subject FROM run JOIN river_job ON river_job.id = run.job_id
		WHERE run.ended_at IS NULL AND `+jobWaits).Scan(ctx, &jobs)
	if err != nil {
		return 0, fault.E(fault.Unavailable, "looking over the runs that wait", err)
	}
	to := map[Holder][]int64{}
	for _, j := range jobs {
		if k := keeper(members, j.Grp, j.Workflow, j.Subject); k != j.Queue {
			to[k] = append(to[k], j.ID)
		}
	}
	moved := 0
	for _, k := range slices.SortedFunc(maps.Keys(to), cmp.Compare[Holder]) {
		err := e.db.Tx(ctx, func(ctx context.Context, tx Tx) error {
			res, err := tx.NewRaw("UPDATE river_job SET queue = ? WHERE id IN (?) AND "+jobWaits, k, bun.List(to[k])).Exec(ctx)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			moved += int(n)
			return err
		})
		if err != nil {
			return moved, fault.E(fault.Unavailable, "handing runs on", err)
		}
	}
	return moved, nil
}
