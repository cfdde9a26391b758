package neutron

import (
	"encoding/json"
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

func quotaDoc(qs []network.Quota) api.Object {
	d := api.Object{}
	for _, q := range qs {
		d[q.Resource] = q.Limit
	}
	return d
}

// quotaProject is the project whose quotas are asked for: a tenant may see its own.
func quotaProject(r *api.Request) (string, error) {
	p := r.PathValue("project")
	if p != r.Caller.ProjectID() && !r.Caller.Operator() {
		return "", fault.Errorf(fault.Denied, "only an operator may see the quotas of other projects")
	}
	return p, nil
}

func (n *neutron) quota(w http.ResponseWriter, r *api.Request) error {
	p, err := quotaProject(r)
	if err != nil {
		return err
	}
	qs, err := n.Quotas(r.Context(), p, false)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"quota": quotaDoc(qs)})
}

func (n *neutron) quotaDefault(w http.ResponseWriter, r *api.Request) error {
	if _, err := quotaProject(r); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"quota": quotaDoc(n.DefaultQuotas())})
}

func (n *neutron) quotaDetails(w http.ResponseWriter, r *api.Request) error {
	p, err := quotaProject(r)
	if err != nil {
		return err
	}
	qs, err := n.Quotas(r.Context(), p, true)
	if err != nil {
		return err
	}
	d := api.Object{}
	for _, q := range qs {
		d[q.Resource] = api.Object{"limit": q.Limit, "used": q.Used, "reserved": 0}
	}
	return api.JSON(w, http.StatusOK, api.Object{"quota": d})
}

func (n *neutron) quotasSet(w http.ResponseWriter, r *api.Request) error {
	set, err := n.QuotasSet(r.Context())
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for project, qs := range set {
		d := quotaDoc(qs)
		d["tenant_id"], d["project_id"] = project, project
		docs = append(docs, d)
	}
	return api.JSON(w, http.StatusOK, api.Object{"quotas": docs})
}

func (n *neutron) setQuota(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Quota map[string]json.RawMessage `json:"quota"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	amounts := map[string]int{}
	for name, raw := range b.Quota {
		switch name {
		case "tenant_id", "project_id": // in the path
			continue
		case "force": // a quota may always be less than what there is
			continue
		}
		var amount int
		if err := json.Unmarshal(raw, &amount); err != nil {
			return fault.Field(name, "must be a number")
		}
		amounts[name] = amount
	}
	if err := n.SetQuotas(r.Context(), r.PathValue("project"), amounts); err != nil {
		return err
	}
	return n.quota(w, r)
}

func (n *neutron) resetQuota(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, n.ResetQuotas(r.Context(), r.PathValue("project")))
}
