package wire

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/profile"
)

// pipes is a listener whose connections stay inside of the process, so that a test's clock runs them.
type pipes struct {
	made chan net.Conn
	end  chan struct{}
	once sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.end:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.end) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// slow runs a client against a BMC that takes its time before each answer.
func slow(t *testing.T, takes time.Duration, try func(t *testing.T, c *Client)) {
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{made: make(chan net.Conn), end: make(chan struct{})}
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(takes): // of the bubble's clock
				_, _ = w.Write([]byte("{}"))
			case <-r.Context().Done():
			}
		})}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		c, err := New(bmc.Access{Address: "http://bmc", Pace: quick}, "redfish")
		if err != nil {
			t.Fatal(err)
		}
		c.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			l.made <- theirs
			return ours, nil
		}
		try(t, c)
		c.Close()
		_ = s.Close()
		<-served
		synctest.Wait()
	})
}

// Fact: a Lenovo SR635 (AMI) takes 30 s and more for its service root.
func TestSlowServiceRoot(t *testing.T) {
	slow(t, 45*time.Second, func(t *testing.T, c *Client) {
		if a, err := c.Do(t.Context(), Request{Path: "/redfish/v1"}); err != nil || string(a.Body) != "{}" {
			t.Errorf("%q, %v", a.Body, err)
		}
	})
}

// Fact: logs of a DGX H100 and of iDRAC9 take 20 s a page, BIOS settings minutes, and a BMC that fetches an image answers when it has it: each kind of request has its own limit, and each has one.
func TestLimitsOfRequests(t *testing.T) {
	for patience, limit := range map[Patience]time.Duration{0: time.Minute, Logs: 2 * time.Minute, Settings: 3 * time.Minute, Transfer: 5 * time.Minute} {
		slow(t, limit-time.Second, func(t *testing.T, c *Client) {
			if _, err := c.Do(t.Context(), Request{Path: "/", Patience: patience}); err != nil {
				t.Errorf("%s: %v", limit, err)
			}
		})
		slow(t, limit+time.Second, func(t *testing.T, c *Client) {
			if _, err := c.Do(t.Context(), Request{Path: "/", Patience: patience}); bmc.ClassOf(err) != bmc.Unreachable {
				t.Errorf("beyond %s: %v", limit, err)
			}
		})
	}
}

// Fact: iDRAC9 and XCC bear connections that are kept, which saves a TLS handshake for each request: their profiles allow it.
func TestConnectionsAreKeptWhereTheProfileAllows(t *testing.T) {
	book, err := profile.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int32{"dell-idrac9": 1, "lenovo-xcc": 1, "dell-idrac8": 3, "hpe-ilo5": 3} {
		var opened atomic.Int32
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		}
		s.Start()
		c := client(t, bmc.Access{Address: s.URL, Profile: book.Named(name)})
		for range 3 {
			if _, err := c.Do(t.Context(), Request{Path: "/"}); err != nil {
				t.Fatal(err)
			}
		}
		if opened.Load() != want {
			t.Errorf("%s: %d connections for 3 requests, want %d", name, opened.Load(), want)
		}
		c.Close()
		s.Close()
	}
}

// Fact: HPE iLO 4 to 6 close a connection right after an answer and say nothing of it: a change that met the closed one was not seen by the BMC, and is told apart from one that was.
func TestClosedConnectionIsNoLostChange(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	_, err = client(t, bmc.Access{Address: "http://" + address}).Do(t.Context(), Request{Method: http.MethodPost, Path: "/reset", Body: []byte("{}")})
	if bmc.ClassOf(err) != bmc.Unreachable {
		t.Errorf("a change that nobody received: %v", err)
	}
}

// Fact: BMCs redirect to their login page when they have dropped a session: a redirection is an answer and is not followed.
func TestRedirectionIsNotFollowed(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/redfish/v1" {
			t.Errorf("asked %s", r.URL.Path)
		}
		http.Redirect(w, r, "/login.html", http.StatusFound)
	}))
	defer s.Close()
	a, err := client(t, bmc.Access{Address: s.URL}).Do(t.Context(), Request{Path: "/redfish/v1"})
	if err != nil || a.Status != http.StatusFound {
		t.Errorf("%d, %v", a.Status, err)
	}
}
