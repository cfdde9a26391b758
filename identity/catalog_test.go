package identity_test

import (
	"testing"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

// TestCatalog adds to the catalog what the operator wants, and keeps the cloud's own part true.
func TestCatalog(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, s := t.Context(), service(t, d, identity.Policy{})
		own := identity.CatalogService{ID: "image", Type: "image", Enabled: true, Own: true}
		at := identity.Endpoint{ID: "image-public", ServiceID: "image", RegionID: "here", Interface: "public", URL: "/image", Enabled: true, Own: true}
		s.Offer(identity.Catalog{Region: identity.Region{ID: "here"}, Services: []identity.CatalogService{own}, Endpoints: []identity.Endpoint{at}})
		for what, err := range map[string]error{
			"change service": s.UpdateService(ctx, own), "delete service": s.DeleteService(ctx, "image"), "change endpoint": s.UpdateEndpoint(ctx, at), "delete endpoint": s.DeleteEndpoint(ctx, at.ID),
			"delete region": s.DeleteRegion(ctx, "here"), "second endpoint": second(s.CreateEndpoint(ctx, identity.Endpoint{ServiceID: "image", RegionID: "here", Interface: "public", URL: "http://x"})),
		} {
			if !fault.Is(err, fault.Denied) {
				t.Errorf("%s: %v, want denied", what, err)
			}
		}
		v := must(s.CreateService(ctx, identity.CatalogService{Type: "queue", Enabled: true}))(t)
		there := must(s.CreateRegion(ctx, identity.Region{ID: "there", ParentID: "here"}))(t)
		ends := map[bool]identity.Endpoint{}
		for _, enabled := range []bool{true, false} {
			ends[enabled] = must(s.CreateEndpoint(ctx, identity.Endpoint{ServiceID: v.ID, RegionID: there.ID, Interface: "public", URL: "https://queue.example", Enabled: enabled}))(t)
		}
		second := must(s.CreateEndpoint(ctx, identity.Endpoint{ServiceID: v.ID, Interface: "admin", URL: "https://queue.example", Enabled: true}))(t)
		count := func(project string) int {
			t.Helper()
			_, endpoints, err := s.CatalogFor(ctx, project)
			if err != nil {
				t.Fatal(err)
			}
			return len(endpoints)
		}
		p := must(s.CreateProject(ctx, identity.Project{Name: "p", Enabled: true}))(t)
		if n := count(p.ID); n != 3 {
			t.Errorf("the catalog has %d endpoints, want the own one and the two that are enabled", n)
		}
		if err := s.ChooseEndpoint(ctx, second.ID, p.ID); err != nil {
			t.Fatal(err)
		}
		if n, other := count(p.ID), count("other"); n != 2 || other != 3 {
			t.Errorf("with one endpoint chosen the project sees %d, want 2; another %d, want 3", n, other)
		}
		if err := s.DeleteRegion(ctx, there.ID); !fault.Is(err, fault.Conflict) {
			t.Errorf("a region in use was deleted: %v", err)
		}
		there.ParentID = there.ID
		if err := s.UpdateRegion(ctx, there); fault.FieldOf(err) != "parent_region_id" {
			t.Errorf("a region in itself: %v", err)
		}
		ls := must(s.CreateRegisteredLimits(ctx, []identity.RegisteredLimit{{ServiceID: v.ID, ResourceName: "queues", DefaultLimit: 5}}))(t)
		if _, err := s.CreateLimits(ctx, []identity.Limit{{ServiceID: v.ID, ResourceName: "letters", ProjectID: p.ID, ResourceLimit: 3}}); !fault.Is(err, fault.Denied) {
			t.Errorf("a limit of what is not registered: %v", err)
		}
		must(s.CreateLimits(ctx, []identity.Limit{{ServiceID: v.ID, ResourceName: "queues", ProjectID: p.ID, ResourceLimit: 3}}))(t)
		if err := s.DeleteRegisteredLimit(ctx, ls[0].ID); !fault.Is(err, fault.Denied) {
			t.Errorf("a registered limit in use was deleted: %v", err)
		}
		if err := s.DeleteService(ctx, v.ID); err != nil {
			t.Fatal(err)
		}
		if n := count(p.ID); n != 1 {
			t.Errorf("without the service there are %d endpoints", n)
		}
	})
}
