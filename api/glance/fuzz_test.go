package glance

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"testing"

	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
)

// FuzzPatch applies patches: what only the service writes never changes, and what is refused is the caller's fault.
func FuzzPatch(f *testing.F) {
	for _, seed := range []string{
		`[{"op":"replace","path":"/name","value":"n"},{"op":"add","path":"/a~1b","value":"v"},{"op":"remove","path":"/os"}]`,
		`[{"op":"add","path":"/id","value":"x"}]`, `[{"op":"remove","path":"/tags"}]`, `[{"op":"replace","path":"/tags","value":["a",null]}]`,
		`[{"replace":"/visibility","value":"public"}]`, `[{"op":"test","path":"/name"}]`, `[{"op":"add","path":"/a/b","value":"c"}]`,
		`[{"op":"add","path":"","value":{}}]`, `[{"op":"replace","path":"/min_disk","value":1e99}]`, `[{"op":"add","path":"/~2","value":"x"}]`, `[null]`,
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, old bool) {
		var ops []operation
		if json.Unmarshal(raw, &ops) != nil {
			return
		}
		was := image.Image{ID: "id", Owner: "p", Status: image.Active, Size: 1, Checksum: "c", Properties: image.Properties{"os": "linux"}}
		now := was
		now.Properties = maps.Clone(was.Properties)
		if err := apply(&now, ops, old); err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.Denied && k != fault.Conflict {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if now.ID != was.ID || now.Status != was.Status || now.Size != was.Size || now.Checksum != was.Checksum {
			t.Fatalf("the patch wrote what is read-only: %+v", now)
		}
		for name := range now.Properties {
			if slices.Contains(base, name) || slices.Contains(readOnly, name) {
				t.Fatalf("a property is named %s", name)
			}
		}
	})
}

// FuzzQuery lists by queries: each is refused as the caller's fault, or the database takes it.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"name=in:a,%22b,c%22&status=active&limit=2", "sort=name:asc,size&visibility=all", "sort_key=name&sort_key=id&sort_dir=asc", "tag=a&tag=%22&os=li'nux",
		"created_at=gte:2014-01-01T01:01:01Z&updated_at=neq:2020-01-01", "size_min=1&size_max=x", "marker=00000000-0000-0000-0000-000000000000", "limit=-1",
		"protected=maybe", "owner=%00", "member_status=pending&os_hidden=True", "a?b=?0&%22=%5C", "id=in:", "sort=name:up", "created_at=eq:0000-01-01",
	} {
		f.Add(seed)
	}
	s, err := image.NewService(image.Options{DB: dbtest.SQLite(f), Dir: f.TempDir()})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		values, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		q, err := query(values)
		if err == nil {
			q.Project = "p"
			q.Limit++
			_, err = s.List(t.Context(), q)
		}
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatalf("%q: %v", raw, err)
		}
	})
}

// FuzzRange reads ranges: what is served lies within the data.
func FuzzRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-0", "bytes=5-", "bytes=-3", "bytes=9-2", "bytes=0-1,3-4", "bytes=-", "bytes=99999999999999999999-", "lines=1-2", "bytes=+1-2", "bytes=-0"} {
		f.Add(seed, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		from, n, err := span(header, size)
		if err == nil && (from < 0 || n <= 0 || from+n > size || from+n < 0) {
			t.Fatalf("%q of %d bytes is %d from %d", header, size, n, from)
		}
	})
}
