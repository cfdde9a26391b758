package nova

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/server"
)

func groupDoc(r *api.Request, g server.Group) api.Object {
	d := api.Object{"id": g.ID, "name": g.Name, "members": g.Members}
	d["project_id"], d["user_id"] = g.ProjectID, g.UserID
	if microOf(r) < 64 {
		d["policies"], d["metadata"] = []server.Policy{g.Policy}, api.Object{}
	} else {
		rules := api.Object{}
		if g.Most > 0 {
			rules["max_server_per_host"] = g.Most
		}
		d["policy"], d["rules"] = g.Policy, rules
	}
	return since{"project_id": 13, "user_id": 13}.at(r, d)
}

func (n *nova) groups(w http.ResponseWriter, r *api.Request) error {
	project := r.Caller.ProjectID()
	if r.URL.Query().Has("all_projects") && r.Caller.Operator() {
		project = ""
	}
	most, err := limit(r)
	if err != nil {
		return err
	}
	var offset number
	if v := r.URL.Query().Get("offset"); v != "" {
		if err := offset.UnmarshalJSON([]byte(v)); err != nil || offset < 0 {
			return fault.Field("offset", "must be a number, 0 or more")
		}
	}
	gs, err := n.servers.Groups(r.Context(), project, int(offset), most)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, g := range gs {
		docs = append(docs, groupDoc(r, g))
	}
	return api.JSON(w, http.StatusOK, api.Object{"server_groups": docs})
}

func (n *nova) createGroup(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Group struct {
			Name     string          `json:"name"`
			Policies []server.Policy `json:"policies"`
			Policy   server.Policy   `json:"policy"`
			Rules    struct {
				Most number `json:"max_server_per_host"`
			} `json:"rules"`
		} `json:"server_group"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	in := b.Group
	if len(in.Policies) == 1 && in.Policy == "" {
		in.Policy = in.Policies[0]
	} else if len(in.Policies) > 0 {
		return fault.Field("policies", "must name one policy")
	}
	g, err := n.servers.CreateGroup(r.Context(), server.Group{ProjectID: r.Caller.ProjectID(), UserID: r.Caller.User.ID, Name: in.Name, Policy: in.Policy, Most: int(in.Rules.Most)})
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"server_group": groupDoc(r, g)})
}

func (n *nova) group(w http.ResponseWriter, r *api.Request) error {
	g, err := n.servers.Group(r.Context(), scope(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"server_group": groupDoc(r, g)})
}

func (n *nova) deleteGroup(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, n.servers.DeleteGroup(r.Context(), scope(r), r.PathValue("id")))
}
