package ironic

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/hagane-cloud/hagane/node"
)

// TestTextsOfNumbers reads what clients write as numbers, null and objects where texts are kept.
func TestTextsOfNumbers(t *testing.T) {
	var given map[string]any
	if err := json.Unmarshal([]byte(`{"memory_mb":2097152,"cpus":"4","ratio":0.5,"yes":true,"none":null,"parts":{"a":[1]},"x_password":1000000}`), &given); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"memory_mb": "2097152", "cpus": "4", "ratio": "0.5", "yes": "true", "parts": `{"a":[1]}`}
	var n node.Node
	password := setInfo(&n, given)
	if password == nil || *password != "1000000" || !maps.Equal(n.DriverInfo, want) {
		t.Errorf("driver_info: %v with the password %v", n.DriverInfo, password)
	}
	want["x_password"] = "1000000"
	if err := setProperties(&n, given); err != nil || !maps.Equal(n.Properties, want) {
		t.Errorf("properties: %v, %v", n.Properties, err)
	}
}

// TestPatchPaths applies operations at all depths of a document.
func TestPatchPaths(t *testing.T) {
	const before = `{"extra":{"a":{"b":1,"c/d":2},"list":[1]},"name":"n"}`
	for _, tt := range []struct{ op, path, value, want string }{
		{"replace", "/name", `"m"`, `{"extra":{"a":{"b":1,"c/d":2},"list":[1]},"name":"m"}`},
		{"add", "/extra/x", `3`, `{"extra":{"a":{"b":1,"c/d":2},"list":[1],"x":3},"name":"n"}`},
		{"replace", "/extra/a/b", `7`, `{"extra":{"a":{"b":7,"c/d":2},"list":[1]},"name":"n"}`},
		{"remove", "/extra/a/c~1d", ``, `{"extra":{"a":{"b":1},"list":[1]},"name":"n"}`},
		{"remove", "/extra/a/x", ``, ``},
		{"add", "/extra/list/-", `3`, ``},
		{"add", "/extra/a/b/c", `3`, ``},
		{"move", "/extra/a", `3`, ``},
		{"add", "extra", `3`, ``},
		{"add", "/", `3`, ``},
	} {
		var tree raw
		if err := json.Unmarshal([]byte(before), &tree); err != nil {
			t.Fatal(err)
		}
		err := operation{Op: tt.op, Path: tt.path, Value: json.RawMessage(tt.value)}.apply(tree)
		if (err == nil) != (tt.want != "") {
			t.Errorf("%s %s: %v", tt.op, tt.path, err)
		}
		if got, _ := json.Marshal(tree); err == nil && string(got) != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.op, tt.path, got, tt.want)
		}
	}
}
