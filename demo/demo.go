// Package demo plays the main job from end to end and proves each part: it starts a cloud and a lab,
// makes the nodes ready, becomes a tenant, gets servers, logs in to them, gives them back and proves
// that their disks are blank. It uses the public API alone, so it is also the plainest example of how to.
package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/fault"
	labclient "github.com/hagane-cloud/hagane/lab/client"
)

// Options say what to play.
type Options struct {
	Program string // the hagane binary
	Data    string // data folder; removed at the end unless Keep
	Machine string // sim or qemu
	Nodes   int
	Disks   int // of each machine; with 3 and more, those beside the image's are mirrored. 0 is 1
	Seed    uint64
	Image   string // file to upload; "" makes a small one that only sim machines boot
	OS      string // name for people
	User    string // who logs in by SSH
	Ramdisk string // folder
	Faults  string // script of what goes wrong with the BMCs; "" is nothing
	Vendors string // kinds of BMC; "" is the lab's well-behaved ones
	Keep    bool   // leave cloud and lab running until the context ends
	Out     io.Writer
}

// story is a demo while it is played.
type story struct {
	Options
	mu       sync.Mutex // orders what is printed: nodes are watched side by side
	begun    time.Time
	lab      labclient.Lab
	rack     *labclient.Client
	admin    *client.Cloud
	tenant   *client.Cloud
	nodes    []*labNode
	servers  []*demoServer
	plan     plan
	password string // of the tenant
	chapter  time.Time
	times    []string
}

// labNode is a node of the lab with its record in the cloud.
type labNode struct {
	labclient.Node
	id string
}

// Run plays the demo. It returns nil only when everything was proven.
func Run(ctx context.Context, o Options) (err error) {
	s := &story{Options: o, begun: time.Now(), chapter: time.Now(), password: rand.Text()}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cloud, err := s.start(ctx, "cloud", "serve", "--data", o.Data, "--listen", "127.0.0.1:0", "--ramdisk", o.Ramdisk, "--bmc-pace", "lab")
	if err != nil {
		return err
	}
	defer cloud.stop()
	defer func() {
		if err != nil && ctx.Err() == nil {
			s.say("what the cloud said last is in %s, and the lab in %s", s.logFile("cloud"), s.logFile("lab"))
		}
	}()
	if err := s.connect(ctx); err != nil {
		return err
	}
	s.done("the cloud is up")
	rack := []string{"lab", "--data", o.Data, "--machine", o.Machine, "--nodes", fmt.Sprint(o.Nodes), "--seed", fmt.Sprint(o.Seed), "--disks", fmt.Sprint(max(o.Disks, 1))}
	if o.Vendors != "" {
		rack = append(rack, "--vendors", o.Vendors)
	}
	if o.Faults != "" {
		rack = append(rack, "--faults", o.Faults)
	}
	lab, err := s.start(ctx, "lab", rack...)
	if err != nil {
		return err
	}
	defer lab.stop()
	if err := s.play(ctx); err != nil {
		return err
	}
	s.summary()
	if o.Keep {
		s.linger(ctx)
		return nil
	}
	return os.RemoveAll(o.Data)
}

func (s *story) play(ctx context.Context) error {
	if err := s.findRack(ctx); err != nil {
		return err
	}
	s.done("the lab is up and its %d machines are enrolled", len(s.nodes))
	if err := s.makeReady(ctx); err != nil {
		return err
	}
	s.done("the nodes are inspected, erased and available")
	if err := s.becomeTenant(ctx); err != nil {
		return err
	}
	s.done("a tenant has a network, a key and an image")
	if err := s.getServers(ctx); err != nil {
		return err
	}
	s.done("the tenant's servers are active")
	if err := s.prove(ctx); err != nil {
		return err
	}
	s.done("SSH proves host name, key and user data")
	if err := s.timeline(ctx); err != nil {
		return err
	}
	if s.Keep {
		return nil
	}
	if err := s.giveBack(ctx); err != nil {
		return err
	}
	s.done("the servers are gone, their disks are blank, the nodes are available again")
	return nil
}

// say prints a line with the time since the beginning.
func (s *story) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = fmt.Fprintf(s.Out, "%6.1fs  %s\n", time.Since(s.begun).Seconds(), fmt.Sprintf(format, args...))
}

// done ends a chapter.
func (s *story) done(format string, args ...any) {
	took := time.Since(s.chapter)
	s.chapter = time.Now()
	text := fmt.Sprintf(format, args...)
	s.times = append(s.times, fmt.Sprintf("%7.1fs  %s", took.Seconds(), text))
	s.say("✓ %s (%.1f s)", text, took.Seconds())
}

func (s *story) summary() {
	_, _ = fmt.Fprintf(s.Out, "\nSummary: %s, %d nodes, %s\n", s.Machine, len(s.nodes), s.OS)
	for _, t := range s.times {
		_, _ = fmt.Fprintln(s.Out, t)
	}
	_, _ = fmt.Fprintf(s.Out, "%7.1fs  in all\n", time.Since(s.begun).Seconds())
}

// linger leaves everything running and says how to reach it.
func (s *story) linger(ctx context.Context) {
	_, _ = fmt.Fprintf(s.Out, "\nThe cloud and its lab keep running; end them with Ctrl-C.\n  source %s          # then: openstack catalog list, baremetal node list, …\n", filepath.Join(s.Data, "openrc"))
	for _, sv := range s.servers {
		_, _ = fmt.Fprintf(s.Out, "  ssh -i %s -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -p %d %s@127.0.0.1   # %s\n", s.keyFile(), sv.road.Port(), s.User, sv.name)
	}
	<-ctx.Done()
}

func (s *story) keyFile() string { return filepath.Join(s.Data, "demo_key") }

// patience bounds the waiting for something that takes moments.
const patience = 60 * time.Second

// until calls ready until it reports true, at a steady beat, for at most limit.
func until(ctx context.Context, limit time.Duration, what string, ready func(ctx context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t := time.NewTicker(beat)
	defer t.Stop()
	for {
		ok, err := ready(ctx)
		if ok || (err != nil && ctx.Err() == nil) {
			return err
		}
		select {
		case <-ctx.Done():
			return fault.Errorf(fault.Unavailable, "%s: not within %s", what, limit)
		case <-t.C:
		}
	}
}

const beat = 250 * time.Millisecond
