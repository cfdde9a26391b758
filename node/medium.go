package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
	"github.com/hagane-cloud/hagane/workflow"
)

// AgentISO is the name of the agent's CD in its URL. It ends in .iso: Fujitsu's iRMC chooses the drive by it.
const AgentISO = "agent.iso"

// bootMedium has the BMC show the agent's CD to the server and makes the next boot go from it.
func (j *Job) bootMedium(ctx context.Context, d *bmc.Composed) error {
	a, err := agentOf(ctx, j.DB.Read(), j.Node.ID)
	if err != nil {
		return err
	}
	if a == nil || a.Slot == "" || !j.shows(ctx, d, a.Slot) {
		if err := j.insertAgent(ctx, d); err != nil {
			return explained(err, "showing the agent's CD")
		}
	}
	err = d.SetBoot(ctx, bmc.Boot{Device: bmc.CDROM, Persistent: j.lastingBoot(), Mode: j.Node.BootMode})
	return explained(err, "setting the boot device to the agent's CD")
}

// explained says what to do about a BMC that can not boot a node from its virtual CD, and gives up where trying again is of no use.
func explained(err error, doing string) error {
	switch c := bmc.ClassOf(err); {
	case err == nil:
		return nil
	case c == bmc.Unsupported || c == bmc.Licence:
		return workflow.GiveUp(fault.Wrap(doing+" (a BMC that can not: set the node's boot_interface to ipxe)", err))
	case c == bmc.Refused:
		return workflow.GiveUp(fault.Wrap(doing+" (the BMC must reach the API: see hagane serve --media-url)", err))
	}
	return fault.Wrap(doing, err)
}

// shows reports whether a slot has a medium in it, as far as the BMC tells.
func (j *Job) shows(ctx context.Context, d *bmc.Composed, slot string) bool {
	slots, err := d.Media(ctx)
	return err == nil && slices.ContainsFunc(slots, func(s bmc.Slot) bool { return s.ID == slot && s.Inserted })
}

// insertAgent makes a CD of the agent for this run and has the BMC show it. What it replaces is worth nothing from then on.
func (j *Job) insertAgent(ctx context.Context, d *bmc.Composed) error {
	line, err := j.agentLine(ctx)
	if err != nil {
		return err
	}
	base, err := j.MediaBase(ctx)
	if err != nil {
		return err
	}
	token := secret.Token()
	// The intent comes first: a medium that nobody knows of would stay in the drive.
	if err := j.noteMedium(ctx, Agent{Medium: secret.Hash(token), Claim: secret.Hash(claimOf(token)), Line: line}, "medium", "claim", "line", "slot"); err != nil {
		return err
	}
	slot, err := d.Insert(ctx, bmc.CD, base+"/media/"+token+"/"+AgentISO)
	if err != nil {
		j.keepTrace(ctx, err)
		return err
	}
	return j.noteMedium(ctx, Agent{Slot: slot}, "slot")
}

// noteMedium records some columns of the run's agent.
func (j *Job) noteMedium(ctx context.Context, a Agent, columns ...string) error {
	a.NodeID = j.Node.ID
	return j.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model(&a).Column(columns...).WherePK().Exec(ctx)
		return err
	})
}

// claimOf is the claim's secret on the CD with this token. It follows from the token, so that a CD reads the same from any
// process and at any time, and nothing that can be used is in the database.
func claimOf(token string) string { return secret.Hash("claim " + token) }

// agentLine is what the kernel on the agent's CD is told, but for the claim: console (the last one is /dev/console), where the agent
// calls, and the address that the boot port has.
func (j *Job) agentLine(ctx context.Context) (string, error) {
	boot, err := j.pxePort()
	if err != nil {
		return "", workflow.GiveUp(err)
	}
	network := Provisioning
	if j.Node.State == Cleaning {
		network = CleaningNet
	}
	addr, err := j.AgentAddress(ctx, network, boot.MAC)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("console=tty0 console=ttyS0,115200 hagane.api=%s hagane.mac=%s hagane.ip=%s", j.AgentAPI(network), boot.MAC, addr), nil
}

// ejectAgent takes the agent's CD out of the drive, if this node has one in it. That a BMC will not does not hold the node up:
// the CD is blank from here on, and the BMC's cleaning empties all drives.
func (j *Job) ejectAgent(ctx context.Context) error {
	a, err := agentOf(ctx, j.DB.Read(), j.Node.ID)
	if err != nil || a == nil || a.Medium == "" {
		return err
	}
	d, err := j.BMC(ctx)
	if err != nil {
		return err
	}
	if err := d.Eject(ctx, a.Slot); err != nil {
		if bmc.Passing(err) {
			return fault.Wrap("ejecting the agent's CD", err)
		}
		if err := j.tell(ctx, "media", "the agent's CD could not be ejected: "+err.Error()); err != nil {
			return err
		}
	}
	return j.noteMedium(ctx, Agent{}, "medium", "slot", "line")
}

// AgentMedium returns the kernel's command line on the agent's CD that a BMC was given with a token.
func (s *Service) AgentMedium(ctx context.Context, token string) (string, error) {
	a := new(Agent)
	err := s.DB.Read().NewSelect().Model(a).Where("medium = ?", secret.Hash(token)).Where("medium <> ''").Scan(ctx)
	if db.None(err) || (err == nil && !a.Wanted) {
		return "", fault.Errorf(fault.NotFound, "there is no such medium: the run that it was for has ended")
	}
	if err != nil {
		return "", fault.E(fault.Internal, "looking for a medium", err)
	}
	return a.Line + " hagane.claim=" + claimOf(token), nil
}

// CanBoot says what is missing for a node to boot the agent in the way that it is told to; nil when nothing is, as far as is known.
func (s *Service) CanBoot(n *Node) error {
	if n.BootBy != ByMedia {
		return nil
	}
	for _, c := range []bmc.Capability{bmc.CanMedia, bmc.CanBoot} {
		if has, known := n.Has(c); known && !has {
			return fault.Errorf(fault.Invalid, "the BMC has no %s, which booting from a CD needs; set boot_interface to ipxe", c)
		}
	}
	return nil
}

// bootWays are how the agent may be booted.
var bootWays = []BootBy{ByNetwork, ByMedia}

func checkBootBy(b BootBy) error {
	if slices.Contains(bootWays, b) {
		return nil
	}
	var words []string
	for _, w := range bootWays {
		words = append(words, fmt.Sprintf("%q", w))
	}
	return fault.Field("boot_by", "%q is no way to boot the agent; there are %s", b, strings.Join(words, ", "))
}
