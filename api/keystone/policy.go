package keystone

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/identity"
)

func policyDoc(r *api.Request, p identity.PolicyBlob) api.Object {
	return with(p.Extra, api.Object{"id": p.ID, "type": p.Type, "blob": p.Blob, "links": self(r, "policies", p.ID)})
}

func (k *keystone) policies(w http.ResponseWriter, r *api.Request) error {
	q, err := query(r, "type")
	if err != nil {
		return err
	}
	ps, err := k.Policies(r.Context(), q)
	return list(w, r, "policies", ps, err, policyDoc)
}

type policyBody struct {
	Type *string `json:"type"`
	Blob *string `json:"blob"`
}

func (b policyBody) apply(p *identity.PolicyBlob, extra identity.Extra) {
	api.Set(&p.Type, b.Type)
	api.Set(&p.Blob, b.Blob)
	p.Extra = merged(p.Extra, extra)
}

func (k *keystone) createPolicy(w http.ResponseWriter, r *api.Request) error {
	var b policyBody
	extra, err := take(w, r, "policy", &b)
	if err != nil {
		return err
	}
	var p identity.PolicyBlob
	b.apply(&p, extra)
	p, err = k.CreatePolicy(r.Context(), p)
	return show(w, r, http.StatusCreated, "policy", p, err, policyDoc)
}

func (k *keystone) showPolicy(w http.ResponseWriter, r *api.Request) error {
	p, err := k.PolicyBlob(r.Context(), r.PathValue("policy"))
	return show(w, r, http.StatusOK, "policy", p, err, policyDoc)
}

func (k *keystone) updatePolicy(w http.ResponseWriter, r *api.Request) error {
	var b policyBody
	extra, err := take(w, r, "policy", &b)
	if err != nil {
		return err
	}
	p, err := k.PolicyBlob(r.Context(), r.PathValue("policy"))
	if err != nil {
		return err
	}
	b.apply(&p, extra)
	return show(w, r, http.StatusOK, "policy", p, k.UpdatePolicy(r.Context(), p), policyDoc)
}

func (k *keystone) deletePolicy(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, k.DeletePolicy(r.Context(), r.PathValue("policy")))
}
