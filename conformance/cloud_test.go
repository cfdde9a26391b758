package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is the binary under test: $HAGANE, or one built from the tree around this module.
func program(t *testing.T) string {
	t.Helper()
	if p := os.Getenv("HAGANE"); p != "" {
		return p
	}
	p := filepath.Join(t.TempDir(), "hagane")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", p, "./cmd/hagane")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building hagane: %v\n%s", err, out)
	}
	return p
}

// cloud is a cloud in a process of its own.
type cloud struct {
	*testing.T
	data  string
	rc    map[string]string // openrc
	base  string            // scheme, host and port
	token string
}

// start runs a cloud until the test ends, which must then end well.
func start(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{T: t, data: filepath.Join(t.TempDir(), "data"), rc: map[string]string{}}
	var log bytes.Buffer
	cmd := exec.Command(program(t), "serve", "--data", c.data, "--listen", "127.0.0.1:0", "--import-from", "127.0.0.0/8")
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the cloud ended with %v", err)
			}
		case <-time.After(40 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
			t.Error("the cloud did not end within 40 s of a SIGTERM")
		}
		if t.Failed() {
			t.Logf("the cloud's log:\n%s", log.String())
		}
	})
	c.until(30*time.Second, "the cloud to answer", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("the cloud ended: %v\n%s", err, log.String())
		default:
		}
		return c.readAccess() && c.login() == nil
	})
	return c
}

// readAccess reads how to reach the cloud; false while that is not written yet.
func (c *cloud) readAccess() bool {
	raw, err := os.ReadFile(filepath.Join(c.data, "openrc"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(raw)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "export ")), "="); ok {
			c.rc[k] = v
		}
	}
	base, _, ok := strings.Cut(c.rc["OS_AUTH_URL"], "/identity")
	c.base = base
	return ok
}

type object = map[string]any

// login gets a token of the administrator.
func (c *cloud) login() error {
	body, err := json.Marshal(object{"auth": object{
		"identity": object{"methods": []string{"password"}, "password": object{"user": object{"name": c.rc["OS_USERNAME"], "password": c.rc["OS_PASSWORD"], "domain": object{"name": "Default"}}}},
		"scope":    object{"project": object{"name": c.rc["OS_PROJECT_NAME"], "domain": object{"name": "Default"}}}}})
	if err != nil {
		return err
	}
	res, err := http.Post(c.rc["OS_AUTH_URL"]+"/auth/tokens", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusCreated {
		return fmt.Errorf("logging in: %s", res.Status)
	}
	c.token = res.Header.Get("X-Subject-Token")
	return nil
}

// call makes a request that has to succeed.
func (c *cloud) call(method, path string, in, out any) {
	c.Helper()
	if err := c.try(method, path, in, out); err != nil {
		c.Fatal(err)
	}
}

// try makes a request by plain HTTP, of Ironic's newest version, and reads the answer.
func (c *cloud) try(method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(c.Context(), method, c.base+path, &body)
	if err != nil {
		return err
	}
	req.Header.Set("X-Auth-Token", c.token)
	req.Header.Set("X-OpenStack-Ironic-API-Version", "latest")
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, raw)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(raw, out)
}

// until polls until ok.
func (c *cloud) until(limit time.Duration, what string, ok func() bool) {
	c.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			c.Fatalf("waited %s for %s", limit, what)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// node is what is read of a node.
type node struct {
	UUID      string `json:"uuid"`
	State     string `json:"provision_state"`
	Power     string `json:"power_state"`
	LastError string `json:"last_error"`
}

// reach waits for a node's provision state.
func (c *cloud) reach(id, want string) {
	c.Helper()
	c.until(60*time.Second, "node "+id+" to be "+want, func() bool {
		var n node
		c.call("GET", "/baremetal/v1/nodes/"+id, nil, &n)
		if n.LastError != "" {
			c.Fatalf("node %s is %s: %s", id, n.State, n.LastError)
		}
		return n.State == want
	})
}

// enrol makes nodes without hardware available.
func (c *cloud) enrol(count int) {
	c.Helper()
	for i := range count {
		var n node
		c.call("POST", "/baremetal/v1/nodes", object{"name": fmt.Sprintf("fake-%d", i), "driver": "fake-hardware", "resource_class": "baremetal", "properties": object{"zone": "nova"}}, &n)
		for nic := range 2 {
			c.call("POST", "/baremetal/v1/ports", object{"node_uuid": n.UUID, "address": fmt.Sprintf("52:54:00:%02x:01:%02x", nic, i)}, nil)
		}
		for _, step := range [][2]string{{"manage", "manageable"}, {"provide", "available"}} {
			c.call("PUT", "/baremetal/v1/nodes/"+n.UUID+"/states/provision", object{"target": step[0]}, nil)
			c.reach(n.UUID, step[1])
		}
	}
}

// ground makes a network with a subnet, and an image, of a name, for everyone.
func (c *cloud) ground(name string) (network, image string) {
	c.Helper()
	var n struct{ Network struct{ ID string } }
	c.call("POST", "/network/v2.0/networks", object{"network": object{"name": name, "shared": true}}, &n)
	c.call("POST", "/network/v2.0/subnets", object{"subnet": object{"name": name, "network_id": n.Network.ID, "ip_version": 4, "cidr": "10.60.0.0/24"}}, nil)
	var i struct{ ID string }
	c.call("POST", "/image/v2/images", object{"name": name, "disk_format": "raw", "container_format": "bare", "visibility": "public"}, &i)
	req, err := http.NewRequestWithContext(c.Context(), "PUT", c.base+"/image/v2/images/"+i.ID+"/file", bytes.NewReader(disk()))
	if err != nil {
		c.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", c.token)
	req.Header.Set("Content-Type", "application/octet-stream")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.Fatal(err)
	}
	if _ = res.Body.Close(); res.StatusCode != http.StatusNoContent {
		c.Fatalf("uploading an image: %s", res.Status)
	}
	return n.Network.ID, i.ID
}

// disk is the image of a disk with a partition table of one partition.
func disk() []byte {
	const mib = 1 << 20
	d := make([]byte, 8*mib)
	copy(d[446:], []byte{0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0x30, 0, 0}) // Linux, from sector 2048, 6 MiB long
	d[510], d[511] = 0x55, 0xaa
	return d
}
