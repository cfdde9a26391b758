package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// How a button that has no effect is pressed again. A press every ten looks; the third goes by another
// protocol where the BMC has one; before the fifth the BMC is restarted, at most once an hour. After that the step's
// time runs out, and the node fails with what was tried.
const (
	again        = 10
	otherPath    = 2
	restartBMC   = 4
	restartEvery = time.Hour
	restartFact  = "bmc restarted"
)

// reach brings the power to want, pressing the button only on a difference that was read. before is
// called ahead of each press.
func (j *Job) reach(ctx context.Context, want bmc.Power, a bmc.Action, before func(ctx context.Context, d *bmc.Composed) error) error {
	got, err := j.power(ctx)
	if err != nil {
		return err
	}
	if got == bmc.Unknown {
		return workflow.Polling("the BMC to know the power state", j.soon())
	}
	if got == want {
		if times, _ := j.presses(); before == nil || times > 0 {
			return nil
		}
		return j.onByItself(ctx, before)
	}
	if times, last := j.presses(); times == 0 || j.Run.Attempt-last >= again {
		d, err := j.BMC(ctx)
		if err != nil {
			return err
		}
		if err := j.escalate(ctx, d, want, times); err != nil {
			return err
		}
		if before != nil {
			if err := before(ctx, d); err != nil {
				return err
			}
		}
		if err := j.press(ctx, d, a); err != nil {
			return err
		}
		if j.imaginary() { // it obeys at once
			if got, err := j.power(ctx); err != nil || got == want {
				return err
			}
		}
	}
	return workflow.Polling(fmt.Sprintf("the power to be %s", want), j.soon())
}

// pressFact remembers how often the button was pressed in the step in hand, and at which attempt last. A press that
// failed does not count: it is tried again at the next attempt.
const pressFact = "pressed"

// presses returns how often the button was pressed in this step, and at which attempt last.
func (j *Job) presses() (times, last int64) {
	var step string
	if n, err := fmt.Sscan(j.kept(j.Node).Memory.Get(pressFact), &step, &times, &last); n != 3 || err != nil || step != j.stepKey() {
		return 0, 0
	}
	return times, last
}

func (j *Job) stepKey() string { return fmt.Sprintf("%s/%d", j.Run.ID, j.Run.Visit) }

func (j *Job) notePress() {
	times, _ := j.presses()
	j.kept(j.Node).Memory.Set(pressFact, fmt.Sprint(j.stepKey(), " ", times+1, " ", j.Run.Attempt))
}

// press presses a button. That it does is recorded first: a conductor that takes over in between finds the server as the press left
// it, and does not take it for somebody else's finger.
func (j *Job) press(ctx context.Context, d *bmc.Composed, a bmc.Action) error {
	memory := j.kept(j.Node).Memory
	before := memory.Get(pressFact)
	j.notePress()
	if !j.imaginary() {
		memory.Save(ctx)
	}
	if err := d.SetPower(ctx, a); err != nil {
		memory.Set(pressFact, before)
		j.keepTrace(ctx, err)
		return fault.Wrap(string(a), err)
	}
	return nil
}

// looksAtOn is how many looks in a row a server must show to be on that should be off, before that is believed.
const looksAtOn = 3

// onByItself meets a server that is on before this step has started it, though an earlier step left it off: a BMC
// that shows an old state or a wrong one, or somebody else's finger. It is looked at again; a server that stays
// on is reset into what it has to boot.
func (j *Job) onByItself(ctx context.Context, before func(ctx context.Context, d *bmc.Composed) error) error {
	if j.Run.Attempt < looksAtOn {
		return workflow.Polling("another look at a server that is on and should be off", j.soon())
	}
	d, err := j.BMC(ctx)
	if err != nil {
		return err
	}
	if err := j.tell(ctx, "power", "the server was on before it was started; it is reset"); err != nil {
		return err
	}
	if err := before(ctx, d); err != nil {
		return err
	}
	if err := j.press(ctx, d, bmc.Reset); err != nil {
		return err
	}
	return workflow.Polling("the power to be on", j.soon())
}

// escalate goes to stronger means when a button was pressed without effect, and says so in the node's history.
func (j *Job) escalate(ctx context.Context, d *bmc.Composed, want bmc.Power, pressed int64) error {
	switch pressed {
	case otherPath:
		if other := d.Other(bmc.CanPower); other != "" {
			return j.tell(ctx, "power", fmt.Sprintf("the BMC accepted %d presses and the power is not %s; trying by %s", pressed, want, other))
		}
	case restartBMC:
		last, _ := time.Parse(time.RFC3339, j.Node.Device[restartFact])
		if db.Since(last) < restartEvery {
			return j.tell(ctx, "power", fmt.Sprintf("the BMC accepted %d presses and the power is not %s; it was restarted less than an hour ago and is left alone", pressed, want))
		}
		if err := d.RestartBMC(ctx, bmc.Cold); err != nil {
			return j.tell(ctx, "power", "the BMC obeys no press and can not be restarted: "+err.Error())
		}
		j.kept(j.Node).Memory.Set(restartFact, db.Now().Format(time.RFC3339))
		if err := j.tell(ctx, "power", fmt.Sprintf("the BMC accepted %d presses and the power is not %s; the BMC was restarted", pressed, want)); err != nil {
			return err
		}
		return workflow.Polling("the BMC to come back from its restart", backAgain)
	}
	return nil
}

// backAgain is when a BMC that was restarted is looked at next.
const backAgain = 30 * time.Second

// tell keeps an event in the node's history.
func (j *Job) tell(ctx context.Context, kind, text string) error {
	return j.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error { return j.note(ctx, tx, j.Node.ID, kind, text) })
}

// drawn returns the largest power draw that a sensor shows, in watts; 0 when none does. It votes for nothing: some
// BMCs show the last reading of a server that is off.
func drawn(ctx context.Context, d *bmc.Composed) float64 {
	all, err := d.Sensors(ctx)
	if err != nil {
		return 0
	}
	var most float64
	for _, s := range all {
		if s.Kind == "power" && s.Value != nil {
			most = max(most, *s.Value)
		}
	}
	return most
}

// drawsWhenOn is from which power draw on a server does not look like one that is off: in standby servers draw up to 30 W.
const drawsWhenOn = 50

// links tells whether the switch sees the server's NICs, and whether it sees any. It proves nothing, as NICs that wait to be woken keep
// their link; but it helps whoever has to decide.
func (j *Job) links(ctx context.Context) (words []string, seen bool) {
	for _, p := range j.Ports {
		if p.Switch == "" || p.Port == "" {
			continue
		}
		up, err := j.Network.Linked(ctx, p.Switch, p.Port)
		switch {
		case err != nil:
			words = append(words, "the switch does not tell of "+p.Port)
		case up:
			seen = true
			words = append(words, "the link of "+p.Port+" is up")
		default:
			words = append(words, "the link of "+p.Port+" is down")
		}
	}
	return words, seen
}

// offIsDenied reports whether power draw and link together speak against a server that is off. Each alone is no reason: the draw may be
// an old reading, and the link that of a card that waits to be woken. They cast doubt and decide nothing: where both are wrong, the
// node could never be handed over.
func offIsDenied(p bmc.Power, watts float64, linked bool) bool {
	return p == bmc.Off && watts >= drawsWhenOn && linked
}

// stillOn starts a server again that is off while its agent is waited for: its BMC had said that it was on.
func (j *Job) stillOn(ctx context.Context) error {
	if j.Run.Attempt == 0 {
		return nil
	}
	p, err := j.power(ctx)
	if err != nil || p != bmc.Off {
		return err
	}
	d, err := j.BMC(ctx)
	if err != nil {
		return err
	}
	if err := j.tell(ctx, "power", "the server was off while its agent was waited for; it is started again"); err != nil {
		return err
	}
	if err := j.bootOver(ctx, d); err != nil {
		return err
	}
	return fault.Wrap(string(bmc.PowerOn), d.SetPower(ctx, bmc.PowerOn))
}

// witnesses asks all paths for the power, and the agent's last heartbeat, and returns the state that they agree
// on: Unknown when they contradict each other or nobody knows. What they said is kept.
func (j *Job) witnesses(ctx context.Context) (bmc.Power, error) {
	d, err := j.BMC(ctx)
	if err != nil {
		return bmc.Unknown, err
	}
	agreed, count := bmc.Unknown, 0
	var words []string
	hear := func(who string, p bmc.Power) {
		words = append(words, who+" says "+string(p))
		if p == bmc.Unknown {
			return
		}
		if count == 0 {
			agreed = p
		} else if p != agreed {
			agreed = bmc.Unknown
		}
		count++
	}
	var failed error
	for _, s := range d.Witness(ctx) {
		if s.Err != nil {
			words = append(words, s.Witness+" does not answer")
			failed = s.Err
			continue
		}
		hear(s.Witness, s.Power)
	}
	if count == 0 && failed != nil {
		return bmc.Unknown, failed
	}
	a, err := agentOf(ctx, j.DB.Read(), j.Node.ID)
	if err != nil {
		return bmc.Unknown, err
	}
	if a != nil && a.Wanted && a.SeenAt.After(db.Now().Add(-beatSeconds*time.Second)) {
		hear("a heartbeat of the agent", bmc.On)
	}
	denied := false
	if !j.imaginary() {
		watts := drawn(ctx, d)
		if watts > 0 {
			words = append(words, fmt.Sprintf("the power draw is %.0f W", watts))
		}
		links, linked := j.links(ctx)
		words = append(words, links...)
		denied = offIsDenied(agreed, watts, linked)
	}
	sure := Told
	switch {
	case count > 1 && agreed == bmc.Unknown, denied:
		sure = Doubtful
	case count > 1:
		sure = Agreed
	}
	evidence := strings.Join(words, ", ")
	if sure == Doubtful {
		t, err := j.Truth(ctx, j.Node.ID, "power")
		if err != nil {
			return bmc.Unknown, err
		}
		if t == nil || t.Confidence != Doubtful {
			if err := j.tell(ctx, "power", "witnesses contradict each other: "+evidence); err != nil {
				return bmc.Unknown, err
			}
		}
	}
	return agreed, j.found(ctx, "power", agreed, evidence, sure)
}
