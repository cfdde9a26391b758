package db

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	versionForm = regexp.MustCompile(`^(\d+)_`)
	spaces      = regexp.MustCompile(`\s+`)
	harmless    = regexp.MustCompile(`(?i)^(CREATE (UNIQUE )?(TABLE|INDEX|FUNCTION|TRIGGER)|INSERT INTO|UPDATE) `)
	added       = regexp.MustCompile(`(?i)^ALTER TABLE \w+ ADD COLUMN `)
	strict      = regexp.MustCompile(`(?i)\bNOT NULL\b`)
	byDefault   = regexp.MustCompile(`(?i)\bDEFAULT\b`)
	unindexed   = regexp.MustCompile(`(?i)^DROP INDEX (\w+)$`)
	unique      = regexp.MustCompile(`(?i)CREATE UNIQUE INDEX (\w+)`)
)

// mayRunUnder reports why a statement would disturb an older program that is at work, or "". Without an index it is slower at most, unless
// that is one of the uniques.
func mayRunUnder(statement string, uniques []string) string {
	s := strings.TrimSpace(spaces.ReplaceAllString(statement, " "))
	index := unindexed.FindStringSubmatch(s)
	switch {
	case s == "", harmless.MatchString(s), index != nil && !slices.Contains(uniques, index[1]):
		return ""
	case !added.MatchString(s):
		return "an older program may use what it takes away"
	case strict.MatchString(s) && !byDefault.MatchString(s):
		return "an older program's inserts do not give the column"
	}
	return ""
}

// TestMigrationsExpand reads all newer migrations: while processes are upgraded one by one, older ones work on the new schema. What
// nobody uses any more is taken away by a later version, in a migration whose first line says since when: "-- contract: since VERSION".
func TestMigrationsExpand(t *testing.T) {
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	var uniques []string
	for _, f := range files {
		raw, err := migrations.ReadFile("migrations/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range unique.FindAllStringSubmatch(string(raw), -1) {
			uniques = append(uniques, m[1])
		}
		n := versionForm.FindStringSubmatch(f.Name())
		if n == nil {
			t.Errorf("%s has no version", f.Name())
			continue
		}
		if len(n[1]) != 4 || n[1] <= "0024" { // from before processes were upgraded one by one
			continue
		}
		text := string(raw)
		if strings.HasPrefix(text, "-- contract: since ") {
			continue
		}
		_, text, _ = strings.Cut(text, "-- +goose Up")
		text, _, _ = strings.Cut(text, "-- +goose Down")
		for _, s := range strings.Split(regexp.MustCompile(`(?m)--.*$`).ReplaceAllString(text, ""), ";") {
			if why := mayRunUnder(s, uniques); why != "" {
				t.Errorf("%s: %s: %s", f.Name(), strings.TrimSpace(s), why)
			}
		}
	}
	for s, ok := range map[string]bool{
		"ALTER TABLE a ADD COLUMN b TEXT NOT NULL DEFAULT ''": true, "ALTER TABLE a ADD COLUMN b TEXT": true, "CREATE INDEX a ON b (c)": true,
		"ALTER TABLE a ADD COLUMN b TEXT NOT NULL": false, "DROP TABLE a": false, "ALTER TABLE a RENAME COLUMN b TO c": false, "ALTER TABLE a DROP COLUMN b": false,
		"DELETE FROM a": false, "DROP INDEX a": true, "DROP INDEX only": false, "ALTER TABLE a ALTER COLUMN b TYPE TEXT": false,
	} {
		if (mayRunUnder(s, []string{"only"}) == "") != ok {
			t.Errorf("%s: %v", s, !ok)
		}
	}
}
