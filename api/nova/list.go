package nova

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/server"
)

func ipVersion(address string) int {
	if a, err := netip.ParseAddr(address); err == nil && a.Is6() {
		return 6
	}
	return 4
}

func (n *nova) listServers(w http.ResponseWriter, r *api.Request) error {
	return n.list(w, r, func(all []server.Server) ([]api.Object, error) {
		docs := make([]api.Object, len(all))
		for i, s := range all {
			docs[i] = api.Object{"id": s.ID, "name": s.Name, "links": links(r, "servers", string(s.ID))}
		}
		return docs, nil
	})
}

func (n *nova) listServersDetail(w http.ResponseWriter, r *api.Request) error {
	return n.list(w, r, func(all []server.Server) ([]api.Object, error) {
		a, err := n.around(r, all)
		docs := make([]api.Object, len(all))
		for i := range all {
			docs[i] = a.doc(r, &all[i], false)
		}
		return docs, err
	})
}

func (n *nova) list(w http.ResponseWriter, r *api.Request, show func([]server.Server) ([]api.Object, error)) error {
	q, err := query(r)
	if err != nil {
		return err
	}
	most := q.Limit
	q.Limit++ // one more tells whether there is a next page
	all, err := n.servers.List(r.Context(), q)
	if err != nil {
		return err
	}
	out := api.Object{}
	if len(all) > most {
		all = all[:most]
		out["servers_links"] = next(r, string(all[most-1].ID))
	}
	if out["servers"], err = show(all); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, out)
}

// statuses are Nova's names for those that servers here can have.
var statuses = []server.Status{server.StatusBuild, server.StatusActive, server.StatusShutoff, server.StatusReboot, server.StatusRebuild, server.StatusRescue, server.StatusError}

// plain are the filters by a column.
var plain = []string{"uuid", "user_id", "flavor", "image", "key_name", "availability_zone", "reservation_id", "description", "hostname", "host", "node"}

// unfiltered are filters of Nova that can not be kept to here. A list that left them out would be wrong.
var unfiltered = []string{"task_state", "power_state", "progress", "launched_at", "terminated_at", "kernel_id", "ramdisk_id", "root_device_name", "access_ip_v4",
	"access_ip_v6", "locked_by", "auto_disk_config", "cell_name", "soft_deleted", "config_drive", "launch_index", "created_at", "vm_state"}

// query reads what a list is asked for. Parameters that nobody knows are left out of account, as Nova does.
func query(r *api.Request) (server.Query, error) {
	values := r.URL.Query()
	q := server.Query{Project: r.Caller.ProjectID(), Where: map[string][]string{}, Name: values.Get("name"), After: server.ID(values.Get("marker"))}
	var err error
	if q.Limit, err = limit(r); err != nil {
		return q, err
	}
	for _, name := range plain {
		for _, v := range values[name] {
			if v != "" {
				q.Where[name] = append(q.Where[name], last(v))
			}
		}
	}
	for _, name := range unfiltered {
		if v := values.Get(name); v != "" && v != "None" && v != "False" {
			return q, fault.Field(name, "servers can not be filtered by %s here", name)
		}
	}
	if err := whose(r, &q); err != nil {
		return q, err
	}
	for _, v := range values["status"] {
		// A status that no server here can have selects none.
		if v = strings.ToUpper(v); v != "" {
			q.Statuses = append(q.Statuses, server.Status(v))
		}
	}
	q.Statuses = slices.DeleteFunc(q.Statuses, func(s server.Status) bool { return s == "DELETED" || s == "SOFT_DELETED" })
	deleted, err := truth(r, "deleted")
	if err != nil {
		return q, err
	}
	q.Deleted = deleted != nil && *deleted || len(values["status"]) > 0 && values.Get("status") != "" && !known(q.Statuses)
	q.Tags, q.AnyTag, q.NotTags, q.NotAnyTag = words(r, "tags"), words(r, "tags-any"), words(r, "not-tags"), words(r, "not-tags-any")
	if q.Locked, err = truth(r, "locked"); err != nil {
		return q, err
	}
	for _, name := range []string{"ip", "ip6"} {
		if v := values.Get(name); v != "" {
			q.Address = v
		}
	}
	return q, times(r, &q)
}

// known reports whether any of the statuses is one that servers here can have.
func known(all []server.Status) bool {
	return slices.ContainsFunc(all, func(s server.Status) bool { return slices.Contains(statuses, s) })
}

// whose reads of which project servers are wanted: only operators may look at others'.
func whose(r *api.Request, q *server.Query) error {
	project := r.URL.Query().Get("project_id")
	if project == "" {
		project = r.URL.Query().Get("tenant_id")
	}
	for _, name := range []string{"all_tenants", "all_projects"} {
		v := r.URL.Query().Get(name)
		if !r.URL.Query().Has(name) || v == "0" || strings.EqualFold(v, "false") {
			continue
		}
		if !r.Caller.Operator() {
			return fault.Errorf(fault.Denied, "only an operator may list the servers of all projects")
		}
		q.Project = project
		return nil
	}
	if project != "" && project != q.Project {
		if !r.Caller.Operator() {
			return fault.Errorf(fault.Denied, "only an operator may list the servers of another project")
		}
		q.Project = project
	}
	return nil
}

// words splits a list by commas.
func words(r *api.Request, name string) []string {
	v := r.URL.Query().Get(name)
	if v == "" {
		return nil
	}
	return strings.Split(v, ",")
}

// times reads since and before when servers are wanted, and how they are sorted.
func times(r *api.Request, q *server.Query) error {
	for name, at := range map[string]*time.Time{"changes-since": &q.Since, "changes-before": &q.Before} {
		var err error
		if *at, err = timeOf(r, name); err != nil {
			return err
		}
	}
	dirs := r.URL.Query()["sort_dir"]
	for i, key := range r.URL.Query()["sort_key"] {
		o := server.Order{By: key, Descending: true}
		if i < len(dirs) {
			if dirs[i] != "asc" && dirs[i] != "desc" {
				return fault.Field("sort_dir", "must be asc or desc")
			}
			o.Descending = dirs[i] == "desc"
		}
		q.Sort = append(q.Sort, o)
	}
	return nil
}

// timeOf reads a time of a query; zero when it is not there.
func timeOf(r *api.Request, name string) (time.Time, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999", "2006-01-02 15:04:05.999999", "2006-01-02T15:04:05", "2006-01-02"} {
		if at, err := time.Parse(form, strings.Replace(v, " 00:00", "+00:00", 1)); err == nil { // a plus that was not quoted
			return at.UTC(), nil
		}
	}
	return time.Time{}, fault.Field(name, "%q is not a time such as 2030-01-31T12:00:00Z", v)
}
