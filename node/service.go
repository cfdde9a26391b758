package node

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/profile"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
	"github.com/hagane-cloud/hagane/workflow"
)

// Network says where the cloud's own VLANs are and plugs switch ports into VLANs.
type Network interface {
	// Place makes a switch port an access port of a VLAN for the NIC with a MAC, 0 isolates it, and reads it back.
	Place(ctx context.Context, sw, port, mac string, vlan int) error
	// VLANOf reads on which VLAN a switch port is; 0 is none.
	VLANOf(ctx context.Context, sw, port string) (int, error)
	// Linked reports whether something is plugged into a switch port and answers.
	Linked(ctx context.Context, sw, port string) (bool, error)
	// SystemVLAN returns the VLAN of one of the cloud's own networks: provisioning or cleaning.
	SystemVLAN(ctx context.Context, name string) (int, error)
}

// Tenant hears, in the transaction that ends a run, what became of a node that is lent to it.
type Tenant interface {
	// Deployed says that the node runs what was asked for; with an error, that it could not be made to.
	Deployed(ctx context.Context, tx db.Tx, owner string, n ID, failure string) error
	// Undeployed says that the node is off and cut from the tenant's networks for good; with an error, that it could not be.
	Undeployed(ctx context.Context, tx db.Tx, owner string, n ID, failure string) error
	// Rescued says that the node runs the rescue system, or what is on its disk again; with an error, that it does not.
	Rescued(ctx context.Context, tx db.Tx, owner string, n ID, failure string) error
	// Detached says that a NIC of the node is off the tenant's networks: it was taken off or, with an error, could not be plugged in.
	Detached(ctx context.Context, tx db.Tx, owner string, n ID, mac, failure string) error
	// Asked says that a deed was done; with an error, that it could not be.
	Asked(ctx context.Context, tx db.Tx, owner string, n ID, w Deed, failure string) error
}

// Options are what a Service works with.
type Options struct {
	DB      *db.DB
	Engine  *workflow.Engine
	Box     *secret.Box
	Network Network
	Open    bmc.Opener
	// Profiles is what is known about BMCs by their kind; nil is nothing.
	Profiles *profile.Book
	// Pace is how patient drivers are with BMCs; the zero value is bmc.DefaultPace.
	Pace bmc.Pace
	// AgentAPI is the base URL of the agent's calls and of boot files on each system network, by its name.
	AgentAPI func(network string) string
	// AgentWithin is how long a node that boots the agent may be silent before it is told again; 0 is 5 minutes.
	AgentWithin time.Duration
	// AgentAddress lends an agent that is not to use DHCP an address on a system network, which no other machine has
	// as long as a run can take.
	AgentAddress func(ctx context.Context, network, mac string) (netip.Prefix, error)
	// MediaBase is the URL by which BMCs reach the API, or why there are no media to be had from it.
	MediaBase func(ctx context.Context) (string, error)
	// Swarm says how agents take an image from each other, by the SHA-512 of its raw data; nil when they do not. nil: they
	// never do.
	Swarm func(image string) (*protocol.Swarm, error)
	// Resolve returns a source whose checksum is a value.
	Resolve func(ctx context.Context, from Source) (Source, error)
	// Fetch has the image of a source whose checksum is a value fetched, and says how far that is. since is when the caller began to
	// wait: what failed before is tried anew. nil, as Resolve: there are no sources.
	Fetch func(ctx context.Context, from Source, since time.Time) (Fetched, error)
	// Wrote is told of each image that an agent wrote; nil: nobody is.
	Wrote func(w protocol.Written)
	Log   *slog.Logger
}

// Service is everything that may be asked of nodes.
type Service struct {
	Options
	pool   *bmc.Pool
	tenant Tenant
}

// NewService makes the service and registers its workflows.
func NewService(o Options) *Service {
	s := &Service{Options: o, pool: bmc.NewPool(o.Open, o.Profiles)}
	for _, p := range pools {
		o.Engine.Provide(p)
	}
	for _, w := range Works {
		workflow.Register(o.Engine, w.Run, workflow.Host[*Job](s))
	}
	for _, w := range []workflow.Workflow[*Job]{power, attach, deed, restart, restartTheBMC, console, rotate} {
		workflow.Register(o.Engine, w, workflow.Host[*Job](s))
	}
	return s
}

// ObserveBMCs has every call to a BMC told. It is to be called before anything starts.
func (s *Service) ObserveBMCs(fn func(bmc.Call)) { s.pool.Observe = fn }

// SetTenant says who owns deployments.
func (s *Service) SetTenant(t Tenant) { s.tenant = t }

// CloseIdle closes BMC sessions that nobody used for d.
func (s *Service) CloseIdle(ctx context.Context, d time.Duration) error {
	s.pool.CloseIdle(ctx, d)
	return nil
}

// Create enrols a node. Name, if given, must be unique. password is the BMC's.
func (s *Service) Create(ctx context.Context, n Node, password string) (Node, error) {
	if n.ID == "" {
		n.ID = ID(uuid.NewString())
	} else if _, err := uuid.Parse(string(n.ID)); err != nil {
		return n, fault.Field("uuid", "%q is not a UUID", n.ID)
	}
	if err := check(&n); err != nil {
		return n, err
	}
	now := db.Now()
	n.State, n.StateAt, n.Power, n.CreatedAt, n.UpdatedAt, n.PowerDue, n.Version = Enroll, now, bmc.Unknown, now, now, now.Add(idlePoll), 1
	n.Password = s.Box.Seal(place(n.ID), []byte(password))
	return n, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&n).Exec(ctx)
		if db.Duplicate(err) {
			return fault.Errorf(fault.Conflict, "a node with the name %q or the UUID %s exists already", n.Name, n.ID)
		}
		return err
	})
}

// Drivers are the BMC drivers that a node may have.
var Drivers = bmc.Protocols

// defaultZone is where a node stands whose operator did not say.
const defaultZone = "zone1-groupa"

func check(n *Node) error {
	if !slices.Contains(Drivers, n.Driver) {
		return fault.Field("driver", "%q is not a driver; it is one of %s", n.Driver, strings.Join(Drivers, ", "))
	}
	if len(n.Name) > 255 || strings.ContainsAny(n.Name, "/ \t\n") {
		return fault.Field("name", "must be at most 255 characters without spaces and slashes")
	}
	if _, err := uuid.Parse(n.Name); n.Name != "" && err == nil {
		return fault.Field("name", "must not look like a UUID")
	}
	if n.BootMode == "" {
		n.BootMode = bmc.UEFI
	}
	if n.BootMode != bmc.UEFI && n.BootMode != bmc.BIOS {
		return fault.Field("properties/capabilities", "boot_mode must be uefi or bios")
	}
	if n.Zone == "" {
		n.Zone = defaultZone
	}
	if n.ResourceClass == "" {
		n.ResourceClass = "baremetal"
	}
	return checkBootBy(n.BootBy)
}

// place is what a node's password is sealed for.
func place(id ID) string { return "node/" + string(id) + "/password" }

// Update writes n, which the caller has read and changed. A change by somebody else in between is a Conflict.
func (s *Service) Update(ctx context.Context, n Node, password *string) (Node, error) {
	if err := check(&n); err != nil {
		return n, err
	}
	if password != nil {
		n.Password = s.Box.Seal(place(n.ID), []byte(*password))
	}
	was := n.Version
	n.Version, n.UpdatedAt = was+1, db.Now()
	err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		res, err := tx.NewUpdate().Model(&n).
			Column("name", "driver", "driver_info", "password", "boot_mode", "boot_by", "resource_class", "zone", "traits", "properties",
				"extra", "description", "root_hint", "chassis_id", "conductor_group", "project", "lessee", "shard", "parent_id", "protected",
				"protected_reason", "retired", "retired_reason", "automated_clean", "interfaces", "instance_info", "network_data", "target_raid",
				"version", "updated_at").
			WherePK().Where("version = ?", was).Exec(ctx)
		if db.Duplicate(err) {
			return fault.Errorf(fault.Conflict, "a node with the name %q exists already", n.Name)
		}
		return changed(res, err, "the node was changed by somebody else meanwhile; read it again and repeat the change")
	})
	return n, err
}

// Do carries out a verb of the life. It returns when the intent is recorded; the rest happens by itself.
func (s *Service) Do(ctx context.Context, id ID, verb string) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		n, err := get(ctx, tx, id)
		if err != nil {
			return err
		}
		if verb == "abort" {
			return s.Engine.Abort(ctx, tx, string(n.ID), "by an operator")
		}
		return s.enter(ctx, tx, n, verb)
	})
}

// enter moves a node along the arrow of a verb.
func (s *Service) enter(ctx context.Context, tx db.Tx, n *Node, verb string) error {
	return s.enterWith(ctx, tx, n, verb, nil)
}

// enterWith is enter with what the state's run is to be told.
func (s *Service) enterWith(ctx context.Context, tx db.Tx, n *Node, verb string, with any) error {
	if err := n.forbids(verb); err != nil {
		return err
	}
	at, err := s.placeOf(ctx, tx, n)
	if err != nil {
		return err
	}
	v := find(verb, at)
	if v == nil {
		shown := string(at.State)
		if at.Failed {
			shown += " (failed)"
		}
		return fault.Errorf(fault.Conflict, "%q is not possible while the node is %s; possible: %s", verb, shown, strings.Join(Allowed(at), ", "))
	}
	return s.become(ctx, tx, n, v.Enter, with)
}

// forbids says why what an operator wrote down about a node does not allow a verb.
func (n *Node) forbids(verb string) error {
	switch {
	case n.Protected && slices.Contains([]string{"undeploy", "rebuild"}, verb):
		return fault.Errorf(fault.Denied, "the node is protected (%s); take the protection away first", cmp.Or(n.ProtectedReason, "no reason is given"))
	case n.Retired && verb == "provide":
		return fault.Errorf(fault.Conflict, "the node is retired (%s) and is not offered any more", cmp.Or(n.RetiredReason, "no reason is given"))
	}
	return nil
}

// become puts a node into a state and starts that state's run, if it is a moving one. with is what the run is told.
func (s *Service) become(ctx context.Context, tx db.Tx, n *Node, to State, with any) error {
	n.State, n.StateAt, n.RunID, n.LastError = to, db.Now(), "", ""
	if w := moving(to); w != nil {
		run, err := s.Engine.Start(ctx, tx, w.Run.Name, string(n.ID), with)
		if err != nil {
			return err
		}
		n.RunID = run.ID
	}
	_, err := tx.NewUpdate().Model(n).Column("state", "state_at", "run_id", "last_error", "owner", "gate", "holds", "allocation_id").WherePK().Exec(ctx)
	return err
}

// placeOf returns where a node is: its state and whether its run has failed.
func (s *Service) placeOf(ctx context.Context, q bun.IDB, n *Node) (Place, error) {
	if n.RunID == "" {
		return Place{State: n.State}, nil
	}
	run, err := s.Engine.Run(ctx, q, n.RunID)
	if err != nil {
		return Place{}, err
	}
	return Place{n.State, run.Phase == workflow.Failed}, nil
}

// Ended is called by the engine when a run of a node has ended.
func (s *Service) Ended(ctx context.Context, tx db.Tx, run workflow.Run) error {
	n, err := get(ctx, tx, ID(run.Subject))
	if err != nil {
		return err
	}
	if strings.Contains(run.Error, workflow.ErrUndo) {
		n.Holds = append(n.Holds, Hold{Category: "undo", By: "hagane", Reason: run.Error, Since: db.Now()})
	}
	switch run.Workflow {
	case power.Name, restart.Name:
		return s.powerEnded(ctx, tx, n, run)
	case attach.Name:
		return s.attachEnded(ctx, tx, n, run)
	case deed.Name:
		if err := s.deedEnded(ctx, tx, n, run); err != nil {
			return err
		}
		return s.nextDeed(ctx, tx, n)
	case restartTheBMC.Name, console.Name, rotate.Name:
		return nil
	}
	w := moving(n.State)
	if w == nil || w.Run.Name != run.Workflow {
		return fault.Errorf(fault.Internal, "the run %s ended on a node that is %s", run.Workflow, n.State)
	}
	was, owner := n.State, n.Owner
	if run.Phase == workflow.Failed {
		err = s.failed(ctx, tx, n, w, run)
	} else {
		then := w.Then
		if was == Deleting {
			n.Owner = ""
			err = s.endAllocation(ctx, tx, n)
		}
		if then == Available && n.Retired {
			then = Manageable
		}
		if err == nil {
			err = s.become(ctx, tx, n, then, nil)
		}
	}
	if err != nil || owner == "" || s.tenant == nil {
		return err
	}
	switch was {
	case Deploying, Rebuilding:
		return s.tenant.Deployed(ctx, tx, owner, n.ID, run.Error)
	case Rescuing, Unrescuing:
		return s.tenant.Rescued(ctx, tx, owner, n.ID, run.Error)
	case Deleting:
		return s.tenant.Undeployed(ctx, tx, owner, n.ID, run.Error)
	}
	return nil
}

func (s *Service) failed(ctx context.Context, tx db.Tx, n *Node, w *Work, run workflow.Run) error {
	n.LastError = fmt.Sprintf("%s: %s", title(w.Run.Name), run.Error)
	if w.Else != "" {
		n.State, n.StateAt, n.RunID = w.Else, db.Now(), ""
	}
	if _, err := tx.NewUpdate().Model(n).Column("state", "state_at", "run_id", "last_error", "holds", "owner").WherePK().Exec(ctx); err != nil {
		return err
	}
	return s.note(ctx, tx, n.ID, "failed", n.LastError)
}

// note keeps an event in the node's history.
func (s *Service) note(ctx context.Context, tx db.Tx, id ID, kind, text string) error {
	_, err := tx.NewInsert().Model(&Event{ID: uuid.NewString(), NodeID: id, At: db.Now(), Kind: kind, Text: text}).Exec(ctx)
	return err
}

// title returns a workflow's name without its version.
func title(workflow string) string {
	name, _, _ := strings.Cut(workflow, "/")
	return name
}
