package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc/record"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab"
	labclient "github.com/hagane-cloud/hagane/lab/client"
)

// crowd is a cloud of many processes, each with a database cable of its own, and tenants who never rest.
type crowd struct {
	*testCloud
	db      *db.DB // the test's own way to the database, which is never cut
	machine []labclient.Node
	members []*crowdMember

	mu       sync.Mutex
	apis     []*crowdMember
	servers  int // that reached their end as asked
	failed   []string
	takeOver []time.Duration
	silences []time.Time // when conductors fell silent
	retried  map[string]int
}

// crowdMember is one process of it.
type crowdMember struct {
	name string
	opts serveToDieOptions
	cord *cable

	mu    sync.Mutex
	child *child
}

var (
	urlOf         = regexp.MustCompile(`url=(http://[^/]+)/identity/v3`)
	conductorName = regexp.MustCompile(`msg="the conductor is at work" id=\S+ name=(\S+)`)
	conductorID   = regexp.MustCompile(`msg="the conductor is at work" id=(\S+)`)
)

// now returns the process that plays the member just now.
func (m *crowdMember) now() *child {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.child
}

// found returns what a pattern finds in what the process printed.
func (m *crowdMember) found(pattern *regexp.Regexp) string {
	if all := pattern.FindStringSubmatch(m.now().log.String()); all != nil {
		return all[1]
	}
	return ""
}

func (c *crowd) add(name string, dsn string, skew time.Duration, roles ...string) *crowdMember {
	c.Helper()
	m := &crowdMember{name: name}
	cord, url := newCable(c.T, dsn)
	m.cord, m.opts = cord, serveToDieOptions{Data: c.data, Database: url, Roles: roles, Skew: skew, AgentWithin: 30 * time.Second}
	m.child = c.launch(m.opts)
	c.members = append(c.members, m)
	return m
}

// again starts a member's process anew.
func (c *crowd) again(m *crowdMember) {
	p := c.launch(m.opts)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.child = p
}

// wrong notes what must not be.
func (c *crowd) wrong(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = append(c.failed, fmt.Sprintf(format, args...))
}

// account is a user of the API, who goes to another process when one does not answer.
type account struct {
	*crowd
	name, project string
	token         string
	turn          int
}

// call makes a request until some process answers it. A change carries a key, so that it is carried out once.
func (a *account) call(ctx context.Context, verb, path string, in any) (int, []byte) {
	body, err := json.Marshal(in)
	if err != nil {
		return 0, nil
	}
	key := rand.Uint64()
	for ctx.Err() == nil {
		if a.token == "" {
			a.login(ctx)
			continue
		}
		status, text, err := a.once(ctx, verb, path, body, "X-Auth-Token", a.token, "Idempotency-Key", fmt.Sprint(key))
		switch {
		case err != nil:
			a.again("no answer")
		case status == http.StatusUnauthorized:
			a.token = ""
		case status == http.StatusServiceUnavailable, status == http.StatusConflict && bytes.Contains(text, []byte("same key")):
			a.again(strconv.Itoa(status))
		default:
			return status, text
		}
	}
	return 0, nil
}

// again goes to the next process, after a moment.
func (a *account) again(why string) {
	a.mu.Lock()
	a.retried[why]++
	a.mu.Unlock()
	a.turn++
	<-time.After(200 * time.Millisecond)
}

func (a *account) login(ctx context.Context) {
	body, err := json.Marshal(object{"auth": object{
		"identity": object{"methods": []string{"password"}, "password": object{"user": object{"name": a.name, "password": "password of " + a.name, "domain": object{"id": "default"}}}},
		"scope":    object{"project": object{"name": a.name, "domain": object{"id": "default"}}}}})
	if err != nil {
		return
	}
	base := a.base()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/identity/v3/auth/tokens", bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		a.again("no answer")
		return
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if a.token = res.Header.Get("X-Subject-Token"); a.token == "" {
		a.again("login " + strconv.Itoa(res.StatusCode))
	}
}

func (a *account) base() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.apis[a.turn%len(a.apis)].found(urlOf)
}

func (a *account) once(ctx context.Context, verb, path string, body []byte, header ...string) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return a.at(ctx, a.base(), verb, path, body, header...)
}

// at makes a request to one process.
func (a *account) at(ctx context.Context, base, verb, path string, body []byte, header ...string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, verb, base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, text, err
}

// settlers makes tenants, each with a ground to build on.
func (c *crowd) settlers(n int) (people []*account, grounds []ground) {
	c.Helper()
	for i := range n {
		name := fmt.Sprint("tenant", i)
		cl := c.tenant(name)
		grounds = append(grounds, c.ground(cl))
		var me struct{ Projects []struct{ ID, Name string } }
		if err := cl.Do(c.Context(), http.MethodGet, "identity", "/auth/projects", nil, &me); err != nil || len(me.Projects) != 1 {
			c.Fatalf("%v: %v", me, err)
		}
		people = append(people, &account{crowd: c, name: name, project: me.Projects[0].ID, turn: i})
	}
	return people, grounds
}

// live makes and deletes servers until stop, one at a time; what it began it ends.
func (a *account) live(ctx context.Context, g ground, stop <-chan struct{}) {
	path := "/baremetal-server/v2/" + a.project + "/servers"
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		default:
		}
		name := fmt.Sprintf("%s-%d", a.name, i)
		status, text := a.call(ctx, http.MethodPost, path, g.body(name))
		if status == http.StatusConflict && bytes.Contains(text, []byte("its answer is not known")) {
			status, text = a.made(ctx, path, name)
		}
		var s serverDoc
		if status == http.StatusConflict || status == http.StatusBadRequest {
			<-time.After(300 * time.Millisecond) // no node is free just now
			continue
		}
		if err := json.Unmarshal(text, &s); err != nil || s.Server.ID == "" {
			if ctx.Err() == nil {
				a.wrong("a create is answered with %d %s", status, text)
			}
			return
		}
		if !a.reaches(ctx, path+"/"+s.Server.ID, "ACTIVE") {
			return
		}
		a.call(ctx, http.MethodDelete, path+"/"+s.Server.ID, nil)
		if !a.reaches(ctx, path+"/"+s.Server.ID, "") {
			return
		}
		a.mu.Lock()
		a.servers++
		a.mu.Unlock()
	}
}

// made finds a server whose making was not answered, as the process was killed that made it. The answer is that of a create.
func (a *account) made(ctx context.Context, path, name string) (int, []byte) {
	status, text := a.call(ctx, http.MethodGet, path+"?name="+name, nil)
	var all struct{ Servers []json.RawMessage }
	if err := json.Unmarshal(text, &all); err != nil || len(all.Servers) != 1 {
		return status, text
	}
	text, err := json.Marshal(object{"server": all.Servers[0]})
	if err != nil {
		a.wrong("a list's entry: %v", err)
	}
	return http.StatusOK, text
}

// reaches waits for a server's status; "" is its end.
func (a *account) reaches(ctx context.Context, path, want string) bool {
	last := ""
	for ctx.Err() == nil {
		status, text := a.call(ctx, http.MethodGet, path, nil)
		var s serverDoc
		switch {
		case status == http.StatusNotFound:
			if want != "" {
				a.wrong("%s is gone and was to be %s", path, want)
			}
			return want == ""
		case status != http.StatusOK:
			if ctx.Err() == nil {
				a.wrong("a look at %s is answered with %d %s", path, status, text)
			}
			return false
		case json.Unmarshal(text, &s) != nil:
			a.wrong("%s is answered with %s", path, text)
			return false
		case s.Server.Status == "ERROR" && want != "ERROR":
			a.wrong("%s is in error: %s", path, s.Server.Fault.Message)
			return false
		case s.Server.Status == want:
			return true
		}
		last = s.Server.Status
		<-time.After(250 * time.Millisecond)
	}
	a.wrong("%s is %s and was to be %q when the time was over", path, last, want)
	return false
}

// watch takes samples of what must hold at every moment.
func (c *crowd) watch(ctx context.Context) {
	for ctx.Err() == nil {
		for what, query := range map[string]string{
			"a node is in two servers":             "SELECT node_id AS a FROM server WHERE node_id <> '' GROUP BY node_id HAVING count(*) > 1",
			"a node has two live runs":             "SELECT subject AS a FROM run WHERE ended_at IS NULL GROUP BY subject HAVING count(*) > 1",
			"a node is lent to nobody":             "SELECT id AS a FROM node WHERE owner <> '' AND owner NOT IN (SELECT id FROM server)",
			"a step is undone that nobody aborted": "SELECT error AS a FROM run WHERE undoing AND ended_at IS NULL",
		} {
			var bad []struct{ A string }
			if err := c.db.Read().NewRaw(query).Scan(ctx, &bad); err != nil {
				if ctx.Err() == nil {
					c.wrong("%s: %v", what, err)
				}
			} else if len(bad) > 0 {
				c.wrong("%s: %v", what, bad)
			}
		}
		<-time.After(500 * time.Millisecond)
	}
}

// inHand is a run that a conductor has in hand.
type inHand struct {
	Subject string
	Fence   int64
	WakeAt  time.Time
}

// took measures how long the runs stand still that a conductor has in hand when it falls silent.
func (c *crowd) took(ctx context.Context, id string, since time.Time) {
	var mine []inHand
	err := c.db.Read().NewRaw("SELECT lease.subject, lease.fence, run.wake_at FROM lease JOIN run ON run.subject = lease.subject WHERE lease.owner = ? AND lease.expires >= "+
		c.db.NowMillis()+" AND run.ended_at IS NULL", id).Scan(ctx, &mine)
	if err != nil {
		c.wrong("looking at the leases of a dead conductor: %v", err)
		return
	}
	for len(mine) > 0 && ctx.Err() == nil {
		<-time.After(50 * time.Millisecond)
		fences, err := c.fences(ctx)
		if err != nil {
			continue
		}
		now := time.Now()
		mine = slices.DeleteFunc(mine, func(l inHand) bool {
			if fences[l.Subject] > l.Fence {
				c.tookOver(l, since, now)
				return true
			}
			return false
		})
	}
}

// fences returns the fences of all leases, by subject.
func (c *crowd) fences(ctx context.Context) (map[string]int64, error) {
	var all []inHand
	err := c.db.Read().NewRaw("SELECT subject, fence FROM lease").Scan(ctx, &all)
	out := make(map[string]int64, len(all))
	for _, l := range all {
		out[l.Subject] = l.Fence
	}
	return out, err
}

// tookOver notes that somebody else is at work on what a conductor had in hand since it fell silent.
func (c *crowd) tookOver(l inHand, since, now time.Time) {
	if l.WakeAt.After(since) {
		since = l.WakeAt // it had just been looked at, and was not to be looked at again before
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, again := range c.silences {
		if again.After(since) && again.Before(now) {
			since = again // of the conductor that was to take it over
		}
	}
	c.takeOver = append(c.takeOver, now.Sub(since))
}

// disturb does something to a process, and puts it right after a while.
func (c *crowd) disturb(ctx context.Context, m *crowdMember, what string, rest time.Duration, watched *sync.WaitGroup) {
	c.Logf("%s: %s for %s", m.name, what, rest.Round(time.Second))
	p := m.now()
	id := m.found(conductorID)
	silent := time.Now()
	switch what {
	case "killed":
		p.kill()
	case "paused":
		_ = p.cmd.Process.Signal(syscall.SIGSTOP)
	case "cut off":
		m.cord.pull()
	}
	if id != "" {
		c.mu.Lock()
		c.silences = append(c.silences, silent)
		c.mu.Unlock()
		watched.Go(func() { c.took(ctx, id, silent) })
	}
	select {
	case <-ctx.Done():
	case <-time.After(rest):
	}
	switch what {
	case "killed":
		c.again(m)
	case "paused":
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
	case "cut off":
		m.cord.plug()
	}
}

// TestCrowd runs three API and three conductor processes with clocks that are minutes apart, has tenants make and delete servers all
// the time, and kills, pauses and cuts off processes at random. HAGANE_SOAK makes it ten minutes with 200 nodes.
func TestCrowd(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes long")
	}
	t.Parallel()
	nodes, tenants, rounds, lost := 8, 6, 6, 20*time.Second
	if os.Getenv("HAGANE_SOAK") != "" {
		nodes, tenants, rounds, lost = 200, 40, 30, 3*time.Minute
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("HAGANE_CHAOS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d", seed)
	draw := rand.New(rand.NewPCG(seed, 1))

	dsn := dbtest.PostgresUpToDate(t)
	c := &crowd{testCloud: &testCloud{T: t, data: filepath.Join(t.TempDir(), "data")}, retried: map[string]int{}}
	first := c.add("api 1", dsn, 0, "api")
	c.reconnectTo(first.child)
	var err error
	if c.db, err = db.Open(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.db.Close)
	c.apis = []*crowdMember{first, c.add("api 2", dsn, 4*time.Minute, "api"), c.add("api 3", dsn, -6*time.Minute, "api")}
	c.add("dhcp", dsn, 0, "dhcp")
	conductors := []*crowdMember{c.add("conductor 1", dsn, 0, "conductor"), c.add("conductor 2", dsn, 5*time.Minute, "conductor"), c.add("conductor 3", dsn, -3*time.Minute, "conductor")}
	for _, m := range c.apis {
		c.until(30*time.Second, m.name, func() bool { return m.found(urlOf) != "" })
	}
	c.machine = c.runRack(lab.Options{Nodes: nodes, Machine: lab.Sim, DiskGB: 1}).Nodes
	c.prepare()

	people, grounds := c.settlers(tenants)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rounds)*time.Minute+5*time.Minute)
	defer cancel()
	stop := make(chan struct{})
	var living, watched sync.WaitGroup
	for i, p := range people {
		living.Go(func() { p.live(ctx, grounds[i], stop) })
	}
	watching, enough := context.WithCancel(ctx)
	defer enough()
	watched.Go(func() { c.watch(watching) })

	whats := []string{"killed", "paused", "cut off"}
	for i := range rounds {
		// At least one conductor and one API process are left alone.
		what, m := whats[i%len(whats)], conductors[draw.IntN(len(conductors))]
		rest := 13*time.Second + time.Duration(draw.IntN(8000))*time.Millisecond
		var both sync.WaitGroup
		if i%2 == 1 {
			api, how := c.apis[draw.IntN(len(c.apis))], whats[draw.IntN(len(whats))]
			both.Go(func() { c.disturb(ctx, api, how, rest/2, &watched) })
		}
		c.disturb(ctx, m, what, rest, &watched)
		both.Wait()
	}
	c.loseDatabase(ctx, lost)
	close(stop)
	living.Wait()
	enough()
	watched.Wait()
	c.judge()
}

// loseDatabase cuts all processes off for a while: each says that it is not ready, and why, and is ready again soon after.
func (c *crowd) loseDatabase(ctx context.Context, rest time.Duration) {
	c.Logf("the database is lost for %s", rest)
	for _, m := range c.members {
		m.cord.pull()
	}
	ready := func(m *crowdMember) string {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		status, text, err := (&account{crowd: c}).at(ctx, m.found(urlOf), http.MethodGet, "/readyz", nil)
		return fmt.Sprint(status, " ", string(text), err)
	}
	over := time.Now().Add(rest)
	for _, m := range c.apis {
		c.until(30*time.Second, m.name+" to say that it is not ready", func() bool { return strings.HasPrefix(ready(m), "503") && strings.Contains(ready(m), "database") })
	}
	if rest > time.Minute { // long enough to be told so, and for nobody to be there again in the meantime
		begun := time.Now()
		err := c.admin.Do(ctx, http.MethodGet, "baremetal", "/v1/nodes", nil, nil)
		if took := time.Since(begun); !fault.Is(err, fault.Unavailable) || took > 45*time.Second {
			c.wrong("without a database, after %s, a list of nodes was answered with %v", took, err)
		}
	}
	<-time.After(time.Until(over))
	for _, m := range c.members {
		m.cord.plug()
	}
	for _, m := range c.apis {
		c.until(30*time.Second, m.name+" to be ready again", func() bool { return strings.HasPrefix(ready(m), "200") })
	}
}

// prepare makes all nodes available, all at the same time.
func (c *crowd) prepare() {
	c.Helper()
	for _, verb := range []string{"manage", "inspect", "provide"} {
		for _, n := range c.machine {
			must[any](c.testCloud, c.admin, "PUT", "baremetal", "/v1/nodes/"+n.Name+"/states/provision", object{"target": verb})
		}
		for _, n := range c.machine {
			c.until(5*time.Minute, n.Name+" to be "+after[verb], func() bool { return c.node(n.Name).ProvisionState == after[verb] })
		}
	}
}

// judge compares what happened with what was to happen.
func (c *crowd) judge() {
	t := c.T
	c.reconnect() // the process that we knew may have been killed
	for _, words := range c.failed {
		t.Error(words)
	}
	late := time.Now().Add(3 * time.Minute)
	for _, n := range c.machine {
		for d := c.node(n.Name); d.ProvisionState != "available" && !d.Maintenance; d = c.node(n.Name) {
			if time.Now().After(late) {
				var jobs []struct {
					ID                   int64
					State, Queue, Errors string
					ScheduledAt          time.Time
				}
				err := c.db.Read().NewRaw("SELECT river_job.id, river_job.state, queue, scheduled_at, errors::text AS errors FROM river_job JOIN run ON run.job_id = river_job.id WHERE run.subject = ? AND ended_at IS NULL", d.UUID).Scan(t.Context(), &jobs)
				words, whyErr := c.command("why", n.Name)
				t.Fatalf("%s is not available again: %s; its jobs are %+v; %v, %v", n.Name, words, jobs, err, whyErr)
			}
			<-time.After(100 * time.Millisecond)
		}
		if d := c.node(n.Name); d.Maintenance {
			t.Errorf("%s is held: %s", n.Name, d.Reason)
		}
		c.startedOnce(n)
	}
	// What was said to a BMC is known to conductors alone, and asked for elsewhere.
	trace := must[struct{ Exchanges []record.Exchange }](c.testCloud, c.admin, "GET", "operator", "/v1/nodes/"+c.node(c.machine[0].Name).UUID+"/trace", nil)
	if len(trace.Exchanges) == 0 {
		t.Errorf("no conductor told what it had said to the BMC of %s", c.machine[0].Name)
	}
	for _, m := range c.members {
		for line := range strings.Lines(m.now().log.String()) {
			if strings.Contains(line, "level=ERROR") {
				t.Logf("%s: %s", m.name, strings.TrimSpace(line))
			}
		}
	}
	slices.Sort(c.takeOver)
	if len(c.takeOver) == 0 {
		t.Error("no conductor had anything in hand when it fell silent")
	} else if worst := c.takeOver[len(c.takeOver)-1]; worst > 15*time.Second {
		t.Errorf("a run stood still for %s", worst)
	}
	t.Logf("%d servers made and deleted; %d runs whose conductor fell silent went on elsewhere after %v; requests that went to another process: %v",
		c.servers, len(c.takeOver), c.takeOver, c.retried)
	if c.servers == 0 {
		t.Error("no server was made")
	}
}

// startedOnce compares how often a machine was started with how often a step was to start it, or its history says that it was started
// anew: no press was repeated by whoever took over.
func (c *crowd) startedOnce(n labclient.Node) {
	c.Helper()
	console, err := os.ReadFile(n.Console)
	if err != nil {
		c.Fatal(err)
	}
	id := c.node(n.Name).UUID
	var steps []struct {
		Step string
		N    int
	}
	if err := c.db.Read().NewRaw(`SELECT run_step.step AS step, count(*) AS n FROM run_step JOIN run ON run.id = run_step.run_id
		WHERE run.subject = ? AND NOT run_step.undo AND run_step.step IN ('boot the agent', 'boot from disk') GROUP BY run_step.step`, id).Scan(c.Context(), &steps); err != nil {
		c.Fatal(err)
	}
	want := 0
	for _, s := range steps {
		want += s.N
	}
	var anew struct{ N int }
	if err := c.db.Read().NewRaw(`SELECT count(*) AS n FROM node_event WHERE node_id = ? AND (text LIKE '%is reset and told again' OR text LIKE '%it is started again'
		OR text LIKE '%; it is reset')`, id).Scan(c.Context(), &anew); err != nil {
		c.Fatal(err)
	}
	want += anew.N
	if got := strings.Count(string(console), "firmware of "+n.Name); got != want {
		c.Errorf("%s was started %d times by %d steps", n.Name, got, want)
	}
}
