package conformance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestCommands plays the scripts of testdata, in which people work at a terminal, on one cloud. Beside
// testscript's own commands they have "reach NODE STATE", which waits for a provision state: the commands'
// own waiting looks every ten seconds only; and "status SERVER STATUS", which waits for that of a server; and "console SERVER TEXT", which waits for what its console shows.
func TestCommands(t *testing.T) {
	t.Parallel()
	c := start(t)
	web := c.web()
	c.enrol(3)
	image := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(image, disk(), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, bin := startForker(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			if bin != "" {
				e.Setenv(envForker, socket)
				e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			}
			e.Setenv("OS_CLIENT_CONFIG_FILE", filepath.Join(c.data, "clouds.yaml"))
			e.Setenv("OS_CLOUD", "hagane")
			e.Setenv("HOME", e.WorkDir) // the commands keep caches there
			e.Setenv("BASE", c.base)
			e.Setenv("WEB", web)
			e.Setenv("DISK", image)             // of a system that can be deployed
			e.Setenv("IRONIC_MAX_RETRIES", "1") // the command repeats what conflicts, as if a lock were in the way
			e.Setenv("IRONIC_RETRY_INTERVAL", "1")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"reach": c.scriptReach, "status": c.scriptStatus, "console": c.scriptConsole},
	})
}

func (c *cloud) scriptReach(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: reach NODE STATE")
	}
	deadline := time.Now().Add(60 * time.Second)
	for {
		var n node
		ts.Check(c.try("GET", "/baremetal/v1/nodes/"+args[0], nil, &n))
		switch {
		case n.State == args[1]:
			return
		case n.LastError != "" || time.Now().After(deadline):
			ts.Fatalf("the node is %s, not %s: %s", n.State, args[1], n.LastError)
		}
		<-time.After(50 * time.Millisecond)
	}
}

func (c *cloud) scriptStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: status SERVER STATUS")
	}
	deadline := time.Now().Add(60 * time.Second)
	for {
		var l struct {
			Servers []struct{ Name, Status string }
		}
		ts.Check(c.try("GET", "/compute/v2.1/servers/detail?name=^"+args[0]+"$", nil, &l))
		if len(l.Servers) == 1 && l.Servers[0].Status == args[1] {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the server is %+v, not %s", l.Servers, args[1])
		}
		<-time.After(50 * time.Millisecond)
	}
}

func (c *cloud) scriptConsole(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: console SERVER TEXT")
	}
	var l struct {
		Servers []struct{ ID string }
	}
	ts.Check(c.try("GET", "/compute/v2.1/servers?name=^"+args[0]+"$", nil, &l))
	if len(l.Servers) != 1 {
		ts.Fatalf("there are %d servers %s", len(l.Servers), args[0])
	}
	deadline := time.Now().Add(60 * time.Second)
	for {
		var shown struct{ Output string }
		ts.Check(c.try("POST", "/compute/v2.1/servers/"+l.Servers[0].ID+"/action", object{"os-getConsoleOutput": object{}}, &shown))
		if strings.Contains(shown.Output, args[1]) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the console shows %q", shown.Output)
		}
		<-time.After(50 * time.Millisecond)
	}
}
