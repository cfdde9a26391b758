package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// computeImages is a page of a list of images by the compute service.
type computeImages struct {
	Images []struct {
		ID, Name, Status string
		Progress         int
		Metadata         map[string]string
		Size             int64 `json:"OS-EXT-IMG-SIZE:size"`
	}
	Links []struct{ Rel, Href string } `json:"images_links"`
}

func (l computeImages) names() string {
	out := []string{}
	for _, i := range l.Images {
		out = append(out, i.Name)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// TestComputeImages uses images as clients of old microversions do, by the compute service, until that has them no more.
func TestComputeImages(t *testing.T) {
	c := startCloud(t, "")
	tenant, other := c.tenant("tenant"), c.tenant("other")
	g := c.ground(tenant)
	empty := must[struct{ ID string }](c, tenant, "POST", "image", "/v2/images", object{"name": "empty", "disk_format": "raw", "container_format": "bare", "min_disk": 7, "image_type": "snapshot"})
	for query, want := range map[string]string{
		"": "empty i", "?name=i": "i", "?status=ACTIVE": "i", "?status=saving": "empty", "?status=DELETED": "", "?minDisk=7": "empty", "?minRam=7": "", "?type=snapshot": "empty",
		"?property-image_type=snapshot": "empty", "?server=http://x/none": "", "?changes-since=2099-01-01T00:00:00Z": "", "?limit=0": "empty i", "?colour=red": "empty i",
	} {
		for _, path := range []string{"/images", "/images/detail"} {
			if got := must[computeImages](c, tenant, "GET", "compute", path+query, nil).names(); got != want {
				t.Errorf("%s%s: %q, want %q", path, query, got, want)
			}
		}
	}
	first := must[computeImages](c, tenant, "GET", "compute", "/images?limit=1", nil)
	_, query, _ := strings.Cut(first.Links[0].Href, "?")
	second := must[computeImages](c, tenant, "GET", "compute", "/images?"+query, nil)
	if len(first.Images) != 1 || len(second.Images) != 1 || first.Images[0].ID == second.Images[0].ID || len(second.Links) != 0 {
		t.Errorf("pages of one: %+v, %+v", first, second)
	}
	for _, i := range must[computeImages](c, tenant, "GET", "compute", "/images/detail", nil).Images {
		if active := i.ID == g.image; active != (i.Status == "ACTIVE" && i.Progress == 100 && i.Size > 0) || !active && i.Metadata["image_type"] != "snapshot" {
			t.Errorf("%+v", i)
		}
	}
	if got := must[computeImages](c, other, "GET", "compute", "/images/detail", nil).names(); got != "" {
		t.Errorf("another tenant sees %q", got)
	}

	token, _ := c.login("tenant", "password of tenant", "tenant")
	stranger, _ := c.login("other", "password of other", "other")
	at := "/images/" + empty.ID
	for _, tt := range []struct {
		verb, path, body string
		status           int
		says             string
	}{
		{"GET", at, "", 200, `"status":"SAVING"`},
		{"GET", at + "/metadata", "", 200, `{"metadata":{"image_type":"snapshot"}}`},
		{"POST", at + "/metadata", `{"metadata":{"a":"1","b":""}}`, 200, `"image_type"`},
		{"GET", at + "/metadata/a", "", 200, `{"meta":{"a":"1"}}`},
		{"PUT", at + "/metadata/a", `{"meta":{"a":"2"}}`, 200, `{"meta":{"a":"2"}}`},
		{"PUT", at + "/metadata/a", `{"meta":{"b":"2"}}`, 400, "the key of the path"},
		{"GET", at + "/metadata/c", "", 404, "not found"},
		{"DELETE", at + "/metadata/c", "", 404, "not found"},
		{"DELETE", at + "/metadata/b", "", 204, ""},
		{"PUT", at + "/metadata", `{}`, 400, "metadata is missing"},
		{"PUT", at + "/metadata", `{"metadata":{"os_glance_x":"y"}}`, 403, "reserved"},
		{"GET", at + "/metadata", "", 200, `{"metadata":{"a":"2","image_type":"snapshot"}}`},
		{"PUT", at + "/metadata", `{"metadata":{"os":"linux"}}`, 200, `{"metadata":{"os":"linux"}}`},
		{"GET", "/images?limit=some", "", 400, "limit"},
		{"GET", "/images?minDisk=some", "", 400, "minDisk"},
		{"GET", "/images?marker=none", "", 400, "marker"},
		{"GET", "/images?changes-since=never", "", 400, "changes-since"},
		{"GET", "/images/none", "", 404, "none"},
	} {
		if a := c.ask(token, tt.verb, "/compute/v2.1"+tt.path, tt.body); a.status != tt.status || !strings.Contains(a.body, tt.says) {
			t.Errorf("%s %s %s: %d %s, want %d with %s", tt.verb, tt.path, tt.body, a.status, a.body, tt.status, tt.says)
		}
	}
	if now := must[map[string]any](c, tenant, "GET", "image", "/v2/images/"+empty.ID, nil); now["os"] != "linux" || now["image_type"] != nil {
		t.Errorf("by the image service it is %v", now)
	}
	for _, path := range []string{at, at + "/metadata"} {
		if a := c.ask(stranger, "GET", "/compute/v2.1"+path, ""); a.status != http.StatusNotFound {
			t.Errorf("another tenant reads %s: %d", path, a.status)
		}
	}
	if a := c.ask(stranger, "DELETE", "/compute/v2.1"+at, ""); a.status != http.StatusNotFound {
		t.Errorf("another tenant deletes it: %d", a.status)
	}
	for path, ends := range map[string]string{"/images": "2.36", "/images/detail": "2.36", at: "2.36", at + "/metadata": "2.39"} {
		if a := c.ask(token, "GET", "/compute/v2.1"+path, "", "X-OpenStack-Nova-API-Version", ends); a.status != http.StatusNotFound {
			t.Errorf("%s at %s: %d", path, ends, a.status)
		}
	}
	if a := c.ask(token, "GET", "/compute/v2.1"+at+"/metadata", "", "OpenStack-API-Version", "compute 2.38"); a.status != http.StatusOK {
		t.Errorf("metadata at 2.38: %d", a.status)
	}
	if a := c.ask(token, "DELETE", "/compute/v2.1"+at, ""); a.status != http.StatusNoContent {
		t.Errorf("deleting it: %d %s", a.status, a.body)
	}
	var gone struct{ ItemNotFound struct{ Code int } }
	if a := c.ask(token, "GET", "/compute/v2.1"+at, ""); json.Unmarshal([]byte(a.body), &gone) != nil || gone.ItemNotFound.Code != http.StatusNotFound {
		t.Errorf("when it is deleted: %d %s", a.status, a.body)
	}
}
