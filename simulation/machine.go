package simulation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/bmc"
)

// machine is a server with its BMC, its disk and its switch port, as they really are: what the records are compared with.
type machine struct {
	name, mac string
	node      string // its id in the records

	power   bmc.Power
	boot    bmc.Boot
	vlan    int // of its switch port; 0 is isolated
	boots   int // counts starts: what began at an earlier one ends by itself
	ignored int // counts presses that the BMC accepted and did nothing for: nobody can know of them
	disk    disk

	session  int // the one session that the BMC has; those before it are refused
	silent   time.Time
	stale    time.Time // until then the BMC shows the power of before
	showed   bmc.Power
	inRescue bool
}

// disk is what is on a machine's disk.
type disk struct {
	image  string          // that was written last and can be booted; "" is none
	config string          // for which server the config drive is; "" is none
	left   map[string]bool // projects of which something can be read
}

func newMachine(i int) *machine {
	return &machine{name: fmt.Sprintf("m%d", i), mac: fmt.Sprintf("52:54:00:00:00:%02x", i), power: bmc.Off, boot: bmc.Boot{Device: bmc.None, Mode: bmc.UEFI},
		disk: disk{left: map[string]bool{}}}
}

func (m *machine) address() string { return "https://bmc-" + m.name }
func (m *machine) serial() string  { return "S" + m.name }

// inventory is what an agent finds.
func (m *machine) inventory() protocol.Inventory {
	return protocol.Inventory{Architecture: "x86_64", BootMode: "uefi", CPU: protocol.CPU{Sockets: 1, Cores: 4, Threads: 8}, MemoryBytes: 16 << 30,
		Disks: []protocol.Disk{{Name: "/dev/sda", Serial: m.serial(), Bytes: 100 << 30, Bus: "sim"}},
		NICs:  []protocol.NIC{{Name: "eth0", MAC: m.mac}}}
}

func (d disk) String() string {
	return fmt.Sprintf("image %q, config of %q, data of [%s]", d.image, d.config, strings.Join(slices.Sorted(maps.Keys(d.left)), " "))
}

// start powers the machine on, or anew.
func (m *machine) start(now time.Time) {
	m.show(now)
	m.power = bmc.On
	m.boots++
	m.inRescue = false
}

func (m *machine) stop(now time.Time) {
	m.show(now)
	m.power = bmc.Off
	m.boots++
	m.inRescue = false
}

// show keeps what the BMC shows while it lags behind.
func (m *machine) show(now time.Time) {
	if !now.Before(m.stale) {
		m.showed = m.power
	}
}

// shown is the power that the BMC tells.
func (m *machine) shown(now time.Time) bmc.Power {
	if now.Before(m.stale) {
		return m.showed
	}
	return m.power
}

// booting takes the boot device of this start: one that was set for one boot is used up.
func (m *machine) booting() bmc.Device {
	d := m.boot.Device
	if !m.boot.Persistent {
		m.boot = bmc.Boot{Device: bmc.None, Mode: m.boot.Mode}
	}
	return d
}
