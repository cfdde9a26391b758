package record

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRingKeepsTheLatest(t *testing.T) {
	r := New()
	for i := range 3 * Length {
		r.Add(Exchange{Path: fmt.Sprint("/", i), Response: "x"})
	}
	all := r.Exchanges()
	if len(all) != Length || all[len(all)-1].Path != fmt.Sprint("/", 3*Length-1) || r.Dropped() != 2*Length {
		t.Errorf("%d kept, %d dropped, the last is %s", len(all), r.Dropped(), all[len(all)-1].Path)
	}
	large := New()
	for i := range 20 {
		large.Add(Exchange{Path: fmt.Sprint("/", i), Response: strings.Repeat("x", 2*perBody)})
	}
	total := 0
	for _, x := range large.Exchanges() {
		total += len(x.Response)
		if !x.Cut || len(x.Response) > perBody {
			t.Errorf("%s: %d bytes, cut %v", x.Path, len(x.Response), x.Cut)
		}
	}
	if total > Bytes || total == 0 {
		t.Errorf("%d bytes are kept", total)
	}
	whole := NewWhole()
	for range 2 * Length {
		whole.Add(Exchange{Path: "/", Response: strings.Repeat("y", 2*perBody)})
	}
	if all := whole.Exchanges(); len(all) != 2*Length || len(all[0].Response) != 2*perBody || whole.Dropped() != 0 {
		t.Errorf("%d kept of a whole session", len(all))
	}
	var none *Recorder
	none.Add(Exchange{})
	none.Hide("secret")
	if none.Exchanges() != nil || none.Dropped() != 0 {
		t.Error("the nil recorder keeps something")
	}
}

func TestSecretsAreHidden(t *testing.T) {
	r := New()
	r.Hide(`pa<ss&word`)
	r.Hide("ab") // too short to be told from other text
	r.Add(Exchange{Path: "/x?p=pa<ss&word", Asked: map[string]string{"Authorization": "Basic xyz", "If-Match": "7"},
		Request:  `{"UserName":"abc","Password":"other","NewPassword": "a\"b"}`,
		Response: `<LOGIN USER_LOGIN="admin" PASSWORD="third"/><ns1:Password>fourth</ns1:Password> pa&lt;ss&amp;word ` + base64.StdEncoding.EncodeToString([]byte("pa<ss&word")),
		Answered: map[string]string{"X-Auth-Token": "fifth"}, Error: "no login with pa<ss&word"})
	text := fmt.Sprintf("%+v", r.Exchanges()[0])
	for _, secret := range []string{"pa<ss", "pa&lt;ss", "other", "third", "fourth", "fifth", "Basic", `a\"b`, base64.StdEncoding.EncodeToString([]byte("pa<ss&word"))} {
		if strings.Contains(text, secret) {
			t.Errorf("%s stands in %s", secret, text)
		}
	}
	for _, kept := range []string{"abc", "admin", "If-Match:7"} {
		if !strings.Contains(text, kept) {
			t.Errorf("%s is gone from %s", kept, text)
		}
	}
}

func TestReadTellsTheLine(t *testing.T) {
	if _, err := Read(strings.NewReader("{\"path\":\"/\"}\n\n{broken\n")); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("%v", err)
	}
	all, err := Read(strings.NewReader(""))
	if err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestReplayAnswersInOrder(t *testing.T) {
	p := NewReplay([]Exchange{
		{Method: "GET", Path: "/power", Status: 200, Response: "off", Answered: map[string]string{"Etag": `"1"`}},
		{Method: "POST", Path: "/power", Status: 204},
		{Method: "GET", Path: "/power", Status: 200, Response: "on"},
		{Method: "command", Path: "Get Device ID", Status: 0}, // of IPMI
		{Method: "GET", Path: "/lost", Error: "no answer"},
	})
	s := httptest.NewServer(p)
	defer s.Close()
	ask := func(method, path string) (int, string, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body), res.Header.Get("Etag")
	}
	if status, body, tag := ask("GET", "/power"); status != 200 || body != "off" || tag != `"1"` {
		t.Errorf("%d %s %s", status, body, tag)
	}
	for range 2 {
		if _, body, _ := ask("GET", "/power"); body != "on" {
			t.Errorf("then %s", body)
		}
	}
	if status, _, _ := ask("POST", "/power"); status != 204 {
		t.Errorf("%d", status)
	}
	for _, path := range []string{"/lost", "/never"} {
		if status, _, _ := ask("GET", path); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if got := p.Missed(); len(got) != 2 || got[1] != "GET /never" {
		t.Errorf("%v", got)
	}
}
