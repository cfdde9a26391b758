package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/client"
)

const imagePatch = "application/openstack-images-v2.1-json-patch"

// imageAPI is the image API as one user sees it.
type imageAPI struct {
	*testCloud
	token string
}

func (a *imageAPI) want(status int, verb, path, body string, header ...string) map[string]any {
	a.Helper()
	got := a.ask(a.token, verb, "/image/v2"+path, body, header...)
	if got.status != status {
		a.Errorf("%s %s %s: %d %s, want %d", verb, path, body, got.status, got.body, status)
	}
	var doc map[string]any
	_ = json.Unmarshal([]byte(got.body), &doc) // some answers are data, or empty
	return doc
}

func startImages(t *testing.T) (operator, tenant *imageAPI) {
	t.Helper()
	c := startCloud(t, "")
	c.tenant("tenant")
	token, _ := c.login("tenant", "password of tenant", "tenant")
	a, err := client.ReadAccess(c.data, cloudName)
	if err != nil {
		t.Fatal(err)
	}
	admin, _ := c.login(a.Username, a.Password, a.ProjectName)
	return &imageAPI{c, admin}, &imageAPI{c, token}
}

// TestImagePatch changes images by JSON patches, and gets Glance's codes for what is not allowed.
func TestImagePatch(t *testing.T) {
	_, tenant := startImages(t)
	id, _ := tenant.want(201, "POST", "/images", `{"name":"i","disk_format":"raw","container_format":"bare","os":"linux","tags":["a","b","a"]}`)["id"].(string)
	for _, tt := range []struct {
		patch  string
		status int
	}{
		{`[{"op":"replace","path":"/name","value":"j"},{"op":"add","path":"/a~1b","value":"x"},{"op":"replace","path":"/tags","value":["c"]}]`, 200},
		{`[{"op":"remove","path":"/a~1b"}]`, 200},
		{`[{"op":"remove","path":"/a~1b"}]`, 409},
		{`[{"op":"replace","path":"/none","value":"x"}]`, 409},
		{`[{"op":"remove","path":"/name"}]`, 403},
		{`[{"op":"replace","path":"/status","value":"active"}]`, 403},
		{`[{"op":"replace","path":"/id","value":"x"}]`, 403},
		{`[{"op":"add","path":"/locations/-","value":{"url":"http://x/","metadata":{}}}]`, 400},
		{`[{"op":"add","path":"/locations","value":[]}]`, 403},
		{`[{"op":"add","path":"/deleted","value":"x"}]`, 403},
		{`[{"op":"add","path":"/os_glance_x","value":"x"}]`, 403},
		{`[{"op":"replace","path":"/visibility","value":"public"}]`, 403},
		{`[{"op":"replace","path":"/owner","value":"other"}]`, 403},
		{`[{"op":"replace","path":"/min_disk","value":"much"}]`, 400},
		{`[{"op":"replace","path":"/min_disk","value":-1}]`, 400},
		{`[{"op":"replace","path":"/disk_format","value":"floppy"}]`, 400},
		{`[{"op":"move","path":"/name","value":"x"}]`, 400},
		{`[{"op":"add","path":"name","value":"x"}]`, 400},
		{`[{"op":"add","path":"/os","value":7}]`, 400},
		{`[{"op":"add","path":"/os"}]`, 400},
		{`[{"op":"replace","path":"/name","value":"k"},{"op":"remove","path":"/none"}]`, 409}, // all or nothing
	} {
		tenant.want(tt.status, "PATCH", "/images/"+id, tt.patch, "Content-Type", imagePatch)
	}
	tenant.want(415, "PATCH", "/images/"+id, `[]`)
	const old = "application/openstack-images-v2.0-json-patch"
	tenant.want(200, "PATCH", "/images/"+id, `[{"replace":"/os","value":"bsd"}]`, "Content-Type", old)
	tenant.want(409, "PATCH", "/images/"+id, `[{"add":"/os","value":"bsd"}]`, "Content-Type", old)
	doc := tenant.want(200, "GET", "/images/"+id, "")
	if doc["name"] != "j" || doc["os"] != "bsd" || doc["a/b"] != nil || fmt.Sprint(doc["tags"]) != "[c]" || doc["size"] != nil || doc["status"] != "queued" {
		t.Errorf("%v", doc)
	}
	tenant.want(204, "PUT", "/images/"+id+"/tags/new", "")
	tenant.want(204, "DELETE", "/images/"+id+"/tags/new", "")
	tenant.want(404, "DELETE", "/images/"+id+"/tags/new", "")
	for _, body := range []string{`{"visibility":"public"}`, `{"status":"active"}`, `{"owner":"other"}`, `{"os_glance_x":"y"}`} {
		tenant.want(403, "POST", "/images", body)
	}
	for _, body := range []string{`{"id":"x"}`, `{"tags":"x"}`, `{"os":null}`, `{"visibility":"secret"}`, `{"protected":"yes"}`} {
		tenant.want(400, "POST", "/images", body)
	}
	tenant.want(409, "POST", "/images", `{"id":"`+id+`"}`)
}

// TestImageRanges downloads parts of an image.
func TestImageRanges(t *testing.T) {
	operator, tenant := startImages(t)
	id, _ := tenant.want(201, "POST", "/images", `{"disk_format":"raw","container_format":"bare"}`)["id"].(string)
	tenant.want(204, "GET", "/images/"+id+"/file", "")
	tenant.want(415, "PUT", "/images/"+id+"/file", "0123456789")
	tenant.want(204, "PUT", "/images/"+id+"/file", "0123456789", "Content-Type", "application/octet-stream")
	tenant.want(409, "PUT", "/images/"+id+"/file", "0123456789", "Content-Type", "application/octet-stream")
	file := "/image/v2/images/" + id + "/file"
	for asked, want := range map[string]string{"bytes=2-4": "234 bytes 2-4/10", "bytes=7-": "789 bytes 7-9/10", "bytes=-2": "89 bytes 8-9/10", "bytes=0-99": "0123456789 bytes 0-9/10"} {
		got := tenant.ask(tenant.token, "GET", file, "", "Range", asked)
		if have := got.body + " " + got.header.Get("Content-Range"); got.status != http.StatusPartialContent || have != want {
			t.Errorf("%s: %d %s, want %s", asked, got.status, have, want)
		}
	}
	for _, asked := range []string{"bytes=10-", "bytes=4-2", "bytes=0-1,3-4", "lines=1-2", "bytes=-0", "bytes=x"} {
		if got := tenant.ask(tenant.token, "GET", file, "", "Range", asked); got.status != http.StatusRequestedRangeNotSatisfiable || got.header.Get("Content-Range") != "bytes */10" {
			t.Errorf("%s: %d %v", asked, got.status, got.header)
		}
	}
	if got := tenant.ask(tenant.token, "GET", file, ""); got.header.Get("Content-MD5") != "781e5e245d69b566979b86e28d23f2c7" || got.header.Get("Content-Length") != "10" {
		t.Errorf("%v", got.header)
	}
	tenant.want(204, "POST", "/images/"+id+"/actions/deactivate", "")
	tenant.want(403, "GET", "/images/"+id+"/file", "")
	operator.want(200, "GET", "/images/"+id+"/file", "")
	tenant.want(204, "POST", "/images/"+id+"/actions/reactivate", "")
}

// TestImageThatNeedsMore asks for a server of a flavor that is too small for the image.
func TestImageThatNeedsMore(t *testing.T) {
	c := startCloud(t, "")
	tenant := c.tenant("tenant")
	g := c.ground(tenant)
	must[any](c, c.admin, "POST", "operator", "/v1/flavors", object{"name": "small", "resource_class": "baremetal", "vcpus": 1, "ram": 1024, "disk": 10})
	flavors := must[struct{ Flavors []struct{ ID, Name string } }](c, tenant, "GET", "baremetal-server", "/flavors", nil).Flavors
	g.flavor = flavors[slices.IndexFunc(flavors, func(f struct{ ID, Name string }) bool { return f.Name == "small" })].ID
	token, _ := c.login("tenant", "password of tenant", "tenant")
	for attribute, most := range map[string]int{"min_disk": 10, "min_ram": 1024} {
		for value, says := range []string{"no node", "the image needs", "no node"} {
			value = most + value%2
			patch := fmt.Sprintf(`[{"op":"replace","path":"/%s","value":%d}]`, attribute, value)
			(&imageAPI{c, token}).want(200, "PATCH", "/images/"+g.image, patch, "Content-Type", imagePatch)
			err := tenant.Do(t.Context(), "POST", "baremetal-server", "/servers", g.body("x"), nil)
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s %d: %v, want %q", attribute, value, err, says)
			}
		}
	}
}

// TestImageList pages through lists by the links that they give.
func TestImageList(t *testing.T) {
	_, tenant := startImages(t)
	for _, name := range []string{"a", "b", "c"} {
		tenant.want(201, "POST", "/images", `{"name":"`+name+`","disk_format":"raw"}`)
	}
	var names []string
	next := "/v2/images?limit=2&sort=name:asc&disk_format=in:raw,iso"
	for pages := 0; next != ""; pages++ {
		doc := tenant.want(200, "GET", strings.TrimPrefix(next, "/v2"), "")
		all, _ := doc["images"].([]any)
		for _, i := range all {
			names = append(names, fmt.Sprint(i.(map[string]any)["name"]))
		}
		first, _ := doc["first"].(string)
		if first == "" || strings.Contains(first, "marker") {
			t.Errorf("the first page is %q", first)
		}
		next, _ = doc["next"].(string)
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("%v", names)
	}
	for _, bad := range []string{"limit=-1", "limit=x", "marker=x", "visibility=x", "member_status=x", "sort=name:up", "sort=colour", "sort=name&sort_key=name", "sort_key=name&sort_dir=asc&sort_dir=asc",
		"size_min=x", "protected=x", "os_hidden=x", "created_at=yesterday", "created_at=ge:2020-01-01", `name=in:"a`, "name=%00", "name=%ff", "changes-since=2020-01-01"} {
		tenant.want(400, "GET", "/images?"+bad, "")
	}
	if doc := tenant.want(200, "GET", "/images?limit=0", ""); len(doc["images"].([]any)) != 0 {
		t.Errorf("%v", doc)
	}
}

// TestImageLimits limits a project by registered limits of the identity service, as operators of Glance do.
func TestImageLimits(t *testing.T) {
	operator, tenant := startImages(t)
	if doc := tenant.want(200, "GET", "/info/usage", ""); fmt.Sprint(doc["usage"].(map[string]any)["image_count_total"]) != "map[limit:-1 usage:0]" {
		t.Errorf("%v", doc)
	}
	c := operator.testCloud
	must[any](c, c.admin, "POST", "identity", "/registered_limits", object{"registered_limits": []object{{"service_id": "image", "resource_name": "image_count_total", "default_limit": 1},
		{"service_id": "image", "resource_name": "image_size_total", "default_limit": 1}}})
	id, _ := tenant.want(201, "POST", "/images", `{"disk_format":"raw","container_format":"bare"}`)["id"].(string)
	tenant.want(413, "POST", "/images", `{"name":"one too many"}`)
	octets := []string{"Content-Type", "application/octet-stream"}
	tenant.want(413, "PUT", "/images/"+id+"/file", strings.Repeat("x", 1<<20+1), octets...)
	tenant.want(413, "PUT", "/images/"+id+"/stage", strings.Repeat("x", 1<<20+1), octets...)
	tenant.want(204, "PUT", "/images/"+id+"/file", strings.Repeat("x", 1<<20), octets...)
	image := tenant.want(200, "GET", "/images/"+id, "")
	must[any](c, c.admin, "POST", "identity", "/limits", object{"limits": []object{{"service_id": "image", "resource_name": "image_count_total", "project_id": image["owner"], "resource_limit": 2}}})
	tenant.want(201, "POST", "/images", `{"name":"no longer too many"}`)
	tenant.want(413, "POST", "/images", `{"name":"one too many"}`)
	if doc := tenant.want(200, "GET", "/info/usage", ""); fmt.Sprint(doc["usage"].(map[string]any)["image_count_total"], doc["usage"].(map[string]any)["image_size_total"]) != "map[limit:2 usage:2] map[limit:1 usage:1]" {
		t.Errorf("%v", doc)
	}
}

// TestImageImports refuses imports that are not served, and keeps tasks to their project.
func TestImageImports(t *testing.T) {
	operator, tenant := startImages(t)
	id, _ := tenant.want(201, "POST", "/images", `{"disk_format":"raw","container_format":"bare"}`)["id"].(string)
	for _, body := range []string{`{}`, `{"method":{"name":"copy-image"}}`, `{"method":{"name":"web-download"}}`, `{"method":{"name":"web-download","uri":"ftp://x/"}}`,
		`{"method":{"name":"web-download","uri":"http://u:p@x/"}}`, `{"method":{"name":"web-download","uri":"http://x/"},"stores":["moon"]}`} {
		tenant.want(400, "POST", "/images/"+id+"/import", body)
	}
	tenant.want(409, "POST", "/images/"+id+"/import", `{"method":{"name":"glance-direct"}}`)
	bare, _ := tenant.want(201, "POST", "/images", `{"disk_format":"raw"}`)["id"].(string)
	tenant.want(400, "POST", "/images/"+bare+"/import", `{"method":{"name":"web-download","uri":"http://127.0.0.1/"}}`)
	tenant.want(202, "POST", "/images/"+id+"/import", `{"method":{"name":"web-download","uri":"http://127.0.0.1/"},"all_stores":true,"all_stores_must_succeed":true}`)
	operator.want(201, "POST", "/tasks", `{"type":"import","input":{"import_from":"http://127.0.0.1/","import_from_format":"raw","image_properties":{"container_format":"bare","name":"new"}}}`)
	tenant.want(403, "POST", "/tasks", `{"type":"import"}`)
	operator.want(400, "POST", "/tasks", `{"type":"export"}`)
	if doc := tenant.want(200, "GET", "/tasks?sort_key=status&sort_dir=asc", ""); len(doc["tasks"].([]any)) != 1 {
		t.Errorf("the tenant sees the tasks %v", doc)
	}
	doc := operator.want(200, "GET", "/tasks?limit=1", "")
	if len(doc["tasks"].([]any)) != 1 || doc["next"] == nil {
		t.Errorf("the operator sees the tasks %v", doc)
	}
	task, _ := doc["tasks"].([]any)[0].(map[string]any)["id"].(string)
	operator.want(200, "GET", "/tasks/"+task, "")
	tenant.want(404, "GET", "/tasks/"+task, "")
	tenant.want(400, "GET", "/tasks?colour=red", "")
	for _, name := range []string{"image", "images", "member", "members", "task", "tasks"} {
		tenant.want(200, "GET", "/schemas/"+name, "")
	}
	tenant.want(200, "GET", "/info/import", "")
	tenant.want(200, "GET", "/info/stores", "")
}
