package demo

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/fault"
)

// bootLimit is how long an operating system may take to answer SSH under software emulation.
const bootLimit = 10 * time.Minute

func (s *story) loginAll(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, len(s.servers))
	for i, sv := range s.servers {
		wg.Go(func() { errs[i] = fault.Wrap(sv.name, s.login(ctx, sv)) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// login waits for SSH, and compares what the server says with what was asked for.
func (s *story) login(ctx context.Context, sv *demoServer) error {
	cfg := &ssh.ClientConfig{User: s.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(s.plan.signer)}, Timeout: 15 * time.Second,
		HostKeyCallback: ssh.InsecureIgnoreHostKey()} // the server made its host key at its first boot
	var last error
	began, at := time.Now(), time.Now()
	err := until(ctx, bootLimit, "SSH to answer", func(ctx context.Context) (bool, error) {
		last = s.look(ctx, sv, cfg)
		if fault.Is(last, fault.Conflict) {
			return false, last
		}
		if last != nil && time.Since(at) > repeat {
			s.say("%s: waits for SSH (%.0f s)", sv.name, time.Since(began).Seconds())
			at = time.Now()
		}
		return last == nil, nil
	})
	return errors.Join(err, last)
}

// look logs in once. A Conflict says that the server is not what was asked for.
func (s *story) look(ctx context.Context, sv *demoServer, cfg *ssh.ClientConfig) error {
	d := net.Dialer{Timeout: cfg.Timeout}
	conn, err := d.DialContext(ctx, "tcp", sv.road.String())
	if err != nil {
		return fault.E(fault.Unavailable, "connecting", err)
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	c, chans, reqs, err := ssh.NewClientConn(conn, sv.road.String(), cfg)
	if err != nil {
		return errors.Join(fault.E(fault.Unavailable, "logging in", err), conn.Close())
	}
	sc := ssh.NewClient(c, chans, reqs)
	defer func() { _ = sc.Close() }()
	name, err := output(sc, "hostname")
	if err != nil {
		return err
	}
	if name != sv.name {
		return fault.Errorf(fault.Conflict, "the host name is %q, want %q", name, sv.name)
	}
	data, err := output(sc, s.userDataCommand())
	if err != nil {
		return err
	}
	if data != strings.TrimSpace(sv.userData) {
		return fault.Errorf(fault.Conflict, "the user data are %q, want %q", data, sv.userData)
	}
	if err := s.lookAtDisks(sv, sc); err != nil {
		return err
	}
	s.say("%s: SSH with the tenant's key says: host name %s, user data as given", sv.name, name)
	return nil
}

// userDataCommand prints the user data where each test system keeps them.
func (s *story) userDataCommand() string {
	if s.OS == "debian" {
		return "sudo cat /var/lib/cloud/instance/user-data.txt"
	}
	return "cat /run/hagane/user-data"
}

func output(c *ssh.Client, command string) (string, error) {
	sess, err := c.NewSession()
	if err != nil {
		return "", fault.E(fault.Unavailable, "opening a session", err)
	}
	defer func() { _ = sess.Close() }()
	out, err := sess.Output(command)
	if err != nil {
		return "", fault.E(fault.Unavailable, command, err)
	}
	return strings.TrimSpace(string(out)), nil
}
