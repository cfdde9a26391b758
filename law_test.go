package hagane_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/hagane-cloud/hagane/"

// law says which packages of the project a package must not import, and why. Paths are prefixes.
var law = []struct {
	who, never []string
	why        string
}{
	{[]string{"fault", "fence"}, []string{""}, "everything imports them"},
	{[]string{"db", "workflow", "secret"}, []string{"api", "bmc", "client", "cmd", "conductor", "identity", "image", "lab", "netboot", "network", "node", "server", "agent"}, "they serve every noun and know none"},
	{[]string{"bmc/profile", "bmc/record"}, []string{"bmc"}, "the drivers' contract rests on them"},
	{[]string{"conductor"}, []string{"api", "bmc", "identity", "image", "lab", "netboot", "network", "node", "server", "agent"}, "it drives runs, whatever they are about"},
	{[]string{"bmc"}, []string{"api", "db", "identity", "image", "lab", "netboot", "network", "node", "server", "workflow", "agent"}, "drivers know their device and their parent's interface"},
	{[]string{"network/fabric"}, []string{"api", "db", "identity", "image", "netboot", "node", "server", "workflow", "agent", "bmc"}, "drivers know their device and their parent's interface"},
	{[]string{"agent", "cmd/hagane-agent"}, []string{"db", "api", "identity", "image", "netboot", "network", "node", "server", "workflow", "conductor", "bmc"}, "it runs on servers, and must stay small"},
	{[]string{"audit", "idempotency"}, []string{"api", "agent", "bmc", "conductor", "identity", "image", "lab", "netboot", "network", "node", "server", "workflow"}, "they record what was asked, whatever it was about"},
	{[]string{"identity"}, []string{"api", "image", "network", "node", "server", "netboot"}, "it vouches for callers and owns nothing else"},
	{[]string{"image", "network"}, []string{"api", "node", "server", "netboot"}, "a noun does not know who uses it"},
	{[]string{"gateway"}, []string{"api", "agent", "bmc", "cmd", "conductor", "identity", "image", "netboot", "node", "server", "network/fabric"}, "it forwards by plans, and knows neither servers nor switches"},
	{[]string{"node"}, []string{"api", "server", "image", "netboot", "identity", "lab"}, "the physical does not know the logical"},
	{[]string{"server"}, []string{"api", "bmc/", "netboot", "lab", "network/fabric"}, "only conductors touch hardware, by a node's steps"},
	{[]string{"api"}, []string{"db", "lab", "conductor", "netboot", "bmc/redfish", "bmc/ipmi", "bmc/ribcl", "bmc/wsman", "bmc/scci", "bmc/fake", "bmc/wire", "network/fabric"}, "a dialect translates for a service"},
	{[]string{"api", "audit", "cmd", "conductor", "db", "identity", "image", "network", "node", "server", "workflow"}, []string{"api/openapi/derive"}, "it reads the code for a test, and stays out of the program"},
	{[]string{"simulation"}, []string{"api", "cmd", "lab", "netboot", "demo", "client"}, "it plays the edges itself, and must not depend on what it stands for"},
	{[]string{"api", "agent", "audit", "bmc", "client", "cmd", "conductor", "db", "demo", "fault", "identity", "image", "lab", "netboot", "network", "node", "secret", "server", "workflow"}, []string{"simulation"}, "it is for its own tests, and stays out of the program"},
	{[]string{"client", "demo"}, []string{"api", "db", "identity", "image", "netboot", "network", "node", "server", "workflow", "conductor"}, "they use the public API as anyone would"},
}

// TestImportLaw reads the imports of every file that is no test.
func TestImportLaw(t *testing.T) {
	files := goFiles(t)
	if len(files) < 100 {
		t.Fatalf("found only %d files", len(files))
	}
	for _, path := range files {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			inner, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			for _, rule := range law {
				if within(dir, rule.who) && !within(inner, rule.who) && within(inner, rule.never) {
					t.Errorf("%s imports %s: %s", path, inner, rule.why)
				}
			}
		}
	}
}

// within reports whether dir is one of the folders or lies below one; "x/" means only below, "" everything.
func within(dir string, folders []string) bool {
	for _, f := range folders {
		if f == "" || dir == f || strings.HasPrefix(dir, strings.TrimSuffix(f, "/")+"/") {
			return true
		}
	}
	return false
}

// TestPackageDocs finds packages without a doc comment, or with more than one.
func TestPackageDocs(t *testing.T) {
	docs := map[string]int{}
	for _, path := range goFiles(t) {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Dir(path)
		docs[dir] += 0
		if f.Doc != nil {
			docs[dir]++
		}
	}
	for dir, n := range docs {
		if n != 1 {
			t.Errorf("the package in %s has %d doc comments, want one", dir, n)
		}
	}
}

// goFiles lists the project's Go files that are no tests. conformance is a module of its own.
func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "conformance" || d.Name() == "data" || d.Name() == "bin") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
