package redfish

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
)

type logDoc struct {
	ID      text `json:"Id"`
	Entries link
	Actions struct {
		Clear *action `json:"#LogService.ClearLog"`
	}
	at link
}

// logNames are the vendors' names of the hardware's log, best first.
var logNames = []string{"sel", "iml", "eventlog", "event", "systemevent", "systemeventlog", "standardlog", "log1", "platformlog", "logs", "activelog", "internaleventlog"}

// log finds the hardware's event log among those of the system, the manager and the chassis.
func (d *Driver) log(ctx context.Context) (logDoc, error) {
	s, _, err := d.read(ctx)
	if err != nil {
		return logDoc{}, err
	}
	m, err := d.bmcOf(ctx, s)
	if err != nil && !absent(err) {
		return logDoc{}, err
	}
	var best logDoc
	rank := len(logNames)
	for _, l := range []link{s.LogServices, m.LogServices} {
		if l == "" {
			continue
		}
		err := each(ctx, d, l, func(at link, doc logDoc) {
			if r := slices.Index(logNames, strings.ToLower(at.last())); doc.Entries != "" && r >= 0 && r < rank {
				doc.at = at
				best, rank = doc, r
			}
		})
		if err != nil && !absent(err) {
			return best, err
		}
	}
	if best.Entries == "" {
		return best, lacks("event log")
	}
	return best, nil
}

// Events reads the entries in the order of their numbers: the clocks of BMCs are wrong, and HPE writes dates
// of the year 0.
func (d *Driver) Events(ctx context.Context, limit int) ([]bmc.Event, error) {
	l, err := d.log(ctx)
	if err != nil {
		return nil, err
	}
	var out []bmc.Event
	take := func(id text, e eventDoc) {
		if e.ID != "" {
			id = e.ID
		}
		out = append(out, bmc.Event{ID: string(id), At: e.Created.Time, Severity: strings.ToLower(string(e.Severity)), Message: string(e.Message), Sensor: string(e.SensorType)})
	}
	paths, inline, err := d.entries(ctx, l.Entries)
	if err != nil {
		return nil, err
	}
	for i, at := range paths {
		take(text(at.last()), inline[i])
	}
	slices.SortStableFunc(out, func(a, b bmc.Event) int { return int(order(a.ID) - order(b.ID)) })
	if limit > 0 && len(out) > limit {
		out = out[len(out)-limit:]
	}
	return out, nil
}

type eventDoc struct {
	AtID       link `json:"@odata.id"`
	ID         text `json:"Id"`
	Created    moment
	Severity   text
	Message    text
	SensorType text
}

// entries reads the pages of a log. Members stand in it whole, or as links that are read one by one.
func (d *Driver) entries(ctx context.Context, path link) (paths []link, docs []eventDoc, err error) {
	const most = 5000 // entries; a log that seems endless is read no further
	seen := map[string]bool{}
	for next := path; next != "" && !seen[next.key()] && len(paths) < most; {
		seen[next.key()] = true
		var page struct {
			Members many[eventDoc]
			Next    link `json:"Members@odata.nextLink"`
		}
		if _, err := d.get(ctx, next, &page); err != nil {
			return nil, nil, err
		}
		for _, m := range page.Members {
			if m.AtID == "" || seen["entry "+m.AtID.key()] {
				continue
			}
			seen["entry "+m.AtID.key()] = true
			if m.Message == "" && m.Created.IsZero() && m.Severity == "" {
				if _, err := d.get(ctx, m.AtID, &m); err != nil {
					if absent(err) || bmc.ClassOf(err) == bmc.Garbled {
						continue
					}
					return nil, nil, err
				}
			}
			paths, docs = append(paths, m.AtID), append(docs, m)
		}
		next = page.Next
	}
	return paths, docs, nil
}

// order reads the number within an id.
func order(id string) int64 {
	digits := strings.TrimLeft(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// ClearEvents empties the log.
func (d *Driver) ClearEvents(ctx context.Context) error {
	l, err := d.log(ctx)
	if err != nil {
		return err
	}
	target := l.at.under("Actions/LogService.ClearLog")
	if l.Actions.Clear != nil && l.Actions.Clear.Target != "" {
		target = l.Actions.Clear.Target
	}
	_, err = d.post(ctx, "clearing the event log", target, struct{}{})
	return err
}
