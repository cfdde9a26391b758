package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/api/openapi"
	"github.com/hagane-cloud/hagane/api/openapi/derive"
)

var update = flag.Bool("update", false, "write what is derived from the code")

// TestOpenAPI derives the documents from the code and compares them with those that are served. Run with -update to
// write them. Every route of every service must be described, with the permission that is written beside it.
func TestOpenAPI(t *testing.T) {
	derived, err := derive.Services("../..")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join("../../api/openapi", openapi.Folder)
	if *update {
		writeDocuments(t, folder, derived)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".json"); derived[name] == nil {
			t.Errorf("%s describes no service", f)
		}
	}
	described := map[string]map[string]any{}
	for name, text := range derived {
		have, err := os.ReadFile(filepath.Join(folder, name+".json"))
		if err != nil || !bytes.Equal(have, text) {
			t.Errorf("the document of %s is not what the code says: go test ./cmd/hagane -run OpenAPI -update (%v)", name, err)
		}
		var doc struct {
			Servers []struct{ URL string }
			Paths   map[string]map[string]map[string]any
		}
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		for path, verbs := range doc.Paths {
			for verb, op := range verbs {
				described[strings.ToUpper(verb)+" "+doc.Servers[0].URL+strings.TrimSuffix(path, "/")] = op
			}
		}
	}
	bare := 0
	permissions := []string{"Anyone", "Authenticated", "Readers", "Members", "Operators", "OperatorsRead", "Auditors", "NodeReaders", "NodeMembers", "DomainAdmins", "DomainReaders", "Services"}
	var all []api.Dialect
	running := &testCloud{T: t, data: t.TempDir()}
	running.serveWith(serveOptions{roles: allRoles, wired: func(c *cloud) { all = c.dialects() }})
	running.reconnect()
	for _, d := range all {
		for _, rt := range d.Routes {
			op := described[rt.Verb+" "+d.Prefix+strings.ReplaceAll(rt.Path, "...}", "}")]
			if op == nil {
				t.Errorf("%s %s%s is not described", rt.Verb, d.Prefix, rt.Path)
				continue
			}
			if op["x-permission"] != permissions[rt.Who] {
				t.Errorf("%s %s%s: the permission is described as %v, and is %s", rt.Verb, d.Prefix, rt.Path, op["x-permission"], permissions[rt.Who])
			}
			if text, _ := json.Marshal(op["responses"]); rt.Verb == "GET" && !bytes.Contains(text, []byte(`"properties"`)) {
				bare++
				t.Logf("nothing is known of the answer to %s %s%s", rt.Verb, d.Prefix, rt.Path)
			}
		}
	}
	t.Logf("%d operations, %d answers of which nothing is known", len(described), bare)
	if most := len(described) / 10; bare > most {
		t.Errorf("of %d answers nothing is known; at most %d may be data or free documents", bare, most)
	}
}

func writeDocuments(t *testing.T, folder string, derived map[string][]byte) {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range derived {
		if err := os.WriteFile(filepath.Join(folder, name+".json"), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
