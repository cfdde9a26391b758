// Package ovstest runs a real Open vSwitch for a test: its database and its daemon in the test's own folder, with ports in user space. Tests of the
// driver, and of the whole cloud on a switch that is not ours, use it.
package ovstest

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	patience = time.Minute // of what takes moments, on machines that do much else at the time
	schema   = "/usr/share/openvswitch/vswitch.ovsschema"
)

// Switch is an Open vSwitch.
type Switch struct {
	Socket string // of its database
	dir    string
	dbLog  *lines
}

// Start runs a switch until the test ends. args are given to the database, such as further remotes. Where Open vSwitch is not installed the test
// is skipped.
func Start(t *testing.T, args ...string) *Switch {
	t.Helper()
	for _, program := range []string{"ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-appctl"} {
		if _, err := find(program); err != nil {
			t.Skipf("%s is not installed: apt-get install openvswitch-switch", program)
		}
	}
	dir, err := os.MkdirTemp("", "ovs") // short: the path of a socket has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &Switch{Socket: filepath.Join(dir, "db.sock"), dir: dir}
	s.Run(t, "ovsdb-tool", "create", filepath.Join(dir, "conf.db"), schema)
	s.dbLog = s.daemon(t, "ovsdb-server", append([]string{filepath.Join(dir, "conf.db"), "--remote=punix:" + s.Socket, "--unixctl=" + filepath.Join(dir, "db.ctl")}, args...)...)
	until(t, "the switch's database to listen", func() bool {
		conn, err := net.Dial("unix", s.Socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	s.Run(t, "ovs-vsctl", "--db=unix:"+s.Socket, "--no-wait", "init")
	return s
}

// Forward runs the switch's daemon until the test ends, or until the function that it returns is called.
func (s *Switch) Forward(t *testing.T) (stop func()) {
	t.Helper()
	ctl := filepath.Join(s.dir, "switch.ctl")
	l := s.daemon(t, "ovs-vswitchd", "unix:"+s.Socket, "--unixctl="+ctl, "--enable-dummy")
	until(t, "the switch to answer", func() bool { _, err := os.Stat(ctl); return err == nil })
	return l.stop
}

// Set changes the switch's database with ovs-vsctl, and waits until that is carried out.
func (s *Switch) Set(t *testing.T, args ...string) string {
	t.Helper()
	return s.Run(t, "ovs-vsctl", append([]string{"--db=unix:" + s.Socket, "--timeout=60"}, args...)...)
}

// Ask asks the switch's daemon with ovs-appctl.
func (s *Switch) Ask(t *testing.T, args ...string) string {
	t.Helper()
	return s.Run(t, "ovs-appctl", append([]string{"-t", filepath.Join(s.dir, "switch.ctl")}, args...)...)
}

// Remote returns the address of the first remote on a port of the kernel's choice, as the database's log tells it.
func (s *Switch) Remote(t *testing.T) string {
	t.Helper()
	listening := regexp.MustCompile(`listening on port (\d+)`)
	var number string
	until(t, "the database to tell its port", func() bool {
		found := listening.FindStringSubmatch(s.dbLog.String())
		if found != nil {
			number = found[1]
		}
		return found != nil
	})
	return "127.0.0.1:" + number
}

// Run runs a program and returns what it printed.
func (s *Switch) Run(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := s.command(t, program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (s *Switch) command(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := find(program)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	for _, name := range []string{"OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"} {
		cmd.Env = append(cmd.Env, name+"="+s.dir)
	}
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH")+":/usr/sbin")
	return cmd
}

// find looks for a program, also where only root's are.
func find(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return exec.LookPath(filepath.Join("/usr/sbin", program))
	}
	return path, nil
}

// lines is what a daemon logs.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	stop func()
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// daemon runs a daemon until the test ends or stop is called, and shows what it logged when the test fails.
func (s *Switch) daemon(t *testing.T, program string, args ...string) *lines {
	t.Helper()
	cmd := s.command(t, program, append(args, "--no-chdir", "-vconsole:info", "-vsyslog:off", "-vfile:off")...)
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	l := &lines{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for r := bufio.NewScanner(out); r.Scan(); {
			l.mu.Lock()
			l.text.WriteString(r.Text() + "\n")
			l.mu.Unlock()
		}
		_ = cmd.Wait() // it was killed
	}()
	l.stop = func() { _ = cmd.Process.Kill(); <-ended }
	t.Cleanup(func() {
		l.stop()
		if t.Failed() {
			t.Logf("%s: %s", program, l)
		}
	})
	return l
}

// until polls, as the daemons tell nobody.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
