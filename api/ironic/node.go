package ironic

import (
	"net/http"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// defaults of a list, as Ironic has them.
const pageMost = 1000

func (i *ironic) nodes(w http.ResponseWriter, r *api.Request) error {
	if detail, err := boolOf(r, "detail"); err != nil || (detail != nil && *detail) {
		if err != nil {
			return err
		}
		return i.nodesDetail(w, r)
	}
	fields := fieldsOf(r)
	if len(fields) == 0 {
		fields = []string{"uuid", "name", "instance_uuid", "power_state", "provision_state", "maintenance"}
	}
	return i.listNodes(w, r, fields)
}

func (i *ironic) nodesDetail(w http.ResponseWriter, r *api.Request) error {
	return i.listNodes(w, r, nil)
}

func (i *ironic) listNodes(w http.ResponseWriter, r *api.Request, fields []string) error {
	f, err := nodeFilter(r)
	if err != nil {
		return err
	}
	heads, err := i.Heads(r.Context(), f)
	if err != nil {
		return err
	}
	out := api.Object{}
	if len(heads) == f.Limit {
		heads = heads[:f.Limit-1]
		q := r.URL.Query()
		q.Set("marker", string(heads[len(heads)-1].ID))
		out["next"] = api.BaseURL(r.Request) + r.URL.Path + "?" + q.Encode()
	}
	texts, err := i.write(r, heads, fields)
	if err != nil {
		return err
	}
	return api.List(w, http.StatusOK, "nodes", texts, out, picked)
}

// nodeFilter reads the filters of a list. One node more than asked for is read, which tells whether there is a next page.
func nodeFilter(r *api.Request) (node.Filter, error) {
	q := r.URL.Query()
	p, err := page(r)
	f := node.Filter{Driver: ours(q.Get("driver")), ResourceClass: q.Get("resource_class"), Owner: q.Get("instance_uuid"), Chassis: q.Get("chassis_uuid"),
		ConductorGroup: q.Get("conductor_group"), Project: q.Get("owner"), Lessee: q.Get("lessee"), Fault: q.Get("fault"), Described: q.Get("description_contains"),
		Parent: node.ID(q.Get("parent_node")), Provision: q.Get("provision_state"), Conductor: q.Get("conductor"), Seen: seen(r), Marker: p.Marker, Limit: p.Limit, Sort: q.Get("sort_key")}
	for _, v := range q["shard"] {
		f.Shards = append(f.Shards, strings.Split(v, ",")...)
	}
	switch q.Get("sort_dir") {
	case "", "asc":
	case "desc":
		f.Down = true
	default:
		return f, fault.Field("sort_dir", "must be asc or desc")
	}
	for name, flag := range map[string]**bool{"associated": &f.Associated, "maintenance": &f.Held, "retired": &f.Retired, "protected": &f.Protected, "sharded": &f.Sharded} {
		if err == nil {
			*flag, err = boolOf(r, name)
		}
	}
	return f, err
}

// seen is the project whose nodes alone the caller sees; "" is all of them.
func seen(r *api.Request) string {
	if api.Permit(r.Caller, api.OperatorsRead) == nil {
		return ""
	}
	return r.Caller.ProjectID()
}

// get returns the node that a path names, if the caller may see it.
func (i *ironic) get(r *api.Request) (*node.Node, error) {
	n, err := i.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return nil, err
	}
	if own := seen(r); own != "" && n.Project != own && n.Lessee != own {
		return nil, unknownNode(r)
	}
	return n, nil
}

func (i *ironic) node(w http.ResponseWriter, r *api.Request) error {
	h, err := i.HeadOf(r.Context(), r.PathValue("node"))
	if own := seen(r); fault.Is(err, fault.NotFound) || (err == nil && own != "" && h.Project != own && h.Lessee != own) {
		return unknownNode(r)
	}
	if err != nil {
		return err
	}
	texts, err := i.write(r, []node.Head{h}, fieldsOf(r))
	if err != nil {
		return err
	}
	if len(texts) == 0 {
		return unknownNode(r)
	}
	return api.Text(w, http.StatusOK, texts[0], picked)
}

func unknownNode(r *api.Request) error {
	return fault.Errorf(fault.NotFound, "no node %q", r.PathValue("node"))
}

func (i *ironic) deleteNode(w http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	return done(w, http.StatusNoContent, i.Delete(r.Context(), n.ID))
}

// validate says what is missing for each interface that Ironic's clients ask about.
func (i *ironic) validate(w http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	out := api.Object{}
	for _, name := range []string{"power", "management", "deploy", "boot", "inspect", "network"} {
		out[name] = api.Object{"result": true}
	}
	if err := i.Reachable(n); err != nil {
		for _, name := range []string{"power", "management"} {
			out[name] = api.Object{"result": false, "reason": fault.Message(err)}
		}
	}
	if err := i.servers.CheckInstance(r.Context(), n); err != nil {
		out["deploy"] = api.Object{"result": false, "reason": fault.Message(err)}
	}
	if err := i.CanBoot(n); err != nil {
		out["boot"] = api.Object{"result": false, "reason": fault.Message(err)}
	}
	return api.JSON(w, http.StatusOK, out)
}

func (i *ironic) inventory(w http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	if n.Inventory == nil {
		return fault.Errorf(fault.NotFound, "the node has no inventory yet; inspect it")
	}
	inv, err := node.Inventory(n.Inventory)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"inventory": inv, "plugin_data": api.Object{}})
}

func (i *ironic) history(w http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	events, err := i.Events(r.Context(), n.ID, pageMost)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, e := range events {
		docs = append(docs, eventDoc(r, n, e))
	}
	return api.JSON(w, http.StatusOK, api.Object{"history": docs})
}

func eventDoc(r *api.Request, n *node.Node, e node.Event) api.Object {
	severity := "INFO"
	if e.Kind == "failed" {
		severity = "ERROR"
	}
	return api.Object{"uuid": e.ID, "created_at": api.Time(e.At), "severity": severity, "event_type": e.Kind, "event": e.Text, "conductor": "", "user": nil,
		"links": self(r, "nodes", string(n.ID)+"/history/"+e.ID)}
}

func (i *ironic) historyEvent(w http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	events, err := i.Events(r.Context(), n.ID, pageMost)
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.ID == r.PathValue("event") {
			return api.JSON(w, http.StatusOK, eventDoc(r, n, e))
		}
	}
	return fault.Errorf(fault.NotFound, "the node has no event %q", r.PathValue("event"))
}

func (i *ironic) children(w http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	all, err := i.List(r.Context(), node.Filter{Parent: n.ID, Seen: seen(r), Limit: pageMost})
	if err != nil {
		return err
	}
	ids := []string{}
	for _, c := range all {
		ids = append(ids, string(c.ID))
	}
	return api.JSON(w, http.StatusOK, api.Object{"children": ids})
}

func (i *ironic) shards(w http.ResponseWriter, r *api.Request) error {
	all, err := i.Shards(r.Context())
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"shards": all})
}
