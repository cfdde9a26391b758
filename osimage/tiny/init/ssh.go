package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// handshakeWithin bounds the time in which a client has to log in.
const handshakeWithin = time.Minute

// serveSSH serves SSH on port 22 to the holders of keys, as root or hagane; both may do everything. The
// host key is made at each start: there is no place to keep one. listening is closed when it listens.
func serveSSH(ctx context.Context, keys []string, listening chan<- struct{}, log *slog.Logger) error {
	allowed := map[string]bool{}
	for _, line := range keys {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			log.Warn("a key of the config drive can not be read", "error", err)
			continue
		}
		allowed[string(key.Marshal())] = true
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if (c.User() == "root" || c.User() == "hagane") && known(allowed, key) {
			return &ssh.Permissions{}, nil
		}
		return nil, errors.New("unknown user or key")
	}}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return err
	}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", ":22")
	if err != nil {
		return err
	}
	close(listening)
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	var connections sync.WaitGroup
	defer connections.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		connections.Go(func() {
			if err := handle(ctx, conn, config, log); err != nil {
				log.Info("an SSH connection ended", "from", conn.RemoteAddr(), "error", err)
			}
		})
	}
}

func known(allowed map[string]bool, key ssh.PublicKey) bool {
	presented, found := key.Marshal(), 0
	for k := range allowed {
		found |= subtle.ConstantTimeCompare([]byte(k), presented)
	}
	return found == 1
}

func handle(ctx context.Context, conn net.Conn, config *ssh.ServerConfig, log *slog.Logger) error {
	defer func() { _ = conn.Close() }() // it may be closed already
	if err := conn.SetDeadline(time.Now().Add(handshakeWithin)); err != nil {
		return err
	}
	server, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	log.Info("logged in", "user", server.User(), "from", server.RemoteAddr())
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
		sessions.Go(func() { session(ctx, channel, requests, log) })
	}
	return nil
}
