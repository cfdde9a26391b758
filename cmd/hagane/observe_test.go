package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/hagane-cloud/hagane/client"
)

// got is a body and a status.
func got(t *testing.T, url string) (string, int) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), res.StatusCode
}

// TestMetrics enrols a node and reads what the process tells of that, and whether it is healthy.
func TestMetrics(t *testing.T) {
	wired := make(chan *cloud, 1)
	c := &testCloud{T: t, data: filepath.Join(t.TempDir(), "data")}
	c.serveWith(serveOptions{roles: allRoles, metrics: "127.0.0.1:0", wired: func(c *cloud) { wired <- c }})
	c.reconnect()
	c.fakeNode("n", "52:54:00:00:00:01")
	access, err := client.ReadAccess(c.data, cloudName)
	if err != nil {
		t.Fatal(err)
	}
	base := strings.TrimSuffix(access.AuthURL, "/identity/v3")
	for path, want := range map[string]string{"/healthz": `"process":"ok"`, "/readyz": `"conductor":"ok"`} {
		if body, status := got(t, base+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if body, status := got(t, base+"/metrics"); status != http.StatusNotFound {
		t.Errorf("metrics stand open on the API's address: %d %.80s", status, body)
	}
	srv := httptest.NewServer((<-wired).metrics.Handler())
	defer srv.Close()
	var told string
	c.until(30*time.Second, "the figures to be read anew", func() bool {
		told, _ = got(t, srv.URL)
		return strings.Contains(told, `hagane_nodes{conductor_group="",state="available"} 1`)
	})
	for _, p := range []string{
		`hagane_step_duration_seconds_count\{outcome="done",step="pass the hand-over gate",undo="false",workflow="clean/2"\} 1`,
		`hagane_run_duration_seconds_count\{outcome="done",workflow="verify/2"\} 1`,
		`hagane_bmc_call_duration_seconds_count\{capability="power",protocol="fake"\} [1-9]`,
		`hagane_http_request_duration_seconds_count\{route="/baremetal/v1/nodes",service="baremetal",status="201",verb="POST"\} 1`,
		`hagane_conductors\{conductor_group="",status="working"\} 1`,
		`hagane_runs_without_conductor 0`, `hagane_runs_overdue 0`, `hagane_database_up 1`, `hagane_filters_behind 0`, `hagane_filters_behind_seconds_max 0`, `hagane_build_info\{version="`,
	} {
		if !regexp.MustCompile(p).MatchString(told) {
			t.Errorf("%s is not told", p)
		}
	}
	problems, err := promlint.New(strings.NewReader(told)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "hagane_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}
