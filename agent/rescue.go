package agent

import (
	"context"
	"errors"
	"net/url"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/agent/sshd"
	"github.com/hagane-cloud/hagane/fault"
)

// prepareRescue makes what the rescue system needs while the cloud can still be told that something is wrong with it.
func (a *agent) prepareRescue(o *protocol.Rescue) (*protocol.Rescued, error) {
	if _, ok := a.Machine.(Rescuer); !ok {
		return nil, fault.Errorf(fault.Conflict, "this machine has no rescue system")
	}
	hash := []byte(o.PasswordHash)
	if _, err := bcrypt.Cost(hash); err != nil {
		return nil, fault.E(fault.Invalid, "reading the hash of the password", err)
	}
	key, err := sshd.HostKey()
	if err != nil {
		return nil, err
	}
	a.login = &ssh.ServerConfig{PasswordCallback: func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		// The hash is computed for any user: how long it takes tells nothing.
		if err := bcrypt.CompareHashAndPassword(hash, password); err != nil || c.User() != protocol.RescueUser {
			return nil, errors.New("unknown user or wrong password")
		}
		return &ssh.Permissions{}, nil
	}}
	a.login.AddHostKey(key)
	told := &protocol.Rescued{HostKey: ssh.FingerprintSHA256(key.PublicKey())}
	a.log.Info("the rescue system is prepared", "host_key", told.HostKey) // the console shows it to those who log in
	return told, nil
}

// rescue is the rescue system until the machine is reset or powered off.
func (a *agent) rescue(ctx context.Context) error {
	base, err := url.Parse(a.API)
	if err != nil {
		return fault.E(fault.Invalid, "reading the cloud's URL", err)
	}
	a.log.Info("becoming the rescue system; the cloud is not called any more")
	a.cloud.token = ""
	return fault.Wrap("serving the rescue system", a.Machine.(Rescuer).Rescue(ctx, a.login, base.Hostname()))
}
