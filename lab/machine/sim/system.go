package sim

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/agent/configdrive"
	"github.com/hagane-cloud/hagane/agent/sshd"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/netstack"
)

// system plays the operating system on a disk until the machine goes off.
func (g *guest) system(ctx context.Context, d *disk) outcome {
	drive, err := configdrive.Find(ctx, d, d.spec.Bytes, sectorBytes)
	if err != nil {
		g.failed("find the config drive", fault.E(fault.NotFound, d.name, err))
	}
	s := settings{hostname: "localhost"}
	if drive != nil {
		if s, err = readSettings(drive); err != nil {
			g.failed("read the config drive", err)
		}
	}
	for _, m := range s.mounts {
		g.printf("is told to mount %s on %s (%s)", m.Device, m.Point, m.Type)
	}
	o := &system{guest: g, settings: s, booted: time.Now(), ended: make(chan outcome, 1)}
	inside, cancel := context.WithCancel(ctx)
	o.cancel = cancel
	defer o.shut()
	if err := o.listen(inside); err != nil {
		g.failed("start the network", err)
	}
	g.printf("%s: ready", s.hostname)
	select {
	case <-ctx.Done():
		return outcome{}
	case <-g.button:
		g.printf("the power button was pressed: shutting down")
		return outcome{why: "powered off by its operating system"}
	case end := <-o.ended:
		return end
	}
}

// system is the small operating system: addresses, and SSH on all of them.
type system struct {
	*guest
	settings settings
	booted   time.Time
	ended    chan outcome

	cancel context.CancelFunc // ends SSH
	wait   sync.WaitGroup
}

// listen brings the NICs up that the config drive names.
func (o *system) listen(ctx context.Context) error {
	config, err := o.sshConfig()
	if err != nil {
		return err
	}
	for _, l := range o.settings.links {
		for _, n := range o.nics {
			if n.spec.MAC.String() != l.mac {
				continue
			}
			if n.host != nil {
				o.printf("%s has an address already; %s is left out", l.mac, l.addr)
				continue
			}
			host, err := n.up(netstack.Config{Addr: l.addr, Gateway: l.gateway, MTU: l.mtu})
			if err != nil {
				return err
			}
			if err := host.Attach(metadataAddress); err != nil {
				return err
			}
			o.printf("%s has %s", l.mac, l.addr)
			if err := o.serve(ctx, host, config); err != nil {
				return err
			}
		}
	}
	return nil
}

// shut ends connections, waits for them and takes the network down.
func (o *system) shut() {
	o.cancel()
	o.wait.Wait()
	for _, n := range o.nics {
		n.down()
	}
}

// sshConfig accepts the keys of the config drive for any user. The host key belongs to the machine and its
// instance, so that a client sees the same one after a restart.
func (o *system) sshConfig() (*ssh.ServerConfig, error) {
	var allowed [][]byte
	for _, line := range o.settings.keys {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			o.printf("a public key can not be read and is left out: %v", err)
			continue
		}
		allowed = append(allowed, key.Marshal())
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		for _, k := range allowed {
			if bytes.Equal(k, key.Marshal()) {
				return nil, nil
			}
		}
		return nil, fault.Errorf(fault.Unauthentic, "no such key")
	}}
	seed := sha256.Sum256([]byte("host key " + o.spec.Serial + " " + o.settings.hostname))
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		return nil, fault.E(fault.Internal, "make the host key", err)
	}
	config.AddHostKey(signer)
	return config, nil
}

// serve serves SSH on a host until ctx ends.
func (o *system) serve(ctx context.Context, host *netstack.Host, login *ssh.ServerConfig) error {
	listener, err := host.Listen(22)
	if err != nil {
		return err
	}
	o.wait.Go(func() {
		if err := (&sshd.Server{Login: login, Session: o.session, Log: o.say}).Serve(ctx, listener); err != nil {
			o.failed("serve SSH", err)
		}
	})
	return nil
}

func (o *system) session(ctx context.Context, channel ssh.Channel, asked <-chan *ssh.Request) {
	defer func() { _ = channel.Close() }()
	for req := range asked {
		var exec struct{ Command string }
		if req.Type != "exec" || ssh.Unmarshal(req.Payload, &exec) != nil {
			_ = req.Reply(req.Type == "env", nil)
			continue
		}
		_ = req.Reply(true, nil)
		status := uint32(0)
		for _, command := range strings.FieldsFunc(strings.ReplaceAll(exec.Command, "&&", ";"), func(r rune) bool { return r == ';' || r == '\n' }) {
			text, code := o.command(ctx, strings.TrimSpace(command))
			_, _ = channel.Write([]byte(text))
			if status = code; code != 0 {
				break
			}
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
		return
	}
}

// command plays a command and returns what it prints.
func (o *system) command(ctx context.Context, line string) (text string, status uint32) {
	if path, ok := strings.CutPrefix(line, "metadata "); ok {
		return o.metadata(ctx, path)
	}
	if address, ok := strings.CutPrefix(line, "connect "); ok {
		return o.connect(ctx, address)
	}
	switch line {
	case "", "true", "sync":
		return "", 0
	case "hostname":
		return o.settings.hostname + "\n", 0
	case "cat /run/hagane/user-data":
		return string(o.settings.userData), 0
	case "uptime":
		return fmt.Sprintf("up %d seconds\n", int(time.Since(o.booted).Seconds())), 0
	case "poweroff":
		o.end(outcome{why: "powered off by its operating system"})
		return "", 0
	case "reboot":
		o.end(outcome{why: "reset by its operating system or firmware", again: true})
		return "", 0
	}
	return fmt.Sprintf("%s: this simulated machine knows hostname, uptime, cat /run/hagane/user-data, metadata PATH, connect ADDRESS:PORT, reboot and poweroff\n", line), 127
}

func (o *system) end(how outcome) {
	select {
	case o.ended <- how:
	default:
	}
}
