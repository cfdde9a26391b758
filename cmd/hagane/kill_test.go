package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/lab"
	"github.com/hagane-cloud/hagane/lab/client"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/workflow"
)

// What this test program is told when it plays hagane serve.
const (
	envServe = "HAGANE_TEST_SERVE" // serveToDieOptions
)

type serveToDieOptions struct {
	Data, Database string
	DieAt          string        // the step after which the process kills itself, before it is recorded; "" never
	Roles          []string      // nil is all
	Skew           time.Duration // by how much its clock is ahead
	AgentWithin    time.Duration // how long a node may take to boot the agent; 0 is the default
}

// serveToDie is hagane serve that dies by SIGKILL at a given step.
func serveToDie() {
	var d serveToDieOptions
	if err := decode(envServe, &d); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if d.Roles == nil {
		d.Roles = allRoles
	}
	if d.Skew != 0 {
		db.SetClock(func() time.Time { return time.Now().Add(d.Skew) })
	}
	o := serveOptions{data: d.Data, listen: "127.0.0.1:0", database: d.Database, roles: d.Roles, region: "region1", workers: 16, ipxe: "/usr/lib/ipxe", pace: "lab", agentWithin: d.AgentWithin}
	o.passwords.HashKiB = quickHash
	o.wired = func(c *cloud) {
		if d.DieAt == "" {
			return
		}
		c.engine.Interrupt = func(run workflow.Run) error {
			if run.Step == d.DieAt {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
			return nil
		}
	}
	if err := serve(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is hagane serve in a process of its own.
type child struct {
	cmd  *exec.Cmd
	log  *log
	done chan struct{}
}

// log is what a process prints.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (c *testCloud) spawn(dsn, dieAt string) *child {
	c.Helper()
	p := c.launch(serveToDieOptions{Data: c.data, Database: dsn, DieAt: dieAt})
	c.reconnectTo(p)
	return p
}

// launch starts a process and does not wait for it.
func (c *testCloud) launch(o serveToDieOptions) *child {
	c.Helper()
	self, err := os.Executable()
	if err != nil {
		c.Fatal(err)
	}
	opts, err := json.Marshal(o)
	if err != nil {
		c.Fatal(err)
	}
	return c.begin(exec.Command(self), envServe+"="+string(opts))
}

// begin starts a program with something in its environment; it ends with the test at the latest.
func (c *testCloud) begin(cmd *exec.Cmd, env string) *child {
	c.Helper()
	p := &child{cmd: cmd, log: new(log), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env)
	p.cmd.Stderr = p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		c.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	c.Cleanup(p.kill)
	return p
}

func (p *child) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// reconnectTo waits until the new process answers; the old one's address may still stand in clouds.yaml.
func (c *testCloud) reconnectTo(p *child) {
	c.Helper()
	select {
	case <-p.done:
		c.Fatalf("serve ended: %s", p.log)
	default:
	}
	c.reconnect()
}

// bootable is a small disk with a partition table, which the lab's simulated machines boot.
func bootable() io.Reader {
	const mib = 1 << 20
	d := make([]byte, 8*mib)
	copy(d[446:], []byte{0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0x30, 0, 0})
	d[510], d[511] = 0x55, 0xaa
	copy(d[mib:], "an operating system")
	return bytes.NewReader(d)
}

// runLab runs a rack of simulated machines in this process until the test ends.
func (c *testCloud) runLab(nodes int) client.Lab {
	c.Helper()
	return c.runRack(lab.Options{Nodes: nodes, Machine: lab.Sim, DiskGB: 1})
}

// runRack runs a rack of machines in this process until the test ends.
func (c *testCloud) runRack(o lab.Options) client.Lab {
	c.Helper()
	if err := standInRamdisk(c.data); err != nil {
		c.Fatal(err)
	}
	ctx, stop := context.WithCancel(c.Context())
	ended := make(chan error, 1)
	ready := make(chan client.Lab, 1)
	o.DataDir, o.Seed, o.ResourceClass = c.data, 1, "baremetal"
	o.Ready = func(_ context.Context, l client.Lab) { ready <- l }
	go func() { ended <- lab.Run(ctx, o) }()
	c.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			c.Error(err)
		}
	})
	select {
	case l := <-ready:
		return l
	case err := <-ended:
		c.Fatal(err)
	case <-time.After(60 * time.Second):
		c.Fatal("the lab was not ready within 60 s")
	}
	panic("unreachable")
}

func deploySteps() []string {
	var names []string
	for _, w := range node.Works {
		if w.While == node.Deploying {
			for _, s := range w.Run.Steps {
				names = append(names, s.Name)
			}
		}
	}
	return names
}

// TestKilledAtEveryStepOfADeployment kills the process, after each step of a deployment but before the
// step is recorded, and starts it again: the run goes on from there and ends well. Every other step is SQLite's, the others are PostgreSQL's;
// with HAGANE_SOAK each does all.
func TestKilledAtEveryStepOfADeployment(t *testing.T) {
	if testing.Short() {
		t.Skip("a minute long")
	}
	eachDatabase(t, func(t *testing.T, dsn string) {
		c := &testCloud{T: t, data: filepath.Join(t.TempDir(), "data")}
		p := c.spawn(dsn, "")
		id := c.node(c.runLab(1).Nodes[0].Name).UUID
		c.ready(id, "manage", "inspect", "provide")
		g := c.ground(c.tenant("tenant"))
		for i, step := range deploySteps() {
			if os.Getenv("HAGANE_SOAK") == "" && (i%2 == 0) != (dsn == "") {
				continue
			}
			p.kill()
			p = c.spawn(dsn, step)
			s := must[serverDoc](c, c.as("tenant"), "POST", "baremetal-server", "/servers", g.body("s"))
			select {
			case <-p.done:
			case <-time.After(60 * time.Second):
				t.Fatalf("the process did not die at %q: node %+v", step, c.node(id))
			}
			p = c.spawn(dsn, "")
			began := time.Now()
			tenant := c.as("tenant")
			c.serverUntil(tenant, s.Server.ID, "ACTIVE")
			t.Logf("killed after %q: active %s after the start", step, time.Since(began).Round(10*time.Millisecond))
			c.onlyDoneOnce(id, step)
			must[any](c, tenant, "DELETE", "baremetal-server", "/servers/"+s.Server.ID, nil)
			c.serverUntil(tenant, s.Server.ID, "")
			c.nodeUntil(id, "available")
		}
		p.kill()
	})
}

// onlyDoneOnce checks that the deployment was carried on by the same run, and that no step but the interrupted one stands there twice.
func (c *testCloud) onlyDoneOnce(id, killedAt string) {
	c.Helper()
	got := must[struct {
		Runs []struct {
			Workflow string
			Phase    workflow.Phase
			Steps    []struct{ Name, Outcome string }
		}
	}](c, c.admin, "GET", "operator", "/v1/nodes/"+id+"/runs", nil)
	r := got.Runs[0]
	if r.Workflow != "deploy/3" || r.Phase != workflow.Done || len(r.Steps) != len(deploySteps()) {
		c.Errorf("killed at %q: the last run is %s, %s, with %d steps; want one deploy/3, done, with %d", killedAt, r.Workflow, r.Phase, len(r.Steps), len(deploySteps()))
	}
	for i, s := range r.Steps {
		if s.Name != deploySteps()[i] || s.Outcome != "done" {
			c.Errorf("killed at %q: step %d is %s, %s", killedAt, i, s.Name, s.Outcome)
		}
	}
}
