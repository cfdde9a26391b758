// Package server is what a tenant owns: a bare-metal server, made on a node that fits its flavor, with
// an image, networks, keys and user data. It chooses nodes, moves on to another when one fails, and
// gives them back; the node itself is prepared by package node.
package server

import (
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/node"
)

// ID identifies a server.
type ID string

// State is what a server is, as its tenant sees it.
type State string

// The states.
const (
	Building   State = "building"
	Active     State = "active"
	Rebuilding State = "rebuilding"
	Failed     State = "error"
)

// Server is a tenant's server.
type Server struct {
	bun.BaseModel `bun:"table:server"`

	ID        ID `bun:",pk"`
	ProjectID string
	UserID    string
	Name      string
	FlavorID  string
	ImageID   string
	Zone      string // asked for; "" is any
	KeyName   string
	Metadata  map[string]string
	NICs      []NIC `bun:"nics"`
	State     State
	Deleting  bool
	Fault     string // why it is in error
	FaultAt   bun.NullTime
	NodeID    node.ID   // the node that it is on; "" when none
	Tried     []node.ID // nodes that failed to become it
	Sealed    []byte    // Private, sealed
	CreatedAt time.Time
	UpdatedAt time.Time

	Description  string
	Hostname     string // "" is made of the name
	Labels       network.Labels
	LockedBy     Locker // "" when it is not
	LockedReason string
	Reservation  string // what servers of one request have in common
	LaunchIndex  int    // of those
	LaunchedAt   bun.NullTime
	GroupID      string           // the server group that it is in; "" when none
	ChassisID    string           // the node that was asked for; "" is any of the flavor
	Layout       *protocol.Layout // of its disks beside the image, as asked for; nil is none

	UEFIStatus  string       `bun:"uefi_status"` // of the last change of UEFI settings; "" before one
	UEFIMessage string       `bun:"uefi_message"`
	UEFIAt      bun.NullTime `bun:"uefi_at"`
}

// Locker is who locked a server.
type Locker string

// The lockers.
const (
	ByOwner    Locker = "owner"
	ByOperator Locker = "admin"
)

// NIC is a network interface that was asked for.
type NIC struct {
	Plane  string `json:"plane"`
	PortID string `json:"port_id"`
	Tag    string `json:"tag,omitempty"` // by which the system finds it in its metadata
}

// Private is what of a request must not lie open: it may hold passwords.
type Private struct {
	UserData    []byte `json:"user_data,omitempty"`
	AdminPass   string `json:"admin_pass"`
	PublicKey   string `json:"public_key,omitempty"`
	Personality []File `json:"personality,omitempty"`
}

// File is a file that a tenant wants on the server.
type File struct {
	Path     string `json:"path"`
	Contents []byte `json:"contents"`
}

// Flavor is a kind of server that can be asked for.
type Flavor struct {
	bun.BaseModel `bun:"table:flavor"`

	ID, Name      string
	ResourceClass string // of the nodes that fit
	Traits        []string
	VCPUs         int   `bun:"vcpus"` // physical processors
	RAM           int64 `bun:"ram"`   // MB
	Disk          int64 // GB
	Description   string
	Private       bool              // only for projects that were let use it
	Specs         map[string]string // Nova's extra specs
	CreatedAt     time.Time
}

// KeyPair is a public key of a user in a project, under a name.
type KeyPair struct {
	bun.BaseModel `bun:"table:keypair"`

	ProjectID, Name, UserID, PublicKey, Fingerprint string
	CreatedAt                                       time.Time
}

// String returns the id as text.
func (id ID) String() string { return string(id) }
