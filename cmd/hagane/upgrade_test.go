package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/lab"
)

// buildOld builds the program as it was before the schema last changed, from the project's history, and returns its path.
func buildOld(t *testing.T) string {
	t.Helper()
	git := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", "../.."}, args...)...).Output()
		if err != nil {
			t.Skipf("the project's history is not here, which holds the old version (git %s: %v): clone it whole", strings.Join(args, " "), err)
		}
		return strings.TrimSpace(string(out))
	}
	changed := git("log", "-1", "--format=%H", "--", "db/migrations")
	old := git("rev-parse", "--verify", changed+"^")
	dir := t.TempDir()
	archive := filepath.Join(dir, "old.tar")
	git("archive", "--output", archive, old)
	if out, err := exec.CommandContext(t.Context(), "tar", "-x", "-C", dir, "-f", archive).CombinedOutput(); err != nil {
		t.Fatalf("unpacking the old version: %v: %s", err, out)
	}
	program := filepath.Join(dir, "hagane-old")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-X main.version=old", "-o", program, "./cmd/hagane")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the old version %s: %v: %s", old, err, out)
	}
	t.Logf("the old version is %s", old)
	return program
}

// old runs a process of the old version.
func (c *crowd) old(program, name, dsn, role string) *crowdMember {
	c.Helper()
	p := c.begin(exec.Command(program, "serve", "--data", c.data, "--listen", "127.0.0.1:0", "--role", role, "--bmc-pace", "lab", "--agent-within", "30s"),
		envDatabase+"="+dsn)
	m := &crowdMember{name: name, child: p}
	c.members = append(c.members, m)
	return m
}

// stop has a process stop as systemd does.
func (c *crowd) stop(m *crowdMember) {
	c.Helper()
	_ = m.now().cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.now().done:
	case <-time.After(time.Minute):
		c.Fatalf("%s does not stop: %s", m.name, m.now().log)
	}
	if s := m.now().cmd.ProcessState; !s.Success() {
		c.Errorf("%s ended with %s: %s", m.name, s, m.now().log)
	}
}

// up waits until a process of the API is ready.
func (c *crowd) up(m *crowdMember) {
	c.Helper()
	c.until(time.Minute, m.name+" to be ready", func() bool {
		url := m.found(urlOf)
		if url == "" {
			return false
		}
		status, _, err := (&account{crowd: c}).at(c.Context(), url, http.MethodGet, "/readyz", nil)
		return err == nil && status == http.StatusOK
	})
}

// TestUpgrade replaces every process of a cloud by one of the new version, one after the other, as docs/processes.md says, while tenants
// make and delete servers all the time. The two versions have different schemas. No request fails, and no run.
func TestUpgrade(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes long")
	}
	t.Parallel()
	program := buildOld(t)
	dsn := dbtest.PostgresURL(t)
	c := &crowd{testCloud: &testCloud{T: t, data: filepath.Join(t.TempDir(), "data")}, retried: map[string]int{}}
	before := c.old(program, "old api", dsn, "api")
	c.up(before)
	c.reconnectTo(before.child)
	balanced := func(m ...*crowdMember) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.apis = m
	}
	balanced(before)
	conductors := []*crowdMember{c.old(program, "old conductor 1", dsn, "conductor"), c.old(program, "old conductor 2", dsn, "conductor")}
	dhcp := c.old(program, "old dhcp", dsn, "dhcp")
	c.machine = c.runRack(lab.Options{Nodes: 5, Machine: lab.Sim, DiskGB: 1}).Nodes
	c.prepare()

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	end := make(chan struct{})
	var living sync.WaitGroup
	people, grounds := c.settlers(3)
	for i, p := range people {
		living.Go(func() { p.live(ctx, grounds[i], end) })
	}
	more := func(n int, what string) {
		c.mu.Lock()
		want := c.servers + n
		c.mu.Unlock()
		c.until(3*time.Minute, what, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.servers >= want || len(c.failed) > 0 })
	}
	more(1, "a server's whole life under the old version")

	// The new one beside it: the schema changes under the old one.
	after := c.add("new api", dsn, 0, "api")
	c.up(after)
	balanced(before, after)
	var err error
	if c.db, err = db.Open(ctx, dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.db.Close)
	watching, enough := context.WithCancel(ctx)
	var watched sync.WaitGroup
	watched.Go(func() { c.watch(watching) })
	c.add("new conductor 1", dsn, 0, "conductor")
	c.add("new conductor 2", dsn, 0, "conductor")
	c.reconnect()
	more(3, "servers' lives under both versions")
	if versions := regexp.MustCompile(`(?m)^\S+ +working .* old `).FindAllString(c.printed("conductor", "list"), -1); len(versions) != 2 {
		t.Errorf("the old conductors are not both at work beside the new ones: %s", c.printed("conductor", "list"))
	}
	for _, m := range conductors {
		c.printed("conductor", "drain", m.found(conductorName))
		c.stop(m)
	}
	balanced(after)
	<-time.After(time.Second) // the load balancer's last requests to it
	c.stop(before)
	c.stop(dhcp)
	c.add("new dhcp", dsn, 0, "dhcp")
	more(3, "servers' lives under the new version")
	close(end)
	living.Wait()
	enough()
	watched.Wait()

	for _, words := range c.failed {
		t.Error(words)
	}
	if len(c.retried) > 0 {
		t.Errorf("requests had to be made again: %v", c.retried)
	}
	var failed []struct{ Workflow, Error string }
	if err := c.db.Read().NewRaw("SELECT workflow, error FROM run WHERE phase = 'failed'").Scan(ctx, &failed); err != nil || len(failed) > 0 {
		t.Errorf("runs failed: %+v, %v", failed, err)
	}
	for _, m := range c.members {
		for line := range bytes.Lines([]byte(m.now().log.String())) {
			if bytes.Contains(line, []byte("level=ERROR")) {
				t.Errorf("%s: %s", m.name, line)
			}
		}
	}
	t.Logf("%d servers made and deleted", c.servers)
}
