package ecl

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/agent/layout"
	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
	"github.com/hagane-cloud/hagane/server"
)

func told(t *testing.T, err error) {
	t.Helper()
	if err != nil && fault.KindOf(err) == fault.Internal {
		t.Errorf("bad input is told as a defect of ours: %v", err)
	}
}

// FuzzCreate reads whatever comes as a request for a server, with the layout of its disks.
func FuzzCreate(f *testing.F) {
	for _, seed := range []string{
		`{"server":{"name":"s","imageRef":"i","flavorRef":"f","networks":[{"uuid":"n","plane":"data"}],"user_data":"eA==","personality":[{"path":"/x","contents":"eA=="}]}}`,
		`{"server":{"imageRef":"i","chassis_id":"c","raid_arrays":[{"primary_storage":true,"partitions":[{"lvm":true,"partition_label":"p"},{"size":"100G","partition_label":"q"}]},{"raid_level":1,"disk_hardware_ids":["a","b"],"partitions":[{"lvm":true,"size":"1T","partition_label":"r"}]}],
			"lvm_volume_groups":[{"vg_label":"VG","physical_volume_partition_labels":["p","r"],"logical_volumes":[{"size":"100G","lv_label":"L"},{"lv_label":"M"}]}],"filesystems":[{"label":"L","mount_point":"/var","fs_type":"xfs"},{"label":"q","fs_type":"swap"}]}}`,
		`{"server":{"imageRef":"i","flavorRef":"f","raid_arrays":[{"partitions":[{"size":"99999999999T"}]}]}}`, `{"server":{"imageRef":"i","flavorRef":"f","lvm_volume_groups":[{}],"filesystems":[{"mount_point":"../.."}]}}`, `{"server":null}`, `[`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := &api.Request{Request: httptest.NewRequest("POST", "/", strings.NewReader(body)), Caller: identity.Caller{}}
		var b createBody
		err := api.Decode(httptest.NewRecorder(), r, &b)
		if told(t, err); err != nil {
			return
		}
		w, err := b.wanted(r)
		if told(t, err); err != nil || layout.Empty(w.Layout) {
			return
		}
		if err = layout.Check(w.Layout); err != nil {
			told(t, err)
			return
		}
		shown{Server: &server.Server{Layout: w.Layout}}.layoutDocs()
	})
}

// FuzzSize reads sizes: whatever is taken is above zero and no more than what disks have.
func FuzzSize(f *testing.F) {
	for _, seed := range []string{"100G", "1T", "0M", "-1G", "+1G", "G", "9223372036854775807T", "1024T", "1025T", "１G"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, size string) {
		n, err := bytesOf(size)
		told(t, err)
		if err == nil && size != "" && (n < 1<<20 || n > 1<<50) {
			t.Errorf("%q is read as %d", size, n)
		}
	})
}
