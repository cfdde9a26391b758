package workflow

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// A run is part of the trace of the request that began it: it keeps the request's place in it, in W3C's form
// (https://www.w3.org/TR/trace-context/#traceparent-header), and each of its attempts, in whatever process, is a span under that.

var traceForm = propagation.TraceContext{}

// traceOf returns where in a trace ctx is; "" where none is kept.
func traceOf(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	traceForm.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// span begins the span of an attempt; end ends it with how it went.
func (t *turn) span(ctx context.Context) (spanned context.Context, end func(error)) {
	if t.run.Trace != "" {
		ctx = traceForm.Extract(ctx, propagation.MapCarrier{"traceparent": t.run.Trace})
	}
	name := t.run.Step
	if t.run.Undoing {
		name = "undo: " + name
	}
	ctx, span := otel.Tracer("hagane/workflow").Start(ctx, name, trace.WithAttributes(attribute.String("hagane.run", string(t.run.ID)),
		attribute.String("hagane.node", t.run.Subject), attribute.String("hagane.workflow", t.run.Workflow), attribute.Int64("hagane.attempt", t.run.Attempt)))
	return ctx, func(err error) {
		var w *waiting
		if err != nil && !errors.As(err, &w) {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// observe tells that an attempt was recorded.
func (t *turn) observe(before *Run, outcome string) {
	if t.Observe == nil {
		return
	}
	a := Attempt{Workflow: before.Workflow, Step: before.Step, Undo: before.Undoing, Outcome: outcome, Took: t.now().Sub(before.StepAt)}
	if t.run.Phase.Ended() {
		a.Ended, a.Whole = t.run.Phase, t.run.EndedAt.Sub(t.run.CreatedAt)
	}
	t.Observe(a)
}
