// Package audit shows who changed what, in the form of CADF (DMTF DSP0262): to operators all of it, to a tenant what
// was done with tokens of its project.
package audit

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/audit"
	"github.com/hagane-cloud/hagane/fault"
)

// Prefix is where the service lives.
const Prefix = "/audit"

type auditor struct{ *audit.Service }

// Dialect makes the dialect. Its errors are in the form that onError writes.
func Dialect(s *audit.Service, onError func(w http.ResponseWriter, status int, err error)) api.Dialect {
	a := &auditor{s}
	return api.Dialect{Prefix: Prefix, Error: onError, Routes: []api.Route{
		{"GET", "", api.Anyone, a.version},
		{"GET", "/v1", api.Anyone, a.version},
		{"GET", "/v1/events", api.Auditors, a.events},
		{"GET", "/v1/events/{id}", api.Auditors, a.event},
	}}
}

func (a *auditor) version(w http.ResponseWriter, r *api.Request) error {
	return api.JSON(w, http.StatusOK, api.Object{"versions": []api.Object{{"id": "v1", "status": "CURRENT",
		"links": []api.Object{{"rel": "self", "href": api.BaseURL(r.Request) + Prefix + "/v1/"}}}}})
}

// project is whose records the caller sees; "" is everybody's.
func project(r *api.Request) string {
	if api.Permit(r.Caller, api.OperatorsRead) == nil {
		return ""
	}
	return r.Caller.ProjectID()
}

// query reads a query string; what it does not know is refused, since a filter that is passed over shows too much.
func query(r *api.Request) (audit.Query, error) {
	q := audit.Query{ProjectID: project(r), Limit: audit.DefaultLimit}
	texts := map[string]*string{"user_id": &q.UserID, "service": &q.Service, "target_id": &q.TargetID, "request_id": &q.Request, "marker": &q.Marker, "verb": &q.Verb}
	times := map[string]*time.Time{"since": &q.Since, "until": &q.Until}
	for name, values := range r.URL.Query() {
		value := values[0]
		switch {
		case texts[name] != nil:
			*texts[name] = value
		case times[name] != nil:
			t, err := time.Parse(time.RFC3339Nano, value)
			if err != nil {
				return q, fault.Field(name, "must be a time such as 2030-01-31T12:00:00Z")
			}
			*times[name] = t.UTC()
		case name == "outcome":
			q.Outcome = audit.Outcome(value)
			if value != string(audit.Success) && value != string(audit.Failure) && value != string(audit.Pending) {
				return q, fault.Field(name, "must be success, failure or pending")
			}
		case name == "limit":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > audit.MaxLimit {
				return q, fault.Field(name, "must be a number from 1 to %d", audit.MaxLimit)
			}
			q.Limit = n
		case name == "project_id" && (q.ProjectID == "" || q.ProjectID == value):
			q.ProjectID = value
		case name == "project_id":
			return q, fault.Errorf(fault.Denied, "only operators see the records of another project")
		default:
			return q, fault.Field(name, "there is no such filter; there are user_id, project_id, service, verb, target_id, request_id, outcome, since, until, limit and marker")
		}
	}
	return q, nil
}

func (a *auditor) events(w http.ResponseWriter, r *api.Request) error {
	q, err := query(r)
	if err != nil {
		return err
	}
	all, err := a.List(r.Context(), q)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, e := range all {
		docs = append(docs, event(e))
	}
	answer := api.Object{"events": docs}
	if len(all) == q.Limit {
		next := url.URL{Path: r.URL.Path, RawQuery: with(r.URL.Query(), "marker", all[len(all)-1].ID)}
		answer["events_links"] = []api.Object{{"rel": "next", "href": api.BaseURL(r.Request) + next.String()}}
	}
	return api.JSON(w, http.StatusOK, answer)
}

func with(q url.Values, name, value string) string {
	q.Set(name, value)
	return q.Encode()
}

func (a *auditor) event(w http.ResponseWriter, r *api.Request) error {
	e, err := a.Get(r.Context(), project(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"event": event(e)})
}

// actions are CADF's names of what HTTP's verbs do.
var actions = map[string]string{"POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}

// event writes a record in CADF's form. What CADF has no place for has the names of OpenStack's audit middleware.
func event(e audit.Record) api.Object {
	action := actions[e.Verb]
	switch {
	case strings.HasSuffix(e.Route, "/auth/tokens") && e.Verb == "POST":
		action = "authenticate"
	case strings.HasSuffix(e.Route, "/action"):
		action = "update"
	}
	doc := api.Object{
		"typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event", "eventType": "activity", "id": e.ID,
		"eventTime": e.At.UTC().Format("2006-01-02T15:04:05.000000+0000"), "action": action, "outcome": string(e.Outcome),
		"initiator": api.Object{"typeURI": "service/security/account/user", "id": e.UserID, "name": e.UserName, "project_id": e.ProjectID,
			"host": api.Object{"address": e.Address}, "request_id": e.Request, "global_request_id": e.Origin},
		"target":      api.Object{"typeURI": "service/" + e.Service, "id": e.TargetID},
		"observer":    api.Object{"typeURI": "service/" + e.Service, "id": "hagane"},
		"requestPath": e.Path, "verb": e.Verb, "route": e.Route,
	}
	if e.Status != 0 {
		reason := api.Object{"reasonType": "HTTP", "reasonCode": strconv.Itoa(e.Status)}
		if e.Reason != "" {
			reason["message"] = e.Reason
		}
		doc["reason"] = reason
	}
	return doc
}
