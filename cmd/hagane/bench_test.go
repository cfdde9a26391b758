package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
)

// benchCloud is hagane serve in a process of its own, so that its time and memory can be told apart from ours.
type benchCloud struct {
	*testing.B
	data  string
	cmd   *exec.Cmd
	admin *client.Cloud
	start time.Duration // from exec to the first answer
}

func startBench(b *testing.B) *benchCloud { b.Helper(); return startBenchOn(b, "") }

// startBenchOn is startBench on a database.
func startBenchOn(b *testing.B, dsn string) *benchCloud {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	c := &benchCloud{B: b, data: filepath.Join(b.TempDir(), "data")}
	opts, err := json.Marshal(serveToDieOptions{Data: c.data, Database: dsn})
	if err != nil {
		b.Fatal(err)
	}
	c.cmd = exec.Command(self)
	c.cmd.Env = append(os.Environ(), envServe+"="+string(opts))
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	began := time.Now()
	if err := c.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.cmd.Process.Kill(); _ = c.cmd.Wait() })
	for {
		a, err := client.ReadAccess(c.data, cloudName)
		if err == nil {
			if c.admin, err = client.Connect(b.Context(), a); err == nil {
				break
			}
		}
		if time.Since(began) > time.Minute {
			b.Fatal("the cloud did not answer within a minute")
		}
		<-time.After(time.Millisecond)
	}
	c.start = time.Since(began)
	return c
}

// cpu returns the processor time that the cloud has used.
func (c *benchCloud) cpu() time.Duration {
	c.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		c.Fatal(err)
	}
	fields := strings.Fields(string(raw[strings.LastIndex(string(raw), ")")+1:]))
	var ticks int64
	for _, f := range fields[11:13] { // user and system time, in hundredths of a second
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			c.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// resident returns the cloud's resident memory in MB.
func (c *benchCloud) resident() float64 {
	c.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		c.Fatal(err)
	}
	for _, line := range strings.Split(string(raw), "\n") {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(v)[0], 64)
			if err != nil {
				c.Fatal(err)
			}
			return kb / 1024
		}
	}
	return 0
}

func (c *benchCloud) do(method, service, path string, in, out any) {
	c.Helper()
	if err := c.admin.Do(context.Background(), method, service, path, in, out); err != nil {
		c.Fatal(err)
	}
}

func (c *benchCloud) enrol(n int) []string {
	c.Helper()
	ids := make([]string, n)
	for i := range ids {
		var d nodeDoc
		c.do("POST", "baremetal", "/v1/nodes", object{"name": fmt.Sprint("n", i), "driver": "fake-hardware"}, &d)
		ids[i] = d.UUID
	}
	return ids
}

// BenchmarkStart measures the time from the start of the process, on an empty data folder, to the first token.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		c := startBench(b)
		b.ReportMetric(c.start.Seconds()*1000, "ms/start")
		b.StopTimer()
		_ = c.cmd.Process.Kill()
		_, _ = c.cmd.Process.Wait()
		b.StartTimer()
	}
}

// BenchmarkAPI measures node calls with 1,000 nodes enrolled: time as the client sees it, CPU as the cloud spends it.
func BenchmarkAPI(b *testing.B) {
	c := startBench(b)
	began, cpu := time.Now(), c.cpu()
	const nodes = 1000
	ids := c.enrol(nodes)
	took, spent := time.Since(began), c.cpu()-cpu
	b.Run("Enrolled1000", func(b *testing.B) {
		for b.Loop() { // what is reported was measured while enrolling
		}
		b.ReportMetric(nodes/took.Seconds(), "nodes/s")
		b.ReportMetric(spent.Seconds()*1000/nodes, "cpu-ms/node")
		b.ReportMetric(c.resident(), "MB")
	})
	for _, tt := range []struct{ name, path string }{
		{"NodeGet", "/v1/nodes/" + ids[nodes/2]}, {"NodeList1000", "/v1/nodes?limit=1000"}, {"NodeListDetail1000", "/v1/nodes/detail?limit=1000"},
	} {
		b.Run(tt.name, func(b *testing.B) {
			cpu := c.cpu()
			for b.Loop() {
				var out json.RawMessage
				c.do("GET", "baremetal", tt.path, nil, &out)
			}
			b.ReportMetric((c.cpu()-cpu).Seconds()*1000/float64(b.N), "cpu-ms/op")
		})
	}
}

// BenchmarkClients measures 16 clients at a time on 10,000 nodes: requests a second, the time that 99 of 100 requests stay
// under, and the processor time that the cloud spends on one.
func BenchmarkClients(b *testing.B) {
	c := startBench(b)
	const nodes, clients = 10_000, 16
	var wg sync.WaitGroup
	next := make(chan int)
	for range clients {
		wg.Go(func() {
			for i := range next {
				c.do("POST", "baremetal", "/v1/nodes", object{"name": fmt.Sprint("n", i), "driver": "fake-hardware", "resource_class": fmt.Sprint("c", i%100)}, nil)
			}
		})
	}
	for i := range nodes {
		next <- i
	}
	close(next)
	wg.Wait()
	a, err := client.ReadAccess(c.data, cloudName)
	if err != nil {
		b.Fatal(err)
	}
	get := func(service, path string) func(i int) error {
		return func(int) error {
			var out json.RawMessage
			return c.admin.Do(context.Background(), "GET", service, path, nil, &out)
		}
	}
	for _, tt := range []struct {
		name  string
		count int
		one   func(i int) error
	}{
		{"NodeGet", 20_000, func(i int) error { return get("baremetal", fmt.Sprint("/v1/nodes/n", i%1000))(i) }},
		{"NodeListFiltered", 1000, get("baremetal", "/v1/nodes?resource_class=c7")},
		{"NodeListDetail1000", 300, get("baremetal", "/v1/nodes/detail?limit=1000")},
		{"TokenIssue", 300, func(int) error { _, err := client.Connect(context.Background(), a); return err }},
		{"TokenValidate", 5000, get("identity", "/auth/projects")},
	} {
		b.Run(tt.name, func(b *testing.B) { c.clients(b, clients, tt.count, tt.one) })
	}
}

// clients has several clients make count requests, and reports how that went.
func (c *benchCloud) clients(b *testing.B, clients, count int, one func(i int) error) {
	for b.Loop() { // what is reported was measured over count requests, once
		took := make([]time.Duration, count)
		cpu, began := c.cpu(), time.Now()
		var turn atomic.Int64
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				for i := int(turn.Add(1)) - 1; i < count; i = int(turn.Add(1)) - 1 {
					at := time.Now()
					if err := one(i); err != nil {
						b.Error(err)
						return
					}
					took[i] = time.Since(at)
				}
			})
		}
		wg.Wait()
		slices.Sort(took)
		b.ReportMetric(float64(count)/time.Since(began).Seconds(), "requests/s")
		b.ReportMetric(took[count*99/100].Seconds()*1000, "p99-ms")
		b.ReportMetric((c.cpu()-cpu).Seconds()*1000/float64(count), "cpu-ms/request")
	}
}

// BenchmarkFakeDeploy deploys and gives back fake nodes, 16 at a time, on either database; PostgreSQL is on this machine too.
func BenchmarkFakeDeploy(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchFakeDeploy(b, "") })
	b.Run("postgres", func(b *testing.B) { benchFakeDeploy(b, dbtest.PostgresURL(b)) })
}

func benchFakeDeploy(b *testing.B, dsn string) {
	c := startBenchOn(b, dsn)
	const nodes = 16
	ids := c.enrol(nodes)

	for i, id := range ids {
		c.do("POST", "baremetal", "/v1/ports", object{"node_uuid": id, "address": fmt.Sprintf("02:00:00:00:00:%02x", i)}, nil)
		for _, v := range []string{"manage", "provide"} {
			c.do("PUT", "baremetal", "/v1/nodes/"+id+"/states/provision", object{"target": v}, nil)
			c.await(id, after[v])
		}
	}
	g := benchGround(c)
	cpu, began := c.cpu(), time.Now()
	var wg sync.WaitGroup
	turns := make(chan struct{})
	for range nodes {
		wg.Go(func() {
			for range turns {
				var s serverDoc
				// A node that was given back is cleaned before it can be had again.
				for err := error(fault.Errorf(fault.Conflict, "")); err != nil; err = c.admin.Do(context.Background(), "POST", "baremetal-server", "/servers", g.body("s"), &s) {
					if !fault.Is(err, fault.Conflict) {
						c.Error(err)
						return
					}
					<-time.After(10 * time.Millisecond)
				}
				for s.Server.Status != "ACTIVE" {
					<-time.After(50 * time.Millisecond)
					c.do("GET", "baremetal-server", "/servers/"+s.Server.ID, nil, &s)
				}
				c.do("DELETE", "baremetal-server", "/servers/"+s.Server.ID, nil, nil)
				for c.admin.Do(context.Background(), "GET", "baremetal-server", "/servers/"+s.Server.ID, nil, &s) == nil {
					<-time.After(50 * time.Millisecond)
				}
			}
		})
	}
	for b.Loop() {
		turns <- struct{}{}
	}
	close(turns)
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "deploys/s")
	b.ReportMetric((c.cpu()-cpu).Seconds()*1000/float64(b.N), "cpu-ms/deploy+delete")
}

func (c *benchCloud) await(id, want string) {
	c.Helper()
	for range 3000 {
		var d nodeDoc
		c.do("GET", "baremetal", "/v1/nodes/"+id+"?fields=provision_state", nil, &d)
		if d.ProvisionState == want {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	c.Fatalf("node %s did not become %s", id, want)
}

// benchGround makes what a server needs in the administrator's own project.
func benchGround(c *benchCloud) ground {
	c.Helper()
	var net struct{ Network struct{ ID string } }
	c.do("POST", "network", "/v2.0/networks", object{"network": object{"name": "n"}}, &net)
	c.do("POST", "network", "/v2.0/subnets", object{"subnet": object{"network_id": net.Network.ID, "cidr": "10.20.0.0/16"}}, nil)
	var img struct{ ID string }
	c.do("POST", "image", "/v2/images", object{"name": "i", "disk_format": "raw", "container_format": "bare"}, &img)
	c.do("PUT", "image", "/v2/images/"+img.ID+"/file", bootable(), nil)
	var fs struct{ Flavors []struct{ ID string } }
	c.do("GET", "baremetal-server", "/flavors", nil, &fs)
	return ground{net.Network.ID, img.ID, fs.Flavors[0].ID}
}
