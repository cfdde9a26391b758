package keystone

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

func (k *keystone) roleRoutes() []api.Route {
	return []api.Route{
		{"GET", "/v3/roles", api.Authenticated, k.roles},
		{"POST", "/v3/roles", api.Operators, k.createRole},
		{"GET", "/v3/roles/{role}", api.Authenticated, k.showRole},
		{"PATCH", "/v3/roles/{role}", api.Operators, k.updateRole},
		{"DELETE", "/v3/roles/{role}", api.Operators, k.deleteRole},
		{"GET", "/v3/roles/{prior}/implies", api.OperatorsRead, k.implied},
		{"PUT", "/v3/roles/{prior}/implies/{implied}", api.Operators, k.imply},
		{"GET", "/v3/roles/{prior}/implies/{implied}", api.OperatorsRead, k.showImplied},
		{"HEAD", "/v3/roles/{prior}/implies/{implied}", api.OperatorsRead, k.checkImplied},
		{"DELETE", "/v3/roles/{prior}/implies/{implied}", api.Operators, k.unimply},
		{"GET", "/v3/role_inferences", api.OperatorsRead, k.inferences},
	}
}

func roleDoc(r *api.Request, v identity.Role) api.Object {
	return with(v.Extra, api.Object{"id": v.ID, "name": v.Name, "domain_id": orNull(v.DomainID), "description": orNull(v.Description),
		"options": orNone(v.Options), "links": self(r, "roles", v.ID)})
}

// roles lists the roles of the cloud, or those of a domain.
func (k *keystone) roles(w http.ResponseWriter, r *api.Request) error {
	q, err := query(r, "name", "domain_id")
	if err != nil {
		return err
	}
	if domain := r.URL.Query().Get("domain_id"); domain == "" {
		q = q.And("domain_id", "")
	} else if err := visible(r, domain, "domain", domain); err != nil {
		return err
	}
	rs, err := k.Roles(r.Context(), q)
	return page(w, r, "roles", rs, err, roleDoc)
}

type roleBody struct {
	Name        *string        `json:"name"`
	Description *string        `json:"description"`
	DomainID    *string        `json:"domain_id"`
	Options     identity.Extra `json:"options"`
}

func (b roleBody) apply(v *identity.Role, extra identity.Extra) {
	api.Set(&v.Name, b.Name)
	api.Set(&v.Description, b.Description)
	v.Options, v.Extra = merged(v.Options, b.Options), merged(v.Extra, extra)
}

func (k *keystone) createRole(w http.ResponseWriter, r *api.Request) error {
	var b roleBody
	extra, err := take(w, r, "role", &b)
	if err != nil {
		return err
	}
	var v identity.Role
	api.Set(&v.DomainID, b.DomainID)
	b.apply(&v, extra)
	v, err = k.CreateRole(r.Context(), v)
	return show(w, r, http.StatusCreated, "role", v, err, roleDoc)
}

func (k *keystone) showRole(w http.ResponseWriter, r *api.Request) error {
	v, err := k.Role(r.Context(), r.PathValue("role"))
	if err != nil {
		return err
	}
	if v.DomainID != "" {
		if err := visible(r, v.DomainID, "role", v.ID); err != nil {
			return err
		}
	}
	return api.JSON(w, http.StatusOK, api.Object{"role": roleDoc(r, v)})
}

func (k *keystone) updateRole(w http.ResponseWriter, r *api.Request) error {
	var b roleBody
	extra, err := take(w, r, "role", &b)
	if err != nil {
		return err
	}
	v, err := k.Role(r.Context(), r.PathValue("role"))
	if err != nil {
		return err
	}
	if b.DomainID != nil && *b.DomainID != v.DomainID {
		return fault.Field("domain_id", "can not be changed")
	}
	b.apply(&v, extra)
	return show(w, r, http.StatusOK, "role", v, k.UpdateRole(r.Context(), v), roleDoc)
}

func (k *keystone) deleteRole(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, k.DeleteRole(r.Context(), r.PathValue("role")))
}

// inferenceDoc shows a role and the roles that it implies, one or a list.
func (k *keystone) inferenceDoc(r *api.Request, prior string, implied []string) (api.Object, []api.Object, error) {
	roles, err := k.RolesByID(r.Context(), append([]string{prior}, implied...))
	if err != nil {
		return nil, nil, err
	}
	var docs []api.Object
	for _, v := range roles {
		docs = append(docs, api.Object{"id": v.ID, "name": v.Name, "description": orNull(v.Description), "links": self(r, "roles", v.ID)})
	}
	if len(docs) != len(implied)+1 {
		return nil, nil, fault.Errorf(fault.NotFound, "no role %q, or one that it implies", prior)
	}
	return docs[0], docs[1:], nil
}

func (k *keystone) implied(w http.ResponseWriter, r *api.Request) error {
	prior := r.PathValue("prior")
	is, err := k.Implications(r.Context(), prior)
	if err != nil {
		return err
	}
	var ids []string
	for _, i := range is {
		ids = append(ids, i.ImpliedID)
	}
	p, implies, err := k.inferenceDoc(r, prior, ids)
	if err != nil {
		return err
	}
	if implies == nil {
		implies = []api.Object{}
	}
	return api.JSON(w, http.StatusOK, api.Object{"role_inference": api.Object{"prior_role": p, "implies": implies}, "links": self(r, "roles", prior, "implies")})
}

func (k *keystone) oneInference(w http.ResponseWriter, r *api.Request, status int) error {
	prior, implied := r.PathValue("prior"), r.PathValue("implied")
	p, implies, err := k.inferenceDoc(r, prior, []string{implied})
	if err != nil {
		return err
	}
	return api.JSON(w, status, api.Object{"role_inference": api.Object{"prior_role": p, "implies": implies[0]}, "links": self(r, "roles", prior, "implies", implied)})
}

func (k *keystone) imply(w http.ResponseWriter, r *api.Request) error {
	if err := k.Imply(r.Context(), r.PathValue("prior"), r.PathValue("implied")); err != nil {
		return err
	}
	return k.oneInference(w, r, http.StatusCreated)
}

// implication reports with a fault whether the path's implication is there.
func (k *keystone) implication(r *api.Request) error {
	is, err := k.Implications(r.Context(), r.PathValue("prior"))
	for _, i := range is {
		if i.ImpliedID == r.PathValue("implied") {
			return nil
		}
	}
	if err == nil {
		err = fault.Errorf(fault.NotFound, "the role %q does not imply %q", r.PathValue("prior"), r.PathValue("implied"))
	}
	return err
}

func (k *keystone) showImplied(w http.ResponseWriter, r *api.Request) error {
	if err := k.implication(r); err != nil {
		return err
	}
	return k.oneInference(w, r, http.StatusOK)
}

func (k *keystone) checkImplied(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, k.implication(r))
}

func (k *keystone) unimply(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, k.Unimply(r.Context(), r.PathValue("prior"), r.PathValue("implied")))
}

func (k *keystone) inferences(w http.ResponseWriter, r *api.Request) error {
	is, err := k.Implications(r.Context(), "")
	if err != nil {
		return err
	}
	out := []api.Object{}
	for i := 0; i < len(is); {
		prior, ids := is[i].PriorID, []string(nil)
		for ; i < len(is) && is[i].PriorID == prior; i++ {
			ids = append(ids, is[i].ImpliedID)
		}
		p, implies, err := k.inferenceDoc(r, prior, ids)
		if err != nil {
			return err
		}
		out = append(out, api.Object{"prior_role": p, "implies": implies})
	}
	return api.JSON(w, http.StatusOK, api.Object{"role_inferences": out, "links": self(r, "role_inferences")})
}
