package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"

	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/agent/sshd"
)

// serveSSH serves SSH on port 22 to the holders of keys, as root or hagane; both may do everything. The
// host key is made at each start. listening is closed when it listens.
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
	login := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if (c.User() == "root" || c.User() == "hagane") && known(allowed, key) {
			return &ssh.Permissions{}, nil
		}
		return nil, errors.New("unknown user or key")
	}}
	signer, err := sshd.HostKey()
	if err != nil {
		return err
	}
	login.AddHostKey(signer)
	listener, err := net.Listen("tcp", ":22")
	if err != nil {
		return err
	}
	close(listening)
	return (&sshd.Server{Login: login, Session: sshd.Shell(log), Log: log}).Serve(ctx, listener)
}

func known(allowed map[string]bool, key ssh.PublicKey) bool {
	presented, found := key.Marshal(), 0
	for k := range allowed {
		found |= subtle.ConstantTimeCompare([]byte(k), presented)
	}
	return found == 1
}
