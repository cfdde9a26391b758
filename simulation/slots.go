package simulation

import (
	"fmt"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/workflow"
)

// narrow are limits of the simulated cloud, low enough for lines to come about: by pool, for each of its keys.
var narrow = map[string]int{"site": 5, "image-store": 2, "switch": 1, "bmc-network": 2}

// compareSlots checks that no more runs have slots than there are, and that none that has ended has one.
func (s *simulation) compareSlots() {
	for _, row := range s.query("SELECT pool, key, count(*) FROM slot WHERE granted_at > 0 GROUP BY pool, key") {
		if most, limited := narrow[fmt.Sprint(row[0])]; limited && row[2].(int64) > int64(most) {
			s.wrong("%v runs have a slot of %s %s, which bears %d", row[2], row[0], row[1], most)
		}
	}
	for _, row := range s.query("SELECT run.workflow, run.subject, slot.pool FROM slot JOIN run ON run.id = slot.run_id WHERE run.ended_at IS NOT NULL") {
		s.wrong("the run %s of %s has ended, and has a slot of %s", row[0], row[1], row[2])
	}
}

// sampleLines checks that nobody stands in line for long where all that he waits for is free.
func (s *simulation) sampleLines() {
	taken := map[string]int64{}
	for _, row := range s.query("SELECT pool, key, count(*) FROM slot WHERE granted_at > 0 GROUP BY pool, key") {
		taken[fmt.Sprint(row[0], " ", row[1])] = row[2].(int64)
	}
	free := map[workflow.RunID]bool{}
	for _, row := range s.query("SELECT run_id, pool, key FROM slot WHERE granted_at = 0") {
		id, pool := workflow.RunID(fmt.Sprint(row[0])), fmt.Sprint(row[1])
		most, limited := narrow[pool]
		room := !limited || taken[fmt.Sprint(pool, " ", row[2])] < int64(most)
		before, known := free[id]
		free[id] = room && (before || !known)
		s.counts["seconds in line"]++
	}
	lined := map[workflow.RunID]time.Time{}
	for id, room := range free {
		if !room {
			continue
		}
		since, known := s.lined[id]
		if !known || s.disturbed.After(since) {
			since = s.sampled
		}
		if lined[id] = since; s.sampled.Sub(since) > ownerless && !s.o.Quiet {
			s.wrong("the run %s stands in line for %s although all that it waits for is free", id, s.sampled.Sub(since))
		}
	}
	s.lined = lined
}

// keepsSlots is a statement that nobody's slots are given back by.
func keepsSlots(statement string) string {
	if strings.HasPrefix(statement, "DELETE FROM slot ") {
		return strings.Replace(statement, " WHERE ", " WHERE FALSE AND ", 1)
	}
	return statement
}
