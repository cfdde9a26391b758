package conformance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// envForker names the socket of forker.py, for those who are called as one of its commands.
const envForker = "HAGANE_FORKER"

// forked are Debian's commands of which forker.py makes forks: loading them anew for each call would take most of the time.
var forked = []string{"openstack", "baremetal"}

func TestMain(m *testing.M) {
	if at := os.Getenv(envForker); at != "" {
		status, err := fork(at)
		if err != nil {
			fmt.Fprintln(os.Stderr, "asking forker.py:", err)
		}
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// fork has this process's command carried out by forker.py, with this process's standard files, and returns its status.
func fork(at string) (status int, err error) {
	cwd, err := os.Getwd()
	if err != nil {
		return 1, err
	}
	env := map[string]string{}
	for _, e := range os.Environ() {
		if k, v, _ := strings.Cut(e, "="); k != envForker {
			env[k] = v
		}
	}
	asked, err := json.Marshal(object{"argv": os.Args, "cwd": cwd, "env": env})
	if err != nil {
		return 1, err
	}
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: at})
	if err != nil {
		return 1, err
	}
	defer func() { _ = c.Close() }()
	if _, _, err := c.WriteMsgUnix([]byte{'{'}, syscall.UnixRights(0, 1, 2), nil); err != nil {
		return 1, err
	}
	if _, err := c.Write(append(asked[1:], '\n')); err != nil {
		return 1, err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return 1, err
	}
	_, err = fmt.Sscan(line, &status)
	return status, err
}

// startForker runs forker.py until the test ends, and returns its socket and a folder of commands that go there; "" where the
// commands are not installed.
func startForker(t *testing.T) (socket, bin string) {
	t.Helper()
	for _, name := range forked {
		if _, err := exec.LookPath(name); err != nil {
			return "", ""
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	socket, bin = filepath.Join(dir, "s"), filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range forked {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("/usr/bin/python3", "forker.py", socket)
	cmd.Stderr = t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for late := time.Now().Add(time.Minute); ; <-time.After(50 * time.Millisecond) {
		c, err := net.Dial("unix", socket)
		if err == nil {
			_ = c.Close()
			return socket, bin
		}
		if time.Now().After(late) {
			t.Fatalf("forker.py does not answer: %v", err)
		}
	}
}
