package main

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab"
	"github.com/hagane-cloud/hagane/ramdisk"
	"github.com/hagane-cloud/hagane/workflow"
)

// startSilentCloud runs a cloud that answers neither DHCP nor TFTP.
func startSilentCloud(t *testing.T, o serveOptions) *testCloud {
	t.Helper()
	if _, err := exec.LookPath("grub-mkimage"); err != nil {
		t.Skip("GRUB's tools are not installed (scripts/packages)")
	}
	c := &testCloud{T: t, data: filepath.Join(t.TempDir(), "data")}
	o.roles, o.noDHCP = allRoles, true
	c.serveWith(o)
	c.reconnect()
	return c
}

// byMedia has a node boot the agent from a CD.
func (c *testCloud) byMedia(id string) {
	c.Helper()
	var n struct {
		Boot string `json:"boot_interface"`
	}
	body := []object{{"op": "replace", "path": "/boot_interface", "value": "redfish-virtual-media"}}
	if err := c.admin.Do(c.Context(), "PATCH", "baremetal", "/v1/nodes/"+id, body, &n); err != nil || n.Boot != "redfish-virtual-media" {
		c.Fatalf("boot_interface is %q, %v", n.Boot, err)
	}
}

// nobodyAnswered is what the console of a simulated machine says when it asks by DHCP in vain.
const nobodyAnswered = "DHCP: no DHCP server answered the DISCOVER"

// TestAgentByVirtualMedia leads machines with Redfish BMCs of many makers through their life in a cloud that answers
// no DHCP at all. One of them ignores boot devices that are set for once; its firmware asks by DHCP then.
func TestAgentByVirtualMedia(t *testing.T) {
	c := startSilentCloud(t, serveOptions{agentWithin: 15 * time.Second})
	rack := lab.Options{Nodes: 12, Machine: lab.Sim, DiskGB: 1, Vendors: "mixed"}
	if testing.Short() {
		rack.Nodes, rack.Vendors = 3, "hpe-ilo5,supermicro-x13,openbmc"
	}
	l := c.runRack(rack)
	for _, n := range l.Nodes {
		c.byMedia(c.node(n.Name).UUID)
	}
	for _, verb := range []string{"manage", "inspect", "provide"} {
		began := time.Now()
		for _, n := range l.Nodes {
			must[any](c, c.admin, "PUT", "baremetal", "/v1/nodes/"+n.Name+"/states/provision", object{"target": verb})
		}
		for _, n := range l.Nodes {
			c.nodeUntil(n.Name, after[verb])
		}
		t.Logf("%s: %s for %d nodes", verb, time.Since(began).Round(10*time.Millisecond), len(l.Nodes))
	}
	tenant := c.tenant("tenant")
	g := c.ground(tenant)
	s := must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", g.body("s"))
	c.serverUntil(tenant, s.Server.ID, "ACTIVE")
	must[any](c, tenant, "DELETE", "baremetal-server", "/servers/"+s.Server.ID, nil)
	c.serverUntil(tenant, s.Server.ID, "")
	for _, n := range l.Nodes {
		id := c.node(n.Name).UUID
		c.nodeUntil(id, "available")
		if left := c.inserted(id); len(left) > 0 {
			t.Errorf("%s: left in the drive: %v", n.Name, left)
		}
		console, err := os.ReadFile(n.Console)
		if err != nil {
			t.Fatal(err)
		}
		told := strings.ReplaceAll(string(console), nobodyAnswered, "")
		boots, fixed := strings.Count(string(console), "booting from CD: the agent"), strings.Count(string(console), "has the address 198.1")
		if boots < 2 || fixed != boots || strings.Contains(told, "DHCP") {
			t.Errorf("%s: %d boots from CD, %d with a given address; console:\n%s", n.Name, boots, fixed, console)
		}
	}
}

// inserted returns what a node's BMC has in its drives.
func (c *testCloud) inserted(id string) (images []string) {
	c.Helper()
	if err := c.admin.Do(c.Context(), "POST", "operator", "/v1/nodes/"+id+"/bmc", object{"do": "look up", "kind": "media"}, nil); err != nil {
		c.Fatal(err)
	}
	type doc struct {
		Truth *struct {
			Value []struct {
				Inserted bool
				Image    string
			}
		}
	}
	var m doc
	c.until(30*time.Second, "the drives to be looked at", func() bool {
		m = doc{}
		return c.admin.Do(c.Context(), "GET", "operator", "/v1/nodes/"+id+"/bmc/media", nil, &m) == nil && m.Truth != nil
	})
	for _, s := range m.Truth.Value {
		if s.Inserted {
			images = append(images, s.Image)
		}
	}
	return images
}

// TestAgentMediumIsForOneRun fetches the CD as a stranger who saw its URL could: while the run waits for the agent the CD has the
// node's claim and address, after it nothing is there.
func TestAgentMediumIsForOneRun(t *testing.T) {
	booted, look := make(chan struct{}, 1), make(chan struct{})
	c := startSilentCloud(t, serveOptions{wired: func(c *cloud) {
		c.engine.Interrupt = func(run workflow.Run) error {
			if run.Step == "boot the agent" {
				booted <- struct{}{}
				<-look
			}
			return nil
		}
	}})
	n := c.runRack(lab.Options{Nodes: 1, Machine: lab.Sim, DiskGB: 1, Vendors: "openbmc"}).Nodes[0]
	id := c.node(n.Name).UUID
	c.byMedia(id)
	c.ready(id, "manage")
	must[any](c, c.admin, "PUT", "baremetal", "/v1/nodes/"+id+"/states/provision", object{"target": "inspect"})
	<-booted
	var at string
	c.until(30*time.Second, "the machine to boot", func() bool {
		console, _ := os.ReadFile(n.Console)
		_, after, _ := strings.Cut(string(console), "the agent of ")
		var whole bool
		at, _, whole = strings.Cut(after, "\n")
		return whole
	})
	line, status := commandLine(t, at)
	if res, err := http.Head(at); err != nil || res.StatusCode != http.StatusOK || res.ContentLength < 2<<20 {
		t.Errorf("a BMC that asks for the size first gets %+v, %v", res, err)
	}
	close(look)
	if status != http.StatusPartialContent || !strings.HasSuffix(at, "/agent.iso") || !strings.Contains(line, " hagane.ip=198.18.0.") || !strings.Contains(line, " hagane.claim=") {
		t.Errorf("%s: %d %q", at, status, line)
	}
	if _, status := commandLine(t, strings.Replace(at, "/media/", "/media/0", 1)); status != http.StatusNotFound {
		t.Errorf("a guessed token is answered with %d", status)
	}
	c.nodeUntil(id, "manageable")
	if line, status := commandLine(t, at); status != http.StatusNotFound || strings.Contains(line, "hagane.claim") {
		t.Errorf("after the run: %d %q", status, line)
	}
}

// TestAgentMediumWhenInterrupted has every step of an inspection break off once before it is recorded, and aborts a second one
// while the machine boots: nothing stays in the drive.
func TestAgentMediumWhenInterrupted(t *testing.T) {
	var aborting atomic.Bool
	var broken sync.Map
	booted, look := make(chan struct{}, 1), make(chan struct{})
	c := startSilentCloud(t, serveOptions{wired: func(c *cloud) {
		c.engine.Interrupt = func(run workflow.Run) error {
			if aborting.Load() && run.Step == "boot the agent" {
				select {
				case booted <- struct{}{}:
					<-look
				default: // its undoing
				}
				return nil
			}
			if _, again := broken.LoadOrStore(run.Step, true); !again {
				return errors.New("broken off by the test")
			}
			return nil
		}
	}})
	n := c.runRack(lab.Options{Nodes: 1, Machine: lab.Sim, DiskGB: 1, Vendors: "hpe-ilo5"}).Nodes[0]
	id := c.node(n.Name).UUID
	c.byMedia(id)
	c.ready(id, "manage", "inspect")
	if left := c.inserted(id); len(left) > 0 {
		t.Errorf("after the inspection there are %v", left)
	}
	aborting.Store(true)
	must[any](c, c.admin, "PUT", "baremetal", "/v1/nodes/"+id+"/states/provision", object{"target": "inspect"})
	<-booted
	must[any](c, c.admin, "PUT", "baremetal", "/v1/nodes/"+id+"/states/provision", object{"target": "abort"})
	close(look)
	c.until(60*time.Second, "the inspection to be undone", func() bool { return c.node(id).ProvisionState == "inspect failed" })
	must[any](c, c.admin, "PUT", "baremetal", "/v1/nodes/"+id+"/states/provision", object{"target": "manage"})
	if left := c.inserted(id); len(left) > 0 {
		t.Errorf("after the abortion there are %v", left)
	}
}

// TestAgentMediumRefused tells people what to do about a BMC that has no virtual media, and one that lacks the licence.
func TestAgentMediumRefused(t *testing.T) {
	c := startSilentCloud(t, serveOptions{})
	for _, n := range c.runRack(lab.Options{Nodes: 2, Machine: lab.Sim, DiskGB: 1, Vendors: "supermicro-x10,supermicro-x11"}).Nodes {
		id := c.node(n.Name).UUID
		c.byMedia(id)
		c.ready(id, "manage")
		must[any](c, c.admin, "PUT", "baremetal", "/v1/nodes/"+id+"/states/provision", object{"target": "inspect"})
		c.until(60*time.Second, "the inspection to fail", func() bool { return c.node(id).ProvisionState == "inspect failed" })
		if why := c.node(id).LastError; !strings.Contains(why, "boot_interface to ipxe") {
			t.Errorf("%s: %s", n.Name, why)
		}
		var valid struct {
			Boot struct {
				Result bool
				Reason string
			}
		}
		if err := c.admin.Do(t.Context(), "GET", "baremetal", "/v1/nodes/"+id+"/validate", nil, &valid); err != nil || valid.Boot.Result || !strings.Contains(valid.Boot.Reason, "virtual media") {
			t.Errorf("%s: %+v, %v", n.Name, valid, err)
		}
	}
}

// TestAgentMediumAcrossProcesses has the API and the conductor apart: they share a database and no memory.
func TestAgentMediumAcrossProcesses(t *testing.T) {
	c := &testCloud{T: t, data: filepath.Join(t.TempDir(), "data")}
	dsn := dbtest.PostgresUpToDate(t)
	c.serve(dsn, "api")
	c.reconnect()
	access, err := client.ReadAccess(c.data, cloudName)
	if err != nil {
		t.Fatal(err)
	}
	api, err := url.Parse(access.AuthURL)
	if err != nil {
		t.Fatal(err)
	}
	c.serveWith(serveOptions{database: dsn, roles: []string{"conductor", "dhcp"}, noDHCP: true, media: "http://" + api.Host})
	n := c.runRack(lab.Options{Nodes: 1, Machine: lab.Sim, DiskGB: 1, Vendors: "openbmc"}).Nodes[0]
	id := c.node(n.Name).UUID
	c.byMedia(id)
	c.ready(id, "manage", "inspect")
	if shown := c.printed("node", "trace", id); strings.Count(shown, "/redfish/v1/") < 10 {
		t.Errorf("the conductor's exchanges are not shown by the API: %s", shown)
	}
}

// commandLine fetches the part of a CD in which a command line stands.
func commandLine(t *testing.T, url string) (string, int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", "bytes=30000-60000")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(body), "linux /kernel.img")
	line, _, _ = strings.Cut(line, "\n")
	return line, res.StatusCode
}

// TestBootInterface sets how the agent is booted in Ironic's words.
func TestBootInterface(t *testing.T) {
	c := startCloud(t, "")
	type doc struct {
		UUID string
		Boot string `json:"boot_interface"`
	}
	n := must[doc](c, c.admin, "POST", "baremetal", "/v1/nodes", object{"driver": "fake-hardware", "boot_interface": "redfish-virtual-media", "deploy_interface": "direct"})
	if n.Boot != "redfish-virtual-media" {
		t.Errorf("created with %s", n.Boot)
	}
	change := func(op object) (n2 doc, err error) {
		return n2, c.admin.Do(t.Context(), "PATCH", "baremetal", "/v1/nodes/"+n.UUID, []object{op}, &n2)
	}
	if n, err := change(object{"op": "remove", "path": "/boot_interface"}); err != nil || n.Boot != "fake" {
		t.Errorf("unset: %+v, %v", n, err)
	}
	if _, err := change(object{"op": "replace", "path": "/boot_interface", "value": "carrier-pigeon"}); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "ipxe, redfish-virtual-media") {
		t.Errorf("an unknown way: %v", err)
	}
}

// TestAgentByVirtualMediaQEMU boots the agent from its CD with real firmware: a UEFI and a BIOS machine.
func TestAgentByVirtualMediaQEMU(t *testing.T) {
	if os.Getenv("HAGANE_LAB_QEMU") == "" {
		t.Skip("boots two emulated machines, which takes minutes: set HAGANE_LAB_QEMU=1 to run")
	}
	for _, mode := range []string{"uefi", "bios"} {
		t.Run(mode, func(t *testing.T) {
			c := startSilentCloud(t, serveOptions{})
			_, err := ramdisk.Build(t.Context(), ramdisk.Options{Out: filepath.Join(c.data, "boot"), Cache: "../../.cache/packages", Kernel: ramdisk.Cloud})
			if err != nil {
				t.Skip(err)
			}
			l := c.runRack(lab.Options{Nodes: 1, Machine: lab.QEMU, DiskGB: 4, Mix: mode, Vendors: "supermicro-x13"})
			id := c.node(l.Nodes[0].Name).UUID
			c.byMedia(id)
			c.ready(id, "manage")
			began := time.Now()
			must[any](c, c.admin, "PUT", "baremetal", "/v1/nodes/"+id+"/states/provision", object{"target": "inspect"})
			c.until(8*time.Minute, "the agent of "+mode+" to inspect", func() bool { return c.node(id).ProvisionState == "manageable" })
			t.Logf("%s: inspected %s after the start", mode, time.Since(began).Round(time.Second))
			var inv struct {
				Inventory struct {
					Mode string `json:"boot_mode"`
				}
			}
			if err := c.admin.Do(t.Context(), "GET", "baremetal", "/v1/nodes/"+id+"/inventory", nil, &inv); err != nil || inv.Inventory.Mode != mode {
				t.Errorf("the agent saw %q, %v", inv.Inventory.Mode, err)
			}
			if left := c.inserted(id); len(left) > 0 {
				t.Errorf("left in the drive: %v", left)
			}
		})
	}
}
