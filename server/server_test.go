package server_test

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/hagane-cloud/hagane/bmc/fake"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/secret"
	"github.com/hagane-cloud/hagane/server"
	"github.com/hagane-cloud/hagane/workflow"
)

// service makes the service with those that it stands on. Nothing carries out what is begun.
func service(t *testing.T, d *db.DB) *server.Service {
	t.Helper()
	box, err := secret.Open(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	q, err := workflow.NewQueue(d, workflow.QueueOptions{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	networks := network.NewService(network.Options{DB: d, Box: box, VLANLo: 100, VLANHi: 200})
	images, err := image.NewService(image.Options{DB: d, Dir: filepath.Join(t.TempDir(), "images"), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	nodes := node.NewService(node.Options{DB: d, Engine: workflow.NewEngine(d, q, log), Box: box, Network: networks, Open: fake.NewRack().Open, Log: log})
	return server.NewService(d, box, nodes, images, networks, log)
}

// TestFlavorSpecs says by extra specs which nodes a flavor is for, as Ironic's guide has it.
func TestFlavorSpecs(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, ctx := service(t, d), t.Context()
		f, err := s.CreateFlavor(ctx, server.Flavor{Name: "gold", VCPUs: 4, RAM: 1024, Disk: 10, Private: true})
		if err != nil || f.ResourceClass != "baremetal" {
			t.Fatalf("%+v, %v", f, err)
		}
		set := func(specs map[string]string) (server.Flavor, error) {
			return s.EditFlavor(ctx, f.ID, func(f *server.Flavor) error { f.Specs = specs; return nil })
		}
		if f, err = set(map[string]string{"resources:CUSTOM_GOLD": "1", "trait:CUSTOM_B": "required", "trait:CUSTOM_A": "required", "resources:VCPU": "0"}); err != nil ||
			f.ResourceClass != "gold" || len(f.Traits) != 2 || f.Traits[0] != "CUSTOM_A" {
			t.Errorf("%+v, %v", f, err)
		}
		for _, bad := range []map[string]string{{"resources:CUSTOM_GOLD": "2"}, {"resources:CUSTOM_A": "1", "resources:CUSTOM_B": "1"}, {"trait:CUSTOM_A": "forbidden"}, {"": "x"}} {
			if _, err := set(bad); !fault.Is(err, fault.Invalid) {
				t.Errorf("%v: %v", bad, err)
			}
		}
		if f, err = set(map[string]string{}); err != nil || f.ResourceClass != "baremetal" || len(f.Traits) != 0 {
			t.Errorf("without specs: %+v, %v", f, err)
		}
		if _, err := s.Flavor(ctx, "p1", f.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("a project that was not let use a private flavor: %v", err)
		}
		if err := s.Allow(ctx, f.ID, "p1", true); err != nil {
			t.Fatal(err)
		}
		if fs, err := s.Flavors(ctx, server.FlavorQuery{Project: "p1"}); err != nil || len(fs) != 1 {
			t.Errorf("flavors of a project that was let: %v, %v", fs, err)
		}
		if err := s.Allow(ctx, f.ID, "p1", false); err != nil {
			t.Fatal(err)
		}
		if fs, err := s.Flavors(ctx, server.FlavorQuery{Project: "p1"}); err != nil || len(fs) != 0 {
			t.Errorf("flavors of a project that was let no longer: %v, %v", fs, err)
		}
		if err := s.DeleteFlavor(ctx, f.ID); err != nil {
			t.Error(err)
		}
	})
}
