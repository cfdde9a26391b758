package lab_test

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/ether"
	"github.com/hagane-cloud/hagane/lab/vswitch"
	"github.com/hagane-cloud/hagane/network/fabric"
	"github.com/hagane-cloud/hagane/network/fabric/fabrictest"
	"github.com/hagane-cloud/hagane/network/fabric/lab"
)

func TestConformance(t *testing.T) {
	fabrictest.Run(t, func(t *testing.T, ports ...string) fabric.Driver {
		sw := vswitch.New("lab", ether.MAC{2, 0xff})
		for _, name := range ports {
			if _, err := sw.AddPort(name); err != nil {
				t.Fatal(err)
			}
		}
		socket := filepath.Join(t.TempDir(), "switch.sock")
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- sw.Serve(ctx, l, slog.New(slog.DiscardHandler)) }()
		t.Cleanup(func() {
			cancel()
			if err := <-served; err != nil {
				t.Errorf("serve: %v", err)
			}
		})
		return open(t, "unix://"+socket)
	})
}

func open(t *testing.T, address string) fabric.Driver {
	t.Helper()
	d, err := lab.Open(t.Context(), fabric.Access{Driver: "lab", Address: address})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestNobodyThere(t *testing.T) {
	d := open(t, "unix://"+filepath.Join(t.TempDir(), "none.sock"))
	if _, err := d.Port(t.Context(), "p1"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("port: %v", err)
	}
	if _, err := d.(fabric.Uplinker).Uplink(t.Context(), 5); !fault.Is(err, fault.Unavailable) {
		t.Errorf("uplink: %v", err)
	}
}

func TestBadAddress(t *testing.T) {
	for _, address := range []string{"", "/a.sock", "http://a", "unix://a/b"} {
		if _, err := lab.Open(t.Context(), fabric.Access{Address: address}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", address, err)
		}
	}
}
