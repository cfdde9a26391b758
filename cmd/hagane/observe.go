package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/telemetry"
)

// observe has what happens in the services counted.
func (c *cloud) observe() {
	c.metrics = telemetry.NewMetrics(version)
	c.metrics.Register(telemetry.NewCloud(c.db, c.engine))
	c.engine.Observe = c.metrics.Attempt
	c.nodes.ObserveBMCs(c.metrics.BMC)
	c.ready = []telemetry.Check{{Name: "database", Ask: c.db.Ping}}
	if c.o.has("conductor") {
		c.metrics.Filters(c.networks.Behind)
		c.ready = append(c.ready, telemetry.Check{Name: "conductor", Ask: func(context.Context) error { return c.conductor.Ready() }})
	}
}

// serveHealth answers whether the process lives, which nobody but a restart can mend when it does not, and whether it is ready for
// work, which may come by itself.
func (c *cloud) serveHealth(mux *http.ServeMux) {
	mux.Handle("GET /healthz", telemetry.Health(telemetry.Check{Name: "process", Ask: func(context.Context) error { return c.conductor.Alive() }}))
	mux.Handle("GET /readyz", telemetry.Health(c.ready...))
}

// listenMetrics serves the metrics and the health where they were asked for.
func (c *cloud) listenMetrics(ctx context.Context, g *errgroup.Group) error {
	if c.o.metrics == "" {
		return nil
	}
	l, err := net.Listen("tcp", c.o.metrics)
	if err != nil {
		return fault.E(fault.Unavailable, "listening for metrics on "+c.o.metrics, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", c.metrics.Handler())
	c.serveHealth(mux)
	hs := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, ErrorLog: slog.NewLogLogger(c.log.Handler(), slog.LevelDebug)}
	g.Go(func() error {
		if err := hs.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error { <-ctx.Done(); return hs.Close() })
	c.log.Info("metrics are served", "url", "http://"+l.Addr().String()+"/metrics")
	return nil
}
