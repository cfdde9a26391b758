// Package sshd serves SSH from a program that is alone in its machine: the agent's rescue system, the tiny test
// system, and the lab's simulated machines, whose sessions are played. Those who use it say who may log in.
package sshd

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/fault"
)

// handshakeWithin bounds the time in which a client has to log in.
const handshakeWithin = time.Minute

// Session serves one session. It closes the channel and returns when the session is over or ctx has ended.
type Session func(ctx context.Context, channel ssh.Channel, requests <-chan *ssh.Request)

// Server serves sessions and nothing else: no forwarding, no subsystems.
type Server struct {
	Login   *ssh.ServerConfig // who may log in; it has a host key
	Session Session
	Log     *slog.Logger
}

// HostKey makes a host key. There is no place to keep one in a machine that runs from memory: it lasts as long as that runs.
func HostKey() (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fault.E(fault.Internal, "making a host key", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, fault.E(fault.Internal, "making a host key", err)
	}
	return signer, nil
}

// Serve serves a listener until ctx ends, which also ends what was begun, or the listener fails. It closes the listener
// and waits for all that it began. It returns nil when ctx has ended.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var connections sync.WaitGroup
	defer connections.Wait()
	defer cancel()
	defer closing(ctx, listener)()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fault.E(fault.Internal, "waiting for SSH connections", err)
		}
		connections.Go(func() {
			if err := s.handle(ctx, conn); err != nil {
				s.Log.Info("an SSH connection ended", "from", conn.RemoteAddr(), "error", err)
			}
		})
	}
}

// closing closes c when ctx ends, or when the returned function is called.
func closing(ctx context.Context, c io.Closer) func() {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // whoever uses it notices
	return func() {
		stop()
		_ = c.Close() // it may be closed already
	}
}

func (s *Server) handle(ctx context.Context, conn net.Conn) error {
	defer closing(ctx, conn)()
	if err := conn.SetDeadline(time.Now().Add(handshakeWithin)); err != nil {
		return err
	}
	server, channels, requests, err := ssh.NewServerConn(conn, s.Login)
	if err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	s.Log.Info("logged in", "user", server.User(), "from", server.RemoteAddr())
	var sessions sync.WaitGroup
	sessions.Go(func() { ssh.DiscardRequests(requests) })
	defer sessions.Wait()
	for offered := range channels {
		if offered.ChannelType() != "session" {
			if err := offered.Reject(ssh.UnknownChannelType, "only sessions"); err != nil {
				return err
			}
			continue
		}
		channel, requests, err := offered.Accept()
		if err != nil {
			return err
		}
		sessions.Go(func() { s.Session(ctx, channel, requests) })
	}
	return nil
}
