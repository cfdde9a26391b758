package simulation

import (
	"context"
	"fmt"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/server"
	"github.com/hagane-cloud/hagane/workflow"
)

// note tells what came of something that somebody asked for.
func (s *simulation) told(who, what string, err error) {
	word := "done"
	if err != nil {
		word = fault.KindOf(err).String()
	}
	s.counts[what+": "+word]++
	if err != nil {
		s.trace.note("%s: %s: %v", who, what, err)
		return
	}
	s.trace.note("%s: %s", who, what)
}

// tenant asks for some things in a row, as people do who sit down to work.
func (s *simulation) tenant(p *project, sitting int) {
	who := fmt.Sprintf("tenant %s.%d", p.id[30:], sitting)
	s.sleep(who, 0, 90*time.Second)
	for range 1 + s.draw.IntN(3) {
		if s.over || !s.troubled && !s.o.Quiet {
			return
		}
		s.request(p, who)
		s.sleep(who, time.Second, 45*time.Second)
	}
}

// request is one thing that a tenant wants.
func (s *simulation) request(p *project, who string) {
	const most = 3
	mine := s.query("SELECT id, state, node_id FROM server WHERE project_id = '" + p.id + "' ORDER BY id")
	if len(mine) == 0 || (len(mine) < most && s.chance(3)) {
		s.create(p, who)
		return
	}
	row := mine[s.draw.IntN(len(mine))]
	id, state := server.ID(fmt.Sprint(row[0])), fmt.Sprint(row[1])
	what := oneOf(s.turnstile, "delete", "delete", "start", "stop", "reboot", "rebuild", "rename")
	if state == string(server.Failed) && s.chance(2) {
		what = "delete"
	}
	if s.chance(25) {
		what = "rescue" // seldom: the password's hash is slow on purpose
	}
	if n := fmt.Sprint(row[2]); n != "" && len(s.query("SELECT 1 FROM node WHERE id = '"+n+"' AND state = 'rescue'")) > 0 {
		what = "unrescue"
	}
	m, boots := s.machineOf(fmt.Sprint(row[2])), 0
	if m != nil {
		boots = m.boots + m.ignored
	}
	err := s.ask(who, func(ctx context.Context, a *process) error {
		switch what {
		case "delete":
			return a.servers.Delete(ctx, p.id, id)
		case "start":
			return a.servers.SetPower(ctx, p.id, id, bmc.PowerOn)
		case "stop":
			return a.servers.SetPower(ctx, p.id, id, bmc.PowerOff)
		case "reboot":
			return a.servers.SetPower(ctx, p.id, id, bmc.Reset)
		case "rename":
			name := who
			return a.servers.Edit(ctx, p.id, id, server.Change{Name: &name})
		case "rescue":
			_, err := a.servers.Rescue(ctx, p.id, id, "")
			return err
		case "unrescue":
			return a.servers.Unrescue(ctx, p.id, id)
		}
		_, _, err := a.servers.Rebuild(ctx, p.id, who, id, server.Anew{ImageID: s.image})
		return err
	})
	s.told(who, what, err)
	if err == nil && what == "reboot" && m != nil {
		for _, run := range s.query("SELECT id FROM run WHERE subject = '" + m.node + "' AND workflow = 'power/1' ORDER BY created_at DESC LIMIT 1") {
			s.reboots[fmt.Sprint(run[0])] = reboot{m, boots}
		}
	}
}

func (s *simulation) create(p *project, who string) {
	err := s.ask(who, func(ctx context.Context, a *process) error {
		_, _, err := a.servers.Create(ctx, server.Wanted{ProjectID: p.id, UserID: who, Name: "server", FlavorID: s.flavor, ImageID: s.image,
			Networks: []server.WantedNIC{{NetworkID: p.network.ID}}})
		return err
	})
	s.told(who, "create", err)
}

// operator looks after the cloud: repairs what is held, and now and then meddles.
func (s *simulation) operator(sitting int) {
	who := fmt.Sprintf("operator.%d", sitting)
	s.sleep(who, 0, time.Minute)
	for range 2 + s.draw.IntN(3) {
		if s.over || !s.troubled && !s.o.Quiet {
			return
		}
		s.repair(who)
		if s.chance(2) {
			s.meddle(who)
		}
		s.sleep(who, 10*time.Second, 50*time.Second)
	}
}

// repair brings nodes back that failed or are held.
func (s *simulation) repair(who string) {
	for _, row := range s.query("SELECT id FROM conductor WHERE draining AND seen > 0") {
		id := workflow.Holder(fmt.Sprint(row[0]))
		s.asked(who, "have "+s.nameOf(string(id))+" take work again", func(ctx context.Context, p *process) error { return p.engine.Drain(ctx, id, false) })
	}
	rows := s.query(`SELECT node.id, node.name, node.state, node.holds, COALESCE(run.phase, '') FROM node LEFT JOIN run ON run.id = node.run_id ORDER BY node.name`)
	for _, row := range rows {
		id, state, phase := node.ID(fmt.Sprint(row[0])), node.State(fmt.Sprint(row[2])), workflow.Phase(fmt.Sprint(row[4]))
		holds := fmt.Sprint(row[3])
		switch {
		case phase == workflow.Held:
			s.asked(who, fmt.Sprint("release the run of ", row[1]), func(ctx context.Context, p *process) error {
				return p.nodes.Steer(ctx, id, node.RunRelease, who, "")
			})
		case holds != "[]" && holds != "null" && holds != "<nil>" && holds != "":
			s.asked(who, fmt.Sprint("lift the holds of ", row[1]), func(ctx context.Context, p *process) error { return p.nodes.Release(ctx, id) })
		case phase == workflow.Failed:
			verb := map[node.State]string{node.Inspecting: "manage", node.Cleaning: "manage", node.Deleting: "undeploy"}[state]
			if verb != "" {
				s.asked(who, fmt.Sprint(verb, " ", row[1]), func(ctx context.Context, p *process) error { return p.nodes.Do(ctx, id, verb) })
			}
		case state == node.Enroll:
			s.asked(who, fmt.Sprint("manage ", row[1]), func(ctx context.Context, p *process) error { return p.nodes.Do(ctx, id, "manage") })
		case state == node.Manageable:
			s.asked(who, fmt.Sprint("provide ", row[1]), func(ctx context.Context, p *process) error { return p.nodes.Do(ctx, id, "provide") })
		}
	}
}

func (s *simulation) asked(who, what string, fn func(ctx context.Context, p *process) error) {
	s.told(who, what, s.ask(who, fn))
}

// meddle does something to a node or a run that nobody had to.
func (s *simulation) meddle(who string) {
	m := oneOf(s.turnstile, s.machines...)
	what := oneOf(s.turnstile, "abort", "hold", "retry", "skip", "put a hold on", "manage", "inspect", "drain")
	s.asked(who, what+" "+m.name, func(ctx context.Context, p *process) error {
		id := node.ID(m.node)
		switch what {
		case "abort", "hold", "retry", "skip":
			return p.nodes.Steer(ctx, id, what, who, "the operator meddles")
		case "put a hold on":
			return p.nodes.Hold(ctx, id, node.Hold{Category: "operator", By: who, Reason: "meddling"})
		case "drain":
			c := oneOf(s.turnstile, s.processes[apis:]...)
			return p.engine.Drain(ctx, c.id, s.chance(2))
		}
		return p.nodes.Do(ctx, id, what)
	})
}
