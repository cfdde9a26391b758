package scci

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"

	"github.com/hagane-cloud/hagane/lab/machine"
)

const (
	profiles = "/rest/v1/Oem/eLCM/ProfileManagement/"
	sessions = "/rest/v1/Oem/eLCM/sessionInformation/"
)

// elcm is the state of eLCM: the BIOS's settings, the profile that was read last, and at most one session.
type elcm struct {
	settings map[string]map[string]any
	profile  map[string]any
	session  int // 0: none
	ended    bool
	polls    int // of the session's status until it has ended
	made     int
}

func newELCM() elcm {
	return elcm{settings: map[string]map[string]any{
		"CpuConfig":  {"HyperThreading": "Enabled", "ActiveCores": float64(0)},
		"BootConfig": {"QuietBoot": true, "PxeBootOptionRetry": "Disabled"},
	}}
}

func (b *BMC) routeELCM(mux *http.ServeMux) {
	handle := func(pattern string, f func(w http.ResponseWriter, r *http.Request)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if b.kind.NoLicence {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			f(w, r)
		})
	}
	handle("GET "+profiles+"{$}", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"Links": map[string]any{}})
	})
	handle("GET "+profiles+"BiosConfig", func(w http.ResponseWriter, _ *http.Request) {
		if b.elcm.profile == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		reply(w, http.StatusOK, map[string]any{"Server": map[string]any{"@Version": "1.01", "SystemConfig": map[string]any{"BiosConfig": b.elcm.profile}}})
	})
	handle("DELETE "+profiles+"BiosConfig", func(w http.ResponseWriter, _ *http.Request) {
		if b.elcm.profile == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		b.elcm.profile = nil
	})
	handle("POST "+profiles+"get", func(w http.ResponseWriter, r *http.Request) {
		if b.elcm.profile != nil {
			w.WriteHeader(http.StatusConflict)
			return
		}
		b.begin(w, r, func() {
			b.elcm.profile = map[string]any{"@Version": "1.00"}
			for name, part := range b.elcm.settings {
				b.elcm.profile[name] = maps.Clone(part)
			}
		})
	})
	handle("POST "+profiles+"set", func(w http.ResponseWriter, r *http.Request) {
		var doc struct {
			Server struct {
				SystemConfig struct{ BiosConfig map[string]json.RawMessage }
			}
		}
		if json.NewDecoder(io.LimitReader(r.Body, maxRequest)).Decode(&doc) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		b.begin(w, r, func() {
			for name, raw := range doc.Server.SystemConfig.BiosConfig {
				part := b.elcm.settings[name]
				if part != nil {
					_ = json.Unmarshal(raw, &part) // what it does not know it ignores
				}
			}
		})
	})
	b.routeSessions(handle)
}

// begin begins a session; do is its work. The server is powered off, and with some firmware on again at the end.
func (b *BMC) begin(w http.ResponseWriter, r *http.Request, do func()) {
	if b.elcm.session != 0 {
		w.WriteHeader(http.StatusConflict)
		return
	}
	ctx := context.WithoutCancel(r.Context())
	_ = b.machine.Power(ctx, machine.PowerOff)
	do()
	if b.kind.Powers {
		_ = b.machine.Power(ctx, machine.PowerOn)
	}
	b.elcm.made++
	b.elcm.session, b.elcm.ended, b.elcm.polls = b.elcm.made, false, 2
	reply(w, http.StatusAccepted, map[string]any{"Session": map[string]any{"Id": b.elcm.session, "Status": "activated"}})
}

func (b *BMC) routeSessions(handle func(string, func(http.ResponseWriter, *http.Request))) {
	with := func(f func(w http.ResponseWriter)) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.PathValue("id") != fmt.Sprint(b.elcm.session) {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			f(w)
		}
	}
	handle("GET "+sessions+"{id}/status", with(func(w http.ResponseWriter) {
		b.elcm.polls--
		b.elcm.ended = b.elcm.ended || b.elcm.polls <= 0
		status := map[bool]string{true: "terminated regularly", false: "running"}[b.elcm.ended]
		reply(w, http.StatusOK, map[string]any{"Session": map[string]any{"Id": b.elcm.session, "Status": status}})
	}))
	handle("GET "+sessions+"{id}/log", with(func(w http.ResponseWriter) {
		reply(w, http.StatusOK, map[string]any{"SessionLog": map[string]any{"Entries": []any{}}})
	}))
	handle("DELETE "+sessions+"{id}/terminate", with(func(http.ResponseWriter) { b.elcm.ended = true }))
	handle("DELETE "+sessions+"{id}/remove", with(func(w http.ResponseWriter) {
		if !b.elcm.ended {
			w.WriteHeader(http.StatusConflict)
			return
		}
		b.elcm.session = 0
	}))
}

// reply writes JSON behind a line that belongs into the header.
func reply(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "Link: </rest/v1/>; rel=self\r\n\r\n%s", text) // who went away needs no answer
}

// Sessions returns how many sessions of eLCM there were, and whether one is left.
func (b *BMC) Sessions() (made int, left bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.elcm.made, b.elcm.session != 0
}
