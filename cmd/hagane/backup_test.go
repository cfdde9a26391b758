package main

import (
	"archive/zip"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/backup"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network/fabric"
	fabriclab "github.com/hagane-cloud/hagane/network/fabric/lab"
)

// TestRestore backs a cloud up while it runs, loses it, and restores it on the other engine in an empty folder: what is as recorded goes
// on, and a node that somebody got since the backup is left alone.
func TestRestore(t *testing.T) {
	if testing.Short() {
		t.Skip("a minute long")
	}
	t.Parallel()
	c := &testCloud{T: t, data: filepath.Join(t.TempDir(), "data")}
	p := c.spawn("", "")
	l := c.runLab(3)
	var ids []string
	for _, n := range l.Nodes {
		ids = append(ids, c.node(n.Name).UUID)
		c.ready(n.Name, "manage", "inspect", "provide")
	}
	g := c.ground(c.tenant("tenant"))
	kept := must[serverDoc](c, c.as("tenant"), "POST", "baremetal-server", "/servers", g.body("kept"))
	c.serverUntil(c.as("tenant"), kept.Server.ID, "ACTIVE")
	begun := must[serverDoc](c, c.as("tenant"), "POST", "baremetal-server", "/servers", g.body("begun"))
	file := filepath.Join(t.TempDir(), "backup")
	c.says(c.printed("backup", file, "--images"), `\d+ rows of \d+ tables and \d+ files, as of \d{4}-`)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup is %v, %v", info, err)
	}
	p.kill()

	restored := &testCloud{T: t, data: filepath.Join(t.TempDir(), "data")}
	dsn := dbtest.PostgresURL(t)
	restored.says(restored.printed("restore", file, "--database", dsn), "restored as of", "each node is held")
	if _, err := restored.command("restore", file, "--database", dsn); !fault.Is(err, fault.Conflict) {
		t.Errorf("a restore onto something: %v", err)
	}
	cut := filepath.Join(t.TempDir(), "cut")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cut, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := restored.command("restore", cut, "--data", t.TempDir()); !fault.Is(err, fault.Invalid) {
		t.Errorf("a restore of half a backup: %v", err)
	}
	// Somebody got the third node since the backup.
	sw, err := fabriclab.Open(t.Context(), fabric.Access{Address: l.Switch})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sw.Close() }()
	var free string
	for i, n := range l.Nodes {
		if d := c.lentTo(file, ids[i]); d == "" {
			free = n.Name
			if err := sw.SetPort(t.Context(), n.NICs[0].Port, fabric.Config{Access: 777}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := standInRamdisk(restored.data); err != nil { // it is built, and in no backup
		t.Fatal(err)
	}
	// The agent that was booted before the loss is unknown to the new cloud: the node is reset and told again.
	restored.reconnectTo(restored.launch(serveToDieOptions{Data: restored.data, Database: dsn, AgentWithin: 10 * time.Second}))
	tenant := restored.as("tenant")
	restored.serverUntil(tenant, begun.Server.ID, "ACTIVE")
	restored.serverUntil(tenant, kept.Server.ID, "ACTIVE")
	restored.until(time.Minute, "the node to be suspected", func() bool {
		return strings.Contains(restored.node(free).Reason, "is on VLAN 777, of which the records know nothing")
	})
	restored.says(restored.printed("why", free), `hold restored by hagane since .* is on VLAN 777`)
	must[any](restored, tenant, "DELETE", "baremetal-server", "/servers/"+kept.Server.ID, nil)
	restored.serverUntil(tenant, kept.Server.ID, "")
}

// lentTo reads from a backup to which server a node is lent.
func (c *testCloud) lentTo(file, id string) string {
	c.Helper()
	rows := c.rowsOf(file, "node")
	at := slices.Index(rows[0], any("owner"))
	for _, r := range rows[1:] {
		if slices.Contains(r, any(id)) {
			return r[at].(string)
		}
	}
	c.Fatalf("the node %s is not in the backup", id)
	return ""
}

// rowsOf reads a table of a backup; the first row is the names of its columns.
func (c *testCloud) rowsOf(file, table string) (rows [][]any) {
	c.Helper()
	z, err := zip.OpenReader(file)
	if err != nil {
		c.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	in, err := z.Open("tables/" + table + ".jsonl")
	if err != nil {
		c.Fatal(err)
	}
	dec := json.NewDecoder(in)
	for dec.More() {
		var r []any
		if err := dec.Decode(&r); err != nil {
			c.Fatal(err)
		}
		rows = append(rows, r)
	}
	return rows
}

// TestMove moves a cloud from SQLite to PostgreSQL and back by way of a backup: every value of every row is the same.
func TestMove(t *testing.T) {
	c := &testCloud{T: t, data: filepath.Join(t.TempDir(), "data")}
	p := c.spawn("", "")
	for _, n := range []string{"1", "2", "3"} {
		c.fakeNode("n"+n, "52:54:00:00:00:0"+n)
	}
	tenant := c.tenant("tenant")
	s := must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", c.ground(tenant).body("s"))
	c.serverUntil(tenant, s.Server.ID, "ACTIVE")
	if _, err := c.command("move", "--to", "postgres://nowhere/x"); !fault.Is(err, fault.Conflict) {
		t.Errorf("a move of a running cloud: %v", err)
	}
	p.kill()
	dsn := dbtest.PostgresURL(t)
	c.says(c.printed("move", "--to", dsn), `\d+ rows moved`)
	there, back := filepath.Join(t.TempDir(), "there"), filepath.Join(t.TempDir(), "back")
	c.printed("backup", there, "--database", dsn)
	b, err := backup.Open(there)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	d, err := b.Restore(t.Context(), dbtest.SQLiteURL(t), func(context.Context, db.Tx) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	out, err := os.Create(back)
	if err != nil {
		t.Fatal(err)
	}
	m, err := backup.Write(t.Context(), d, backup.Options{Data: t.TempDir()}, out)
	if err != nil || out.Close() != nil {
		t.Fatal(err)
	}
	if m.Tables["node"] != 3 || m.Tables["server"] != 1 {
		t.Errorf("the tables are %v", m.Tables)
	}
	compared := 0
	for table := range m.Tables {
		one, other := c.comparable(there, table), c.comparable(back, table)
		if !slices.Equal(one, other) {
			t.Errorf("%s differs:\n%s\n%s", table, one, other)
		}
		compared += len(one)
	}
	if compared < 50 {
		t.Errorf("only %d rows were compared", compared)
	}
	c.spawn(dsn, "")
	c.serverUntil(c.as("tenant"), s.Server.ID, "ACTIVE")
	must[any](c, c.as("tenant"), http.MethodDelete, "baremetal-server", "/servers/"+s.Server.ID, nil)
	c.serverUntil(c.as("tenant"), s.Server.ID, "")
}

var (
	timeForm = regexp.MustCompile(`\{"time":"([^"]*?)Z"\}`)
	zoneForm = regexp.MustCompile(`"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)\+00:00"`)
)

// comparable returns a table's rows in an order and a form that are the same whatever the engine.
func (c *testCloud) comparable(file, table string) (rows []string) {
	c.Helper()
	for _, r := range c.rowsOf(file, table)[1:] {
		for i, v := range r {
			if v == true || v == false {
				r[i] = map[any]float64{true: 1, false: 0}[v]
			}
		}
		text, err := json.Marshal(r)
		if err != nil {
			c.Fatal(err)
		}
		text = timeForm.ReplaceAll(text, []byte(`"$1"`))
		rows = append(rows, zoneForm.ReplaceAllString(string(text), `"${1}T$2"`))
	}
	slices.Sort(rows)
	return rows
}
