package ovs_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/fence"
	"github.com/hagane-cloud/hagane/network/fabric"
	"github.com/hagane-cloud/hagane/network/fabric/fabrictest"
	"github.com/hagane-cloud/hagane/network/fabric/ovs"
	"github.com/hagane-cloud/hagane/network/fabric/ovs/ovstest"
)

func open(t *testing.T, a fabric.Access) fabric.Driver {
	t.Helper()
	d, err := ovs.Open(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// bridge makes a bridge with ports that exist in the switch's memory only, and returns the driver.
func bridge(t *testing.T, s *ovstest.Switch, ports ...string) fabric.Driver {
	t.Helper()
	set := []string{"add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy", "fail_mode=standalone"}
	for _, p := range ports {
		set = append(set, "--", "add-port", "br0", p, "--", "set", "interface", p, "type=dummy")
	}
	s.Set(t, set...)
	return open(t, fabric.Access{Address: "unix:" + s.Socket})
}

// isolated is a bridge whose ports are isolated.
func isolated(t *testing.T, s *ovstest.Switch, ports ...string) fabric.Driver {
	t.Helper()
	d := bridge(t, s, ports...)
	for _, p := range ports {
		if err := d.SetPort(t.Context(), p, fabric.Config{}); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func TestConformance(t *testing.T) {
	s := ovstest.Start(t)
	s.Forward(t)
	fabrictest.Run(t, func(t *testing.T, ports ...string) fabric.Driver {
		t.Cleanup(func() { s.Set(t, "--if-exists", "del-br", "br0") })
		return isolated(t, s, ports...)
	})
}

// TestForeignConfiguration reads ports that somebody else set up, and makes them ours.
func TestForeignConfiguration(t *testing.T) {
	s := ovstest.Start(t)
	s.Forward(t)
	d := bridge(t, s, "p1")
	p, err := d.Port(t.Context(), "p1")
	if err != nil || p.Isolated() || !p.Link {
		t.Errorf("a port that nobody set up, which carries everything: %+v %v", p, err)
	}
	for set, want := range map[string]fabric.Config{
		"tag=7":                               {Access: 7},
		"tag=7 vlan_mode=access trunks=5":     {Access: 7},
		"trunks=5,6":                          {Tagged: []int{5, 6}},
		"vlan_mode=trunk trunks=4095,6 tag=9": {Tagged: []int{6}},
		"vlan_mode=native-untagged tag=9 trunks=9,5,0": {Access: 9, Tagged: []int{5}},
		"trunks=0,5":                             {Tagged: []int{0, 5}},
		"vlan_mode=native-tagged tag=9 trunks=5": {Access: 9, Tagged: []int{0, 5}},
		"tag=4095":                               {Tagged: []int{0}},
		"vlan_mode=access":                       {Tagged: []int{0}},
	} {
		s.Set(t, append(strings.Fields("clear port p1 tag trunks vlan_mode -- set port p1"), strings.Fields(set)...)...)
		got, err := d.Port(t.Context(), "p1")
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: read %+v, want %+v, %v", set, got.Config, want, err)
		}
		for _, ours := range []fabric.Config{{Access: 7}, {}} {
			if err := d.SetPort(t.Context(), "p1", ours); err != nil {
				t.Errorf("%s, then %+v: %v", set, ours, err)
			}
		}
	}
	all, err := d.Ports(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "br0" || all[1].Name != "p1" || !all[1].Isolated() {
		t.Errorf("ports %+v, %v", all, err)
	}
	s.Ask(t, "netdev-dummy/set-admin-state", "p1", "down")
	for deadline := time.Now().Add(20 * time.Second); p.Link; {
		if p, err = d.Port(t.Context(), "p1"); err != nil || time.Now().After(deadline) {
			t.Fatalf("the link stays: %+v %v", p, err)
		}
	}
}

// TestWhatPasses asks the switch itself where frames would go.
func TestWhatPasses(t *testing.T) {
	s := ovstest.Start(t)
	s.Forward(t)
	d := isolated(t, s, "p1", "p2", "up")
	s.Set(t, "clear", "port", "up", "tag", "trunks", "vlan_mode", "--", "set", "port", "up", "protected=false") // a trunk of everything
	passes := func(from, to, tag string) bool {
		t.Helper()
		flow := "in_port=" + from + ",dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02" + tag
		out := s.Ask(t, "ofproto/trace", "--names", "br0", flow)
		actions := out[strings.LastIndex(out, "Datapath actions:"):]
		return slices.Contains(strings.FieldsFunc(actions, func(r rune) bool { return strings.ContainsRune(": ,()\n", r) }), to)
	}
	const seven, none = ",dl_vlan=7,dl_vlan_pcp=0", ",dl_vlan=4095,dl_vlan_pcp=0"
	check := func(what string, want bool, from, to, tag string) {
		t.Helper()
		if got := passes(from, to, tag); got != want {
			t.Errorf("%s: %s to %s%s passes is %t", what, from, to, tag, got)
		}
	}
	for _, tag := range []string{"", seven, none} {
		check("both isolated", false, "p1", "p2", tag)
	}
	check("isolated", false, "p1", "up", "")
	check("isolated", false, "p1", "up", seven)
	check("isolated", false, "up", "p1", seven)
	for _, p := range []string{"p1", "p2"} {
		if err := d.SetPort(t.Context(), p, fabric.Config{Access: 7}); err != nil {
			t.Fatal(err)
		}
	}
	check("one VLAN", true, "p1", "p2", "")
	check("one VLAN", true, "p1", "up", "")
	check("one VLAN", true, "up", "p1", seven)
	check("one VLAN", false, "p1", "p2", seven)
	if err := d.SetPort(t.Context(), "p2", fabric.Config{Access: 8, Tagged: []int{9}}); err != nil {
		t.Fatal(err)
	}
	check("two VLANs", false, "p1", "p2", "")
	check("two VLANs", true, "up", "p2", ",dl_vlan=9,dl_vlan_pcp=0")
	check("two VLANs", false, "up", "p2", seven)
	if err := d.SetPort(t.Context(), "p1", fabric.Config{}); err != nil {
		t.Fatal(err)
	}
	check("isolated again", false, "up", "p1", seven)
}

// TestNobodyCarriesItOut has a database that takes changes while the daemon is away: neither a change nor a look is believed until it is back.
func TestNobodyCarriesItOut(t *testing.T) {
	s := ovstest.Start(t)
	stop := s.Forward(t)
	d := isolated(t, s, "p1")
	stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := d.SetPort(ctx, "p1", fabric.Config{Access: 7}); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "is it running?") {
		t.Errorf("set: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if p, err := d.Port(ctx, "p1"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("read: %+v %v", p, err)
	}
}

// TestLostFence changes nothing when the right to do so is lost.
func TestLostFence(t *testing.T) {
	s := ovstest.Start(t)
	s.Forward(t)
	d := isolated(t, s, "p1")
	gone := errors.New("the lease is somebody else's")
	if err := d.SetPort(fence.With(t.Context(), func() error { return gone }), "p1", fabric.Config{Access: 7}); !errors.Is(err, gone) {
		t.Errorf("set: %v", err)
	}
	if p, err := d.Port(t.Context(), "p1"); err != nil || !p.Isolated() {
		t.Errorf("%+v %v", p, err)
	}
}

// TestRemotes reaches the switch by TCP, and by TLS with certificates.
func TestRemotes(t *testing.T) {
	dir := t.TempDir()
	ca, other := newAuthority(t), newAuthority(t)
	switchKey, switchCert := ca.issue(t, "switch")
	files := map[string][]byte{"key.pem": switchKey, "cert.pem": switchCert, "ca.pem": ca.pem}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	plain := ovstest.Start(t, "--remote=ptcp:0:127.0.0.1")
	plain.Forward(t)
	bridge(t, plain, "p1")
	d := open(t, fabric.Access{Address: "tcp:" + plain.Remote(t)})
	if err := d.SetPort(t.Context(), "p1", fabric.Config{Access: 7}); err != nil {
		t.Errorf("by TCP: %v", err)
	}
	s := ovstest.Start(t, "--remote=pssl:0:127.0.0.1", "--private-key="+filepath.Join(dir, "key.pem"), "--certificate="+filepath.Join(dir, "cert.pem"), "--ca-cert="+filepath.Join(dir, "ca.pem"))
	s.Forward(t)
	bridge(t, s, "p1")
	address := "ssl:" + s.Remote(t)
	bundle := func(a, trusted *authority) string {
		key, cert := a.issue(t, "hagane")
		return string(key) + string(trusted.pem) + string(cert)
	}
	if err := open(t, fabric.Access{Address: address, Password: bundle(ca, ca)}).SetPort(t.Context(), "p1", fabric.Config{Access: 7}); err != nil {
		t.Errorf("by TLS: %v", err)
	}
	for what, password := range map[string]string{"does not take our certificate": bundle(other, ca), "the switch's certificate is not signed": bundle(ca, other)} {
		if _, err := open(t, fabric.Access{Address: address, Password: password}).Port(t.Context(), "p1"); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestBadSettings(t *testing.T) {
	ca := newAuthority(t)
	key, cert := ca.issue(t, "hagane")
	otherKey, _ := ca.issue(t, "other")
	for what, a := range map[string]fabric.Access{
		"nothing":              {},
		"a path":               {Address: "/db.sock"},
		"a relative path":      {Address: "unix:db.sock"},
		"another protocol":     {Address: "http://192.0.2.1"},
		"no host":              {Address: "tcp:"},
		"no port":              {Address: "tcp:192.0.2.1:x"},
		"a user":               {Address: "tcp:192.0.2.1", Username: "admin"},
		"a password":           {Address: "tcp:192.0.2.1", Password: "secret"},
		"no certificate":       {Address: "ssl:192.0.2.1"},
		"no PEM":               {Address: "ssl:192.0.2.1", Password: "secret"},
		"no authority":         {Address: "ssl:192.0.2.1", Password: string(key) + string(cert)},
		"no key":               {Address: "ssl:192.0.2.1", Password: string(cert) + string(ca.pem)},
		"another's key":        {Address: "ssl:192.0.2.1", Password: string(otherKey) + string(cert) + string(ca.pem)},
		"a broken key":         {Address: "ssl:192.0.2.1", Password: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}))},
		"a broken certificate": {Address: "ssl:192.0.2.1", Password: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))},
	} {
		if _, err := ovs.Open(t.Context(), a); !fault.Is(err, fault.Invalid) || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, address := range []string{"unix:/run/db.sock", "tcp:192.0.2.1", "tcp:switch.example:6641", "tcp:[2001:db8::1]:6640", "tcp:[2001:db8::1]"} {
		open(t, fabric.Access{Address: address})
	}
	open(t, fabric.Access{Address: "ssl:192.0.2.1", Password: string(ca.pem) + string(cert) + string(key)})
}

func TestNobodyThere(t *testing.T) {
	d := open(t, fabric.Access{Address: "unix:" + filepath.Join(t.TempDir(), "none.sock")})
	if _, err := d.Port(t.Context(), "p1"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("port: %v", err)
	}
}

// script is a database that answers as it was recorded, and as a real one can not be made to.
type script struct {
	asked   []string
	answers []string // %d stands for the number of the request; "" is silence
}

const (
	portRow    = `{"_uuid":["uuid","a"],"name":"p1","interfaces":["uuid","i"],"tag":%s,"trunks":["set",[]],"vlan_mode":"access","protected":false}`
	noLinks    = `{"id":%d,"result":[{"rows":[]}],"error":null}`
	changed    = `{"id":%d,"result":[{"error":"timed out","details":"\"where\" clause test failed"},null,null,null,null],"error":null}`
	written    = `{"id":%d,"result":[{},{"count":1},{"count":1},{"rows":[{"next_cfg":4,"cur_cfg":3}]},{}],"error":null}`
	carriedOut = `{"id":%d,"result":[{}],"error":null}`
)

func portIs(tag string) string {
	return `{"id":%d,"result":[{"rows":[` + fmt.Sprintf(portRow, tag) + `]},{"rows":[{"next_cfg":3,"cur_cfg":3}]}],"error":null}`
}

// serve answers on a socket, from the beginning for each connection, and returns a driver for it.
func (s *script) serve(t *testing.T) fabric.Driver {
	t.Helper()
	dir, err := os.MkdirTemp("", "ovs")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.talk(conn)
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done; _ = os.RemoveAll(dir) })
	return open(t, fabric.Access{Address: "unix:" + filepath.Join(dir, "s")})
}

func (s *script) talk(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := json.NewDecoder(conn)
	for _, a := range s.answers {
		var request struct {
			ID     json.RawMessage
			Method string
			Params json.RawMessage
		}
		for request.Method == "" { // otherwise it is an answer to us
			if in.Decode(&request) != nil {
				return
			}
		}
		s.asked = append(s.asked, string(request.Params))
		a = strings.ReplaceAll(a, "%d", string(request.ID))
		if _, err := io.WriteString(conn, a); err != nil {
			return
		}
	}
	_, _ = io.Copy(io.Discard, conn)
}

// TestRecorded plays what a real switch can not be made to do.
func TestRecorded(t *testing.T) {
	set := func(d fabric.Driver) error { return d.SetPort(t.Context(), "p1", fabric.Config{Access: 7}) }
	read := func(d fabric.Driver) error { _, err := d.Port(t.Context(), "p1"); return err }
	for what, tt := range map[string]struct {
		do      func(fabric.Driver) error
		kind    fault.Kind // of what comes of it; Internal: it works
		answers []string
	}{
		"somebody else changes it once": {set, fault.Internal, []string{portIs("5"), changed, portIs("6"), written, carriedOut, portIs("7"), noLinks}},
		"somebody else keeps changing":  {set, fault.Unavailable, []string{portIs("5"), changed, portIs("6"), changed, portIs("5"), changed}},
		"somebody changes it after us":  {set, fault.Unavailable, []string{portIs("5"), written, carriedOut, portIs("8"), noLinks}},
		"it is asked whether we live":   {read, fault.Internal, []string{`{"id":"echo","method":"echo","params":[]}` + portIs("7"), `{}` + noLinks, noLinks}},
		"rules forbid it":               {set, fault.Denied, []string{portIs("5"), `{"id":%d,"result":[{},{"error":"permission error","details":"RBAC"},null,null,null],"error":null}`}},
		"it fails at the end":           {set, fault.Invalid, []string{portIs("5"), `{"id":%d,"result":[{},{"count":1},{"count":1},{"rows":[]},{},{"error":"constraint violation","details":"x"}],"error":null}`}},
		"no such database":              {read, fault.Unavailable, []string{`{"id":%d,"result":null,"error":{"error":"unknown database"}}`}},
		"too few results":               {read, fault.Unavailable, []string{`{"id":%d,"result":[],"error":null}`}},
		"no row of the switch":          {read, fault.Unavailable, []string{`{"id":%d,"result":[{"rows":[]},{"rows":[]}],"error":null}`}},
		"another protocol":              {read, fault.Unavailable, []string{"HTTP/1.1 400 Bad Request\r\n\r\n"}},
		"another type":                  {read, fault.Unavailable, []string{`{"id":%d,"result":[{"rows":[{"_uuid":7}]},{"rows":[{"next_cfg":3,"cur_cfg":3}]}],"error":null}`}},
		"no end":                        {read, fault.Unavailable, []string{`{"id":1,"result":"` + strings.Repeat("x", 9<<20)}},
		"never the answer":              {read, fault.Unavailable, []string{strings.Repeat(`{"method":"update","params":[],"id":null}`, 200)}},
	} {
		t.Run(what, func(t *testing.T) {
			s := &script{answers: tt.answers}
			err := tt.do(s.serve(t))
			if tt.kind == fault.Internal && err != nil || tt.kind != fault.Internal && !fault.Is(err, tt.kind) {
				t.Errorf("%v, after %q", err, s.asked)
			}
		})
	}
}

// TestSilence bounds the waiting for a switch that says nothing.
func TestSilence(t *testing.T) {
	d := (&script{answers: []string{""}}).serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := d.Port(ctx, "p1"); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "in time") {
		t.Error(err)
	}
}
