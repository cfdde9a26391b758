package wire

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/record"
)

var quick = bmc.Pace{Tries: 3, Least: time.Millisecond, Most: 2 * time.Millisecond, Again: 3, Every: time.Millisecond, Settle: time.Second, Look: time.Millisecond}

func client(t *testing.T, a bmc.Access) *Client {
	t.Helper()
	a.Insecure, a.Pace = true, quick
	c, err := New(a, "redfish")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// drop closes the connection without an answer.
func drop(t *testing.T, w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// Fact: HPE iLO 4 to 6 reset connections at random: a read is sent again.
func TestReadIsSentAgainWhenTheConnectionBreaks(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			drop(t, w)
			return
		}
		_, _ = w.Write([]byte("{}"))
	}))
	defer s.Close()
	answer, err := client(t, bmc.Access{Address: s.URL}).Do(t.Context(), Request{Path: "/redfish/v1"})
	if err != nil || string(answer.Body) != "{}" {
		t.Fatalf("%q, %v after %d requests", answer.Body, err, asked.Load())
	}
}

func TestChangeIsNeverSentAgain(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		drop(t, w)
	}))
	defer s.Close()
	_, err := client(t, bmc.Access{Address: s.URL}).Do(t.Context(), Request{Method: http.MethodPost, Path: "/reset", Body: []byte("{}")})
	if bmc.ClassOf(err) != bmc.Uncertain || asked.Load() != 1 {
		t.Fatalf("%d requests, %v", asked.Load(), err)
	}
}

// Fact: connections kept alive choke some BMCs: every answer ends its connection unless the profile allows more.
func TestConnectionsAreNotKept(t *testing.T) {
	seen := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen[r.RemoteAddr] = true }))
	defer s.Close()
	c := client(t, bmc.Access{Address: s.URL})
	for range 3 {
		if _, err := c.Do(t.Context(), Request{Path: "/"}); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d connections for 3 requests", len(seen))
	}
}

// Fact: offered compression makes ETags weak on some BMCs; HPE answers 406 for registries without it, and others compress unasked.
func TestCompression(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		offered := r.Header.Get("Accept-Encoding")
		if r.URL.Path == "/plain" {
			_, _ = w.Write([]byte(offered))
			return
		}
		if r.URL.Path == "/registry" && !strings.Contains(offered, "gzip") {
			w.WriteHeader(http.StatusNotAcceptable)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write([]byte("unzipped"))
		_ = z.Close()
	}))
	defer s.Close()
	c := client(t, bmc.Access{Address: s.URL})
	for path, want := range map[string]string{"/registry": "unzipped", "/unasked": "unzipped", "/plain": "identity"} {
		answer, err := c.Do(t.Context(), Request{Path: path})
		if err != nil || string(answer.Body) != want {
			t.Errorf("%s: %q, %v", path, answer.Body, err)
		}
	}
}

// Fact: iDRAC7 and 8 answer 401 with a body that breaks off when they have forgotten a session.
func TestBrokenBodyOf401(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = rw.WriteString("HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
		_ = rw.Flush()
		_ = conn.Close()
	}))
	defer s.Close()
	answer, err := client(t, bmc.Access{Address: s.URL}).Do(t.Context(), Request{Path: "/"})
	if err != nil || answer.Status != http.StatusUnauthorized {
		t.Fatalf("%d, %v", answer.Status, err)
	}
}

func TestCertificateIsPinnedAtFirstUse(t *testing.T) {
	first, second := httptest.NewTLSServer(http.NotFoundHandler()), httptest.NewUnstartedServer(http.NotFoundHandler())
	defer first.Close()
	m := &bmc.Memory{}
	if _, err := client(t, bmc.Access{Address: first.URL, PinFirst: true, Memory: m}).Do(t.Context(), Request{Path: "/"}); err != nil {
		t.Fatal(err)
	}
	pinned := PinOf(m)
	if len(pinned) != 64 {
		t.Fatalf("pinned %q", pinned)
	}
	second.TLS = &tls.Config{Certificates: []tls.Certificate{another(t)}}
	second.StartTLS()
	defer second.Close()
	c := client(t, bmc.Access{Address: second.URL, PinFirst: true, Memory: m})
	_, err := c.Do(t.Context(), Request{Path: "/"})
	if bmc.ClassOf(err) != bmc.Certificate || PinOf(m) != pinned {
		t.Fatalf("another certificate: %v", err)
	}
	Unpin(m)
	if _, err := c.Do(t.Context(), Request{Path: "/"}); err != nil {
		t.Fatal(err)
	}
}

// Fact: some BMCs fail TLS 1.3's handshake with an alert: TLS 1.2 is tried once and remembered.
func TestFallsBackToTLS12(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		for _, v := range hello.SupportedVersions {
			if v == tls.VersionTLS13 {
				return nil, fmt.Errorf("broken")
			}
		}
		return nil, nil
	}}
	s.StartTLS()
	defer s.Close()
	m := &bmc.Memory{}
	if _, err := client(t, bmc.Access{Address: s.URL, Memory: m}).Do(t.Context(), Request{Path: "/"}); err != nil {
		t.Fatal(err)
	}
	if m.Get(maxFact) != "1.2" {
		t.Error("not remembered")
	}
}

// Fact: HPE iLO 2 and 3 speak TLS 1.0 at most; it is refused unless the operator allows it for the device.
func TestOldTLSOnlyWhereAllowed(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}
	s.StartTLS()
	defer s.Close()
	_, err := client(t, bmc.Access{Address: s.URL}).Do(t.Context(), Request{Path: "/"})
	if bmc.ClassOf(err) != bmc.Unreachable || !strings.Contains(err.Error(), "old TLS") {
		t.Fatalf("without leave: %v", err)
	}
	if _, err := client(t, bmc.Access{Address: s.URL, OldTLS: true}).Do(t.Context(), Request{Path: "/"}); err != nil {
		t.Fatal(err)
	}
}

func TestBreakerKeepsOff(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	_ = l.Close()
	b := &bmc.Breaker{}
	c := client(t, bmc.Access{Address: url, Breaker: b})
	for range 3 {
		if _, err := c.Do(t.Context(), Request{Path: "/"}); bmc.ClassOf(err) != bmc.Unreachable {
			t.Fatal(err)
		}
	}
	_, err = c.Do(t.Context(), Request{Path: "/"})
	if !b.Open() || err == nil || !strings.Contains(err.Error(), "left alone") {
		t.Fatalf("open: %v, %v", b.Open(), err)
	}
}

func TestCallerWhoGivesUpDoesNotOpenTheBreaker(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(release)
	b := &bmc.Breaker{}
	c := client(t, bmc.Access{Address: s.URL, Breaker: b})
	for range 4 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		_, err := c.Do(ctx, Request{Path: "/"})
		cancel()
		if bmc.ClassOf(err) != bmc.Unreachable {
			t.Fatal(err)
		}
	}
	if b.Open() {
		t.Error("the breaker is open")
	}
}

func TestRecordingHoldsNoSecrets(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Auth-Token", "token-of-the-session")
		_, _ = w.Write([]byte(`{"Password": "echoed\"quoted", "Note": "s3cret here", "Name": "kept"}`))
	}))
	defer s.Close()
	r := record.New()
	c := client(t, bmc.Access{Address: s.URL, Username: "root", Password: "s3cret", Recorder: r})
	_, err := c.Do(t.Context(), Request{Method: http.MethodPost, Path: "/sessions?x=s3cret", Body: []byte(`{"UserName":"root","Password":"s3cret"}`),
		Header: http.Header{"Authorization": {"Basic czNjcmV0"}}})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := record.Write(&text, r.Exchanges()); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"s3cret", "czNjcmV0", "echoed", "quoted", "token-of-the-session"} {
		if strings.Contains(text.String(), secret) {
			t.Errorf("%s stands in %s", secret, text.String())
		}
	}
	if !strings.Contains(text.String(), "kept") {
		t.Errorf("too much is hidden: %s", text.String())
	}
}
