package machine_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/machinetest"
)

func TestReadISO(t *testing.T) {
	image := bytes.NewReader(machinetest.ISO(map[string][]byte{"hagane.cmdline": []byte("hagane.api=x"), "vmlinuz": make([]byte, 5000)}, nil))
	if text, err := machine.ReadISO(image, "hagane.cmdline", 100); err != nil || string(text) != "hagane.api=x" {
		t.Errorf("%q %v", text, err)
	}
	if _, err := machine.ReadISO(image, "initrd", 100); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if _, err := machine.ReadISO(image, "vmlinuz", 100); !fault.Is(err, fault.TooLarge) {
		t.Error(err)
	}
	if _, err := machine.ReadISO(strings.NewReader(strings.Repeat("x", 60000)), "vmlinuz", 100); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

// TestMedium reads an image from servers with and without ranges.
func TestMedium(t *testing.T) {
	image := machinetest.ISO(map[string][]byte{"hagane.cmdline": []byte("hagane.api=x")}, nil)
	asked := 0
	ranges := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.ServeContent(w, r, "x.iso", time.Time{}, bytes.NewReader(image))
	}))
	defer ranges.Close()
	whole := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(image)))
		_, _ = w.Write(image)
	}))
	defer whole.Close()
	for _, url := range []string{ranges.URL, whole.URL} {
		m, err := machine.OpenMedium(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if m.Size != int64(len(image)) {
			t.Errorf("%d bytes, want %d", m.Size, len(image))
		}
		if text, err := machine.ReadISO(m, "hagane.cmdline", 100); err != nil || string(text) != "hagane.api=x" {
			t.Errorf("%s: %q %v", url, text, err)
		}
		_ = m.Close()
	}
	if asked != 4 {
		t.Errorf("%d requests for two reads of the format and one of the file", asked)
	}
	for _, url := range []string{"nfs://server/x.iso", "http://127.0.0.1:1/x.iso", "/no/such/file"} {
		if _, err := machine.OpenMedium(t.Context(), url); err == nil {
			t.Errorf("%s opens", url)
		}
	}
}
