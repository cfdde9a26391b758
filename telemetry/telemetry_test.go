package telemetry

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/hagane-cloud/hagane/fault"
)

var (
	nameInDesc = regexp.MustCompile(`fqName: "([^"]+)"`)
	nameInText = regexp.MustCompile(`\b(?:hagane|process|go)_[a-z_]+`)
	series     = regexp.MustCompile(`_(count|bucket|sum)$`)
)

// metricNames are all metrics that a process tells.
func metricNames() []string {
	m := NewMetrics("test")
	m.Register(NewCloud(nil, nil))
	m.Filters(func() (int, time.Duration) { return 0, 0 })
	m.Routers(func() (int, int) { return 0, 0 })
	ch := make(chan *prometheus.Desc)
	go func() { m.registry.Describe(ch); close(ch) }()
	var names []string
	for d := range ch {
		names = append(names, nameInDesc.FindStringSubmatch(d.String())[1])
	}
	return names
}

// TestAlertsAndDashboard compares what is shipped for Prometheus and Grafana with the metrics that there are, and each alert with its runbook.
func TestAlertsAndDashboard(t *testing.T) {
	known := metricNames()
	read := func(path string) string {
		text, err := os.ReadFile("../docs/" + path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	alerts, runbooks, dashboard := read("monitoring/alerts.yaml"), read("runbooks.md"), read("monitoring/dashboard.json")
	for where, text := range map[string]string{"alerts": alerts, "dashboard": dashboard, "runbooks": runbooks} {
		for _, name := range nameInText.FindAllString(text, -1) {
			if !slices.Contains(known, name) && !slices.Contains(known, series.ReplaceAllString(name, "")) {
				t.Errorf("the %s speak of %s, which nobody tells", where, name)
			}
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(alerts), &rules); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			names = append(names, r.Alert)
			if !strings.Contains(runbooks, "\n## "+r.Alert+"\n") {
				t.Errorf("%s has no runbook", r.Alert)
			}
		}
	}
	for _, h := range regexp.MustCompile(`(?m)^## (\S+)$`).FindAllStringSubmatch(runbooks, -1) {
		if !slices.Contains(names, h[1]) {
			t.Errorf("the runbook %s is for no alert", h[1])
		}
	}
	if len(names) < 10 {
		t.Errorf("only %d alerts", len(names))
	}
}

// TestHealth asks a process that lacks something: the answer says what, and tells nothing of the inside.
func TestHealth(t *testing.T) {
	ok := Check{"clock", func(context.Context) error { return nil }}
	bad := Check{"database", func(context.Context) error {
		return fault.E(fault.Unavailable, "the database does not answer", errors.New("dial tcp 10.1.2.3: refused"))
	}}
	for want, checks := range map[int][]Check{http.StatusOK: {ok}, http.StatusServiceUnavailable: {ok, bad}} {
		w := httptest.NewRecorder()
		Health(checks...).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
		if w.Code != want || strings.Contains(w.Body.String(), "10.1.2.3") || !strings.Contains(w.Body.String(), `"clock":"ok"`) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if want != http.StatusOK && !strings.Contains(w.Body.String(), "the database does not answer") {
			t.Errorf("no reason: %s", w.Body)
		}
	}
}
