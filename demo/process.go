package demo

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/fault"
	labclient "github.com/hagane-cloud/hagane/lab/client"
)

// process is one of the programs that the demo runs.
type process struct {
	cmd  *exec.Cmd
	done chan error
}

// stopFor is how long a program may take to end by itself.
const stopFor = 30 * time.Second

func (s *story) logFile(name string) string { return filepath.Join(s.Data, name+".log") }

// start runs the hagane binary with its words going to a file.
func (s *story) start(ctx context.Context, name string, args ...string) (*process, error) {
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return nil, fault.E(fault.Internal, "making the data folder", err)
	}
	log, err := os.Create(s.logFile(name))
	if err != nil {
		return nil, fault.E(fault.Internal, "making a log file", err)
	}
	cmd := exec.CommandContext(ctx, s.Program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopFor
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // a Ctrl-C is ours to pass on
	if err := cmd.Start(); err != nil {
		return nil, fault.E(fault.Internal, "starting hagane "+args[0], err)
	}
	p := &process{cmd, make(chan error, 1)}
	go func() { p.done <- cmd.Wait(); _ = log.Close() }()
	return p, nil
}

// stop asks the program to end and waits.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopFor):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// connect waits for the cloud and becomes its administrator.
func (s *story) connect(ctx context.Context) error {
	return until(ctx, patience, "waiting for the cloud", func(ctx context.Context) (bool, error) {
		a, err := client.ReadAccess(s.Data, "hagane")
		if err == nil {
			s.admin, err = client.Connect(ctx, a)
		}
		if fault.Is(err, fault.Unavailable) {
			return false, nil
		}
		return err == nil, err
	})
}

// findRack waits for the lab to have enrolled its machines.
func (s *story) findRack(ctx context.Context) error {
	s.rack = labclient.New(s.Data)
	return until(ctx, 2*patience, "waiting for the lab to enrol its machines", func(ctx context.Context) (bool, error) {
		l, err := labclient.Read(s.Data)
		if err != nil || !l.Enrolled {
			return false, nil
		}
		s.lab = l
		for _, n := range l.Nodes {
			var got struct{ UUID string }
			if err := s.admin.Do(ctx, "GET", "baremetal", "/v1/nodes/"+n.Name+"?fields=uuid", nil, &got); err != nil {
				return false, err
			}
			s.nodes = append(s.nodes, &labNode{n, got.UUID})
			s.say("%s: %s, BMC by %s at %s", n.Name, n.Mode, n.BMC.Driver, n.BMC.Address)
		}
		return true, nil
	})
}
