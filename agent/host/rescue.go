package host

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/hagane-cloud/hagane/agent/dhcp"
	"github.com/hagane-cloud/hagane/agent/sshd"
	"github.com/hagane-cloud/hagane/fault"
)

// Rescue leaves the network of the cloud and serves SSH on those that the machine is plugged into from now on. Disks are
// not touched: whoever logs in mounts what they want to mend.
func (m *Machine) Rescue(ctx context.Context, login *ssh.ServerConfig, cloud string) error {
	// Without a place for terminals there are still commands.
	err := os.MkdirAll("/dev/pts", 0o755)
	if err == nil {
		err = unix.Mount("devpts", "/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "")
	}
	if err != nil && !errors.Is(err, unix.EBUSY) {
		m.log.Warn("mounting the terminals", "error", err)
	}
	listener, err := net.Listen("tcp", ":22")
	if err != nil {
		return fault.E(fault.Internal, "listening for SSH", err)
	}
	var addresses sync.WaitGroup
	defer addresses.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	addresses.Go(func() { dhcp.Move(ctx, net.ParseIP(cloud), m.log) })
	return (&sshd.Server{Login: login, Session: sshd.Shell(m.log), Log: m.log}).Serve(ctx, listener)
}
