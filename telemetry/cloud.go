package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/workflow"
)

// Cloud is what the database knows of the whole cloud. Every process may tell it, as all see the same; it is read at most every
// cloudAge, however often somebody asks.
type Cloud struct {
	db     *db.DB
	engine *workflow.Engine

	mu     sync.Mutex
	readAt time.Time
	last   []prometheus.Metric
}

// How old the figures of the whole cloud may be, and how long reading them may take.
const (
	cloudAge  = 10 * time.Second
	cloudTime = 5 * time.Second
)

// NewCloud makes the collector.
func NewCloud(d *db.DB, e *workflow.Engine) *Cloud { return &Cloud{db: d, engine: e} }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("hagane_"+name, help, labels, nil)
}

var (
	nodesDesc      = desc("nodes", "Nodes by their state in the life of a node.", "state", "conductor_group")
	heldDesc       = desc("nodes_on_hold", "Nodes that have a hold.")
	powerDesc      = desc("nodes_power", "Nodes by their power as last observed.", "power")
	pollLagDesc    = desc("power_poll_lag_seconds", "How far the look at a node's power that is most overdue is behind its time.")
	runsDesc       = desc("runs", "Runs that have not ended.", "workflow", "phase")
	overdueDesc    = desc("runs_overdue", "Runs whose step should have ended and that nobody has looked at since.")
	oldestDesc     = desc("step_age_seconds_max", "How long the run has been at its step that has been there for longest.", "workflow")
	queueDesc      = desc("queue_depth", "Looks at runs that wait in a conductor's queue and are due.", "conductor", "conductor_group")
	queueLagDesc   = desc("queue_lag_seconds", "How far the oldest look that is due in a conductor's queue is behind its time.", "conductor", "conductor_group")
	nobodyDesc     = desc("runs_without_conductor", "Runs that no living conductor can carry on: none of their group is alive, takes work and knows the workflow.")
	conductorsDesc = desc("conductors", "Conductors by what they do: working, draining, drained or silent.", "conductor_group", "status")
	leasesDesc     = desc("leases", "Nodes that somebody is at work on just now.")
	slotsDesc      = desc("slots", "Slots that runs have, and those that runs wait in line for.", "pool", "state")
	lineDesc       = desc("line_seconds_max", "How long the run has been in line that has waited for a slot for longest.", "pool")
	serversDesc    = desc("servers", "Tenants' servers by state.", "state")
	routersDesc    = desc("routers", "Routers that are up and connected, by whether a gateway serves them: served or unserved.", "state")
	readDesc       = desc("database_up", "1 when the figures of the whole cloud could be read.")
)

// Describe names the metrics.
func (c *Cloud) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{nodesDesc, heldDesc, powerDesc, pollLagDesc, runsDesc, overdueDesc, oldestDesc, queueDesc, queueLagDesc, nobodyDesc,
		conductorsDesc, leasesDesc, slotsDesc, lineDesc, serversDesc, routersDesc, readDesc} {
		ch <- d
	}
}

// Collect tells the figures.
func (c *Cloud) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.readAt) > cloudAge {
		ctx, cancel := context.WithTimeout(context.Background(), cloudTime)
		defer cancel()
		r := &reader{db: c.db, ctx: ctx}
		r.cloud(c.engine)
		up := 1.0
		if r.err != nil {
			r.out, up = nil, 0
		}
		r.gauge(readDesc, up)
		c.last, c.readAt = r.out, time.Now()
	}
	for _, m := range c.last {
		ch <- m
	}
}

// reader reads figures until one can not be read.
type reader struct {
	db  *db.DB
	ctx context.Context
	out []prometheus.Metric
	err error
}

func (r *reader) gauge(d *prometheus.Desc, v float64, labels ...string) {
	r.out = append(r.out, prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...))
}

// row is one figure with up to two labels.
type row struct {
	A, B string
	N    int64
}

func (r *reader) rows(query string, args ...any) []row {
	var out []row
	if r.err == nil {
		r.err = r.db.Read().NewRaw(query, args...).Scan(r.ctx, &out)
	}
	return out
}

// each tells one figure a row, with the first so many columns as labels.
func (r *reader) each(d *prometheus.Desc, labels int, query string, args ...any) {
	for _, one := range r.rows(query, args...) {
		r.gauge(d, float64(one.N), []string{one.A, one.B}[:labels]...)
	}
}

// age tells how long ago, in seconds, a time was that a query finds; 0 when it finds none or one that is to come.
func (r *reader) age(d *prometheus.Desc, query string, args ...any) {
	var at struct{ At time.Time }
	if r.err == nil {
		if err := r.db.Read().NewRaw(query, args...).Scan(r.ctx, &at); err != nil && !db.None(err) {
			r.err = err
		}
	}
	age := 0.0
	if !at.At.IsZero() {
		age = max(db.Now().Sub(at.At).Seconds(), 0)
	}
	r.gauge(d, age)
}

func (r *reader) cloud(e *workflow.Engine) {
	now := db.Now()
	r.each(nodesDesc, 2, "SELECT state AS a, conductor_group AS b, count(*) AS n FROM node GROUP BY state, conductor_group")
	r.each(powerDesc, 1, "SELECT power AS a, '' AS b, count(*) AS n FROM node GROUP BY power")
	r.each(heldDesc, 0, "SELECT '' AS a, '' AS b, count(*) AS n FROM node WHERE holds NOT IN ('[]', 'null', '')")
	r.age(pollLagDesc, "SELECT power_due AS at FROM node WHERE state <> 'enroll' ORDER BY power_due LIMIT 1")
	r.each(runsDesc, 2, "SELECT workflow AS a, phase AS b, count(*) AS n FROM run WHERE ended_at IS NULL GROUP BY workflow, phase")
	r.each(overdueDesc, 0, "SELECT '' AS a, '' AS b, count(*) AS n FROM run WHERE ended_at IS NULL AND phase <> 'held' AND step_deadline < ?", now)
	var steps []struct {
		Workflow string
		StepAt   time.Time
	}
	if r.err == nil {
		r.err = r.db.Read().NewRaw("SELECT workflow, step_at FROM run WHERE ended_at IS NULL").Scan(r.ctx, &steps)
	}
	oldest := map[string]float64{}
	for _, s := range steps {
		oldest[s.Workflow] = max(oldest[s.Workflow], now.Sub(s.StepAt).Seconds())
	}
	for w, age := range oldest {
		r.gauge(oldestDesc, age, w)
	}
	r.each(serversDesc, 1, "SELECT state AS a, '' AS b, count(*) AS n FROM server GROUP BY state")
	r.each(leasesDesc, 0, "SELECT '' AS a, '' AS b, count(*) AS n FROM lease WHERE subject NOT LIKE 'router/%' AND expires > 0 AND expires >= "+r.db.NowMillis())
	r.each(routersDesc, 1, `SELECT CASE WHEN EXISTS (SELECT 1 FROM lease WHERE lease.subject = 'router/' || router.id AND lease.expires >= `+r.db.NowMillis()+`)
		THEN 'served' ELSE 'unserved' END AS a, '' AS b, count(*) AS n FROM router
		WHERE admin_up AND EXISTS (SELECT 1 FROM port WHERE port.device_id = router.id) GROUP BY 1`)
	r.each(slotsDesc, 2, "SELECT pool AS a, CASE WHEN granted_at > 0 THEN 'taken' ELSE 'waiting' END AS b, count(*) AS n FROM slot GROUP BY 1, 2")
	for _, one := range r.rows("SELECT pool AS a, '' AS b, " + r.db.NowMillis() + " - min(asked_at) AS n FROM slot WHERE granted_at = 0 GROUP BY pool") {
		r.gauge(lineDesc, float64(one.N)/1000, one.A)
	}
	r.queues(e)
}

// queues tells who carries runs on, and how far behind they are.
func (r *reader) queues(e *workflow.Engine) {
	if r.err != nil {
		return
	}
	members, err := e.Members(r.ctx, time.Hour)
	if err != nil {
		r.err = err
		return
	}
	due, lag := map[string]float64{}, map[string]float64{}
	var jobs []struct {
		Queue string
		At    time.Time
	}
	r.err = r.db.Read().NewRaw("SELECT queue, scheduled_at AS at FROM river_job WHERE state IN ('available', 'retryable') AND scheduled_at <= ?", db.Now()).Scan(r.ctx, &jobs)
	for _, j := range jobs {
		due[j.Queue]++
		lag[j.Queue] = max(lag[j.Queue], db.Now().Sub(j.At).Seconds())
	}
	status := map[[2]string]float64{}
	for _, m := range members {
		status[[2]string{m.Group, m.Status()}]++
		if !m.Alive {
			continue
		}
		r.gauge(queueDesc, due[string(m.ID)], m.Name(), m.Group)
		r.gauge(queueLagDesc, lag[string(m.ID)], m.Name(), m.Group)
	}
	for of, n := range status {
		r.gauge(conductorsDesc, n, of[0], of[1])
	}
	r.gauge(nobodyDesc, due[string(workflow.Nobody)])
}
