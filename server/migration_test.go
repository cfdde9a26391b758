package server_test

import (
	"database/sql"
	"os"
	"testing"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	dbtest.Stop()
	os.Exit(code)
}

// TestOlderDatabase takes a flavor, a server and key pairs of the time before the compute service on, and gives them back
// when the schema goes back.
func TestOlderDatabase(t *testing.T) {
	dbtest.EachOlder(t, "../db/migrations", 21, func(t *testing.T, old *sql.DB, dsn string, back func()) {
		ctx := t.Context()
		const at = "'2026-01-01 00:00:00+00:00'"
		for _, stmt := range []string{
			"INSERT INTO flavor VALUES ('f1', 'big', 'baremetal', '[]', 4, 8192, 100, " + at + ")",
			"INSERT INTO keypair VALUES ('p1', 'mine', 'u1', 'ssh-rsa AAAA', 'aa:bb', " + at + ")",
			"INSERT INTO server (id, project_id, user_id, name, flavor_id, image_id, zone, key_name, metadata, nics, state, deleting, fault, node_id, tried, created_at, updated_at) " +
				"VALUES ('s1', 'p1', 'u1', 'web', 'f1', 'i1', '', 'mine', '{}', '[]', 'active', FALSE, '', 'n1', '[]', " + at + ", " + at + ")",
		} {
			if _, err := old.ExecContext(ctx, stmt); err != nil {
				t.Fatal(err)
			}
		}
		d, err := db.Open(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		w := service(t, d)
		if f, err := w.Flavor(ctx, "p1", "f1"); err != nil || f.Private || f.RAM != 8192 {
			t.Errorf("the flavor is %+v, %v", f, err)
		}
		if k, err := w.KeyPair(ctx, "p1", "u1", "mine"); err != nil || k.Fingerprint != "aa:bb" {
			t.Errorf("the key pair is %+v, %v", k, err)
		}
		if s, err := w.Get(ctx, "p1", "s1"); err != nil || s.HostName() != "web" || s.LockedBy != "" {
			t.Errorf("the server is %+v, %v", s, err)
		}
		d.Close()
		back()
		var n int
		if err := old.QueryRowContext(ctx, "SELECT COUNT(*) FROM keypair WHERE project_id = 'p1' AND name = 'mine'").Scan(&n); err != nil || n != 1 {
			t.Errorf("the key pair after going back: %d, %v", n, err)
		}
	})
}
