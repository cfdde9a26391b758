package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab"
	lab_client "github.com/hagane-cloud/hagane/lab/client"
)

// laid is what a server's document says of its disks.
type laid struct {
	Server struct {
		Arrays []struct {
			Primary    bool     `json:"primary_storage"`
			Disks      []string `json:"disk_hardware_ids"`
			Level      *int     `json:"raid_level"`
			Partitions []struct {
				LVM   *bool `json:"lvm"`
				Size  *int64
				Label string `json:"partition_label"`
			}
		} `json:"raid_arrays"`
		Groups []struct {
			Label      string   `json:"vg_label"`
			Partitions []string `json:"physical_volume_partition_labels"`
			Volumes    []struct {
				Size  *int64
				Label string `json:"lv_label"`
			} `json:"logical_volumes"`
		} `json:"lvm_volume_groups"`
		Filesystems []struct {
			Label string
			Mount string `json:"mount_point"`
			Type  string `json:"fs_type"`
		}
	}
}

// withLayout is a request for a server with RAID, LVM and file systems.
func (g ground) withLayout(name string) object {
	body := g.body(name)
	s := body["server"].(object)
	s["raid_arrays"] = []object{
		{"primary_storage": true, "partitions": []object{{"partition_label": "root", "size": "2G"}, {"partition_label": "swap", "size": "1G"}}},
		{"raid_level": 5, "partitions": []object{{"lvm": true, "partition_label": "pv"}, {"size": "3G", "partition_label": "data"}}},
	}
	s["lvm_volume_groups"] = []object{{"vg_label": "vg", "physical_volume_partition_labels": []string{"pv"},
		"logical_volumes": []object{{"lv_label": "var", "size": "2G"}, {"lv_label": "home"}}}}
	s["filesystems"] = []object{{"label": "root", "mount_point": "/", "fs_type": "ext4"}, {"label": "swap", "fs_type": "swap"}, {"label": "data", "mount_point": "/data", "fs_type": "xfs"},
		{"label": "var", "mount_point": "/var", "fs_type": "ext4"}}
	return body
}

// TestLayout asks for a server with software RAID, LVM and file systems, looks at its document and what its system is told,
// rebuilds it, and sees that nothing is on any disk for the next tenant.
func TestLayout(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		c := startCloud(t, dsn)
		n := c.runRack(lab.Options{Nodes: 1, Machine: lab.Sim, DiskGB: 10, Disks: 4}).Nodes[0]
		id := c.node(n.Name).UUID
		c.ready(id, "manage", "inspect", "provide")
		tenant := c.tenant("tenant")
		g := c.ground(tenant)
		c.refusesLayouts(tenant, g)
		s := must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", g.withLayout("s"))
		c.serverUntil(tenant, s.Server.ID, "ACTIVE")
		at := "/servers/" + s.Server.ID
		c.wantLaid(must[laid](c, tenant, "GET", "baremetal-server", at, nil))
		asked := must[object](c, tenant, "POST", "compute", at+"/action", object{"rebuild": object{"imageRef": g.image}})
		if asked["server"] == nil {
			t.Errorf("rebuilding answers %v", asked)
		}
		c.until(patience, "the rebuild to end", func() bool {
			return must[serverDoc](c, tenant, "GET", "baremetal-server", at, nil).Server.Task == "None"
		})
		c.serverUntil(tenant, s.Server.ID, "ACTIVE")
		c.wantLaid(must[laid](c, tenant, "GET", "baremetal-server", at, nil))
		c.until(patience, "the system to be told what to mount", func() bool {
			console, err := os.ReadFile(n.Console)
			return err == nil && strings.Contains(string(console), " on /var (ext4)") && strings.Contains(string(console), " on none (swap)")
		})
		must[any](c, tenant, "DELETE", "baremetal-server", at, nil)
		c.serverUntil(tenant, s.Server.ID, "")
		c.nodeUntil(id, "available")
		rack := lab_client.New(c.data)
		defer rack.Close()
		for i := range n.Disks {
			if b, err := rack.Blank(t.Context(), n.Name, i); err != nil || !b.Blank {
				t.Errorf("disk %d after the tenant: %+v %v", i, b, err)
			}
		}
		next := must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", g.body("next"))
		c.serverUntil(tenant, next.Server.ID, "ACTIVE")
		if doc := must[laid](c, tenant, "GET", "baremetal-server", "/servers/"+next.Server.ID, nil).Server; len(doc.Arrays)+len(doc.Groups)+len(doc.Filesystems) > 0 {
			t.Errorf("a server without a layout shows %+v", doc)
		}
	})
}

// refusesLayouts asks for what can not be.
func (c *testCloud) refusesLayouts(tenant *client.Cloud, g ground) {
	c.Helper()
	for want, c2 := range map[string]struct {
		field string
		value any
		kind  fault.Kind
	}{
		"raid_arrays[0].partitions[0].size":                           {"raid_arrays", []object{{"partitions": []object{{"partition_label": "a", "size": "100X"}}}}, fault.Invalid},
		"raid_arrays[0].raid_card_hardware_id":                        {"raid_arrays", []object{{"raid_card_hardware_id": "x"}}, fault.Invalid},
		"lvm_volume_groups":                                           {"raid_arrays", []object{{"partitions": []object{{"partition_label": "a", "lvm": true}}}}, fault.Invalid},
		"lvm_volume_groups[0].physical_volume_partition_labels":       {"lvm_volume_groups", []object{{"vg_label": "v"}}, fault.Invalid},
		"filesystems[0].label":                                        {"filesystems", []object{{"label": "x", "fs_type": "xfs"}}, fault.Invalid},
		"room for 2 more partitions":                                  {"raid_arrays", []object{{"primary_storage": true, "partitions": parts(3)}}, fault.Invalid},
		"1 without the disks: raid_arrays[0] needs 4 disks and 3 are": {"raid_arrays", []object{{"raid_level": 6}}, fault.Conflict},
		"1 without the disks: the partitions of raid_arrays[0] need":  {"raid_arrays", []object{{"partitions": []object{{"partition_label": "a", "size": "10T"}}}}, fault.Conflict},
		"is unknown here":                                             {"raid_arrays", []object{{"colour": "red"}}, fault.Invalid},
	} {
		body := g.body("s")
		body["server"].(object)[c2.field] = c2.value
		err := tenant.Do(c.Context(), "POST", "baremetal-server", "/servers", body, nil)
		if !fault.Is(err, c2.kind) || !strings.Contains(err.Error(), want) {
			text, _ := json.Marshal(c2.value)
			c.Errorf("%s %s: %v, want %s", c2.field, text, err, want)
		}
	}
}

func parts(n int) []object {
	var out []object
	for i := range n {
		out = append(out, object{"partition_label": fmt.Sprintf("p%d", i), "size": "8M"})
	}
	return out
}

// wantLaid compares what a server shows with what withLayout asks for.
func (c *testCloud) wantLaid(doc laid) {
	c.Helper()
	s := doc.Server
	text, _ := json.Marshal(s)
	if len(s.Arrays) != 2 || len(s.Groups) != 1 || len(s.Filesystems) != 4 {
		c.Fatalf("the server shows %s", text)
	}
	root, raid := s.Arrays[0], s.Arrays[1]
	if !root.Primary || root.Level != nil || len(root.Disks) != 1 || raid.Primary || *raid.Level != 5 || len(raid.Disks) != 3 ||
		*root.Partitions[0].Size != 2 || *root.Partitions[1].Size != 1 || root.Partitions[0].LVM != nil {
		c.Errorf("the arrays are %s", text)
	}
	if !*raid.Partitions[0].LVM || *raid.Partitions[0].Size != 17 || raid.Partitions[1].Label != "data" || *raid.Partitions[1].Size != 3 {
		c.Errorf("the partitions are %s", text)
	}
	if v := s.Groups[0].Volumes; s.Groups[0].Partitions[0] != "pv" || v[0].Label != "var" || *v[0].Size != 2 || v[1].Label != "home" || *v[1].Size != 15 {
		c.Errorf("the group is %s", text)
	}
	if f := s.Filesystems; f[1].Type != "swap" || f[1].Mount != "" || f[3].Label != "var" || f[3].Mount != "/var" || f[3].Type != "ext4" || f[2].Type != "xfs" {
		c.Errorf("the file systems are %s", text)
	}
}
