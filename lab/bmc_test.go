package lab_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab"
	"github.com/hagane-cloud/hagane/lab/client"
)

// TestRunBMCs runs BMCs alone and asks each for its root.
func TestRunBMCs(t *testing.T) {
	script := filepath.Join(t.TempDir(), "own.faults")
	if err := os.WriteFile(script, []byte("redfish GET /redfish/v1/ times 1 => status 503 empty\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"dell-idrac10", "ipmi", "ribcl-ilo4", "wsman-idrac9", "scci-irmc-s4"} {
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer
		var seen []client.BMC
		err := lab.RunBMCs(ctx, lab.BMCOptions{DataDir: t.TempDir(), Kind: kind, Count: 3, Faults: script, Seed: 7, Out: &out, Ready: func(ctx context.Context, all []client.BMC) {
			seen = all
			if kind == "dell-idrac10" {
				for _, b := range all {
					if first, second := status(t, ctx, b), status(t, ctx, b); first != 503 || second != 200 {
						t.Errorf("%s answers %d, then %d", b.Address, first, second)
					}
				}
			}
			cancel()
		}})
		cancel()
		if err != nil || len(seen) != 3 || seen[0].Password == seen[1].Password || strings.Count(out.String(), "  "+kind+"  ") != 3 {
			t.Errorf("%s: %v, %d BMCs\n%s", kind, err, len(seen), &out)
		}
	}
}

func status(t *testing.T, ctx context.Context, b client.BMC) int {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.Address+"/redfish/v1/", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func TestBMCsThatThereAreNot(t *testing.T) {
	for _, o := range []lab.BMCOptions{{Kind: "toaster"}, {Faults: "gremlins"}, {Count: -1}, {Tree: "/no/such/tree"}} {
		o.DataDir = t.TempDir()
		if err := lab.RunBMCs(t.Context(), o); !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.NotFound) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if err := lab.Run(t.Context(), lab.Options{DataDir: t.TempDir(), Vendors: "mixed,toaster", NoEnrol: true}); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

// TestRackOfManyVendors starts a rack with all mixed kinds.
func TestRackOfManyVendors(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	kinds := map[string]int{}
	err := lab.Run(ctx, lab.Options{DataDir: short(t), Nodes: 14, Vendors: "mixed", Faults: "hard", NoEnrol: true, Ready: func(_ context.Context, l client.Lab) {
		for _, n := range l.Nodes {
			kinds[n.BMC.Driver]++
		}
		cancel()
	}})
	if err != nil || kinds["redfish"] != 14 {
		t.Errorf("%v %v", err, kinds)
	}
}

// short is a folder with a path that is short enough for sockets.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lab")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
