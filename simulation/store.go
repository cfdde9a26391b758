package simulation

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/workflow"
)

// store is the database server of the simulated world: one real SQLite database, whose connections all processes seem to have.
// Transactions that write follow each other, as SQLite and PostgreSQL's serializable ones do. It can be down, lose the answer to a
// commit, or lose a client with the transaction that it was in.
type store struct {
	*turnstile
	write, read rawConn
	mu          sync.Mutex // one query after the other, though they come one after the other anyhow: those who check for races can not know
	now         string     // how queries ask for the time
	holder      *session   // whose transaction is open
	down        bool
	lossy       int                           // one answer to a commit in so many is lost; 0 is none
	committed   func(s *session, text string) // hears of every commit, with what was executed in it
	spoil       func(statement string) string // makes something else of statements in transactions; nil leaves them
	statements  int
}

// rawConn is what a connection of the SQLite driver can do.
type rawConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
}

// errGone is what a client sees of a database that it does not reach.
var errGone = errors.New("simulation: the connection to the database is broken")

// How long the database takes.
const (
	fastest = 200 * time.Microsecond
	slowest = 4 * time.Millisecond
	tooLong = 5 * time.Second // after which a client gives a database up that it does not reach
)

// openStore opens a database file.
func openStore(t *turnstile, path string) (*store, error) {
	s := &store{turnstile: t, now: (&db.DB{}).NowMillis()}
	base := "file:" + path + "?vfs=unix-excl&_pragma=foreign_keys(1)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)"
	for _, one := range []struct {
		to  *rawConn
		dsn string
	}{{&s.write, base + "&_txlock=immediate"}, {&s.read, base + "&_pragma=query_only(1)"}} {
		c, err := sqlite.NewConnector(one.dsn)
		if err != nil {
			return nil, err
		}
		conn, err := c.Connect(context.Background())
		if err != nil {
			return nil, err
		}
		*one.to = conn.(rawConn)
	}
	return s, nil
}

func (s *store) close() error { return errors.Join(s.write.Close(), s.read.Close()) }

// atNow puts the simulated time where a query asks for the database's.
func (s *store) atNow(query string) string {
	return strings.ReplaceAll(query, s.now, strconv.FormatInt(time.Now().UnixMilli(), 10))
}

// reaches reports whether a process reaches the database.
func (s *store) reaches(p *process) bool { return !s.down && !p.dead.Load() && !p.cutFromDB }

// lose ends the transaction of a process that died, was paused or is cut off: the server does not wait for it.
func (s *store) lose(p *process) {
	if s.holder != nil && s.holder.who == p {
		s.holder.end(false)
	}
}

// fail ends whatever transaction is open.
func (s *store) fail() {
	s.down = true
	if s.holder != nil {
		s.holder.end(false)
	}
}

// session is a connection of a process.
type session struct {
	*store
	who     *process
	reading bool
	ctx     context.Context // of whoever began it
	tx      driver.Tx       // nil when none is open
	lost    bool            // the server has ended the transaction
	said    strings.Builder
}

// clients makes a process's connections.
type clients struct {
	*store
	who     *process
	reading bool
}

// Connect is called by database/sql.
func (c clients) Connect(context.Context) (driver.Conn, error) {
	return &session{store: c.store, who: c.who, reading: c.reading}, nil
}

// Driver is not used.
func (c clients) Driver() driver.Driver { return nil }

// pass waits at the turnstile, and then as long as a client does for a database that it does not reach.
func (c *session) pass(ctx context.Context, what string, ready func() bool) error {
	if c.who.dead.Load() {
		return errGone
	}
	c.wait(&pass{who: c.who, subject: workflow.Subject(ctx), label: labelOf(ctx, c.who, what), least: fastest, most: slowest, ready: ready})
	if c.reaches(c.who) {
		return ctx.Err()
	}
	c.wait(&pass{who: c.who, subject: workflow.Subject(ctx), label: labelOf(ctx, c.who, what+" unanswered"), least: time.Second, most: tooLong})
	return errGone
}

// BeginTx waits for its turn.
func (c *session) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	free := func() bool { return c.holder == nil || !c.reaches(c.who) }
	if err := c.pass(ctx, "begin", free); err != nil {
		return nil, err
	}
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	tx, err := c.write.BeginTx(context.Background(), o)
	if err != nil {
		return nil, err
	}
	c.ctx, c.tx, c.lost, c.holder = context.WithoutCancel(ctx), tx, false, c
	c.said.Reset()
	return c, nil
}

// end ends the transaction that is open.
func (c *session) end(commit bool) error {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	tx := c.tx
	c.tx, c.holder, c.lost = nil, nil, true
	if commit {
		return tx.Commit()
	}
	return tx.Rollback()
}

// Commit commits, and may lose the answer.
func (c *session) Commit() error {
	if err := c.pass(c.ctx, "commit", nil); err != nil || c.tx == nil {
		if c.tx != nil {
			_ = c.end(false) // the error of the commit says it
		}
		return errors.Join(errGone, err)
	}
	text := c.said.String()
	if err := c.end(true); err != nil {
		return err
	}
	if c.committed != nil {
		c.committed(c, text)
	}
	if lost := c.chance(c.lossy); lost || c.pass(c.ctx, "committed", nil) != nil {
		c.trace.note("%s: the answer to a commit is lost", c.who.name)
		return errGone
	}
	return nil
}

// Rollback rolls back.
func (c *session) Rollback() error {
	if c.tx == nil {
		return nil
	}
	return c.end(false)
}

// ExecContext carries a statement out.
func (c *session) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if c.lost || c.tx == nil || c.who.dead.Load() {
		return nil, errGone
	}
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	c.statements++
	c.said.WriteString(query)
	c.said.WriteByte('\n')
	return c.write.ExecContext(context.Background(), c.atNow(query), args)
}

// QueryContext carries a query out: in the transaction, or by itself.
func (c *session) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if !c.reading {
		if c.lost || c.tx == nil || c.who.dead.Load() {
			return nil, errGone
		}
		c.said.WriteString(query)
		c.said.WriteByte('\n')
		if c.spoil != nil {
			query = c.spoil(query)
		}
		return c.rows(c.write, query, args)
	}
	if err := c.pass(ctx, "read "+digest(query), nil); err != nil {
		return nil, err
	}
	return c.rows(c.read, query, args)
}

// rows are the answer to a query, all of it at once.
func (s *store) rows(conn rawConn, query string, args []driver.NamedValue) (*answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statements++
	rows, err := conn.QueryContext(context.Background(), s.atNow(query), args)
	if err != nil {
		return nil, err
	}
	a := &answer{columns: rows.Columns()}
	for {
		row := make([]driver.Value, len(a.columns))
		if err = rows.Next(row); err != nil {
			break
		}
		a.rows = append(a.rows, row)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return a, errors.Join(err, rows.Close())
}

// answer is the rows of a query.
type answer struct {
	columns []string
	rows    [][]driver.Value
}

// Columns are their names.
func (a *answer) Columns() []string { return a.columns }

// Next reads a row.
func (a *answer) Next(to []driver.Value) error {
	if len(a.rows) == 0 {
		return io.EOF
	}
	copy(to, a.rows[0])
	a.rows = a.rows[1:]
	return nil
}

// Close does nothing: all was read.
func (a *answer) Close() error { return nil }

// Prepare is not used: bun writes whole queries.
func (c *session) Prepare(query string) (driver.Stmt, error) {
	return nil, fmt.Errorf("simulation: a statement is prepared: %s", query)
}

// Begin is not used.
func (c *session) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// Close forgets the connection.
func (c *session) Close() error {
	if c.tx != nil {
		return c.end(false)
	}
	return nil
}
