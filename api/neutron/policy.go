package neutron

import (
	"context"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/network"
)

type policyBody struct {
	ObjectType string `json:"object_type" on:"post"`
	ObjectID   string `json:"object_id" on:"post"`
	Action     string `json:"action" on:"post"`
	Target     string `json:"target_tenant"`
	TenantID   string `json:"tenant_id" on:"post"`
	ProjectID  string `json:"project_id" on:"post"`
}

func (n *neutron) policyKind() kind[network.Policy, policyBody] {
	return kind[network.Policy, policyBody]{one: "rbac_policy", many: "rbac_policies", doc: policyDoc, list: n.Policies, get: n.Policy,
		create: n.createPolicies, update: func(r *api.Request, id string, _ int64, b policyBody) (network.Policy, error) {
			return n.RetargetPolicy(r.Context(), owner(r), id, b.Target)
		}, remove: func(ctx context.Context, o network.Owner, id string, _ int64) error {
			return n.DeletePolicy(ctx, o, id)
		}, readOnly: "id"}
}

func policyDoc(_ *api.Request, p network.Policy) api.Object {
	return api.Object{"id": p.ID, "tenant_id": p.ProjectID, "project_id": p.ProjectID, "object_type": p.ObjectType, "object_id": p.ObjectID,
		"action": p.Action, "target_tenant": p.Target}
}

func (n *neutron) createPolicies(r *api.Request, bodies []policyBody) ([]network.Policy, error) {
	ps := make([]network.Policy, len(bodies))
	for i, b := range bodies {
		project, err := projectOf(r, b.TenantID, b.ProjectID)
		if err != nil {
			return nil, err
		}
		ps[i] = network.Policy{Record: network.Record{ProjectID: project}, ObjectType: b.ObjectType, ObjectID: b.ObjectID, Action: b.Action, Target: b.Target}
	}
	return n.CreatePolicies(r.Context(), owner(r), ps)
}
