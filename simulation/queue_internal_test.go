package simulation

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/workflow"
)

// looks are the looks that a queue had taken, and what is to come of them.
type looks struct {
	mu      sync.Mutex
	all     []string
	answers map[string]error // of the first look of each
	seen    chan string
	slow    chan struct{} // what the look "slow" waits for
}

func newLooks() *looks {
	return &looks{answers: map[string]error{"busy": workflow.ErrBusy, "broken": errors.New("broken")}, seen: make(chan string, 100), slow: make(chan struct{})}
}

func (l *looks) look(_ context.Context, id workflow.RunID) error {
	l.mu.Lock()
	l.all = append(l.all, string(id))
	err := l.answers[string(id)]
	delete(l.answers, string(id))
	l.mu.Unlock()
	l.seen <- string(id)
	if id == "slow" {
		<-l.slow
	}
	return err
}

// next waits for looks.
func (l *looks) next(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for range want {
		select {
		case one := <-l.seen:
			got = append(got, one)
		case <-time.After(30 * time.Second):
			t.Errorf("looked at %v, want %v", got, want)
			return
		}
	}
	if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("looked at %v, want %v", got, want)
	}
}

// keeps holds a queue to what the engine relies on.
func keeps(t *testing.T, d *db.DB, q workflow.Queue, l *looks) {
	ctx := context.Background()
	tx := func(fn func(ctx context.Context, tx db.Tx) error) error { return d.Tx(ctx, fn) }
	insert := func(run string, queue workflow.Holder, in time.Duration) (id int64) {
		err := tx(func(ctx context.Context, tx db.Tx) (err error) {
			id, err = q.Insert(ctx, tx, workflow.Job{Run: workflow.RunID(run), At: db.Now().Add(in), Queue: queue})
			return err
		})
		if err != nil {
			t.Error(err)
		}
		return id
	}
	nudge := func(id int64) {
		if err := tx(func(ctx context.Context, tx db.Tx) error { return q.Nudge(ctx, tx, id) }); err != nil {
			t.Error(err)
		}
	}
	insert("others", "others", 0)
	taken := errors.New("taken back")
	if err := tx(func(ctx context.Context, tx db.Tx) error {
		_, err := q.Insert(ctx, tx, workflow.Job{Run: "never", At: db.Now(), Queue: "mine"})
		return errors.Join(err, taken)
	}); !errors.Is(err, taken) {
		t.Error(err)
	}
	insert("first", "mine", 0)
	l.next(t, "first")
	later := insert("later", "mine", time.Hour)
	insert("soon", "mine", 300*time.Millisecond)
	l.next(t, "soon")
	nudge(later)
	l.next(t, "later")
	insert("busy", "mine", 0)
	insert("broken", "mine", 0)
	l.next(t, "busy", "broken", "busy", "broken")
	slow := insert("slow", "mine", 0)
	l.next(t, "slow")
	nudge(slow) // it is being looked at
	close(l.slow)
	insert("last", "mine", 0)
	l.next(t, "last")
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.all); n != 9 {
		t.Errorf("%d looks were taken: %v", n, l.all)
	}
	var left []struct{ State string }
	err := d.Read().NewRaw("SELECT state FROM river_job WHERE json_extract(args, '$.run') = 'others'").Scan(ctx, &left)
	if err != nil || len(left) != 1 || left[0].State != "available" {
		t.Errorf("the job of another queue: %v, %v", left, err)
	}
}

// TestQueueContract holds River's queue and the simulated one to the same.
func TestQueueContract(t *testing.T) {
	t.Run("river", func(t *testing.T) {
		d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "hagane.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		l := newLooks()
		q, err := workflow.NewQueue(d, workflow.QueueOptions{Name: "mine", Workers: 4, Poll: 20 * time.Millisecond, Log: slog.New(slog.DiscardHandler), Look: l.look})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		keeps(t, d, q, l)
		if err := q.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Run("simulated", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "hagane.db")
		d, err := db.Open(t.Context(), "sqlite:"+path)
		if err != nil {
			t.Fatal(err)
		}
		d.Close()
		synctest.Test(t, func(t *testing.T) {
			s := newTurnstile(1, newTrace(nil))
			store, err := openStore(s, path)
			if err != nil {
				t.Fatal(err)
			}
			p := &process{name: "p", turns: map[workflow.RunID]int{}}
			p.db = db.OpenOn(clients{store, p, false}, clients{store, p, true})
			l := newLooks()
			q := &queue{turnstile: s, db: p.db, who: p, name: "mine", look: l.look}
			store.committed = func(*session, string) { q.poked = true }
			go func() {
				if err := q.Start(context.Background()); err != nil {
					t.Error(err)
				}
				keeps(t, p.db, q, l)
				if err := q.Stop(context.Background()); err != nil {
					t.Error(err)
				}
				s.over = true
				s.sleep("the end", 0, 0)
			}()
			s.run()
			p.db.Close()
			if err := store.close(); err != nil {
				t.Error(err)
			}
		})
	})
}
