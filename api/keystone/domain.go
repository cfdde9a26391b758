package keystone

import (
	"net/http"
	"slices"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/identity"
)

func domainDoc(r *api.Request, p identity.Project) api.Object {
	return with(p.Extra, api.Object{"id": p.ID, "name": p.Name, "description": p.Description, "enabled": p.Enabled, "tags": tagsDoc(p.Tags)["tags"],
		"options": orNone(p.Options), "links": self(r, "domains", p.ID)})
}

// domains lists all domains for who may look at everything; others see those of their own, because clients look names up here.
func (k *keystone) domains(w http.ResponseWriter, r *api.Request) error {
	q, err := query(r, "name", "enabled?", "id")
	if err != nil {
		return err
	}
	if !r.Caller.ReadsAll() {
		q = q.And("id", homes(r))
	}
	ds, err := k.Projects(r.Context(), q.And("is_domain", true), identity.TagFilter{})
	return page(w, r, "domains", ds, err, domainDoc)
}

// homes are the domains that anyone may know of: of the user, and of what the token is scoped to.
func homes(r *api.Request) []string {
	ids := []string{r.Caller.User.DomainID}
	if r.Caller.Project != nil {
		ids = append(ids, r.Caller.Project.DomainID)
	}
	if r.Caller.Domain != nil {
		ids = append(ids, r.Caller.Domain.ID)
	}
	return ids
}

func (k *keystone) showDomain(w http.ResponseWriter, r *api.Request) error {
	id := r.PathValue("domain")
	if !slices.Contains(homes(r), id) {
		if err := visible(r, id, "domain", id); err != nil {
			return err
		}
	}
	d, err := k.Domain(r.Context(), id)
	return show(w, r, http.StatusOK, "domain", d, err, domainDoc)
}

type domainBody struct {
	Name        *string        `json:"name"`
	Description *string        `json:"description"`
	Enabled     *bool          `json:"enabled"`
	Tags        *[]string      `json:"tags"`
	Options     identity.Extra `json:"options"`
}

func (b domainBody) apply(p *identity.Project, extra identity.Extra) {
	projectBody{Name: b.Name, Description: b.Description, Enabled: b.Enabled, Tags: b.Tags, Options: b.Options}.apply(p, extra)
}

func (k *keystone) createDomain(w http.ResponseWriter, r *api.Request) error {
	var b domainBody
	extra, err := take(w, r, "domain", &b)
	if err != nil {
		return err
	}
	d := identity.Project{Enabled: true, IsDomain: true}
	b.apply(&d, extra)
	d, err = k.CreateProject(r.Context(), d)
	return show(w, r, http.StatusCreated, "domain", d, err, domainDoc)
}

func (k *keystone) updateDomain(w http.ResponseWriter, r *api.Request) error {
	var b domainBody
	extra, err := take(w, r, "domain", &b)
	if err != nil {
		return err
	}
	d, err := k.Domain(r.Context(), r.PathValue("domain"))
	if err != nil {
		return err
	}
	b.apply(&d, extra)
	return show(w, r, http.StatusOK, "domain", d, k.UpdateProject(r.Context(), d), domainDoc)
}

func (k *keystone) deleteDomain(w http.ResponseWriter, r *api.Request) error {
	d, err := k.Domain(r.Context(), r.PathValue("domain"))
	if err != nil {
		return err
	}
	return api.Gone(w, k.DeleteProject(r.Context(), d.ID))
}
