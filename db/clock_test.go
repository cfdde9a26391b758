package db_test

import (
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
)

// TestClocksOfHosts opens one database from hosts whose clocks are wrong by minutes: all keep to the database's.
func TestClocksOfHosts(t *testing.T) {
	dsn := dbtest.PostgresURL(t)
	defer db.SetClock(time.Now)
	for _, wrong := range []time.Duration{-7 * time.Minute, 3 * time.Hour, 0} {
		db.SetClock(func() time.Time { return time.Now().Add(wrong) })
		d, err := db.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		if off := time.Since(db.Now()).Abs(); off > 2*time.Second {
			t.Errorf("a host that is %s off keeps a time that is %s off", wrong, off)
		}
		if age := db.Since(db.Now().Add(-time.Minute)); (age - time.Minute).Abs() > time.Second {
			t.Errorf("a minute is %s", age)
		}
		d.Close()
	}
}
