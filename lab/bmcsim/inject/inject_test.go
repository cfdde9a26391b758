package inject

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

var quiet = slog.New(slog.DiscardHandler)

func engine(t *testing.T, text string, seed uint64) *Engine {
	t.Helper()
	s, err := Parse("test", text)
	if err != nil {
		t.Fatal(err)
	}
	e := NewEngine(s, seed, quiet)
	t.Cleanup(e.Close)
	return e
}

func TestScriptsThatComeAlong(t *testing.T) {
	if len(Names()) < 8 {
		t.Errorf("only %v", Names())
	}
	for _, name := range Names() {
		s, err := Load(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if s.Rules() == 0 || s.About == "" {
			t.Errorf("%s: %v, %d rules, about %q", name, err, s.Rules(), s.About)
		}
	}
	both, err := Load("slow, liar")
	if err != nil || both.Rules() < 15 {
		t.Errorf("%v %v", both, err)
	}
	if _, err := Load("nonsense"); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"redfish GET *":                               "=>",
		"smtp * => drop":                              "begins with one of",
		"redfish GET => drop":                         "path or command is missing",
		"redfish * sometimes 3 => drop":               `no condition "sometimes"`,
		"redfish * times 0 => drop":                   "times wants a number from 1",
		"redfish * chance 3 => drop":                  "chance wants 1/N",
		"redfish * while asleep => drop":              "while wants",
		"redfish * => explode":                        `no effect "explode"`,
		"redfish * => slow":                           "slow wants a duration",
		"redfish * => drop hang":                      "comma between",
		"redfish * => status 99":                      "status wants",
		"redfish * => status 503 pdf":                 "after a status",
		"redfish * => garble beautifully":             "garble wants",
		"redfish * => merge {":                        "merge wants JSON",
		"redfish * => power maybe":                    "power wants",
		"# fine\n\nredfish * => drop\nipmi x => lose": "line 4",
	} {
		if _, err := Parse("test", text); err == nil || !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestSelection(t *testing.T) {
	get := Exchange{Protocol: "redfish", Method: "GET", Target: "/redfish/v1/Systems/1"}
	patch := Exchange{Protocol: "redfish", Method: "PATCH", Target: "/redfish/v1/Systems/1"}
	control := Exchange{Protocol: "ipmi", Write: true, Target: "Chassis Control"}
	for _, try := range []struct {
		rule   string
		x      Exchange
		strike bool
	}{
		{"any *", get, true}, {"http *", get, true}, {"http *", control, false}, {"ipmi *", control, true}, {"ipmi *", get, false},
		{"redfish GET *systems/*", get, true}, {"redfish GET|POST *", patch, false}, {"redfish write *", patch, true},
		{"any write *", control, true}, {"any read *", control, false}, {"any read *", get, true},
		{`ipmi "Chassis Control"`, control, true}, {`ipmi "Chassis*"`, control, true}, {`ipmi "Get*|*control"`, control, true},
		{"redfish /redfish/v1/Systems", get, false}, {"redfish */v1/*/1", get, true}, {"redfish */v2/*/1", get, false},
		{"any * while on", get, false}, {"any * while off", get, true}, {"any * while post", get, false}, {"any * while booting", get, false},
	} {
		if d := engine(t, try.rule+" => drop", 1).Decide(try.x); d.Drop != try.strike {
			t.Errorf("%s: %+v: %t", try.rule, try.x, d.Drop)
		}
	}
}

func TestCounting(t *testing.T) {
	for rule, want := range map[string]string{
		"any * after 2 times 3 => drop": "..xxx.....",
		"any * every 3 => drop":         "..x..x..x.",
		"any * after 1 every 2 => drop": "..x.x.x.x.",
		"any * times 1 => drop":         "x.........",
	} {
		e, got := engine(t, rule, 1), ""
		for range 10 {
			got += map[bool]string{true: "x", false: "."}[e.Decide(Exchange{Protocol: "scci"}).Drop]
		}
		if got != want {
			t.Errorf("%s: %s, want %s", rule, got, want)
		}
	}
}

func TestTheSeedDecides(t *testing.T) {
	draw := func(seed uint64) string {
		e, got := engine(t, "any * chance 1/3 => drop", seed), ""
		for range 100 {
			got += map[bool]string{true: "x", false: "."}[e.Decide(Exchange{Protocol: "scci"}).Drop]
		}
		return got
	}
	if draw(7) != draw(7) || draw(7) == draw(8) {
		t.Error("the seed does not decide")
	}
	if n := strings.Count(draw(7), "x"); n < 15 || n > 55 {
		t.Errorf("1 in 3 struck %d of 100 times", n)
	}
}

func TestEffectsJoin(t *testing.T) {
	e := engine(t, "any * => slow 2s, nothing\nany * => slow 9s, power off, revert 3s\nany * => merge {\"a\": 1, \"b\": null}", 1)
	d := e.Decide(Exchange{Protocol: "scci"})
	if d.Slow != 2*time.Second || !d.Nothing || d.Power != "off" || d.Revert != 3*time.Second || string(d.Merge) != `{"a": 1, "b": null}` {
		t.Errorf("%+v", d)
	}
	for text, done := range map[string]bool{
		"http * => status 503\nhttp * => done, drop": false, "http * => drop\nhttp * => done, drop": true, "http * => done, drop\nhttp * => status 503": true,
	} {
		if d := engine(t, text, 1).Decide(Exchange{Protocol: "redfish", Method: "POST", Target: "/"}); d.Done != done {
			t.Errorf("%q: carried out: %v", text, d.Done)
		}
	}
}

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine(t, "ipmi * after 1 times 1 => restart 5s\nhttp * while booting => status 503 empty\nhttp * => slow 1s", 1)
		forgot := 0
		e.OnRestart(func() { forgot++ })
		ipmi := Exchange{Protocol: "ipmi"}
		if d := e.Decide(ipmi); !same(d, Decision{}) {
			t.Errorf("%+v", d)
		}
		if d := e.Decide(ipmi); e.Play(t.Context(), d) || forgot != 1 || !e.Away() {
			t.Errorf("%+v, %d times forgotten", d, forgot)
		}
		if !e.Decide(ipmi).Drop {
			t.Error("answers while it is away")
		}
		if d := e.Decide(Exchange{Protocol: "redfish", Method: "GET"}); d.Status != 503 || d.Slow != 0 {
			t.Errorf("%+v", d)
		}
		<-time.After(5 * time.Second)
		if d := e.Decide(ipmi); d.Drop || e.Away() {
			t.Error("it is still away")
		}
	})
}

func same(a, b Decision) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func TestAfterAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewEngine(nil, 1, quiet)
		undone := 0
		e.After(2*time.Second, func() { undone++ })
		e.After(time.Hour, func() { undone += 100 })
		<-time.After(3 * time.Second)
		if e.Close(); undone != 1 {
			t.Error(undone)
		}
		e.After(time.Second, func() { undone += 100 })
		<-time.After(2 * time.Hour)
		if undone != 1 {
			t.Error("a closed engine went on")
		}
	})
}

func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine(t, "", 1)
		read := func(now string) string { return string(e.Stale("power", 3*time.Second, []byte(now))) }
		read("off")
		<-time.After(time.Second)
		e.Changed()
		<-time.After(time.Second)
		if got := read("on"); got != "off" {
			t.Errorf("shows %s at once", got)
		}
		<-time.After(3 * time.Second)
		if got := read("on"); got != "on" {
			t.Errorf("shows %s for ever", got)
		}
	})
}

// served is an HTTP server that counts what it carried out, behind an engine.
func served(t *testing.T, script string) (url string, done *atomic.Int32) {
	done = new(atomic.Int32)
	e := engine(t, script, 1)
	s := httptest.NewTLSServer(HTTP(e, func(r *http.Request) Exchange {
		return Exchange{Protocol: "redfish", Method: r.Method, Target: r.URL.Path}
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			done.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"Members": [{"N": 5}], "Power": "`+From(r.Context()).Power+`"}`)
	})))
	t.Cleanup(s.Close)
	return s.URL, done
}

func ask(t *testing.T, ctx context.Context, method, url string) (int, string, error) {
	t.Helper()
	c := httptest.NewTLSServer(nil)
	defer c.Close()
	client := c.Client()
	client.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true
	client.Transport.(*http.Transport).DisableKeepAlives = true
	req, err := http.NewRequestWithContext(ctx, method, url+"/x", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

func TestOverHTTP(t *testing.T) {
	for _, try := range []struct {
		script string
		status int // 0: no answer
		body   string
		done   int
	}{
		{"", 200, `{"Members": [{"N": 5}], "Power": ""}`, 1},
		{"any * => drop", 0, "", 0},
		{"any * => done, drop", 0, "", 1},
		{"any * => die", 0, "", 0},
		{"any * => restart 1m", 0, "", 0},
		{"any * => status 503 empty", 503, "", 0},
		{"any * => done, status 504 html", 504, "<h1>Gateway Timeout</h1>", 1},
		{"any * => status 403 xhtml", 403, "xmlns", 0},
		{"any * => status 400 message SWC0700", 400, `"MessageId":"Base.1.8.SWC0700"`, 0},
		{`any * => status 418 body "short and stout"`, 418, "short and stout", 0},
		{"any * => slow 10ms, power off", 200, `"Power": "off"`, 1},
		{"any * => garble comma", 200, `[{"N": 5},]`, 1},
		{"any * => garble truncate", 200, `{"Members": [{"N"`, 1},
		{"any * => garble null", 200, `"Members":null`, 1},
		{"any * => garble strings", 200, `"N":"5"`, 1},
		{"any * => garble html", 200, "<html>", 1},
		{"any * => garble control", 200, "\xef\xbb\xbf{", 1},
		{`any * => merge {"Members": null, "Power": {"State": 1}}`, 200, `{"Power":{"State":1}}`, 1},
	} {
		url, done := served(t, try.script)
		status, body, err := ask(t, t.Context(), "POST", url)
		if status != try.status || !strings.Contains(body, try.body) || int(done.Load()) != try.done || (err != nil) != (try.status == 0) {
			t.Errorf("%s: %d %q %v, carried out %d times", try.script, status, body, err, done.Load())
		}
	}
}

func TestHangEndsWithTheClient(t *testing.T) {
	url, done := served(t, "any * => hang")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := ask(t, ctx, "POST", url); !errors.Is(err, context.DeadlineExceeded) || done.Load() != 0 {
		t.Errorf("%v", err)
	}
}
