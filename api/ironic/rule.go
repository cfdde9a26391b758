package ironic

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// ruleDoc is an inspection rule. What a sensitive one says is shown to nobody.
func ruleDoc(r *api.Request, one node.InspectionRule) api.Object {
	d := api.Object{"uuid": one.ID, "description": orNull(one.Description), "phase": one.Phase, "priority": one.Priority, "sensitive": one.Sensitive,
		"conditions": one.Conditions, "actions": one.Actions, "created_at": api.Time(one.CreatedAt), "updated_at": api.Time(one.UpdatedAt), "links": self(r, "inspection_rules", one.ID)}
	if one.Sensitive {
		d["conditions"], d["actions"] = nil, nil
	}
	return d
}

func (i *ironic) inspectionRules(w http.ResponseWriter, r *api.Request) error {
	p, err := page(r)
	if err != nil {
		return err
	}
	all, err := i.InspectionRules(r.Context(), r.URL.Query().Get("phase"), p)
	if err != nil {
		return err
	}
	return listed(w, r, "inspection_rules", p, all, []string{"uuid", "description", "phase", "priority", "sensitive"}, ruleDoc)
}

func (i *ironic) createInspectionRule(w http.ResponseWriter, r *api.Request) error {
	var b node.InspectionRule
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	one, err := i.CreateInspectionRule(r.Context(), b)
	if err != nil {
		return err
	}
	return shown(w, r, http.StatusCreated, ruleDoc(r, one))
}

func (i *ironic) inspectionRule(w http.ResponseWriter, r *api.Request) error {
	one, err := i.InspectionRule(r.Context(), r.PathValue("rule"))
	if err != nil {
		return err
	}
	return shown(w, r, http.StatusOK, ruleDoc(r, one))
}

func (i *ironic) patchInspectionRule(w http.ResponseWriter, r *api.Request) error {
	one, err := i.InspectionRule(r.Context(), r.PathValue("rule"))
	if err != nil {
		return err
	}
	var b node.InspectionRule
	if err := patch(w, r, api.Object{"description": one.Description, "phase": one.Phase, "priority": one.Priority, "sensitive": one.Sensitive,
		"conditions": one.Conditions, "actions": one.Actions}, &b); err != nil {
		return err
	}
	if one.Sensitive && !b.Sensitive {
		return fault.Field("sensitive", "can not be taken back: what the rule says would be shown; make a new one")
	}
	b.ID, b.CreatedAt = one.ID, one.CreatedAt
	if one, err = i.UpdateInspectionRule(r.Context(), b); err != nil {
		return err
	}
	return shown(w, r, http.StatusOK, ruleDoc(r, one))
}

func (i *ironic) deleteInspectionRule(w http.ResponseWriter, r *api.Request) error {
	return done(w, http.StatusNoContent, i.DeleteInspectionRule(r.Context(), r.PathValue("rule")))
}

func (i *ironic) deleteInspectionRules(w http.ResponseWriter, r *api.Request) error {
	return done(w, http.StatusNoContent, i.DeleteInspectionRules(r.Context()))
}
