package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
)

// TestMain also plays hagane, for the tests that kill it and for the demo.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(envServe) != "":
		serveToDie()
		return
	case len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-"): // as hagane is called, not a test program
		main()
		return
	}
	code := m.Run()
	dbtest.Stop()
	os.Exit(code)
}

type object = map[string]any

// testCloud is a cloud in this process.
type testCloud struct {
	*testing.T
	data  string
	admin *client.Cloud
}

// startCloud runs a cloud until the test ends. dsn "" is SQLite in the data folder.
func startCloud(t *testing.T, dsn string) *testCloud {
	t.Helper()
	return startCloudWith(t, serveOptions{database: dsn, roles: allRoles})
}

// startCloudWith is startCloud with further options.
func startCloudWith(t *testing.T, o serveOptions) *testCloud {
	t.Helper()
	c := &testCloud{T: t, data: filepath.Join(t.TempDir(), "data")}
	if o.database == "" {
		if err := os.Mkdir(c.data, 0o700); err != nil {
			t.Fatal(err)
		}
		dbtest.SeedSQLite(t, filepath.Join(c.data, "hagane.db"))
	}
	c.serveWith(o)
	c.reconnect()
	return c
}

// serve runs a process' worth of the cloud, with some roles, until the test ends.
func (c *testCloud) serve(dsn string, roles ...string) {
	c.Helper()
	c.serveWith(serveOptions{database: dsn, roles: roles})
}

// quickHash is the memory for passwords' hashes in tests, where nobody guesses: with the race detector a real one takes a quarter of a second.
const quickHash = 64

// serveWith is serve with further options.
func (c *testCloud) serveWith(o serveOptions) {
	c.Helper()
	t := c.T
	o.data, o.listen, o.region, o.workers, o.ipxe = c.data, "127.0.0.1:0", "region1", 16, "/usr/lib/ipxe"
	o.passwords.HashKiB = quickHash
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, o) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// reconnect waits for the cloud and becomes its administrator.
func (c *testCloud) reconnect() {
	c.Helper()
	c.until(30*time.Second, "the cloud to answer", func() bool {
		a, err := client.ReadAccess(c.data, cloudName)
		if err != nil {
			return false
		}
		c.admin, err = client.Connect(c.Context(), a)
		return err == nil
	})
}

// until polls until ok, and fails the test after limit.
func (c *testCloud) until(limit time.Duration, what string, ok func() bool) {
	c.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			c.Fatalf("waited %s for %s; nodes: %s", limit, what, c.told())
		}
		<-time.After(20 * time.Millisecond)
	}
}

// told is what the nodes are doing, for failures.
func (c *testCloud) told() string {
	var nodes struct{ Nodes []json.RawMessage }
	if c.admin == nil {
		return "the cloud never answered"
	}
	if err := c.admin.Do(c.Context(), "GET", "baremetal", "/v1/nodes?fields=name,provision_state,power_state,last_error,driver_internal_info,maintenance_reason", nil, &nodes); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s", nodes.Nodes)
}

// must makes a call that is to succeed and returns the answer.
func must[T any](c *testCloud, who *client.Cloud, method, service, path string, in any) T {
	c.Helper()
	var out T
	var to any = &out
	if method == "DELETE" || method == "PUT" {
		to = nil
	}
	if err := who.Do(c.Context(), method, service, path, in, to); err != nil {
		c.Fatal(err)
	}
	return out
}

// tenant makes a project with a member, and returns the member.
func (c *testCloud) tenant(name string) *client.Cloud {
	c.Helper()
	p := must[struct{ Project struct{ ID string } }](c, c.admin, "POST", "identity", "/projects", object{"project": object{"name": name}})
	u := must[struct{ User struct{ ID string } }](c, c.admin, "POST", "identity", "/users", object{"user": object{"name": name, "password": "password of " + name}})
	must[any](c, c.admin, "PUT", "identity", "/projects/"+p.Project.ID+"/users/"+u.User.ID+"/roles/role-member", nil)
	return c.as(name)
}

func (c *testCloud) as(name string) *client.Cloud { c.Helper(); return c.inProject(name, name) }

// inProject logs a user in who has a role on a project.
func (c *testCloud) inProject(user, project string) *client.Cloud {
	c.Helper()
	a, err := client.ReadAccess(c.data, cloudName)
	if err != nil {
		c.Fatal(err)
	}
	a.Username, a.Password, a.ProjectName = user, "password of "+user, project
	t, err := client.Connect(c.Context(), a)
	if err != nil {
		c.Fatal(err)
	}
	return t
}

// roleOn makes a user with a role on a project.
func (c *testCloud) roleOn(project, user, role string) {
	c.Helper()
	ps := must[struct{ Projects []struct{ ID string } }](c, c.admin, "GET", "identity", "/projects?name="+project, nil)
	u := must[struct{ User struct{ ID string } }](c, c.admin, "POST", "identity", "/users", object{"user": object{"name": user, "password": "password of " + user}})
	must[any](c, c.admin, "PUT", "identity", fmt.Sprintf("/projects/%s/users/%s/roles/role-%s", ps.Projects[0].ID, u.User.ID, role), nil)
}

type nodeDoc struct {
	UUID           string `json:"uuid"`
	ProvisionState string `json:"provision_state"`
	LastError      string `json:"last_error"`
	InstanceUUID   string `json:"instance_uuid"`
	Maintenance    bool   `json:"maintenance"`
	Reason         string `json:"maintenance_reason"`
}

func (c *testCloud) node(id string) nodeDoc {
	c.Helper()
	return must[nodeDoc](c, c.admin, "GET", "baremetal", "/v1/nodes/"+id, nil)
}

// nodeUntil waits for a node to reach a provision state.
func (c *testCloud) nodeUntil(id, want string) nodeDoc {
	c.Helper()
	var n nodeDoc
	c.until(patience, id+" to be "+want, func() bool {
		n = c.node(id)
		if n.LastError != "" && n.ProvisionState != want {
			c.Fatalf("node %s is %s: %s", id, n.ProvisionState, n.LastError)
		}
		return n.ProvisionState == want
	})
	return n
}

// fakeNode enrols a node without hardware and makes it available, with a port so that it can be on a network.
func (c *testCloud) fakeNode(name, mac string) string {
	c.Helper()
	n := must[nodeDoc](c, c.admin, "POST", "baremetal", "/v1/nodes", object{"name": name, "driver": "fake-hardware", "resource_class": "baremetal"})
	must[any](c, c.admin, "POST", "baremetal", "/v1/ports", object{"node_uuid": n.UUID, "address": mac})
	c.ready(n.UUID, "manage", "provide")
	return n.UUID
}

var after = map[string]string{"manage": "manageable", "inspect": "manageable", "provide": "available"}

func (c *testCloud) ready(id string, verbs ...string) {
	c.Helper()
	for _, v := range verbs {
		must[any](c, c.admin, "PUT", "baremetal", "/v1/nodes/"+id+"/states/provision", object{"target": v})
		c.nodeUntil(id, after[v])
	}
}

// ground is what a tenant needs before a server.
type ground struct{ network, image, flavor string }

func (c *testCloud) ground(t *client.Cloud) ground {
	c.Helper()
	net := must[struct{ Network struct{ ID string } }](c, t, "POST", "network", "/v2.0/networks", object{"network": object{"name": "n"}})
	must[any](c, t, "POST", "network", "/v2.0/subnets", object{"subnet": object{"network_id": net.Network.ID, "cidr": "10.20.0.0/24"}})
	img := must[struct{ ID string }](c, t, "POST", "image", "/v2/images", object{"name": "i", "disk_format": "raw", "container_format": "bare"})
	must[any](c, t, "PUT", "image", "/v2/images/"+img.ID+"/file", bootable())
	fs := must[struct{ Flavors []struct{ ID string } }](c, t, "GET", "baremetal-server", "/flavors", nil)
	return ground{net.Network.ID, img.ID, fs.Flavors[0].ID}
}

func (g ground) body(name string) object {
	return object{"server": object{"name": name, "flavorRef": g.flavor, "imageRef": g.image, "networks": []object{{"uuid": g.network}}}}
}

type serverDoc struct {
	Server struct {
		ID     string
		Status string
		Task   string `json:"OS-EXT-STS:task_state"`
		Fault  struct{ Message string }
	}
}

// serverUntil waits for a server's status, "" for its end.
func (c *testCloud) serverUntil(t *client.Cloud, id, want string) serverDoc {
	c.Helper()
	var s serverDoc
	c.until(patience, "server "+id+" to be "+want, func() bool {
		err := t.Do(c.Context(), "GET", "baremetal-server", "/servers/"+id, nil, &s)
		if fault.Is(err, fault.NotFound) {
			return want == ""
		}
		if err != nil {
			c.Fatal(err)
		}
		if s.Server.Status == "ERROR" && want != "ERROR" {
			c.Fatalf("server is in error: %s", s.Server.Fault.Message)
		}
		return s.Server.Status == want
	})
	return s
}

// eachDatabase runs fn with the URL of a fresh database of each engine.
func eachDatabase(t *testing.T, fn func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); fn(t, "") })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); fn(t, dbtest.PostgresUpToDate(t)) })
}

// wantFault fails unless err is a fault of a kind whose text holds words.
func wantFault(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if err == nil || !fault.Is(err, kind) {
		t.Errorf("got %v, want a fault of kind %q", err, kind)
	}
}

// decode reads the environment's JSON.
func decode(name string, v any) error {
	text := os.Getenv(name)
	if text == "" {
		return errors.New(name + " is not set")
	}
	return json.Unmarshal([]byte(text), v)
}

// patience bounds the waiting for something that takes moments, on machines that do much else at the time.
const patience = 120 * time.Second

// loseImages empties the folder with the images' data behind the cloud's back.
func loseImages(t *testing.T, data string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "images", "data", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no image data to lose: %v", err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}
