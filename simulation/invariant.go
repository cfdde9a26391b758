package simulation

import (
	"database/sql/driver"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/server"
	"github.com/hagane-cloud/hagane/workflow"
)

// seen is a node as its record last was.
type seen struct {
	place node.Place
	owner string
}

// afterCommit compares the records with the world and with the life of a node, whenever one of them has changed.
func (s *simulation) afterCommit(c *session, text string) {
	if subject := workflow.Subject(c.ctx); subject != "" && (strings.Contains(text, `UPDATE "`) || strings.Contains(text, `INSERT INTO "`)) {
		if l := s.leaseOf(subject); l.owner != string(c.who.id) {
			s.wrong("%s records something of %s under a lease that is %s's by now", c.who.name, s.machineOf(subject).name, s.nameOf(l.owner))
		}
	}
	if strings.Contains(text, "river_job") {
		// PostgreSQL notifies those who wait for jobs of a queue. A nudge does not say whose job it is.
		nudged := strings.Contains(text, nudging)
		for _, p := range s.processes {
			p.queue.poked = p.queue.poked || nudged || strings.Contains(text, string(p.id))
		}
	}
	if strings.Contains(text, `"node"`) || strings.Contains(text, `"server"`) || strings.Contains(text, `DELETE FROM "server`) {
		s.compare()
	}
	if strings.Contains(text, "slot") || strings.Contains(text, "ended_at") {
		s.compareSlots()
	}
}

// compare checks what must hold at every moment.
func (s *simulation) compare() {
	servers := map[string][]any{}
	on := map[string]string{}
	for _, row := range s.query("SELECT id, project_id, node_id, state, deleting, fault FROM server") {
		id, n := fmt.Sprint(row[0]), fmt.Sprint(row[2])
		s.owners[id] = fmt.Sprint(row[1])
		servers[id] = []any{row[1], n, row[3], row[4], row[5]}
		if n == "" {
			continue
		}
		if other := on[n]; other != "" {
			s.wrong("the node %s is in two servers, %s and %s", n, other, id)
		}
		on[n] = id
	}
	s.watched = time.Time{}
	rows := s.query(`SELECT node.id, node.state, node.owner, COALESCE(run.phase, ''), COALESCE(run.workflow, ''), node.power_due FROM node LEFT JOIN run ON run.id = node.run_id`)
	now := map[string]seen{}
	for _, row := range rows {
		if due := s.timeOf(row[5]); s.watched.IsZero() || due.Before(s.watched) {
			s.watched = due
		}
		id, owner := fmt.Sprint(row[0]), fmt.Sprint(row[2])
		at := seen{node.Place{State: node.State(fmt.Sprint(row[1])), Failed: fmt.Sprint(row[3]) == string(workflow.Failed)}, owner}
		now[id] = at
		s.compareNode(id, at, fmt.Sprint(row[4]), servers[owner] != nil)
		if id := on[id]; id != "" && owner != id {
			s.wrong("the server %s is on a node that is lent to %q", id, owner)
		}
	}
	s.life = now
	for id, v := range servers {
		s.compareServer(id, v, now)
	}
}

// resting are the states of a node that has no run.
var resting = []node.State{node.Enroll, node.Manageable, node.Available, node.Active, node.Rescue}

// lent are the states in which a node belongs to somebody.
var lent = []node.State{node.Active, node.Rescue, node.Deploying, node.Rebuilding, node.Rescuing, node.Unrescuing, node.Servicing, node.Deleting}

func (s *simulation) compareNode(id string, at seen, run string, owned bool) {
	m := s.machineOf(id)
	if m == nil {
		return // it is just being enrolled
	}
	if slices.Contains(lent, at.place.State) != (at.owner != "") {
		s.wrong("%s is %s and lent to %q", m.name, at.place.State, at.owner)
	}
	if at.owner != "" && !owned && at.place.State != node.Deleting {
		s.wrong("%s is %s and lent to %s, which does not exist", m.name, at.place.State, at.owner)
	}
	if slices.Contains(resting, at.place.State) != (run == "") {
		s.wrong("%s is %s with the run %q", m.name, at.place.State, run)
	}
	for _, w := range node.Works {
		if w.While == at.place.State && run != "" && run != w.Run.Name {
			s.wrong("%s is %s with the run %q", m.name, at.place.State, run)
		}
	}
	was, known := s.life[id]
	if known && was.place != at.place {
		if !leads(was.place, at.place) {
			s.wrong("%s is %s, and was %s: no arrow of its life leads there", m.name, told(at.place), told(was.place))
		}
		s.trace.note("%s is %s", m.name, told(at.place))
		s.counts["a node is "+told(at.place)]++
	}
	if at.place.State == node.Available && was.place.State != node.Available && (len(m.disk.left) > 0 || m.vlan != 0) {
		s.wrong("%s is available with %s, on VLAN %d", m.name, m.disk, m.vlan)
	}
	if known && at.place.State == node.Active && was.place.State != node.Active {
		s.handedOver(m, at.owner, was.place.State)
	}
}

// handedOver checks a machine at the moment at which its server becomes active.
func (s *simulation) handedOver(m *machine, owner string, was node.State) {
	project := s.projectOf(owner)
	for p := range m.disk.left {
		if p != project {
			s.wrong("%s is handed over to %s with data of %s", m.name, project, p)
		}
	}
	if m.disk.config != owner || m.disk.image != s.imageSum {
		s.wrong("%s becomes active from %s for %s with %s", m.name, was, owner, m.disk)
	}
	for _, p := range s.projects {
		if p.id == project && p.network.VLAN != m.vlan {
			s.wrong("%s becomes active for %s on VLAN %d, not %d", m.name, project, m.vlan, p.network.VLAN)
		}
	}
}

func told(p node.Place) string {
	if p.Failed {
		return string(p.State) + " (failed)"
	}
	return string(p.State)
}

// mostArrows is how many arrows of the life one transaction may take: a run ends, its tenant asks for the next thing.
const mostArrows = 3

// leads reports whether arrows of the life lead from one place to another.
func leads(from, to node.Place) bool {
	at := []node.Place{from}
	for range mostArrows {
		var next []node.Place
		for _, p := range at {
			next = append(next, arrows(p)...)
		}
		if slices.Contains(next, to) {
			return true
		}
		at = next
	}
	return false
}

func arrows(from node.Place) []node.Place {
	var out []node.Place
	for _, v := range node.Verbs {
		if slices.Contains(v.From, from) {
			out = append(out, node.Place{State: v.Enter})
		}
	}
	for _, w := range node.Works {
		if w.While != from.State || from.Failed {
			continue
		}
		out = append(out, node.Place{State: w.Then})
		if w.Else != "" {
			out = append(out, node.Place{State: w.Else})
		} else {
			out = append(out, node.Place{State: from.State, Failed: true})
		}
	}
	return out
}

// compareServer checks a server against its node.
func (s *simulation) compareServer(id string, v []any, nodes map[string]seen) {
	n, state, deleting, why := fmt.Sprint(v[1]), server.State(fmt.Sprint(v[2])), fmt.Sprint(v[3]) == "1" || fmt.Sprint(v[3]) == "true", fmt.Sprint(v[4])
	at, on := nodes[n]
	switch {
	case state == server.Failed && why == "":
		s.wrong("the server %s is in error without a word", id)
	case state != server.Failed && !on:
		s.wrong("the server %s is %s on no node", id, state)
	case state == server.Building && at.place.State != node.Deploying && !(deleting && at.place.State == node.Deleting):
		s.wrong("the server %s is building on a node that is %s", id, told(at.place))
	case state == server.Rebuilding && at.place.State != node.Rebuilding && !(deleting && at.place.State == node.Deleting):
		s.wrong("the server %s is rebuilding on a node that is %s", id, told(at.place))
	case deleting && at.place.State != node.Deleting && state == server.Active && !slices.Contains([]node.State{node.Rescuing, node.Unrescuing}, at.place.State):
		s.wrong("the server %s is deleted on a node that is %s", id, told(at.place))
	}
}

// ownerless is how long a run may be without anybody at work on it when its time has come.
const ownerless = 15 * time.Second

// sample looks every second of the simulated time whether the runs have owners.
func (s *simulation) sample() {
	if len(s.failed) > 0 && !s.over {
		s.end()
	}
	if time.Since(s.sampled) < time.Second {
		return
	}
	s.sampled = time.Now()
	s.counts["seconds awake"]++
	if s.store.down || s.store.lossy > 0 || !s.taken() {
		s.disturbed = s.sampled
	}
	at := map[string]bool{}
	for _, p := range s.waiting {
		// Who only asks for the lease is not at work.
		if p.subject != "" && p.who != nil && p.who.lives() && !strings.Contains(p.label, "(*Engine).acquire") {
			at[p.subject] = true
		}
	}
	owned := map[workflow.RunID]time.Time{}
	s.alone = false
	for _, row := range s.query("SELECT id, subject, wake_at FROM run WHERE ended_at IS NULL AND phase <> 'held'") {
		id, subject := workflow.RunID(fmt.Sprint(row[0])), fmt.Sprint(row[1])
		last, known := s.owned[id]
		due := s.timeOf(row[2])
		if !known || at[subject] || due.After(s.sampled) {
			last = s.sampled
		}
		s.alone = s.alone || last.Before(s.sampled)
		if s.disturbed.After(last) {
			last = s.disturbed
		}
		if owned[id] = last; s.sampled.Sub(last) > ownerless && !s.o.Quiet {
			l := s.leaseOf(subject)
			s.wrong("nobody has been at work on the run %s of %s for %s; its time was %s, its lease is %s's until %s", id, s.machineOf(subject).name,
				s.sampled.Sub(last), due.Format(time.TimeOnly), s.nameOf(l.owner), time.UnixMilli(l.expires).UTC().Format(time.TimeOnly))
			owned[id] = s.sampled
		}
	}
	s.owned = owned
	s.sampleLines()
	s.rebooted()

	s.doze(len(owned) == 0)
}

// taken reports whether some conductor takes runs that are alone: one that lives, and takes work as far as an operator wished.
func (s *simulation) taken() bool {
	takers := s.query("SELECT id FROM conductor WHERE NOT draining")
	return slices.ContainsFunc(s.processes, func(p *process) bool {
		return p.drives && p.lives() && slices.ContainsFunc(takers, func(row []driver.Value) bool { return fmt.Sprint(row[0]) == string(p.id) })
	})
}

// rebooted checks that servers were restarted whose reboot was asked for and is done.
func (s *simulation) rebooted() {
	for _, id := range slices.Sorted(maps.Keys(s.reboots)) {
		rows := s.query("SELECT phase, ended_at IS NULL FROM run WHERE id = '" + id + "'")
		if len(rows) == 0 || fmt.Sprint(rows[0][1]) == "1" {
			continue
		}
		if r := s.reboots[id]; fmt.Sprint(rows[0][0]) == string(workflow.Done) && r.m.boots+r.m.ignored == r.boots {
			s.wrong("the reboot of %s is done, and it was never restarted", r.m.name)
		}
		delete(s.reboots, id)
	}
}

// timeOf reads a time as the database keeps it.
func (s *simulation) timeOf(v driver.Value) time.Time {
	switch v := v.(type) {
	case time.Time:
		return v
	case string:
		if t, err := time.Parse("2006-01-02 15:04:05.999999-07:00", v); err == nil {
			return t
		}
	}
	s.wrong("%v is no time", v)
	return time.Time{}
}

// doze has all processes stand still while nothing is under way and nobody will ask for anything soon: their beats would find nothing to
// do, a hundred thousand times a day.
func (s *simulation) doze(idle bool) {
	const worth, before = 25 * time.Second, 5 * time.Second
	if !idle || s.over {
		return
	}
	var soonest time.Time
	for _, p := range s.waiting {
		if p.who == nil && (soonest.IsZero() || p.due.Before(soonest)) {
			soonest = p.due
		}
	}
	if soonest.IsZero() || time.Until(soonest) < worth || s.store.holder != nil {
		return
	}
	until := soonest.Add(-before)
	for _, p := range s.processes {
		if p.paused.Before(until) {
			p.paused = until
		}
	}
	s.disturbed = soonest
	s.trace.line("nothing is under way: all stand still until %s", until.Format(time.TimeOnly))
}

// judge checks at the end of a day, or of all, that every record is explained by its history.
func (s *simulation) judge(when string) {
	s.compare()
	for _, m := range s.machines {
		s.explained(m, when)
	}
	for _, row := range s.query("SELECT id, state, deleting FROM server WHERE id NOT IN (SELECT server_id FROM server_action WHERE name = 'create')") {
		s.wrong("%s: nothing tells who made the server %s", when, row[0])
	}
	for _, row := range s.query("SELECT id FROM server WHERE deleting AND id NOT IN (SELECT server_id FROM server_action WHERE name = 'delete')") {
		s.wrong("%s: nothing tells who deletes the server %s", when, row[0])
	}
	for _, row := range s.query("SELECT subject, count(*) FROM run WHERE ended_at IS NULL GROUP BY subject HAVING count(*) > 1") {
		s.wrong("%s: the node %s has %v live runs", when, row[0], row[1])
	}
	for _, row := range s.query("SELECT run.id, run.visit, count(run_step.visit) FROM run LEFT JOIN run_step ON run_step.run_id = run.id WHERE run.ended_at IS NOT NULL GROUP BY run.id HAVING count(run_step.visit) <> run.visit") {
		s.wrong("%s: the run %s took %v steps, and its history has %v", when, row[0], row[1], row[2])
	}
}

// explained checks that the last run of a node's life leads to the state that it is in.
func (s *simulation) explained(m *machine, when string) {
	rows := s.query(`SELECT workflow, phase, ended_at IS NOT NULL FROM run WHERE subject = '` + m.node + `' AND workflow IN (` + lifeRuns() + `) ORDER BY created_at DESC, id LIMIT 1`)
	if len(rows) == 0 {
		return
	}
	last, phase, over := fmt.Sprint(rows[0][0]), workflow.Phase(fmt.Sprint(rows[0][1])), fmt.Sprint(rows[0][2]) == "1"
	at := s.life[m.node].place
	for _, w := range node.Works {
		if w.Run.Name != last {
			continue
		}
		then := node.Place{State: w.Then}
		switch {
		case !over:
			then = node.Place{State: w.While}
		case phase == workflow.Failed && w.Else != "":
			then = node.Place{State: w.Else}
		case phase == workflow.Failed:
			then = node.Place{State: w.While, Failed: true}
		}
		// An operator's "manage" takes a node without a run.
		if at != then && !(slices.Contains(arrows(then), at) && at.State == node.Manageable) {
			s.wrong("%s: %s is %s, and its last run %s is %s", when, m.name, told(at), last, phase)
		}
	}
}

func lifeRuns() string {
	names := map[string]bool{}
	for _, w := range node.Works {
		names["'"+w.Run.Name+"'"] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), ", ")
}
