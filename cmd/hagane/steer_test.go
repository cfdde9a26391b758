package main

import (
	"bytes"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/db/dbtest"
)

// command runs a command of the program against the cloud, and returns what it printed.
func (c *testCloud) command(args ...string) (string, error) {
	c.Helper()
	root, out := rootCommand(), new(bytes.Buffer)
	root.SetOut(out)
	root.SetArgs(append(args, "--data", c.data))
	err := root.ExecuteContext(c.Context())
	return out.String(), err
}

// printed is command for those that must succeed.
func (c *testCloud) printed(args ...string) string {
	c.Helper()
	out, err := c.command(args...)
	if err != nil {
		c.Fatalf("hagane %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// says checks that a text matches all of the patterns.
func (c *testCloud) says(text string, patterns ...string) {
	c.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(text) {
			c.Errorf("%q is not in:\n%s", p, text)
		}
	}
}

// TestWhyAndSteer enrols a node whose BMC does not answer, and does everything that an operator can with what is at work on it.
func TestWhyAndSteer(t *testing.T) {
	c := startCloud(t, "")
	n := must[nodeDoc](c, c.admin, "POST", "baremetal", "/v1/nodes", object{"name": "mute", "driver": "redfish",
		"driver_info": object{"redfish_address": "https://127.0.0.1:1", "redfish_username": "root", "redfish_password": "secret"}})
	c.says(c.printed("why", "mute"), `mute \(`+n.UUID+`\) is enroll since .*nothing is at work on it`, `possible are manage`, "power: never read")
	must[any](c, c.admin, "PUT", "baremetal", "/v1/nodes/mute/states/provision", object{"target": "manage"})
	c.until(30*time.Second, "a look at the BMC", func() bool { return strings.Contains(c.printed("why", "mute"), "it waits") })
	c.says(c.printed("why", "mute"), `mute .* is verifying since .*: step 1 of 3, reach the BMC, for \d+s, attempt \d+`, `it waits: .*can not be reached`,
		`conductor \S+ (looks at it next, at \d\d:\d\d:\d\d UTC|is at work on it now)`, `next: find out what the BMC can do; if this step is not done by .* all is undone`,
		`an operator can: hagane run abort \| hold \| retry mute`)
	c.says(c.printed("run", "list"), `mute +verify/\d +waiting +step 1 of 3, reach the BMC`)
	c.says(c.printed("run", "show", "mute"), `reach the BMC +retrying +\d+`)
	if _, err := c.command("run", "skip", "mute", "--reason", "no use"); err == nil || !strings.Contains(err.Error(), "can not be passed over") {
		t.Errorf("skipping what later steps rely on: %v", err)
	}
	if _, err := c.command("run", "hold", "mute"); err == nil || !strings.Contains(err.Error(), "reason") {
		t.Errorf("a hold without a reason: %v", err)
	}
	c.printed("run", "hold", "mute", "--reason", "the cable is being changed")
	c.until(30*time.Second, "the run to be held", func() bool { return strings.Contains(c.printed("why", "mute"), "it is held by") })
	c.says(c.printed("why", "mute"), `it is held by admin: the cable is being changed; hagane run release mute lets it go on`)
	if _, err := c.command("run", "retry", "mute"); err == nil || !strings.Contains(err.Error(), "release it") {
		t.Errorf("a retry of what is held: %v", err)
	}
	c.printed("run", "release", "mute")
	c.printed("run", "retry", "mute")
	c.printed("run", "abort", "mute", "--reason", "wrong rack")
	c.until(30*time.Second, "the run to be aborted", func() bool { return strings.Contains(c.printed("why", "mute"), "nothing is at work") })
	c.says(c.printed("why", "mute"), `last error: .*aborted: admin: wrong rack`)
	c.says(c.printed("run", "list", "--ended", "--node", "mute"), `failed .*wrong rack`)
	if _, err := c.command("run", "abort", "mute"); err == nil || !strings.Contains(err.Error(), "nothing is at work") {
		t.Errorf("an abort of nothing: %v", err)
	}
}

// TestDrain takes one of two conductors out of work, and a node of a group that nobody serves waits and says so.
func TestDrain(t *testing.T) {
	dsn := dbtest.PostgresUpToDate(t)
	c := &testCloud{T: t, data: filepath.Join(t.TempDir(), "data")}
	c.serve(dsn, "api")
	c.serve(dsn, "conductor")
	c.serve(dsn, "conductor")
	c.reconnect()
	var names []string
	c.until(30*time.Second, "two conductors", func() bool {
		names = regexp.MustCompile(`(?m)^(\S+) +working`).FindAllString(c.printed("conductor", "list"), -1)
		return len(names) == 2
	})
	first := strings.Fields(names[0])[0]
	c.says(c.printed("conductor", "drain", first), first+" drained")
	c.says(c.printed("conductor", "list"), first+` +drained`)
	for _, name := range []string{"a", "b", "c", "d"} {
		c.says(c.printed("why", c.fakeNode(name, "52:54:00:00:00:0"+name)), "conductor "+strings.Fields(names[1])[0]+" looks after it")
	}
	far := must[nodeDoc](c, c.admin, "POST", "baremetal", "/v1/nodes", object{"name": "far", "driver": "fake-hardware", "conductor_group": "site-b"})
	must[any](c, c.admin, "PUT", "baremetal", "/v1/nodes/far/states/provision", object{"target": "manage"})
	c.says(c.printed("why", far.UUID), `no conductor that is alive takes work of the group "site-b"`)
	c.serveWith(serveOptions{database: dsn, roles: []string{"conductor"}, group: "site-b"})
	c.nodeUntil(far.UUID, "manageable")
	if err := c.admin.Do(t.Context(), http.MethodPost, "operator", "/v1/conductors/nobody/drain", object{"drain": true}, nil); err == nil {
		t.Error("a conductor that does not exist was drained")
	}
	c.printed("conductor", "drain", first, "--end")
	c.until(30*time.Second, "the first one to work again", func() bool {
		return regexp.MustCompile(first + " +working").MatchString(c.printed("conductor", "list"))
	})
}
