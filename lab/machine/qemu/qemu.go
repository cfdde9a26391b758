// Package qemu runs machines of the lab in QEMU: real UEFI or BIOS firmware, real network boot, the
// real ramdisk and real operating systems. Each start of the firmware is a process of its own, so
// that a boot device that was set for one boot is used by exactly one; a reset by the operating
// system becomes a new process. It needs no rights: NICs are connected to the lab's switch by
// inherited sockets.
package qemu

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/vswitch"
)

// Options is what all machines of a lab share.
type Options struct {
	Firmware Firmware
	Accel    string // tcg or kvm, as Accelerator found
	Log      *slog.Logger

	// FirmwarePXE makes UEFI boot over the network with its own PXE client, which fetches a boot loader by TFTP,
	// instead of the iPXE in the NIC's ROM. It takes a little longer.
	FirmwarePXE bool
}

// Machine is a machine in QEMU.
type Machine struct {
	spec    machine.Spec
	dir     string
	ports   []*vswitch.Port
	options Options
	log     *slog.Logger

	power sync.Mutex // serialises changes of power
	wait  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	status machine.Status
	mode   machine.Mode
	boot   machine.Boot
	medium medium
	proc   *process // nil while off
	closed bool
}

var _ machine.Machine = (*Machine)(nil)

// New makes a machine that is off, with its files in dir. Disks are sparse raw files; those that exist are kept.
// ports are the switch ports of spec.NICs, in their order.
func New(spec machine.Spec, dir string, ports []*vswitch.Port, o Options) (*Machine, error) {
	if len(ports) != len(spec.NICs) {
		return nil, fault.Errorf(fault.Internal, "%s has %d NICs and %d ports", spec.Name, len(spec.NICs), len(ports))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.E(fault.Internal, "make the machine's folder", err)
	}
	m := &Machine{
		spec: spec, dir: dir, ports: ports, options: o, log: o.Log.With("machine", spec.Name),
		mode: spec.Mode, boot: machine.Boot{Device: machine.None},
		status: machine.Status{Since: time.Now(), BootedFrom: machine.None},
	}
	for i, d := range spec.Disks {
		if err := makeDisk(m.disk(i), d.Bytes); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func makeDisk(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fault.E(fault.Internal, "make the disk", err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() != size {
		err = f.Truncate(size)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fault.E(fault.Internal, "size the disk", err)
	}
	return nil
}

func (m *Machine) disk(i int) string { return filepath.Join(m.dir, fmt.Sprintf("disk%d.raw", i)) }
func (m *Machine) console() string   { return filepath.Join(m.dir, "console.log") }

// Spec says what the machine is made of.
func (m *Machine) Spec() machine.Spec { return m.spec }

// Status says how it is doing.
func (m *Machine) Status() machine.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.status
	s.On, s.Boot, s.Console = m.proc != nil, m.boot, m.console()
	s.NextMode, s.Medium = m.mode, m.medium.url
	if s.Mode == "" {
		s.Mode = m.mode
	}
	return s
}

// SetBoot sets the override for later boots.
func (m *Machine) SetBoot(_ context.Context, b machine.Boot) error {
	if b.Mode != "" && !m.options.Firmware.Has(b.Mode) {
		return fault.Errorf(fault.Invalid, "the lab has no %s firmware for %s", b.Mode, m.spec.Name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if b.Mode != "" {
		m.mode = b.Mode
	}
	b.Mode = ""
	m.boot = b
	return nil
}

// Blank reads a disk from end to end.
func (m *Machine) Blank(ctx context.Context, disk int) (machine.Blankness, error) {
	if disk < 0 || disk >= len(m.spec.Disks) {
		return machine.Blankness{}, fault.Errorf(fault.NotFound, "%s has no disk %d", m.spec.Name, disk)
	}
	return machine.BlankFile(ctx, m.disk(disk))
}

// Power carries out an action.
func (m *Machine) Power(ctx context.Context, a machine.Action) error {
	if a == machine.SoftOff {
		return m.pressButton(ctx)
	}
	m.power.Lock()
	defer m.power.Unlock()
	switch a {
	case machine.PowerOn:
		return m.start()
	case machine.PowerOff:
		m.stop("powered off by its BMC")
		return nil
	case machine.Reset:
		m.stop("reset by its BMC")
		return m.start()
	case machine.SoftOff:
	}
	return fault.Errorf(fault.Invalid, "a machine has no action %q", a)
}

func (m *Machine) pressButton(ctx context.Context) error {
	m.mu.Lock()
	p := m.proc
	m.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.monitor.do(ctx, "system_powerdown", nil)
}

// start starts the firmware unless it runs. The power lock is held.
func (m *Machine) start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return fault.Errorf(fault.Conflict, "the lab is stopping")
	}
	if m.proc != nil {
		return nil
	}
	boot := m.boot
	p, err := launch(m, m.mode, boot.Order())
	if err != nil {
		return err
	}
	m.proc, m.boot = p, boot.Next()
	m.status.BootedFrom, m.status.Mode = boot.Device, m.mode
	m.status.Boots++
	m.status.Since, m.status.Ended = time.Now(), ""
	m.log.Info("power on", "boot", boot.Device, "mode", m.mode, "pid", p.cmd.Process.Pid)
	m.wait.Go(func() { m.ended(p, p.watch()) })
	return nil
}

// stop kills the process, if there is one, and returns when it is gone. The power lock is held.
func (m *Machine) stop(why string) {
	m.mu.Lock()
	p := m.proc
	m.mu.Unlock()
	if p != nil {
		p.kill(why)
		<-p.gone
	}
}

// ended is called when a process is gone. After a reset by the guest the machine starts anew.
func (m *Machine) ended(p *process, e ending) {
	m.mu.Lock()
	m.proc = nil
	m.status.Since, m.status.Ended = time.Now(), e.why
	m.mu.Unlock()
	m.log.Info("power off", "why", e.why)
	close(p.gone)
	if !e.again {
		return
	}
	m.power.Lock()
	defer m.power.Unlock()
	if err := m.start(); err != nil && !fault.Is(err, fault.Conflict) {
		m.log.Error("the machine did not come back after its reset", "err", err)
	}
}

// Close powers the machine off.
func (m *Machine) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.power.Lock()
	m.stop("the lab stopped")
	m.power.Unlock()
	m.wait.Wait()
	return nil
}
