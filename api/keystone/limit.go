package keystone

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

func (k *keystone) limitRoutes() []api.Route {
	return []api.Route{
		{"GET", "/v3/registered_limits", api.Authenticated, k.registeredLimits},
		{"POST", "/v3/registered_limits", api.Operators, k.createRegisteredLimits},
		{"GET", "/v3/registered_limits/{limit}", api.Authenticated, k.showRegisteredLimit},
		{"PATCH", "/v3/registered_limits/{limit}", api.Operators, k.updateRegisteredLimit},
		{"DELETE", "/v3/registered_limits/{limit}", api.Operators, k.deleteRegisteredLimit},
		{"GET", "/v3/limits/model", api.Authenticated, k.limitModel},
		{"GET", "/v3/limits", api.Authenticated, k.limits},
		{"POST", "/v3/limits", api.Operators, k.createLimits},
		{"GET", "/v3/limits/{limit}", api.Authenticated, k.showLimit},
		{"PATCH", "/v3/limits/{limit}", api.Operators, k.updateLimit},
		{"DELETE", "/v3/limits/{limit}", api.Operators, k.deleteLimit},

		{"GET", "/v3/policies", api.OperatorsRead, k.policies},
		{"POST", "/v3/policies", api.Operators, k.createPolicy},
		{"GET", "/v3/policies/{policy}", api.OperatorsRead, k.showPolicy},
		{"PATCH", "/v3/policies/{policy}", api.Operators, k.updatePolicy},
		{"DELETE", "/v3/policies/{policy}", api.Operators, k.deletePolicy},
	}
}

func registeredDoc(r *api.Request, l identity.RegisteredLimit) api.Object {
	return api.Object{"id": l.ID, "service_id": l.ServiceID, "region_id": orNull(l.RegionID), "resource_name": l.ResourceName, "default_limit": l.DefaultLimit,
		"description": orNull(l.Description), "links": self(r, "registered_limits", l.ID)}
}

func (k *keystone) registeredLimits(w http.ResponseWriter, r *api.Request) error {
	q, err := query(r, "service_id", "region_id", "resource_name")
	if err != nil {
		return err
	}
	ls, err := k.RegisteredLimits(r.Context(), q)
	return list(w, r, "registered_limits", ls, err, registeredDoc)
}

type registeredBody struct {
	ServiceID    *string `json:"service_id"`
	RegionID     *string `json:"region_id"`
	ResourceName *string `json:"resource_name"`
	DefaultLimit *int64  `json:"default_limit"`
	Description  *string `json:"description"`
}

func (b registeredBody) apply(l *identity.RegisteredLimit) {
	api.Set(&l.ServiceID, b.ServiceID)
	api.Set(&l.RegionID, b.RegionID)
	api.Set(&l.ResourceName, b.ResourceName)
	api.Set(&l.DefaultLimit, b.DefaultLimit)
	api.Set(&l.Description, b.Description)
}

func (k *keystone) createRegisteredLimits(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Limits []registeredBody `json:"registered_limits"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	ls := make([]identity.RegisteredLimit, len(b.Limits))
	for i, l := range b.Limits {
		if l.DefaultLimit == nil {
			return fault.Field("default_limit", "is missing")
		}
		l.apply(&ls[i])
	}
	ls, err := k.CreateRegisteredLimits(r.Context(), ls)
	if err != nil {
		return err
	}
	out := []api.Object{}
	for _, l := range ls {
		out = append(out, registeredDoc(r, l))
	}
	return api.JSON(w, http.StatusCreated, api.Object{"registered_limits": out})
}

func (k *keystone) showRegisteredLimit(w http.ResponseWriter, r *api.Request) error {
	l, err := k.RegisteredLimit(r.Context(), r.PathValue("limit"))
	return show(w, r, http.StatusOK, "registered_limit", l, err, registeredDoc)
}

func (k *keystone) updateRegisteredLimit(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Limit registeredBody `json:"registered_limit"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	l, err := k.RegisteredLimit(r.Context(), r.PathValue("limit"))
	if err != nil {
		return err
	}
	b.Limit.apply(&l)
	return show(w, r, http.StatusOK, "registered_limit", l, k.UpdateRegisteredLimit(r.Context(), l), registeredDoc)
}

func (k *keystone) deleteRegisteredLimit(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, k.DeleteRegisteredLimit(r.Context(), r.PathValue("limit")))
}

// limitModel tells how limits of projects in each other relate: not at all.
func (k *keystone) limitModel(w http.ResponseWriter, r *api.Request) error {
	return api.JSON(w, http.StatusOK, api.Object{"model": api.Object{"name": "flat", "description": "Limits are of each project by itself; projects below it do not count."}})
}

func limitDoc(r *api.Request, l identity.Limit) api.Object {
	return api.Object{"id": l.ID, "service_id": l.ServiceID, "region_id": orNull(l.RegionID), "resource_name": l.ResourceName, "resource_limit": l.ResourceLimit,
		"project_id": orNull(l.ProjectID), "domain_id": orNull(l.DomainID), "description": orNull(l.Description), "links": self(r, "limits", l.ID)}
}

// seesLimit reports whether a limit is of the caller's project or domain, or of one that the caller may look into.
func (k *keystone) seesLimit(r *api.Request, l identity.Limit) bool {
	c := r.Caller
	return c.ReadsAll() || (l.ProjectID != "" && l.ProjectID == c.ProjectID()) || (l.DomainID != "" && c.Domain != nil && l.DomainID == c.Domain.ID)
}

func (k *keystone) limits(w http.ResponseWriter, r *api.Request) error {
	q := r.URL.Query()
	l := identity.LimitQuery{Service: q.Get("service_id"), Region: q.Get("region_id"), Resource: q.Get("resource_name"), Project: q.Get("project_id"), Domain: q.Get("domain_id")}
	switch c := r.Caller; {
	case c.ReadsAll():
	case c.Project != nil:
		l.Project = c.Project.ID
	case c.Domain != nil:
		l.Domain = c.Domain.ID
	default:
		return fault.Errorf(fault.Denied, "limits are of projects and domains: the token must be scoped to one")
	}
	ls, err := k.Limits(r.Context(), l)
	return list(w, r, "limits", ls, err, limitDoc)
}

type limitBody struct {
	ServiceID     string  `json:"service_id"`
	RegionID      string  `json:"region_id"`
	ResourceName  string  `json:"resource_name"`
	ProjectID     string  `json:"project_id"`
	DomainID      string  `json:"domain_id"`
	ResourceLimit *int64  `json:"resource_limit"`
	Description   *string `json:"description"`
}

func (k *keystone) createLimits(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Limits []limitBody `json:"limits"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	ls := make([]identity.Limit, len(b.Limits))
	for i, l := range b.Limits {
		if l.ResourceLimit == nil {
			return fault.Field("resource_limit", "is missing")
		}
		ls[i] = identity.Limit{ServiceID: l.ServiceID, RegionID: l.RegionID, ResourceName: l.ResourceName, ProjectID: l.ProjectID, DomainID: l.DomainID, ResourceLimit: *l.ResourceLimit}
		api.Set(&ls[i].Description, l.Description)
	}
	ls, err := k.CreateLimits(r.Context(), ls)
	if err != nil {
		return err
	}
	out := []api.Object{}
	for _, l := range ls {
		out = append(out, limitDoc(r, l))
	}
	return api.JSON(w, http.StatusCreated, api.Object{"limits": out})
}

func (k *keystone) seenLimit(r *api.Request) (identity.Limit, error) {
	l, err := k.Limit(r.Context(), r.PathValue("limit"))
	if err == nil && !k.seesLimit(r, l) {
		err = fault.Errorf(fault.NotFound, "no limit %q", r.PathValue("limit"))
	}
	return l, err
}

func (k *keystone) showLimit(w http.ResponseWriter, r *api.Request) error {
	l, err := k.seenLimit(r)
	return show(w, r, http.StatusOK, "limit", l, err, limitDoc)
}

func (k *keystone) updateLimit(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Limit struct {
			ResourceLimit *int64  `json:"resource_limit"`
			Description   *string `json:"description"`
		} `json:"limit"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	l, err := k.seenLimit(r)
	if err != nil {
		return err
	}
	api.Set(&l.ResourceLimit, b.Limit.ResourceLimit)
	api.Set(&l.Description, b.Limit.Description)
	return show(w, r, http.StatusOK, "limit", l, k.UpdateLimit(r.Context(), l), limitDoc)
}

func (k *keystone) deleteLimit(w http.ResponseWriter, r *api.Request) error {
	return api.Gone(w, k.DeleteLimit(r.Context(), r.PathValue("limit")))
}
