package node

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// The cloud's own networks that a node is plugged into while the agent is at work.
const (
	Provisioning   = "provisioning"
	CleaningNet    = "cleaning"
	isolatedVLAN   = 0
	heartbeatLimit = 3 * time.Minute // silence after which an agent counts as lost
)

// joinProvisioning plugs the boot port into the provisioning network and isolates the others.
func joinProvisioning(ctx context.Context, j *Job) error { return j.join(ctx, Provisioning) }

// joinCleaning does the same with the cleaning network: a machine that may still run a tenant's
// firmware or disk never meets one that is being provisioned.
func joinCleaning(ctx context.Context, j *Job) error { return j.join(ctx, CleaningNet) }

func (j *Job) join(ctx context.Context, network string) error {
	if j.imaginary() {
		return nil
	}
	boot, err := j.pxePort()
	if err != nil {
		return err
	}
	vlan, err := j.Network.SystemVLAN(ctx, network)
	if err != nil {
		return err
	}
	return j.place(ctx, func(p *Port) int {
		if p.ID == boot.ID {
			return vlan
		}
		return isolatedVLAN
	})
}

// leaveNetworks isolates every port. The power is cut first: a machine that loses its network while
// it runs may do anything.
func leaveNetworks(ctx context.Context, j *Job) error {
	if err := powerOff(ctx, j); err != nil {
		return err
	}
	return j.place(ctx, func(*Port) int { return isolatedVLAN })
}

// bootAgent lets the node boot the agent's ramdisk, over the network or from a CD that the BMC shows. The node was off before.
func bootAgent(ctx context.Context, j *Job) error {
	if j.imaginary() {
		return j.reach(ctx, bmc.On, bmc.PowerOn, nil)
	}
	if err := j.wantAgent(ctx); err != nil {
		return err
	}
	return j.reach(ctx, bmc.On, bmc.PowerOn, j.bootOver)
}

// bootOver makes the next boot that of the agent.
func (j *Job) bootOver(ctx context.Context, d *bmc.Composed) error {
	if j.Node.BootBy == ByMedia {
		return j.bootMedium(ctx, d)
	}
	err := d.SetBoot(ctx, bmc.Boot{Device: bmc.PXE, Persistent: j.lastingBoot(), Mode: j.Node.BootMode})
	return fault.Wrap("setting the boot device to the network", err)
}

// lastingFact remembers that this node came to boot the agent only when its boot device was set to stay: firmware of
// Supermicro X12 (redhat-performance/jetlag issue 18) ignores one that is set for the next boot alone.
const lastingFact = "boots the agent by a lasting boot device"

// lastingBoot reports whether the boot device has to be set to stay.
func (j *Job) lastingBoot() bool { return j.kept(j.Node).Memory.Get(lastingFact) != "" }

// bootAnew is bootOver for a node whose agent did not come. A CD that the BMC may have lost is shown again, and the
// boot device is set the other way: to stay, or no longer. What it was when the agent called is remembered.
func (j *Job) bootAnew(ctx context.Context, d *bmc.Composed) error {
	way, word := "", "for once"
	if !j.lastingBoot() {
		way, word = "yes", "to stay"
	}
	j.kept(j.Node).Memory.Set(lastingFact, way)
	if err := j.tell(ctx, "boot", "the agent did not call; the boot device is set "+word+" and the server reset"); err != nil {
		return err
	}
	if j.Node.BootBy == ByMedia {
		if err := j.noteMedium(ctx, Agent{}, "slot"); err != nil {
			return err
		}
	}
	return j.bootOver(ctx, d)
}

// releaseBoot takes back a boot device that was set to stay.
func (j *Job) releaseBoot(ctx context.Context) error {
	if j.imaginary() || !j.lastingBoot() {
		return nil
	}
	d, err := j.BMC(ctx)
	if err != nil {
		return err
	}
	err = d.SetBoot(ctx, bmc.Boot{Device: bmc.None})
	if err != nil && !bmc.Passing(err) {
		return j.tell(ctx, "boot", "the agent's boot device could not be taken back: "+err.Error())
	}
	return fault.Wrap("taking the agent's boot device back", err)
}

// agentWithin is how long a node that was told to boot the agent may be silent before it is told again:
// firmware forgets boot overrides, PXE gives up after a lost packet, and BMCs lose the image behind a virtual CD.
const agentWithin = 5 * time.Minute

// installsSlowly is how many times as long a server may be silent that came to new firmware with this boot: it tests itself anew, and
// some put capsules into force that no task tells of.
const installsSlowly = 3

// looksWithin is how often a silent node is looked at in that time.
const looksWithin = 20

// patience returns how long the agent may be silent, and the time between looks.
func (s *Service) patience() (within, poll time.Duration) {
	within = cmp.Or(s.AgentWithin, agentWithin)
	return within, within / looksWithin
}

// heardFromAgent waits for the agent to claim the run.
func heardFromAgent(ctx context.Context, j *Job) error {
	if j.imaginary() {
		return nil
	}
	a, err := agentOf(ctx, j.DB.Read(), j.Node.ID)
	if err != nil {
		return err
	}
	if a != nil && a.RunID == j.Run.ID && a.Token != "" {
		return j.calledFrom(ctx, a)
	}
	installs, err := j.installing(ctx)
	if err != nil {
		return err
	}
	if err := j.stillOn(ctx); err != nil {
		return err
	}
	// The waiting's polls come at a fixed rhythm, so their count tells when the time is up even across restarts.
	within, poll := j.patience()
	if installs {
		within, poll = within*installsSlowly, poll*installsSlowly
	}
	if j.Run.Attempt > 0 && j.Run.Attempt%looksWithin == 0 && db.Since(j.Run.StepAt) > within*9/10 {
		d, err := j.BMC(ctx)
		if err != nil {
			return err
		}
		if err := j.tell(ctx, "boot", fmt.Sprintf("the agent did not call within %s; the node is reset and told again", within)); err != nil {
			return err
		}
		if err := j.bootAnew(ctx, d); err != nil {
			return err
		}
		if err := d.SetPower(ctx, bmc.Reset); err != nil {
			return fault.Wrap("resetting a node whose agent does not call", err)
		}
	}
	return workflow.Polling("the agent to call", poll)
}

// calledFrom keeps what the server booted from, and in which mode: the agent's call is the proof of it that no BMC can give.
func (j *Job) calledFrom(ctx context.Context, a *Agent) error {
	b, sure := bmc.Boot{Device: bmc.PXE, Mode: bmc.Mode(a.BootMode)}, Proven
	if j.Node.BootBy == ByMedia {
		b.Device = bmc.CDROM
	}
	evidence := "the agent called from it"
	if a.BootMode != "" && b.Mode != j.Node.BootMode {
		evidence, sure = fmt.Sprintf("the agent called from it, in the mode %s where the node is to boot in %s; set the mode in the server's set-up, or the node's capability boot_mode", b.Mode, j.Node.BootMode), Doubtful
		if err := j.tell(ctx, "boot", evidence); err != nil {
			return err
		}
	}
	return j.found(ctx, "booted from", b, evidence, sure)
}

// order has the agent carry out the run's order of that name, and returns its result once it is done.
func (j *Job) order(ctx context.Context, name, waitFor string, fill func(*protocol.Order)) (*protocol.Result, error) {
	id := fmt.Sprintf("%s/%s", j.Run.ID, name)
	a, err := agentOf(ctx, j.DB.Read(), j.Node.ID)
	if err != nil {
		return nil, err
	}
	if a == nil || a.RunID != j.Run.ID || a.Token == "" {
		return nil, workflow.GiveUp(fault.Errorf(fault.Conflict, "the agent is gone"))
	}
	if a.OrderID != id {
		o := &protocol.Order{ID: id}
		fill(o)
		if err := j.giveOrder(ctx, o); err != nil {
			return nil, err
		}
		return nil, workflow.Waiting(waitFor)
	}
	if a.Done {
		if a.Error != "" {
			return nil, workflow.GiveUp(fault.Errorf(fault.Conflict, "the agent reports: %s", a.Error))
		}
		return a.Result, nil
	}
	silent, err := j.silence(ctx, a)
	if err != nil {
		return nil, err
	}
	if silent > heartbeatLimit {
		return nil, workflow.GiveUp(fault.Errorf(fault.Conflict, "the agent has been silent for %s; look at the node's console", silent.Round(time.Second)))
	}
	return nil, workflow.Waiting(waitFor)
}

// silence returns for how long an agent could have been heard and was not.
func (j *Job) silence(ctx context.Context, a *Agent) (time.Duration, error) {
	silent := db.Since(a.SeenAt.Time)
	if silent <= heartbeatLimit {
		return silent, nil
	}
	stood, err := j.Engine.Stood(ctx, j.Run.Group, a.SeenAt.Time)
	return silent - stood, err
}

// takeInventory keeps what the agent found when it claimed.
func takeInventory(ctx context.Context, j *Job) error {
	if j.imaginary() {
		return nil
	}
	res, err := j.order(ctx, "inspect", "the agent to look at the hardware", func(o *protocol.Order) { o.Inspect = &protocol.Inspect{} })
	if err != nil {
		return err
	}
	if res == nil || res.Inventory == nil {
		return workflow.GiveUp(fault.Errorf(fault.Conflict, "the agent sent no inventory"))
	}
	if err := j.recognise(ctx, *res.Inventory); err != nil {
		return err
	}
	return j.update(ctx, func(n *Node) { n.learn(*res.Inventory) }, "inventory", "properties", "inspected_at")
}

// learn fills the properties that schedulers know from an inventory.
func (n *Node) learn(inv protocol.Inventory) {
	const mib, gib = 1 << 20, 1 << 30
	n.Inventory = &inv
	n.InspectedAt = bun.NullTime{Time: db.Now()}
	props := map[string]string{}
	for k, v := range n.Properties {
		props[k] = v
	}
	props["cpus"] = fmt.Sprint(max(inv.CPU.Threads, 1))
	props["cpu_arch"] = inv.Architecture
	props["memory_mb"] = fmt.Sprint(inv.MemoryBytes / mib)
	var largest int64
	for _, d := range inv.Disks {
		largest = max(largest, d.Bytes)
	}
	props["local_gb"] = fmt.Sprint(largest / gib)
	n.Properties = props
}

// quietFor is how long the agent is given to power the machine off by itself.
const quietFor = 30 * time.Second

// shutDown has the agent power the machine off, and cuts the power when it does not.
func shutDown(ctx context.Context, j *Job) error {
	if j.imaginary() {
		return powerOff(ctx, j)
	}
	if p, err := j.power(ctx); err != nil || p == bmc.Off {
		if err != nil {
			return err
		}
		return dismissAgent(ctx, j)
	}
	if db.Since(j.Run.StepAt) > quietFor {
		return cutPower(ctx, j)
	}
	if _, err := j.order(ctx, "shutdown/"+j.Run.Step, "", func(o *protocol.Order) { o.Shutdown = &protocol.Shutdown{} }); err != nil && isGone(err) {
		return cutPower(ctx, j)
	}
	return workflow.Polling("the machine to power off", j.soon())
}

// cutPower powers off a machine whose agent does not, and dismisses the agent.
func cutPower(ctx context.Context, j *Job) error {
	if err := powerOff(ctx, j); err != nil {
		return err
	}
	return dismissAgent(ctx, j)
}

// isGone reports whether an order failed for good, so that the agent can not be relied on.
func isGone(err error) bool { return fault.Is(err, fault.Conflict) }
