package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
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

	"golang.org/x/sync/errgroup"

	"github.com/hagane-cloud/hagane/api/operator"
	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/secret"
)

// benchCloud is hagane serve in a process of its own, so that its time and memory can be told apart from ours.
type benchCloud struct {
	*testing.B
	data   string
	cmd    *exec.Cmd
	access client.Access
	admin  *client.Cloud
	start  time.Duration // from exec to the first answer
}

func startBench(b *testing.B) *benchCloud { b.Helper(); return startBenchOn(b, "") }

// startBenchOn is startBench on a database.
func startBenchOn(b *testing.B, dsn string) *benchCloud {
	b.Helper()
	c := &benchCloud{B: b, data: filepath.Join(b.TempDir(), "data")}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
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
	b.Cleanup(c.kill)
	for {
		if c.access, err = client.ReadAccess(c.data, cloudName); err == nil {
			if c.admin, err = client.Connect(b.Context(), c.access); err == nil {
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

func (c *benchCloud) kill() { _ = c.cmd.Process.Kill(); _ = c.cmd.Wait() }

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
		c.kill()
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

// BenchmarkClients measures 16 clients at a time, by the number of nodes: requests a second, the time that 99 of 100 requests
// stay under, and the processor time that the cloud spends on one; before that, its memory and what it spends when nobody asks.
func BenchmarkClients(b *testing.B) {
	for _, nodes := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprint("nodes=", nodes), func(b *testing.B) { benchClients(b, nodes) })
	}
}

func benchClients(b *testing.B, nodes int) {
	c := startBench(b)
	g := c.multiply(nodes)
	b.Run("Idle", func(b *testing.B) {
		for b.Loop() { // measured once
			<-time.After(5 * time.Second) // what is due since the nodes came is done
			cpu, began := c.cpu(), time.Now()
			<-time.After(20 * time.Second)
			b.ReportMetric(100*(c.cpu()-cpu).Seconds()/time.Since(began).Seconds(), "%core")
			b.ReportMetric(c.resident(), "MB")
		}
	})
	// From here on nothing is polled and nothing deployed: those are figures of their own.
	all, err := conductorsOf(context.Background(), c.admin)
	if err != nil {
		b.Fatal(err)
	}
	c.do("POST", "operator", "/v1/conductors/"+all[0].ID+"/drain", operator.Drain{Drain: true}, nil)
	get := func(service string, path func(i int) string) func(i int) error {
		return func(i int) error {
			var out json.RawMessage
			return c.admin.Do(context.Background(), "GET", service, path(i), nil, &out)
		}
	}
	always := func(path string) func(int) string { return func(int) string { return path } }
	for _, tt := range []struct {
		name  string
		count int
		one   func(i int) error
	}{
		{"NodeGet", 50_000, get("baremetal", func(i int) string { return fmt.Sprint("/v1/nodes/n", 1+i%500) })},
		{"NodeGetAny", 10_000, get("baremetal", func(i int) string { return fmt.Sprint("/v1/nodes/n", 1+i*7919%(nodes-1)) })},
		{"NodeListFiltered100", 1000, get("baremetal", always("/v1/nodes?resource_class=c7"))},
		{"NodeListDetail1000", 200, get("baremetal", always("/v1/nodes/detail?limit=1000"))},
		{"TokenIssue", 100, func(int) error { _, err := client.Connect(context.Background(), c.access); return err }},
		{"TokenValidate", 5000, get("identity", always("/auth/projects"))},
	} {
		b.Run(tt.name, func(b *testing.B) { c.clients(b, tt.count, tt.one) })
	}
	b.Run("ServerCreate", func(b *testing.B) {
		c.clients(b, stock, func(i int) error {
			return c.admin.Do(context.Background(), "POST", "baremetal-server", "/servers", g.body(fmt.Sprint("s", i)), nil)
		})
		b.ReportMetric(c.resident(), "MB")
	})
}

// stock is how many of the nodes are of the flavor's class.
const stock = 400

// multiply makes a node through the API that servers can be had on, and copies its rows in the database: 100 are of each of
// the classes c0, c1, …, the last ones of the flavor's. The power of all is due within the rhythm of 120 s.
func (c *benchCloud) multiply(nodes int) ground {
	c.Helper()
	id := c.enrol(1)[0]
	c.do("POST", "baremetal", "/v1/ports", object{"node_uuid": id, "address": "02:00:00:00:00:00"}, nil)
	for _, v := range []string{"manage", "provide"} {
		c.do("PUT", "baremetal", "/v1/nodes/"+id+"/states/provision", object{"target": v}, nil)
		c.await(id, after[v])
	}
	g := benchGround(c)
	d, err := sql.Open("sqlite", "file:"+filepath.Join(c.data, "hagane.db")+"?_pragma=busy_timeout(60000)&_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		c.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	tx, err := d.Begin()
	if err != nil {
		c.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	set := map[string]map[string]string{
		"node": {"id": copyID, "name": "'n' || i", "resource_class": fmt.Sprintf("CASE WHEN i < %d THEN 'c' || (i %% %d) ELSE resource_class END", nodes-stock, max(nodes/100, 1)),
			"power_due": fmt.Sprintf("strftime('%%Y-%%m-%%d %%H:%%M:%%f+00:00', 'now', '+' || (120.0 * i / %d) || ' seconds')", nodes)},
		"node_port":  {"id": copyID, "node_id": copyID, "mac": "printf('02:00:%02x:%02x:%02x:01', i >> 16, (i >> 8) & 255, i & 255)"},
		"node_truth": {"node_id": copyID},
	}
	for _, table := range []string{"node", "node_port", "node_truth"} {
		rows, err := tx.Query("SELECT name FROM pragma_table_info(?)", table)
		if err != nil {
			c.Fatal(err)
		}
		var names, values []string
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				c.Fatal(err)
			}
			names = append(names, name)
			v := set[table][name]
			if v == "" {
				v = name
			}
			values = append(values, v)
		}
		if err := rows.Err(); err != nil {
			c.Fatal(err)
		}
		of := "node_id"
		if table == "node" {
			of = "id"
		}
		if _, err := tx.Exec(fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO %s (%s) SELECT %s FROM n, %s WHERE %s = ?",
			nodes-1, table, strings.Join(names, ", "), strings.Join(values, ", "), table, of), id); err != nil {
			c.Fatal(err)
		}
	}
	c.reseal(tx)
	if err := tx.Commit(); err != nil {
		c.Fatal(err)
	}
	return g
}

// reseal seals every node's password for that node: a copy of another's is of no use.
func (c *benchCloud) reseal(tx *sql.Tx) {
	c.Helper()
	box, err := secret.Open(filepath.Join(c.data, "secret.key"))
	if err != nil {
		c.Fatal(err)
	}
	rows, err := tx.Query("SELECT id FROM node")
	if err != nil {
		c.Fatal(err)
	}
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			c.Fatal(err)
		}
		ids = append(ids, id)
	}
	set, err := tx.Prepare("UPDATE node SET password = ? WHERE id = ?")
	if err := errors.Join(rows.Err(), err); err != nil {
		c.Fatal(err)
	}
	for _, id := range ids {
		if _, err := set.Exec(box.Seal("node/"+id+"/password", nil), id); err != nil {
			c.Fatal(err)
		}
	}
}

// copyID is the id of the copy i: ids are spread like real ones.
const copyID = "printf('%08x-0000-4000-8000-%012x', (i * 2654435761) & 4294967295, i)"

// clients has several clients make count requests, and reports how that went.
func (c *benchCloud) clients(b *testing.B, count int, one func(i int) error) {
	const clients = 16
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

// BenchmarkFakeDeploy deploys many fake nodes at once, and gives them back, on either database; PostgreSQL is on this machine too.
// Nothing but the state of the nodes is asked for meanwhile, as by someone who watches a list.
func BenchmarkFakeDeploy(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchFakeDeploy(b, "") })
	b.Run("postgres", func(b *testing.B) { benchFakeDeploy(b, dbtest.PostgresURL(b)) })
}

func benchFakeDeploy(b *testing.B, dsn string) {
	c := startBenchOn(b, dsn)
	const nodes = 200
	ids := c.enrol(nodes)
	for i, id := range ids {
		c.do("POST", "baremetal", "/v1/ports", object{"node_uuid": id, "address": fmt.Sprintf("02:00:00:00:00:%02x", i)}, nil)
	}
	for _, v := range []string{"manage", "provide"} {
		for _, id := range ids {
			c.do("PUT", "baremetal", "/v1/nodes/"+id+"/states/provision", object{"target": v}, nil)
		}
		c.awaitAll(nodes, after[v])
	}
	g := benchGround(c)
	var deploying, deleting, spent time.Duration
	for b.Loop() {
		cpu, began := c.cpu(), time.Now()
		c.abreast(nodes, func(i int) error {
			return c.admin.Do(context.Background(), "POST", "baremetal-server", "/servers", g.body(fmt.Sprint("s", i)), nil)
		})
		c.awaitAll(nodes, "active")
		deploying, spent = deploying+time.Since(began), spent+c.cpu()-cpu
		var all struct{ Servers []struct{ ID string } }
		c.do("GET", "baremetal-server", "/servers", nil, &all)
		began = time.Now()
		c.abreast(len(all.Servers), func(i int) error {
			return c.admin.Do(context.Background(), "DELETE", "baremetal-server", "/servers/"+all.Servers[i].ID, nil, nil)
		})
		c.awaitAll(nodes, "available")
		deleting += time.Since(began)
	}
	count := float64(b.N * nodes)
	b.ReportMetric(count/deploying.Seconds(), "deploys/s")
	b.ReportMetric(count/deleting.Seconds(), "deletes/s")
	b.ReportMetric(spent.Seconds()*1000/count, "cpu-ms/deploy")
}

// abreast does count things, 16 at a time.
func (c *benchCloud) abreast(count int, one func(i int) error) {
	c.Helper()
	var g errgroup.Group
	g.SetLimit(16)
	for i := range count {
		g.Go(func() error { return one(i) })
	}
	if err := g.Wait(); err != nil {
		c.Fatal(err)
	}
}

// awaitAll waits until so many nodes are in a state.
func (c *benchCloud) awaitAll(nodes int, want string) {
	c.Helper()
	var d struct{ Nodes []nodeDoc }
	for began := time.Now(); time.Since(began) < 5*time.Minute; <-time.After(100 * time.Millisecond) {
		c.do("GET", "baremetal", "/v1/nodes?fields=uuid&provision_state="+url.QueryEscape(want), nil, &d)
		if len(d.Nodes) == nodes {
			return
		}
	}
	c.Fatalf("%d of %d nodes became %s", len(d.Nodes), nodes, want)
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
