package sim_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/machinetest"
)

// served puts ISO images on a server.
func served(t *testing.T, images map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, image := range images {
		if err := os.WriteFile(filepath.Join(dir, name), image, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := httptest.NewServer(http.FileServerFS(os.DirFS(dir)))
	t.Cleanup(s.Close)
	return s.URL
}

// TestBootsTheAgentFromCD starts the agent of an ISO image, with a fixed address: there is no DHCP server.
func TestBootsTheAgentFromCD(t *testing.T) {
	sw, _, m := rig(t, machine.Virtio)
	host := machinetest.Host(t, sw, machinetest.VLAN, 1, "198.18.0.1/24")
	listener, err := host.Listen(80)
	if err != nil {
		t.Fatal(err)
	}
	called := make(chan string, 10)
	api := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case called <- r.URL.Path + " from " + r.RemoteAddr:
		default:
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = api.Serve(listener) }()
	t.Cleanup(func() { _ = api.Close(); <-done })
	url := served(t, map[string][]byte{"agent.iso": machinetest.ISO(map[string][]byte{
		"hagane.cmdline": []byte("console=ttyS0 hagane.api=http://198.18.0.1 hagane.claim=once hagane.ip=198.18.0.77/24\n"),
	}, nil)})
	if err := m.SetMedium(t.Context(), url+"/agent.iso"); err != nil {
		t.Fatal(err)
	}
	boot(t, m)
	select {
	case who := <-called:
		if !strings.HasPrefix(who, "/claim from 198.18.0.77:") {
			t.Error(who)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the agent did not call")
	}
}

func boot(t *testing.T, m machine.Machine) {
	t.Helper()
	if err := m.SetBoot(t.Context(), machine.Boot{Device: machine.CDROM}); err != nil {
		t.Fatal(err)
	}
	if err := m.Power(t.Context(), machine.Reset); err != nil {
		t.Fatal(err)
	}
}

// TestOtherMedia boots a foreign system, and nothing from an empty drive or an image that is none.
func TestOtherMedia(t *testing.T) {
	_, _, m := rig(t, machine.Virtio)
	url := served(t, map[string][]byte{"foreign.iso": machinetest.ISO(map[string][]byte{"casper": nil}, nil), "none.iso": make([]byte, 100<<10)})
	for _, try := range []struct{ medium, says string }{
		{"", "the CD drive is empty"}, {url + "/foreign.iso", "booting from CD: a foreign system"}, {url + "/none.iso", "no ISO 9660 image"},
	} {
		if err := m.SetMedium(t.Context(), try.medium); err != nil || m.Status().Medium != try.medium {
			t.Fatal(err)
		}
		boot(t, m)
		machinetest.Until(t, 10*time.Second, "the console to say "+try.says, func() bool {
			text, _ := os.ReadFile(m.Status().Console)
			return strings.Contains(string(text), try.says)
		})
	}
	if err := m.SetMedium(t.Context(), url+"/missing.iso"); err == nil {
		t.Error("an image that is not there")
	}
	if err := m.SetMedium(t.Context(), url+"/foreign.iso"); err != nil {
		t.Fatal(err)
	}
	boot(t, m)
	if err := m.Power(t.Context(), machine.SoftOff); err != nil {
		t.Fatal(err)
	}
	machinetest.Until(t, 10*time.Second, "the foreign system to obey", func() bool { return !m.Status().On })
}
