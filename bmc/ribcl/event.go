package ribcl

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/markup"
)

// Events reads the Integrated Management Log, the server's own; the iLO keeps another one about logins.
func (d *driver) Events(ctx context.Context, limit int) ([]bmc.Event, error) {
	c := server("GET_EVENT_LOG")
	r, err := d.do(ctx, c)
	if err != nil {
		return nil, err
	}
	log, err := r.need(c, "EVENT_LOG")
	if err != nil {
		return nil, err
	}
	var out []bmc.Event
	for i, e := range log.All("EVENT") {
		out = append(out, event(i+1, e))
	}
	if limit > 0 && len(out) > limit {
		out = out[len(out)-limit:]
	}
	return out, nil
}

func event(id int, e *markup.Element) bmc.Event {
	ev := bmc.Event{ID: strconv.Itoa(id), Message: e.Attr("DESCRIPTION"), Sensor: e.Attr("CLASS"), Severity: "ok"}
	switch strings.ToLower(e.Attr("SEVERITY")) {
	case "caution":
		ev.Severity = "warning"
	case "critical":
		ev.Severity = "critical"
	}
	// An iLO without a clock writes [NOT SET].
	if at, err := time.Parse("01/02/2006 15:04", e.Attr("LAST_UPDATE", "INITIAL_UPDATE")); err == nil {
		ev.At = at
	}
	return ev
}

func (d *driver) ClearEvents(ctx context.Context) error {
	if _, err := d.do(ctx, server("CLEAR_IML").change("")); err != nil {
		return err
	}
	return d.settle(ctx, "an empty log", func() (bool, error) {
		left, err := d.Events(ctx, 2)
		return len(left) <= 1, err // the clearing may be an entry itself
	})
}
