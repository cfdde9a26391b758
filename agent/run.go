package agent

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

const (
	answerWithin = 30 * time.Second // a claim, which carries the inventory
	beatWithin   = 6 * time.Second  // a heartbeat, beyond the time that the cloud may hold its answer back: a cloud that died is noticed by it
	logWithin    = 10 * time.Second
	giveUpAfter  = 30 * time.Minute // where the cloud names no other
)

// errRevoked is the cause with which an order is cut short when the cloud no longer wants the agent.
var errRevoked = errors.New("the cloud has withdrawn the run")

// agent is one run: from the claim to the machine's restart.
type agent struct {
	Config
	cloud   cloud
	log     *slog.Logger
	journal *journal

	claimed  protocol.Claimed
	heard    time.Time                // the cloud's last answer
	task     *task                    // the order in hand
	finished map[string]protocol.Beat // the reports of orders that ended
	report   *protocol.Beat           // a report that the cloud has not acknowledged yet
	ending   *protocol.Order          // the shutdown, or the rescue system, that was asked for
	login    *ssh.ServerConfig        // of the rescue system
	joined   *joined                  // nil when it is in no swarm; of the order in hand, or of this goroutine when there is none
	tasks    sync.WaitGroup
}

// Run claims the run that the machine was booted for and works until the cloud asks for a restart
// or power off, which it then does and returns nil; or for the rescue system, which it is from then on. When the claim is refused, the run is withdrawn
// or the cloud stays silent for too long, it sends its log home if it can, powers the machine off and returns why
// (Unauthentic, Conflict, Unavailable, …). When ctx ends it stops at once, touches neither disks nor power any more,
// and returns ctx's error.
func Run(ctx context.Context, c Config) error {
	c.ClaimWithin = cmp.Or(c.ClaimWithin, 15*time.Minute)
	c.Stall = cmp.Or(c.Stall, time.Minute)
	c.Pause = cmp.Or(c.Pause, time.Second)
	if c.HTTP == nil {
		c.HTTP = client()
		defer c.HTTP.CloseIdleConnections()
	}
	a := &agent{
		Config: c, cloud: cloud{base: c.API, http: c.HTTP},
		journal: &journal{}, finished: map[string]protocol.Beat{},
	}
	a.log = a.journal.logger(c.Log)
	err := a.claim(ctx)
	if err == nil {
		err = a.serve(ctx)
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	a.log.Error("giving up: the machine powers off", "why", err)
	a.sendLog(ctx)
	return errors.Join(err, fault.Wrap("powering off", a.Machine.PowerOff(ctx)))
}

// claim takes over the run. It is repeated, with the same nonce, while the network is in trouble.
func (a *agent) claim(ctx context.Context) error {
	inventory, err := a.Machine.Inventory(ctx)
	if err != nil {
		return fault.Wrap("reading the inventory", err)
	}
	claim := protocol.Claim{
		Secret: a.Secret, Nonce: rand.Text(), Version: a.Version, BootMode: inventory.BootMode, Inventory: inventory,
	}
	for _, nic := range inventory.NICs {
		claim.MACs = append(claim.MACs, nic.MAC)
	}
	deadline := time.Now().Add(a.ClaimWithin)
	for try := 0; ; try++ {
		call, cancel := context.WithTimeout(ctx, answerWithin)
		a.claimed, err = a.cloud.claim(call, claim)
		cancel()
		if err == nil {
			a.heard = time.Now()
			a.log.Info("claimed the run", "node", a.claimed.Node)
			if a.OnClaim != nil {
				a.OnClaim(a.claimed)
			}
			return nil
		}
		if !fault.Is(err, fault.Unavailable) || time.Now().After(deadline) {
			return err
		}
		a.log.Warn("the claim went unanswered, trying again", "try", try+1, "error", err)
		if err := pause(ctx, a.Pause, try, nil); err != nil {
			return err
		}
	}
}

// serve beats and works until the machine ends.
func (a *agent) serve(ctx context.Context) error {
	defer func() {
		if a.task != nil {
			a.task.cancel(errRevoked)
		}
		a.tasks.Wait()
		a.leaveSwarm(ctx, 0)
	}()
	for failures := 0; ; {
		a.collect(ctx)
		beat := a.next()
		asked := time.Now()
		orders, err := a.beat(ctx, beat)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errOrderEnded):
			continue
		case err != nil && !fault.Is(err, fault.Unavailable):
			return a.refused(ctx, err)
		case err != nil:
			failures++
			if err := a.endure(ctx, failures, err); err != nil {
				return a.refused(ctx, err)
			}
			continue
		}
		failures, a.heard = 0, time.Now()
		if a.report != nil && beat.Done && beat.Order == a.report.Order {
			a.report = nil
			if a.ending != nil && a.ending.ID == beat.Order {
				return a.end(ctx)
			}
		}
		a.take(ctx, orders.Order)
		if err := a.rest(ctx, time.Since(asked)); err != nil {
			return err
		}
	}
}

// patience is how long the cloud may do without an answer.
func (a *agent) patience() time.Duration {
	return cmp.Or(time.Duration(a.claimed.GiveUpSeconds)*time.Second, giveUpAfter)
}

// endure waits after a heartbeat that went unanswered, unless the cloud has been silent for too long.
func (a *agent) endure(ctx context.Context, failures int, why error) error {
	if silent := time.Since(a.heard); silent > a.patience() {
		return fault.E(fault.Unavailable, "the cloud was silent for "+silent.Round(time.Second).String(), why)
	}
	a.log.Warn("no answer to a heartbeat, trying again", "failures", failures, "error", why)
	return pause(ctx, a.Pause, failures-1, a.taskEnded())
}

// collect takes the result of the order in hand when it has ended.
func (a *agent) collect(ctx context.Context) {
	if a.task == nil {
		return
	}
	select {
	case <-a.task.done:
	default:
		return
	}
	end, order := a.task.end, a.task.order
	a.task = nil
	a.finished[end.Order] = end
	a.report = &end
	if end.Error != "" {
		a.log.Error("the order failed", "order", end.Order, "error", end.Error)
		a.sendLog(ctx)
		return
	}
	a.log.Info("the order is done", "order", end.Order)
	if order.Rescue != nil {
		a.ending = order
	}
}

// next is the heartbeat to send now.
func (a *agent) next() protocol.Beat {
	switch {
	case a.report != nil:
		return *a.report
	case a.task != nil:
		return protocol.Beat{Order: a.task.order.ID, Progress: a.task.Progress()}
	}
	return protocol.Beat{}
}

// take begins an order, or reports again one that has ended. What comes while an order is in hand is not
// taken: the cloud hands it over again.
func (a *agent) take(ctx context.Context, o *protocol.Order) {
	if o == nil || o.ID == "" {
		return
	}
	if end, known := a.finished[o.ID]; known {
		a.report = &end
		return
	}
	if a.task != nil || a.report != nil {
		return
	}
	if o.Shutdown != nil {
		a.ending = o
		a.report = &protocol.Beat{Order: o.ID, Done: true}
		return
	}
	a.task = a.start(ctx, o)
}

// refused is what becomes of an agent that the cloud has no answer for any more, for a reason. A rescue system whose
// report was heard, and the acknowledgement lost, has left the cloud's network by then.
func (a *agent) refused(ctx context.Context, why error) error {
	if a.ending != nil && a.ending.Rescue != nil && ctx.Err() == nil {
		return a.end(ctx)
	}
	return why
}

// end carries out the shutdown that was acknowledged, or becomes the rescue system.
func (a *agent) end(ctx context.Context) error {
	a.leaveSwarm(ctx, finishWithin)
	if a.ending.Rescue != nil {
		return a.rescue(ctx)
	}
	if a.ending.Shutdown.Reboot {
		a.log.Info("restarting")
		return fault.Wrap("restarting", a.Machine.Restart(ctx))
	}
	a.log.Info("powering off")
	return fault.Wrap("powering off", a.Machine.PowerOff(ctx))
}

// rest waits until the next heartbeat is due. An idle agent asks again at once when the cloud has held its
// answer back, which is how it paces the agent.
func (a *agent) rest(ctx context.Context, held time.Duration) error {
	every := time.Duration(a.claimed.BeatSeconds) * time.Second
	if every <= 0 {
		every = 5 * time.Second
	}
	switch {
	case a.report != nil:
		return nil
	case a.task == nil && a.claimed.HoldSeconds > 0:
		every = max(0, a.Pause-held)
	}
	return wait(ctx, every, a.taskEnded())
}

// taskEnded is closed when the order in hand has ended; nil, which is never ready, when there is none.
func (a *agent) taskEnded() <-chan struct{} {
	if a.task == nil {
		return nil
	}
	return a.task.done
}

// errOrderEnded says that a heartbeat was cut short because there is an order's end to report.
var errOrderEnded = errors.New("the order in hand has ended")

// beat sends a heartbeat, and cuts it short when the order in hand ends meanwhile: the cloud shall not
// wait for that news as long as it holds back its answer.
func (a *agent) beat(ctx context.Context, beat protocol.Beat) (protocol.Orders, error) {
	call, cancel := context.WithTimeout(ctx, time.Duration(a.claimed.HoldSeconds)*time.Second+beatWithin)
	defer cancel()
	call, cut := context.WithCancelCause(call)
	defer cut(nil)
	if ended := a.taskEnded(); ended != nil {
		stop := make(chan struct{})
		var watch sync.WaitGroup
		watch.Go(func() {
			select {
			case <-ended:
				cut(errOrderEnded)
			case <-stop:
			}
		})
		defer watch.Wait()
		defer close(stop)
	}
	orders, err := a.cloud.beat(call, beat)
	if err != nil && errors.Is(context.Cause(call), errOrderEnded) {
		return orders, errOrderEnded
	}
	return orders, err
}

// sendLog sends the log home, once: what led here may well be the network.
func (a *agent) sendLog(ctx context.Context) {
	if a.cloud.token == "" {
		return
	}
	text := a.journal.Text()
	if k, ok := a.Machine.(KernelLogger); ok {
		kernel := k.KernelLog(ctx)
		if room := (1 << 20) - len(text) - 64; len(kernel) > room {
			kernel = kernel[len(kernel)-room:]
		}
		text = append(append(text, "\n--- kernel ---\n"...), kernel...)
	}
	call, cancel := context.WithTimeout(ctx, logWithin)
	defer cancel()
	if err := a.cloud.log(call, text); err != nil {
		a.log.Warn("the log could not be sent home", "error", err)
	}
}
