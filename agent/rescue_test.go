package agent

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/agent/sshd"
)

// refuge is a machine with a rescue system, on loopback.
type refuge struct {
	*machine
	at chan string
}

func (r refuge) Rescue(ctx context.Context, login *ssh.ServerConfig, cloud string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r.at <- l.Addr().String() + " " + cloud
	say := func(_ context.Context, c ssh.Channel, requests <-chan *ssh.Request) {
		for q := range requests {
			_ = q.Reply(true, nil)
			_, _ = io.WriteString(c, "saved")
			_, _ = c.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{}))
			_ = c.Close()
		}
	}
	return (&sshd.Server{Login: login, Session: say, Log: slog.New(slog.DiscardHandler)}).Serve(ctx, l)
}

func rescueOrder(t *testing.T, password string) *protocol.Order {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return &protocol.Order{ID: "1", Rescue: &protocol.Rescue{PasswordHash: string(hash)}}
}

// TestRescue enters the rescue system, whose machine stays on while the cloud does not answer any more, with the
// acknowledgement heard or lost.
func TestRescue(t *testing.T) {
	for name, lost := range map[string]bool{"acknowledged": false, "the acknowledgement is lost": true} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, rescueOrder(t, "sesame"))
			if lost {
				s.refuseDone = "1"
			}
			m := refuge{newMachine(), make(chan string, 1)}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.runWith(ctx, m) }()
			at, cloud, _ := strings.Cut(<-m.at, " ")
			if cloud != "127.0.0.1" {
				t.Errorf("the cloud is at %q", cloud)
			}
			for user, password := range map[string]string{"rescue": "sesame", "root": "sesame", "": "sesame", "rescue ": "sesame"} {
				c, err := ssh.Dial("tcp", at, &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 5 * time.Second})
				if (err == nil) != (user == protocol.RescueUser) {
					t.Errorf("%q: %v", user, err)
				}
				if err != nil {
					continue
				}
				session, err := c.NewSession()
				if err != nil {
					t.Fatal(err)
				}
				if out, err := session.Output("anything"); err != nil || string(out) != "saved" {
					t.Errorf("%q, %v", out, err)
				}
				_ = c.Close()
			}
			if how := m.end(t); how != "running" {
				t.Errorf("the machine is %s", how)
			}
			stop()
			<-ended
			s.mu.Lock()
			defer s.mu.Unlock()
			if strings.Contains(s.log, "sesame") {
				t.Error("the log has the password")
			}
		})
	}
}

// TestNoRescue refuses what can not be a hash, and machines without a rescue system.
func TestNoRescue(t *testing.T) {
	for _, m := range []Machine{newMachine(), refuge{newMachine(), nil}} {
		s := newStage(t, &protocol.Order{ID: "1", Rescue: &protocol.Rescue{PasswordHash: "plain"}}, shutdown())
		if err := s.run(m); err != nil || s.end("1").Error == "" {
			t.Errorf("%v, %+v", err, s.end("1"))
		}
	}
}
