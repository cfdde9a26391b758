// Package node is the physical server: its life from enrolment to retirement, its ports, its power,
// what its agent reports, and the steps that prepare it for a tenant and clean it afterwards. The
// operator's API and the server noun call its Service; conductors run its steps; nothing else touches its hardware.
package node

import (
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/workflow"
)

// ID identifies a node.
type ID string

// Node is a physical server.
type Node struct {
	bun.BaseModel `bun:"table:node"`

	ID            ID `bun:",pk"`
	Name          string
	Driver        string            // one of Drivers
	DriverInfo    map[string]string // Ironic's names; without the password
	Password      []byte            // the BMC's, sealed
	BootMode      bmc.Mode
	ResourceClass string
	Zone          string // availability zone
	Traits        []string
	Properties    map[string]string // cpus, memory_mb, local_gb, cpu_arch, capabilities
	Extra         map[string]json.RawMessage
	Description   string
	RootHint      protocol.RootHint
	Inventory     *protocol.Inventory // as the agent last saw it
	Identity      *bmc.Identity       // as the BMC last told it
	Device        map[string]string   // what was learnt about the BMC by working with it (bmc.Memory)
	BootBy        BootBy              // how the agent is booted

	// What operators and tenants with nodes of their own write down about a node, in Ironic's terms.
	ChassisID       string
	ConductorGroup  string
	Project         string // that the node belongs to (Ironic's owner); "" is the operator's
	Lessee          string // project that may deploy to it
	Shard           string
	ParentID        ID // of the node that this one is a part of
	Protected       bool
	ProtectedReason string
	Retired         bool // cleaned after its tenant, and not offered again
	RetiredReason   string
	AutomatedClean  string // "true", "false", or "" for the cloud's rule; a node is always erased before it is offered
	Interfaces      map[string]string
	InstanceInfo    map[string]json.RawMessage
	NetworkData     map[string]json.RawMessage
	TargetRAID      map[string]json.RawMessage
	AllocationID    string
	InspectedAt     bun.NullTime
	Deeds           []Deed // asked for while another one was under way, in order

	State     State
	StateAt   time.Time      // when the node entered State
	RunID     workflow.RunID // the run of a moving state
	LastError string
	Holds     []Hold
	Owner     string // the server that the node is lent to; "" when free

	Power       bmc.Power    // as last observed
	PowerAt     bun.NullTime // when; zero if never
	PowerTarget bmc.Action   // the change of power under way; "" when none
	PowerDue    time.Time    // when power is looked at next
	Boot        *bmc.Boot    // the boot device as it was last set and read back
	Console     string       // whether the serial console is recorded: "true", "false", or "" for the cloud's rule
	ConsoleLent bun.NullTime // until when the recording gives way to somebody who was given the console
	Gate        *Gate        // what proved that the node may be handed over

	Version   int64 // grows with every change by a person or client
	Rev       int64 // grows with every change of the record, by the database itself
	CreatedAt time.Time
	UpdatedAt time.Time
}

// BootBy is how a node boots the agent.
type BootBy string

// The ways to boot the agent.
const (
	ByNetwork BootBy = ""              // PXE or HTTP over the boot port
	ByMedia   BootBy = "virtual-media" // an image that the BMC shows as a CD: no DHCP is needed
)

// Hold keeps a node from being chosen, and says why.
type Hold struct {
	Category string     `json:"category"` // operator, fault, undo
	By       string     `json:"by"`
	Reason   string     `json:"reason"`
	Since    time.Time  `json:"since"`
	Until    *time.Time `json:"until,omitempty"`
}

// Gate is the hand-over gate's record: a node is available only when it was proven off, isolated and erased.
type Gate struct {
	OffAt    []time.Time       `json:"off_at"`   // two reads of the BMC apart, or one beside a second witness
	Isolated []string          `json:"isolated"` // switch/port, as read back from the switch
	Erased   []protocol.Erased `json:"erased"`
	PassedAt time.Time         `json:"passed_at"`
}

// PortID identifies a port of a node.
type PortID string

// Port is a network interface of a node and the switch port that it is plugged into.
type Port struct {
	bun.BaseModel `bun:"table:node_port"`

	ID        PortID `bun:",pk"`
	NodeID    ID
	MAC       string            // lower case, colons
	Switch    string            // the switch's name; "" when unknown
	Port      string            // the switch port's name
	Link      map[string]string // Ironic's local_link_connection as given
	Plane     string            // data or storage
	PXE       bool              // boots over this port
	Name      string
	Describes string `bun:"description"`
	GroupID   string // of the port group
	SmartNIC  bool   `bun:"smart_nic"`
	VIF       string `bun:"vif"` // network port that an operator attached for a deployment; "" when none
	Extra     map[string]json.RawMessage
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Deployment is what a tenant wants on the node: an image, a config drive, and its links to networks.
type Deployment struct {
	bun.BaseModel `bun:"table:deployment"`

	NodeID  ID `bun:",pk"`
	ImageID string
	Image   Image
	Links   []Link
	Files   []byte // of the config drive, as sealed JSON: they hold user data and passwords
	Written *protocol.Written
	Layout  *protocol.Layout // of the disks beside the image; nil is none
	LaidOut *protocol.Layout // as the agent read it back
	// Standalone says that it is no server's: an operator deployed the node.
	Standalone bool
	Tenant     string // the project that it is for; "" is the operator's
	// Source is where the image comes from that is no image of the registry; nil is none. ImageID and Image are known when it
	// has been fetched.
	Source *Source
}

// Source says by its URL what a node is deployed with.
type Source struct {
	URL    string `json:"url"`
	Algo   string `json:"algo,omitempty"` // of the checksum; "" is told by its length
	Value  string `json:"value"`          // the checksum in hex, or the URL of a file of checksums
	Format string `json:"format,omitempty"`
	Inside bool   `json:"inside,omitempty"` // whether private addresses may be asked
}

// Fetched is how far the image of a source is: it is there once there is nothing that it waits for.
type Fetched struct {
	ImageID string
	Image   Image
	Waits   string // for what; for people
}

// Image is what the agent must know of an image.
type Image struct {
	SHA512 string `json:"sha512"` // of the raw data, hex
	Size   int64  `json:"size"`   // bytes
}

// Link plugs a port of the node into a tenant's network.
type Link struct {
	MAC  string `json:"mac"`
	VLAN int    `json:"vlan"`
}

// Agent is the state of the conversation with the agent in a node's ramdisk.
type Agent struct {
	bun.BaseModel `bun:"table:agent"`

	NodeID    ID `bun:",pk"`
	RunID     workflow.RunID
	Wanted    bool   // the run wants the node to boot the agent
	Claim     string // fingerprint of the secret in the last boot script, or on the CD
	Token     string // fingerprint of the agent's token; "" until it claimed
	ClaimedAt bun.NullTime
	SeenAt    bun.NullTime
	BootMode  string
	OrderID   string
	Task      *protocol.Order
	Done      bool
	Error     string
	Progress  *protocol.Progress
	Result    *protocol.Result
	Medium    string // fingerprint of what the URL of the agent's CD is known by; "" when there is none
	Slot      string // the BMC's drive with the CD; "" until it said which
	Line      string // what the kernel on the CD is told, but for the claim
}

// Event is something worth keeping that is no step of a run: a refused claim, a hold, an observed change of power.
type Event struct {
	bun.BaseModel `bun:"table:node_event"`

	ID     string `bun:",pk"`
	NodeID ID
	At     time.Time
	Kind   string
	Text   string
}
