package qemu

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// process is one start of the firmware.
type process struct {
	cmd     *exec.Cmd
	monitor *monitor
	errors  bytes.Buffer
	wait    sync.WaitGroup // of the cables
	gone    chan struct{}  // closed when all of it has ended

	mu     sync.Mutex
	killed string // why we ended it
}

// ending is how a process ended.
type ending struct {
	why   string
	again bool // the guest asked for a reset
}

// launch starts QEMU with its NICs plugged into the switch.
func launch(m *Machine, mode machine.Mode, order []machine.Device) (*process, error) {
	p := &process{gone: make(chan struct{})}
	var ours []net.Conn
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}()
	for range 1 + len(m.ports) { // the monitor first, then the NICs
		conn, file, err := pair()
		if err != nil {
			closeAll(ours)
			return nil, err
		}
		ours, theirs = append(ours, conn), append(theirs, file)
	}
	args, err := m.args(mode, order)
	if err != nil {
		closeAll(ours)
		return nil, err
	}
	p.cmd = exec.Command(m.options.Firmware.QEMU, args...)
	p.cmd.ExtraFiles = theirs
	p.cmd.Stderr = &p.errors
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		closeAll(ours)
		return nil, fault.E(fault.Unavailable, "start QEMU", err)
	}
	p.monitor = newMonitor(ours[0])
	for i, port := range m.ports {
		cable := port.Connect()
		p.wait.Go(func() {
			if err := cable.Carry(context.Background(), ours[1+i]); err != nil && !errors.Is(err, syscall.ECONNRESET) {
				m.log.Warn("a NIC lost its cable", "port", port.Name(), "err", err)
			}
		})
	}
	return p, nil
}

// watch waits for the end of the process and tells how it ended.
func (p *process) watch() ending {
	p.monitor.listen()
	err := p.cmd.Wait()
	p.monitor.close()
	p.wait.Wait()
	return p.ending(err)
}

// kill ends the process; its machine learns why.
func (p *process) kill(why string) {
	p.mu.Lock()
	p.killed = why
	p.mu.Unlock()
	_ = p.cmd.Process.Kill()
}

func (p *process) ending(err error) ending {
	p.mu.Lock()
	killed := p.killed
	p.mu.Unlock()
	switch reason := p.monitor.reason(); {
	case killed != "":
		return ending{why: killed}
	case reason == "guest-reset":
		return ending{why: "reset by its operating system or firmware", again: true}
	case reason == "guest-shutdown":
		return ending{why: "powered off by its operating system"}
	case reason != "":
		return ending{why: "QEMU ended: " + reason}
	}
	why := "QEMU died"
	if err != nil {
		why += ": " + err.Error()
	}
	if text := bytes.TrimSpace(p.errors.Bytes()); len(text) > 0 {
		why += ": " + string(text[max(0, len(text)-500):])
	}
	return ending{why: why}
}

// pair makes a connected pair of stream sockets: one for us, one for the child.
func pair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fault.E(fault.Unavailable, "make a socket pair", err)
	}
	for _, fd := range fds { // room for a burst of full frames; the system's limit may be lower
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20)
	}
	near, far := os.NewFile(uintptr(fds[0]), "near"), os.NewFile(uintptr(fds[1]), "far")
	conn, err := net.FileConn(near)
	_ = near.Close()
	if err != nil {
		_ = far.Close()
		return nil, nil, fault.E(fault.Internal, "use a socket pair", err)
	}
	return conn, far, nil
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}
