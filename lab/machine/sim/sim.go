// Package sim plays machines of the lab inside the process. What it plays is real where the cloud could tell
// the difference: it asks for an address by DHCP on its port of the lab's switch, fetches its boot
// script and boot files over HTTP, runs the agent's own code on its disks, and boots from them into a
// small operating system that takes its addresses from the config drive and answers SSH. Disks
// live in memory and only hold what is not zero; a machine that is off holds nothing else, so
// that thousands fit.
package sim

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
	Log  *slog.Logger
	Pool *Pool // what their disks hold; nil: each machine keeps its own
}

// Machine is a simulated machine.
type Machine struct {
	spec  machine.Spec
	dir   string
	ports []*vswitch.Port
	disks []*disk
	log   *slog.Logger

	power sync.Mutex // serialises changes of power
	wait  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	status machine.Status
	mode   machine.Mode
	boot   machine.Boot
	medium string // URL
	life   *life  // nil while off
	closed bool
}

var _ machine.Machine = (*Machine)(nil)

// life is the time between power on and power off or reset.
type life struct {
	cancel context.CancelCauseFunc
	button chan struct{} // pressed power button
	gone   chan struct{}
}

// outcome is how a life ends by itself.
type outcome struct {
	why   string
	again bool
}

// errStopped is why a life was cancelled from outside.
type errStopped string

// Error says who stopped it.
func (e errStopped) Error() string { return string(e) }

// New makes a machine that is off, with empty disks and its console in dir. ports are the switch ports of spec.NICs, in their order.
func New(spec machine.Spec, dir string, ports []*vswitch.Port, o Options) (*Machine, error) {
	if len(ports) != len(spec.NICs) {
		return nil, fault.Errorf(fault.Internal, "%s has %d NICs and %d ports", spec.Name, len(spec.NICs), len(ports))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.E(fault.Internal, "make the machine's folder", err)
	}
	m := &Machine{
		spec: spec, dir: dir, ports: ports, log: o.Log.With("machine", spec.Name),
		mode: spec.Mode, boot: machine.Boot{Device: machine.None},
		status: machine.Status{Since: time.Now(), BootedFrom: machine.None},
	}
	if o.Pool == nil {
		o.Pool = NewPool()
	}
	virtio, nvme := 0, 0
	for _, d := range spec.Disks {
		name := fmt.Sprintf("/dev/vd%c", 'a'+virtio)
		if d.Bus == machine.NVMe {
			name = fmt.Sprintf("/dev/nvme%dn1", nvme)
			nvme++
		} else {
			virtio++
		}
		m.disks = append(m.disks, newDisk(d, name, o.Pool))
	}
	return m, nil
}

func (m *Machine) console() string { return filepath.Join(m.dir, "console.log") }

// Spec says what the machine is made of.
func (m *Machine) Spec() machine.Spec { return m.spec }

// Status says how it is doing.
func (m *Machine) Status() machine.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.status
	s.On, s.Boot, s.Console = m.life != nil, m.boot, m.console()
	s.NextMode, s.Medium = m.mode, m.medium
	if s.Mode == "" {
		s.Mode = m.mode
	}
	return s
}

// SetBoot sets the override for later boots.
func (m *Machine) SetBoot(_ context.Context, b machine.Boot) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b.Mode != "" {
		m.mode = b.Mode
	}
	b.Mode = ""
	m.boot = b
	return nil
}

// SetMedium changes the image in the CD drive, which must be there.
func (m *Machine) SetMedium(ctx context.Context, url string) error {
	if url != "" {
		medium, err := machine.OpenMedium(ctx, url)
		if err != nil {
			return err
		}
		_ = medium.Close()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.medium = url
	return nil
}

// Blank reads a disk from end to end.
func (m *Machine) Blank(_ context.Context, disk int) (machine.Blankness, error) {
	if disk < 0 || disk >= len(m.disks) {
		return machine.Blankness{}, fault.Errorf(fault.NotFound, "%s has no disk %d", m.spec.Name, disk)
	}
	return m.disks[disk].blank(), nil
}

// Power carries out an action.
func (m *Machine) Power(_ context.Context, a machine.Action) error {
	if a == machine.SoftOff {
		m.pressButton()
		return nil
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

func (m *Machine) pressButton() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life == nil {
		return
	}
	select {
	case m.life.button <- struct{}{}:
	default: // it was pressed already
	}
}

// start begins a life unless there is one. The power lock is held.
func (m *Machine) start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return fault.Errorf(fault.Conflict, "the lab is stopping")
	}
	if m.life != nil {
		return nil
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	l := &life{cancel: cancel, button: make(chan struct{}, 1), gone: make(chan struct{})}
	boot, mode := m.boot, m.mode
	m.life, m.boot = l, boot.Next()
	m.status.BootedFrom, m.status.Mode = boot.Device, mode
	m.status.Boots++
	m.status.Since, m.status.Ended = time.Now(), ""
	m.log.Info("power on", "boot", boot.Device, "mode", mode)
	m.wait.Go(func() {
		o := m.live(ctx, l, boot, mode)
		if stopped, ok := context.Cause(ctx).(errStopped); ok {
			o = outcome{why: string(stopped)}
		}
		cancel(nil)
		m.ended(l, o)
	})
	return nil
}

// stop ends the life, if there is one, and returns when it is gone. The power lock is held.
func (m *Machine) stop(why string) {
	m.mu.Lock()
	l := m.life
	m.mu.Unlock()
	if l != nil {
		l.cancel(errStopped(why))
		<-l.gone
	}
}

// ended is called at the end of a life. After a reset by the guest the machine starts anew.
func (m *Machine) ended(l *life, o outcome) {
	m.mu.Lock()
	m.life = nil
	m.status.Since, m.status.Ended = time.Now(), o.why
	m.mu.Unlock()
	m.log.Info("power off", "why", o.why)
	close(l.gone)
	if !o.again {
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
