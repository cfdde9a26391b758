package keystone

import (
	"net/http"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

func (k *keystone) projectRoutes() []api.Route {
	return []api.Route{
		{"GET", "/v3/projects", api.DomainReaders, k.projects},
		{"POST", "/v3/projects", api.DomainAdmins, k.createProject},
		{"GET", "/v3/projects/{project}", api.Authenticated, k.showProject},
		{"PATCH", "/v3/projects/{project}", api.DomainAdmins, k.updateProject},
		{"DELETE", "/v3/projects/{project}", api.DomainAdmins, k.deleteProject},
		{"GET", "/v3/projects/{project}/tags", api.Authenticated, k.tags},
		{"PUT", "/v3/projects/{project}/tags", api.DomainAdmins, k.setTags},
		{"DELETE", "/v3/projects/{project}/tags", api.DomainAdmins, k.clearTags},
		{"GET", "/v3/projects/{project}/tags/{tag}", api.Authenticated, k.hasTag},
		{"PUT", "/v3/projects/{project}/tags/{tag}", api.DomainAdmins, k.addTag},
		{"DELETE", "/v3/projects/{project}/tags/{tag}", api.DomainAdmins, k.removeTag},

		{"GET", "/v3/domains", api.Authenticated, k.domains},
		{"POST", "/v3/domains", api.Operators, k.createDomain},
		{"GET", "/v3/domains/{domain}", api.Authenticated, k.showDomain},
		{"PATCH", "/v3/domains/{domain}", api.Operators, k.updateDomain},
		{"DELETE", "/v3/domains/{domain}", api.Operators, k.deleteDomain},
	}
}

func projectDoc(r *api.Request, p identity.Project) api.Object {
	if p.Tags == nil {
		p.Tags = []string{}
	}
	return with(p.Extra, api.Object{"id": p.ID, "name": p.Name, "description": p.Description, "enabled": p.Enabled, "domain_id": orNull(p.DomainID),
		"parent_id": orNull(p.ParentID), "is_domain": p.IsDomain, "tags": p.Tags, "options": orNone(p.Options), "links": self(r, "projects", p.ID)})
}

func (k *keystone) projects(w http.ResponseWriter, r *api.Request) error {
	q, err := query(r, "name", "domain_id", "parent_id", "enabled?", "is_domain?")
	if err != nil {
		return err
	}
	if !r.URL.Query().Has("is_domain") {
		q = q.And("is_domain", false)
	}
	split := func(name string) []string {
		return slices.DeleteFunc(strings.Split(r.URL.Query().Get(name), ","), func(t string) bool { return t == "" })
	}
	ps, err := k.Projects(r.Context(), within(r, q, "domain_id"),
		identity.TagFilter{All: split("tags"), Any: split("tags-any"), NotAll: split("not-tags"), NotAny: split("not-tags-any")})
	return page(w, r, "projects", ps, err, projectDoc)
}

// projectsOf lists the projects or domains that a user has a role on.
func (k *keystone) projectsOf(w http.ResponseWriter, r *api.Request, user string, domains bool) error {
	q, err := query(r, "name", "domain_id")
	if err != nil {
		return err
	}
	ps, err := k.ProjectsOf(r.Context(), user, domains, q)
	if err != nil {
		return err
	}
	if domains {
		return page(w, r, "domains", ps, nil, domainDoc)
	}
	return page(w, r, "projects", ps, nil, projectDoc)
}

type projectBody struct {
	Name        *string        `json:"name"`
	Description *string        `json:"description"`
	Enabled     *bool          `json:"enabled"`
	DomainID    *string        `json:"domain_id"`
	ParentID    *string        `json:"parent_id"`
	IsDomain    bool           `json:"is_domain"`
	Tags        *[]string      `json:"tags"`
	Options     identity.Extra `json:"options"`
}

func (b projectBody) apply(p *identity.Project, extra identity.Extra) {
	api.Set(&p.Name, b.Name)
	api.Set(&p.Description, b.Description)
	api.Set(&p.Enabled, b.Enabled)
	api.Set(&p.Tags, b.Tags)
	p.Options, p.Extra = merged(p.Options, b.Options), merged(p.Extra, extra)
}

// mayPlace refuses callers who may not make a project where it is to be, and finds its domain where none is named. Only operators make domains.
func (k *keystone) mayPlace(r *api.Request, p *identity.Project) error {
	if p.IsDomain {
		if !r.Caller.Operator() {
			return fault.Errorf(fault.Denied, "only operators make domains")
		}
		return nil
	}
	if p.ParentID == "" {
		p.DomainID = homeOf(r, p.DomainID)
		return managed(r, p.DomainID, "domain", p.DomainID)
	}
	parent, err := k.Project(r.Context(), p.ParentID)
	if err != nil {
		return err
	}
	return managed(r, domainOf(parent), "project", parent.ID)
}

func (k *keystone) createProject(w http.ResponseWriter, r *api.Request) error {
	var b projectBody
	extra, err := take(w, r, "project", &b)
	if err != nil {
		return err
	}
	p := identity.Project{Enabled: true, IsDomain: b.IsDomain}
	api.Set(&p.DomainID, b.DomainID)
	api.Set(&p.ParentID, b.ParentID)
	if err := k.mayPlace(r, &p); err != nil {
		return err
	}
	b.apply(&p, extra)
	p, err = k.CreateProject(r.Context(), p)
	return show(w, r, http.StatusCreated, "project", p, err, projectDoc)
}

// domainOf is the domain by which a project, or a domain, is managed.
func domainOf(p identity.Project) string {
	if p.IsDomain {
		return p.ID
	}
	return p.DomainID
}

// seenProject returns the project of the path, if it is the caller's or the caller may look into its domain.
func (k *keystone) seenProject(r *api.Request) (identity.Project, error) {
	p, err := k.Project(r.Context(), r.PathValue("project"))
	if err == nil && p.ID != r.Caller.ProjectID() {
		err = visible(r, domainOf(p), "project", p.ID)
	}
	return p, err
}

// managedProject returns the project of the path, if the caller may change it; a domain only operators change.
func (k *keystone) managedProject(r *api.Request) (identity.Project, error) {
	p, err := k.Project(r.Context(), r.PathValue("project"))
	if err != nil {
		return p, err
	}
	if err := managed(r, domainOf(p), "project", p.ID); err != nil {
		return p, err
	}
	if p.IsDomain && !r.Caller.Operator() {
		return p, fault.Errorf(fault.Denied, "only operators change domains")
	}
	return p, nil
}

func (k *keystone) showProject(w http.ResponseWriter, r *api.Request) error {
	p, err := k.seenProject(r)
	if err != nil {
		return err
	}
	doc := projectDoc(r, p)
	q := r.URL.Query()
	for _, side := range []struct {
		name string
		read func() ([]identity.Project, error)
	}{
		{"parents", func() ([]identity.Project, error) { return k.Ancestors(r.Context(), p.ID) }},
		{"subtree", func() ([]identity.Project, error) { return k.Descendants(r.Context(), p.ID) }},
	} {
		asList, asIDs := asked(q, side.name+"_as_list"), asked(q, side.name+"_as_ids")
		if !asList && !asIDs {
			continue
		}
		ps, err := side.read()
		if err != nil {
			return err
		}
		doc[side.name] = tree(r, p.ID, ps, asIDs)
	}
	return api.JSON(w, http.StatusOK, api.Object{"project": doc})
}

// tree shows the projects above or below one: as documents, or as ids in each other, with null at the ends.
func tree(r *api.Request, root string, ps []identity.Project, asIDs bool) any {
	if !asIDs {
		out := []api.Object{}
		for _, p := range ps {
			out = append(out, api.Object{"project": projectDoc(r, p)})
		}
		return out
	}
	if len(ps) > 0 && !slices.ContainsFunc(ps, func(p identity.Project) bool { return p.ParentID == root }) {
		return chain(ps)
	}
	return below(root, ps)
}

// chain nests ancestors, nearest first.
func chain(ps []identity.Project) any {
	if len(ps) == 0 {
		return nil
	}
	return api.Object{ps[0].ID: chain(ps[1:])}
}

func below(root string, ps []identity.Project) any {
	out := api.Object{}
	for _, p := range ps {
		if p.ParentID == root {
			out[p.ID] = below(p.ID, ps)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func (k *keystone) updateProject(w http.ResponseWriter, r *api.Request) error {
	var b projectBody
	extra, err := take(w, r, "project", &b)
	if err != nil {
		return err
	}
	p, err := k.managedProject(r)
	if err != nil {
		return err
	}
	if b.DomainID != nil && *b.DomainID != p.DomainID {
		return fault.Field("domain_id", "can not be changed")
	}
	if b.ParentID != nil && *b.ParentID != p.ParentID {
		return fault.Errorf(fault.Denied, "the parent of a project can not be changed")
	}
	b.apply(&p, extra)
	return show(w, r, http.StatusOK, "project", p, k.UpdateProject(r.Context(), p), projectDoc)
}

func (k *keystone) deleteProject(w http.ResponseWriter, r *api.Request) error {
	p, err := k.managedProject(r)
	if err != nil {
		return err
	}
	return api.Gone(w, k.DeleteProject(r.Context(), p.ID))
}
