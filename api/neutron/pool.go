package neutron

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/network"
)

type poolBody struct {
	Name          *string           `json:"name"`
	Description   *string           `json:"description"`
	Prefixes      *[]netip.Prefix   `json:"prefixes"`
	MinPrefix     *integer          `json:"min_prefixlen"`
	DefaultPrefix *integer          `json:"default_prefixlen"`
	MaxPrefix     *integer          `json:"max_prefixlen"`
	Quota         optional[integer] `json:"default_quota"`
	ScopeID       optional[string]  `json:"address_scope_id"`
	IsDefault     *bool             `json:"is_default" for:"operators"`
	Tags          tagsBody          `json:"tags"`
	Shared        *bool             `json:"shared" on:"post"`
	TenantID      string            `json:"tenant_id" on:"post"`
	ProjectID     string            `json:"project_id" on:"post"`
}

func (n *neutron) poolKind() kind[network.Pool, poolBody] {
	return kind[network.Pool, poolBody]{one: "subnetpool", many: "subnetpools", doc: poolDoc, list: n.Pools, get: n.Pool, create: n.createPools,
		update: func(r *api.Request, id string, rev int64, b poolBody) (network.Pool, error) {
			return n.EditPool(r.Context(), owner(r), id, rev, b.apply)
		}, remove: n.DeletePool, readOnly: "id ip_version created_at updated_at revision_number"}
}

func poolDoc(r *api.Request, p network.Pool) api.Object {
	var quota any
	if p.Quota != network.Unlimited {
		quota = p.Quota
	}
	return api.Object{"id": p.ID, "name": p.Name, "description": p.Description, "tenant_id": p.ProjectID, "project_id": p.ProjectID, "ip_version": p.IPVersion,
		"prefixes": orEmpty(p.Prefixes), "min_prefixlen": p.MinPrefix, "default_prefixlen": p.DefaultPrefix, "max_prefixlen": p.MaxPrefix,
		"default_quota": quota, "address_scope_id": orNull(p.ScopeID), "is_default": p.IsDefault, "shared": sharedWith(r, p.Shared, p.ProjectID),
		"tags": tags(p.Tags, p.Labels), "revision_number": p.Revision, "created_at": api.Time(p.CreatedAt), "updated_at": api.Time(p.UpdatedAt)}
}

func (b poolBody) apply(p *network.Pool) error {
	api.Set(&p.Name, b.Name)
	api.Set(&p.Description, b.Description)
	api.Set(&p.Prefixes, b.Prefixes)
	api.Set(&p.MinPrefix, (*int)(b.MinPrefix))
	api.Set(&p.DefaultPrefix, (*int)(b.DefaultPrefix))
	api.Set(&p.MaxPrefix, (*int)(b.MaxPrefix))
	api.Set(&p.IsDefault, b.IsDefault)
	if b.Quota.given {
		p.Quota = network.Unlimited
		api.Set(&p.Quota, (*int)(b.Quota.value))
	}
	b.ScopeID.into(&p.ScopeID)
	return b.Tags.into(&p.Tags, &p.Labels)
}

func (n *neutron) createPools(r *api.Request, bodies []poolBody) ([]network.Pool, error) {
	ps := make([]network.Pool, len(bodies))
	for i, b := range bodies {
		project, err := projectOf(r, b.TenantID, b.ProjectID)
		if err != nil {
			return nil, err
		}
		if err := mayShare(r, b.Shared); err != nil {
			return nil, err
		}
		ps[i] = network.Pool{Record: network.Record{ProjectID: project}, Quota: network.Unlimited}
		api.Set(&ps[i].Shared, b.Shared)
		if err := b.apply(&ps[i]); err != nil {
			return nil, err
		}
	}
	return n.CreatePools(r.Context(), owner(r), ps)
}

// prefixes serves the verbs that add prefixes to a subnet pool and take them away.
func (n *neutron) prefixes(w http.ResponseWriter, r *api.Request, do func(ctx context.Context, o network.Owner, id string, ps []netip.Prefix) (network.Pool, error)) error {
	var b struct {
		Prefixes []netip.Prefix `json:"prefixes"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	p, err := do(r.Context(), owner(r), r.PathValue("id"), b.Prefixes)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"prefixes": p.Prefixes})
}

func (n *neutron) addPrefixes(w http.ResponseWriter, r *api.Request) error {
	return n.prefixes(w, r, n.AddPrefixes)
}

func (n *neutron) removePrefixes(w http.ResponseWriter, r *api.Request) error {
	return n.prefixes(w, r, n.RemovePrefixes)
}

type scopeBody struct {
	Name      *string `json:"name"`
	Shared    *bool   `json:"shared"`
	IPVersion integer `json:"ip_version" on:"post"`
	TenantID  string  `json:"tenant_id" on:"post"`
	ProjectID string  `json:"project_id" on:"post"`
}

func (n *neutron) scopeKind() kind[network.Scope, scopeBody] {
	return kind[network.Scope, scopeBody]{one: "address_scope", many: "address_scopes", doc: scopeDoc, list: n.Scopes, get: n.Scope, create: n.createScopes,
		update: func(r *api.Request, id string, _ int64, b scopeBody) (network.Scope, error) {
			if err := mayShare(r, b.Shared); err != nil {
				return network.Scope{}, err
			}
			return n.EditScope(r.Context(), owner(r), id, func(s *network.Scope) error {
				api.Set(&s.Name, b.Name)
				api.Set(&s.Shared, b.Shared)
				return nil
			})
		}, remove: func(ctx context.Context, o network.Owner, id string, _ int64) error { return n.DeleteScope(ctx, o, id) }, readOnly: "id"}
}

func scopeDoc(r *api.Request, s network.Scope) api.Object {
	return api.Object{"id": s.ID, "name": s.Name, "tenant_id": s.ProjectID, "project_id": s.ProjectID, "ip_version": s.IPVersion, "shared": sharedWith(r, s.Shared, s.ProjectID)}
}

func (n *neutron) createScopes(r *api.Request, bodies []scopeBody) ([]network.Scope, error) {
	ss := make([]network.Scope, len(bodies))
	for i, b := range bodies {
		project, err := projectOf(r, b.TenantID, b.ProjectID)
		if err != nil {
			return nil, err
		}
		if err := mayShare(r, b.Shared); err != nil {
			return nil, err
		}
		ss[i] = network.Scope{Record: network.Record{ProjectID: project}, IPVersion: int(b.IPVersion)}
		api.Set(&ss[i].Name, b.Name)
		api.Set(&ss[i].Shared, b.Shared)
	}
	return n.CreateScopes(r.Context(), ss)
}
