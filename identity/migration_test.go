package identity_test

import (
	"database/sql"
	"testing"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/identity"
)

// The argon2id hash of "old password", as an older release kept it.
const oldHash = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$"

// TestOlderDatabase takes users, projects, grants and application credentials of the time before there were domains on, and
// gives them back when the schema goes back.
func TestOlderDatabase(t *testing.T) {
	dbtest.EachOlder(t, "../db/migrations", 9, func(t *testing.T, old *sql.DB, dsn string, back func()) {
		ctx := t.Context()
		for _, stmt := range []string{
			"INSERT INTO project VALUES ('p1', 'admin', '', TRUE, '2026-01-01 00:00:00+00:00')",
			"INSERT INTO account VALUES ('u1', 'admin', 'a@example.com', '', '" + oldHash + "', TRUE, 'p1', '2026-01-01 00:00:00+00:00')",
			"INSERT INTO grants VALUES ('u1', 'p1', 'admin'), ('u1', 'system', 'reader')",
			"INSERT INTO app_credential VALUES ('c1', 'u1', 'p1', 'robot', '', 'x', '[\"admin\",\"reader\"]', FALSE, NULL, '2026-01-01 00:00:00+00:00')",
		} {
			if _, err := old.ExecContext(ctx, stmt); err != nil {
				t.Fatal(err)
			}
		}
		d, err := db.Open(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		s := service(t, d, identity.Policy{})
		u := must(s.User(ctx, "u1"))(t)
		if u.DomainName != identity.DomainName || u.Password != oldHash || u.DefaultProjectID != "p1" {
			t.Errorf("the user is %+v", u)
		}
		ps := must(s.ProjectsOf(ctx, "u1", false, identity.Query{}))(t)
		if len(ps) != 1 || ps[0].ID != "p1" || ps[0].ParentID != identity.DomainID {
			t.Errorf("the user's projects are %+v", ps)
		}
		as := must(s.Assignments(ctx, identity.AssignmentQuery{User: "u1"}))(t)
		if len(as) != 2 || as[0].RoleID != identity.Admin || as[1].RoleID != identity.Reader || as[1].Target != identity.System {
			t.Errorf("the grants are %+v", as)
		}
		c := must(s.AppCredential(ctx, "u1", "c1"))(t)
		if len(c.Roles) != 2 || c.Roles[0] != identity.Admin || c.Roles[1] != identity.Reader || c.Rules != nil {
			t.Errorf("the application credential is %+v", c)
		}
		d.Close()
		back()
		var grants int
		if err := old.QueryRowContext(ctx, "SELECT count(*) FROM grants JOIN account ON account.id = account_id JOIN project ON project.id = target WHERE role = 'admin'").Scan(&grants); err != nil || grants != 1 {
			t.Errorf("after going back there are %d grants, %v", grants, err)
		}
	})
}
