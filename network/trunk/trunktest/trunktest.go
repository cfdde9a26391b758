// Package trunktest gives a test network interfaces that it may do anything with: the test runs once more as a process with a network
// namespace of its own, which has no interface of the machine's. Tests of what stands on a real NIC use it.
package trunktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// envInside is set in the process with its own namespace.
const envInside = "HAGANE_TEST_INSIDE"

// Inside reports whether the test may go on: it runs in a namespace of its own. Otherwise it has been run there, and its outcome is t's.
// Where there are no rights to make a namespace, t is skipped.
func Inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(envInside) != "" {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			t.Fatal(err)
		}
		return true
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.v")
	again.Env = append(os.Environ(), envInside+"=1")
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		again.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		again.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		again.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := again.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		t.Skipf("a network namespace can not be made here: run the test as root (%v)", err)
	case err != nil:
		t.Fatalf("in its own network namespace: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP: "+t.Name())):
		t.Skipf("in its own network namespace: %s", out)
	}
	return false
}

// Space is a further network namespace.
type Space struct{ file *os.File }

// NewSpace makes a namespace that lasts until the test ends.
func NewSpace(t *testing.T) *Space {
	t.Helper()
	s := &Space{}
	if err := onThread(func() error {
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			s.file, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.file.Close() })
	return s
}

// Do runs a function in the namespace. Sockets that it opens, and programs that it starts, stay there.
func (s *Space) Do(t *testing.T, fn func() error) {
	t.Helper()
	if err := onThread(func() error {
		if err := unix.Setns(int(s.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return fn()
	}); err != nil {
		t.Fatal(err)
	}
}

// Dial connects from the namespace by TCP.
func (s *Space) Dial(ctx context.Context, t *testing.T, address string) net.Conn {
	t.Helper()
	var conn net.Conn
	s.Do(t, func() error {
		var err error
		conn, err = new(net.Dialer).DialContext(ctx, "tcp4", address)
		return err
	})
	return conn
}

// onThread runs a function on a thread that ends with it, as nobody else may have what it changes.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		done <- fn()
	}()
	return <-done
}

// Veth makes a pair of interfaces, both up: near in this namespace, and far in another one, with a MAC address unless that is nil. Both leave
// check sums to each other, as real NICs do.
func Veth(t *testing.T, near string, space *Space, far string, mac net.HardwareAddr) {
	t.Helper()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: near}, PeerName: far, PeerHardwareAddr: mac}
	if space != nil {
		pair.PeerNamespace = netlink.NsFd(space.file.Fd())
	}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	Up(t, near)
	if space == nil {
		Up(t, far)
		return
	}
	space.Do(t, func() error { return up(far) })
}

// Up brings an interface up.
func Up(t *testing.T, name string) {
	t.Helper()
	if err := up(name); err != nil {
		t.Fatal(err)
	}
}

func up(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}
