package telemetry

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// Check is one thing that a process needs in order to do its work.
type Check struct {
	Name string
	Ask  func(ctx context.Context) error // why it is not so
}

// checkTime is how long a check may take.
const checkTime = 3 * time.Second

// Health answers with 200 when all checks pass and with 503 otherwise, each with its reason.
func Health(checks ...Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), checkTime)
		defer cancel()
		status, words := http.StatusOK, map[string]string{}
		for _, c := range checks {
			words[c.Name] = "ok"
			if err := c.Ask(ctx); err != nil {
				// Anyone may ask: what stands in foreign errors, such as addresses, is the log's.
				status, words[c.Name] = http.StatusServiceUnavailable, fault.Message(err)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(words)
	})
}
