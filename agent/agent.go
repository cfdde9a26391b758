// Package agent is what runs in the ramdisk on a server: it claims the run that the server was
// booted for, carries out the cloud's orders (inspect, erase, write an image, write a config drive,
// shut down, become a rescue system) one at a time while it reports progress, and ends with the machine restarted or
// powered off. It owns no hardware: it works on a Machine, which is the real one in the ramdisk
// (package agent/host) and a simulated one in the lab. cmd/hagane-agent and the lab call it.
package agent

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/agent/swarm"
)

// Config is what an agent needs to run.
type Config struct {
	API     string       // the cloud's base URL, such as http://198.18.0.1/agent/v1
	Secret  string       // the single-use claim
	HTTP    *http.Client // nil: one of its own; its Timeout must be zero, the agent bounds each call itself
	Machine Machine      // what to work on
	Log     *slog.Logger // nil: nowhere; what is logged is also kept to be sent home on failure
	Version string       // of the agent, told in the claim

	// Peers is the network on which images are taken from other agents and given to them; nil: images come from the cloud
	// alone.
	Peers swarm.Network

	// OnClaim, where it is set, is told how the claim was answered.
	OnClaim func(protocol.Claimed)

	// ClaimWithin bounds the time in which the claim must be answered; 0 is 15 minutes.
	ClaimWithin time.Duration
	// Stall is how long an image's stream may be silent before it counts as broken; 0 is one minute.
	Stall time.Duration
	// Pause is the first pause between two tries of a call, doubled with jitter up to 16 times as
	// long; 0 is one second. An image is asked for again after the same pause.
	Pause time.Duration
}

// Machine is the machine that the agent runs on.
type Machine interface {
	// Inventory reads what the machine consists of. It is quick: it waits for no neighbour.
	Inventory(ctx context.Context) (protocol.Inventory, error)
	// Disks opens every disk that an operating system could be written to, sorted by name; the
	// caller closes them. Disks that can not be written to are not among them.
	Disks(ctx context.Context) ([]Disk, error)
	// Restart starts the machine anew. On a real machine it does not return.
	Restart(ctx context.Context) error
	// PowerOff switches the machine off. On a real machine it does not return.
	PowerOff(ctx context.Context) error
}

// Neighbourly is a machine that hears its neighbours' LLDP.
type Neighbourly interface {
	// Neighbours waits a bounded time for the neighbours of all NICs with a link and returns those
	// heard, by NIC name.
	Neighbours(ctx context.Context) (map[string]*protocol.LLDP, error)
}

// Rescuer is a machine that people can be let into while it runs the agent.
type Rescuer interface {
	// Rescue leaves the network of the cloud, takes addresses by DHCP on those that the machine is plugged into from now
	// on, and serves SSH to those whom login lets in until ctx ends. cloud is the address of the cloud, whose
	// DHCP is the one of the network that is left.
	Rescue(ctx context.Context, login *ssh.ServerConfig, cloud string) error
}

// KernelLogger is a machine whose kernel has a log worth sending home after a failure.
type KernelLogger interface {
	KernelLog(ctx context.Context) []byte
}

// Assembler is a machine with the tools for software RAID, LVM and file systems. Devices are named as the operating system
// names them, such as /dev/sda1. What is made stays in use until Release.
type Assembler interface {
	// Array makes a software RAID of devices and opens it as a disk; the caller closes it before Release.
	Array(ctx context.Context, name string, level int, members []string) (Disk, error)
	// Group makes a volume group of devices, with its volumes, and returns these by their labels.
	Group(ctx context.Context, g protocol.VolumeGroup, members []string) (volumes map[string]string, err error)
	// Format makes a file system on a device.
	Format(ctx context.Context, device string, f protocol.Filesystem) error
	// ReadFilesystem reads from a device what file system it has: Type and UUID are set, or empty where there is none.
	ReadFilesystem(ctx context.Context, device string) (protocol.Filesystem, error)
	// ReadGroup reads a volume group from its devices: Partitions are these.
	ReadGroup(ctx context.Context, label string) (protocol.VolumeGroup, error)
	// Release puts all that was made out of use: it is on the disks alone afterwards.
	Release(ctx context.Context) error
	// ReadMember reads from a device which array it is a member of, while that is not in use.
	ReadMember(ctx context.Context, device string) (Member, error)
}

// Member is what a member of a software RAID knows about the array.
type Member struct {
	Array   string // a UUID: the same on all members
	Level   int
	Devices int // in the array
}

// Disk is one disk. Reads and writes may begin anywhere and be of any length within the disk; they
// reach the device (or a cache that Sync empties) and never see a stale cache after an erase.
// Different parts of a disk may be read and written at the same time.
type Disk interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Info says what the disk is.
	Info() DiskInfo
	// Sync returns when all that was written is on the medium.
	Sync(ctx context.Context) error
	// Reread makes the machine read the partition table again. It does nothing where there is none.
	Reread(ctx context.Context) error
}

// DiskInfo is what is known about a disk.
type DiskInfo struct {
	protocol.Disk
	SectorBytes int // logical sector: 512 or 4096; 0 means 512
}

// Discarder is a disk that can forget a range quickly. What the range reads as afterwards is not
// relied upon: the agent reads it back.
type Discarder interface {
	Discard(ctx context.Context, offset, length int64) error
}

// Eraser is a disk with erase methods of its own.
type Eraser interface {
	// EraseMethods returns the methods that the disk offers, the best first.
	EraseMethods(ctx context.Context) []EraseMethod
}

// EraseMethod is one way in which a disk erases itself.
type EraseMethod struct {
	Name  string // as recorded in protocol.Erased.Method, such as nvme-format
	Erase func(ctx context.Context) error
}
