// Package host is the real machine that an agent runs on: it reads the inventory from SMBIOS and
// sysfs, opens disks for direct access, erases them with the commands of their kind (NVMe, ATA,
// discard), hears the switches, lets people in as a rescue system, and restarts or powers off. cmd/hagane-agent makes one in the ramdisk.
package host

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hagane-cloud/hagane/agent"
	"github.com/hagane-cloud/hagane/agent/lldp"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// hearWithin is how long inspection waits for neighbours: switches speak every 30 seconds.
const hearWithin = 35 * time.Second

// Machine is the machine that the process runs on. It implements agent.Machine, agent.Neighbourly,
// agent.Assembler, agent.KernelLogger and agent.Rescuer. The process must be root.
type Machine struct {
	log *slog.Logger
	sys string // /sys
	dev string // /dev

	tools  string   // where the ramdisk has its programs
	arrays []string // devices of software RAIDs in use
	groups []string // volume groups in use
}

var (
	_ agent.Machine      = (*Machine)(nil)
	_ agent.Neighbourly  = (*Machine)(nil)
	_ agent.KernelLogger = (*Machine)(nil)
	_ agent.Rescuer      = (*Machine)(nil)
)

// New returns the machine.
func New(log *slog.Logger) *Machine {
	return &Machine{log: log, sys: "/sys", dev: "/dev", tools: "/sbin"}
}

// Neighbours listens on all NICs with a link until each has heard its neighbour, at most 35 seconds.
func (m *Machine) Neighbours(ctx context.Context) (map[string]*protocol.LLDP, error) {
	ctx, cancel := context.WithTimeout(ctx, hearWithin)
	defer cancel()
	var mu sync.Mutex
	var listening sync.WaitGroup
	heard := map[string]*protocol.LLDP{}
	for _, nic := range m.nics() {
		if !nic.Link {
			continue
		}
		listening.Go(func() {
			neighbour, err := lldp.Listen(ctx, nic.Name)
			if err != nil {
				m.log.Info("heard no neighbour", "nic", nic.Name, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			heard[nic.Name] = neighbour
		})
	}
	listening.Wait()
	return heard, nil
}

// KernelLog returns the kernel's log.
func (m *Machine) KernelLog(context.Context) []byte {
	buffer := make([]byte, 256<<10)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buffer)
	if err != nil {
		return nil
	}
	return buffer[:n]
}

// Restart resets the machine. It does not return unless it fails.
func (m *Machine) Restart(context.Context) error { return end(unix.LINUX_REBOOT_CMD_RESTART) }

// PowerOff switches the machine off. It does not return unless it fails.
func (m *Machine) PowerOff(context.Context) error { return end(unix.LINUX_REBOOT_CMD_POWER_OFF) }

func end(how int) error {
	unix.Sync()
	if err := unix.Reboot(how); err != nil {
		return fault.E(fault.Internal, "asking the kernel to end", err)
	}
	select {} // the call returns when other processors still have to be stopped
}

// text reads a small sysfs file; "" when there is none.
func text(parts ...string) string {
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.Trim(string(b), "\x00"))
}

// number reads a decimal number from a sysfs file; 0 when there is none.
func number(parts ...string) int64 {
	n, err := strconv.ParseInt(text(parts...), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
