// Package telemetry tells machines how the cloud does: metrics in Prometheus' form, traces by OpenTelemetry, and whether a process
// lives and is ready. The parts that are observed know nothing of it: they offer hooks, and the program wires them to it.
package telemetry

import (
	"cmp"
	"context"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// Metrics are the metrics of one process. Times are in seconds.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	attempts *prometheus.CounterVec
	steps    *prometheus.HistogramVec
	runs     *prometheus.HistogramVec
	bmcs     *prometheus.HistogramVec
	failures *prometheus.CounterVec
	images   *prometheus.CounterVec
}

// The buckets of histograms, in seconds.
var (
	quick = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10} // of requests
	bmcs  = []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}             // of calls to BMCs
	long  = []float64{.1, .5, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600} // of steps and runs
)

// NewMetrics makes the metrics of a process; version is the program's.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "hagane_http_request_duration_seconds", Buckets: quick,
			Help: "How long requests to the API took."}, []string{"service", "verb", "route", "status"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hagane_step_attempts_total",
			Help: "Attempts of steps by how they ended: done, waiting, retrying, failed, given up, skipped or held."}, []string{"workflow", "step", "undo", "outcome"}),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "hagane_step_duration_seconds", Buckets: long,
			Help: "How long steps took from their begin to their end, waiting included."}, []string{"workflow", "step", "undo", "outcome"}),
		runs: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "hagane_run_duration_seconds", Buckets: long,
			Help: "How long runs took from their begin to their end."}, []string{"workflow", "outcome"}),
		bmcs: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "hagane_bmc_call_duration_seconds", Buckets: bmcs,
			Help: "How long calls to BMCs took."}, []string{"capability", "protocol"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hagane_bmc_call_failures_total",
			Help: "Calls to BMCs that failed, by the class of the failure."}, []string{"capability", "protocol", "class"}),
	}
	m.images = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hagane_image_bytes_total",
		Help: "Bytes of images that agents took and wrote, by whom they came from: other agents (peers) or the cloud (store)."}, []string{"source"})
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "hagane_build_info", Help: "1, with the program's version."}, []string{"version"})
	build.WithLabelValues(version).Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build, m.requests, m.attempts, m.steps, m.runs, m.bmcs, m.failures, m.images)
	return m
}

// Register adds what is read when somebody asks.
func (m *Metrics) Register(c prometheus.Collector) { m.registry.MustRegister(c) }

// Filters has told, when somebody asks, at how many ports of servers that this process looks after the switch keeps to older security
// groups than the database has, and for how long.
func (m *Metrics) Filters(behind func() (ports int, longest time.Duration)) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "hagane_filters_behind",
			Help: "Ports of servers that this conductor looks after whose switch could not be told of a change of security groups."},
			func() float64 { ports, _ := behind(); return float64(ports) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "hagane_filters_behind_seconds_max", Help: "For how long the port has been so that has been for longest."},
			func() float64 { _, longest := behind(); return longest.Seconds() }))
}

// Routers has told, when somebody asks, for how many routers this process forwards, and how many flows they remember.
func (m *Metrics) Routers(figures func() (routers, flows int)) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "hagane_gateway_routers", Help: "Routers that this process forwards for."},
			func() float64 { routers, _ := figures(); return float64(routers) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "hagane_gateway_flows", Help: "Flows that left by routers' own addresses and are remembered by this process."},
			func() float64 { _, flows := figures(); return float64(flows) }))
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 2})
}

// Request counts an answered request.
func (m *Metrics) Request(prefix, verb, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(strings.TrimPrefix(prefix, "/"), verb, prefix+route, strconv.Itoa(status)).Observe(took.Seconds())
}

// Attempt counts an attempt of a step.
func (m *Metrics) Attempt(a workflow.Attempt) {
	undo := strconv.FormatBool(a.Undo)
	m.attempts.WithLabelValues(a.Workflow, a.Step, undo, a.Outcome).Inc()
	switch a.Outcome {
	case "waiting", "retrying", "held":
		return
	}
	m.steps.WithLabelValues(a.Workflow, a.Step, undo, a.Outcome).Observe(a.Took.Seconds())
	if a.Ended != "" {
		m.runs.WithLabelValues(a.Workflow, string(a.Ended)).Observe(a.Whole.Seconds())
	}
}

// BMC counts a call to a BMC.
func (m *Metrics) BMC(c bmc.Call) {
	m.bmcs.WithLabelValues(c.Capability, c.Protocol).Observe(c.Took.Seconds())
	if c.Failed {
		m.failures.WithLabelValues(c.Capability, c.Protocol, cmp.Or(string(c.Class), "other")).Inc()
	}
}

// Image counts an image that an agent wrote. What came as a stream came from the store.
func (m *Metrics) Image(w protocol.Written) {
	store := w.FromStore
	if w.FromPeers+w.FromStore == 0 {
		store = w.Bytes
	}
	m.images.WithLabelValues("peers").Add(float64(w.FromPeers))
	m.images.WithLabelValues("store").Add(float64(store))
}

// Trace sends spans where the environment says, by OTLP over HTTP (OTEL_EXPORTER_OTLP_ENDPOINT and what goes with it, see
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/); without that variable none are made. end sends what is left.
func Trace(ctx context.Context, version string, roles []string) (end func(context.Context), err error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return func(context.Context) {}, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fault.E(fault.Invalid, "sending traces where OTEL_EXPORTER_OTLP_ENDPOINT says", err)
	}
	about, err := resource.Merge(resource.Default(), resource.NewSchemaless(attribute.String("service.name", "hagane"),
		attribute.String("service.version", version), attribute.StringSlice("hagane.roles", roles)))
	if err != nil {
		return nil, fault.E(fault.Internal, "describing the process for traces", err)
	}
	p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	otel.SetTracerProvider(p)
	return func(ctx context.Context) { _ = p.Shutdown(ctx) }, nil // what can not be sent is lost
}
