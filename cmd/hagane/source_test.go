package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab"
)

// imageWeb serves an image that can be deployed, and a file of checksums beside it.
func imageWeb(t *testing.T) (url, sum string, asked *atomic.Int64) {
	t.Helper()
	disk, err := io.ReadAll(bootable())
	if err != nil {
		t.Fatal(err)
	}
	raw := sha256.Sum256(disk)
	sum, asked = hex.EncodeToString(raw[:]), new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/disk.img":
			asked.Add(1)
			_, _ = w.Write(disk)
		case "/sums":
			_, _ = fmt.Fprintf(w, "%s  disk.img\n", sum)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, sum, asked
}

// info is a patch of instance_info, as Metal3 makes it.
func info(values object) []object {
	var ops []object
	for key, v := range values {
		ops = append(ops, object{"op": "add", "path": "/instance_info/" + key, "value": v})
	}
	return ops
}

// TestDeployFromURL deploys nodes with images that their instance_info gives by URLs, as Metal3 does: a simulated machine, and one
// without hardware for what goes wrong.
func TestDeployFromURL(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		c := &testCloud{T: t, data: filepath.Join(t.TempDir(), "data")}
		c.serveWith(serveOptions{database: dsn, roles: allRoles, deployFrom: []string{"127.0.0.0/8"}})
		c.reconnect()
		url, sum, asked := imageWeb(t)
		n := c.runRack(lab.Options{Nodes: 1, Machine: lab.Sim, DiskGB: 1, Disks: 2}).Nodes[0]
		id := c.node(n.Name).UUID
		c.ready(id, "manage", "inspect", "provide")
		wantDeploy := func(id, want string) {
			t.Helper()
			v := bm[struct {
				Deploy struct {
					Result bool
					Reason string
				}
			}](c, c.admin, "GET", "/nodes/"+id+"/validate", nil)
			if v.Deploy.Result != (want == "") || !strings.Contains(v.Deploy.Reason, want) {
				t.Errorf("validate says of the deployment %+v; want %q", v.Deploy, want)
			}
		}
		wantDeploy(id, "image_source")
		bm[any](c, c.admin, "PATCH", "/nodes/"+id, info(object{"image_source": url + "/disk.img", "image_disk_format": "raw", "image_type": "whole-disk"}))
		wantDeploy(id, "image_os_hash_value")
		const instance = "27720611-e5d1-45d3-ba3a-222dcfaa4ca2"
		disk := bm[struct {
			Inventory struct{ Disks []struct{ Name string } }
		}](c, c.admin, "GET", "/nodes/"+id+"/inventory", nil).Inventory.Disks[1].Name
		ops := append(info(object{"root_device": object{"name": "s== " + disk}, "image_os_hash_algo": "sha256", "image_os_hash_value": sum}), object{"op": "add", "path": "/instance_uuid", "value": instance})
		bm[any](c, c.admin, "PATCH", "/nodes/"+id, ops)
		wantDeploy(id, "")
		c.target(c.admin, id, object{"target": "active", "configdrive": object{"meta_data": object{"role": "db"}}}, "active")
		if n := c.node(id); n.InstanceUUID != instance {
			t.Errorf("the instance is %q", n.InstanceUUID)
		}
		told := bm[struct {
			History []struct{ Event string }
		}](c, c.admin, "GET", "/nodes/"+id+"/history", nil)
		if text := fmt.Sprint(told); !strings.Contains(text, "8 MiB to "+disk+" ") {
			t.Errorf("the machine wrote no image to %s: %s", disk, text)
		}

		other := c.fakeNode("other", "02:00:00:00:00:01")
		wantFault(t, c.admin.Do(t.Context(), "PATCH", "baremetal", "/v1/nodes/"+other, []object{{"op": "add", "path": "/instance_uuid", "value": instance}}, nil), fault.Conflict)
		for want, values := range map[string]object{
			"the status 404": {"image_source": url + "/nothing", "image_checksum": sum},
			"is wanted":      {"image_source": url + "/disk.img", "image_checksum": strings.Repeat("0", 64)},
			"none for x":     {"image_source": url + "/x", "image_checksum": url + "/sums"},
			"--deploy-from":  {"image_source": "http://[::1]:1/disk.img", "image_checksum": sum},
		} {
			bm[any](c, c.admin, "PATCH", "/nodes/"+other, info(values))
			bm[any](c, c.admin, "PUT", "/nodes/"+other+"/states/provision", object{"target": "active"})
			var got nodeDoc
			c.until(patience, "the deployment to fail", func() bool { got = c.node(other); return got.ProvisionState == "deploy failed" })
			if !strings.Contains(got.LastError, want) || !strings.Contains(got.LastError, "instance_info") {
				t.Errorf("last_error is %q; want %q", got.LastError, want)
			}
		}
		bm[any](c, c.admin, "PATCH", "/nodes/"+other, info(object{"image_source": url + "/disk.img", "image_checksum": url + "/sums"}))
		before := asked.Load()
		c.target(c.admin, other, object{"target": "active"}, "active")
		if asked.Load() != before+1 { // without a format it is another image
			t.Errorf("the image was fetched %d times", asked.Load()-before)
		}
		c.target(c.admin, other, object{"target": "rebuild"}, "active")
		if asked.Load() != before+1 {
			t.Errorf("the image was fetched again for the same URL and checksum")
		}
		c.target(c.admin, other, object{"target": "deleted"}, "available")
		if n := bm[map[string]any](c, c.admin, "GET", "/nodes/"+other, nil); len(n["instance_info"].(map[string]any)) > 0 || n["instance_uuid"] != nil {
			t.Errorf("after the undeployment the node has %v and %v", n["instance_info"], n["instance_uuid"])
		}
	})
}
