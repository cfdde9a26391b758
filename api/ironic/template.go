package ironic

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/node"
)

// templates serves the templates of one kind: deploy templates or runbooks.
type templates struct {
	*ironic
	kind string
	path string // such as deploy_templates
}

func (t templates) doc(r *api.Request, one node.Template) api.Object {
	d := api.Object{"uuid": one.ID, "name": one.Name, "steps": one.Steps, "extra": orObject(one.Extra), "created_at": api.Time(one.CreatedAt), "updated_at": api.Time(one.UpdatedAt),
		"links": self(r, t.path, one.ID)}
	if t.kind == node.Runbook {
		d["owner"], d["public"], d["disable_ramdisk"], d["description"] = orNull(one.Project), one.Public, one.DisableRamdisk, orNull(one.Description)
	}
	return d
}

func (t templates) list(w http.ResponseWriter, r *api.Request) error {
	p, err := page(r)
	if err != nil {
		return err
	}
	all, err := t.Templates(r.Context(), t.kind, p)
	if err != nil {
		return err
	}
	return listed(w, r, t.path, p, all, []string{"uuid", "name"}, t.doc)
}

func (t templates) create(w http.ResponseWriter, r *api.Request) error {
	var b node.Template
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	b.Kind = t.kind
	one, err := t.CreateTemplate(r.Context(), b)
	if err != nil {
		return err
	}
	return shown(w, r, http.StatusCreated, t.doc(r, one))
}

func (t templates) show(w http.ResponseWriter, r *api.Request) error {
	one, err := t.Template(r.Context(), t.kind, r.PathValue("template"))
	if err != nil {
		return err
	}
	return shown(w, r, http.StatusOK, t.doc(r, one))
}

func (t templates) patch(w http.ResponseWriter, r *api.Request) error {
	one, err := t.Template(r.Context(), t.kind, r.PathValue("template"))
	if err != nil {
		return err
	}
	var b node.Template
	if err := patch(w, r, api.Object{"name": one.Name, "steps": one.Steps, "extra": orObject(one.Extra), "owner": one.Project, "public": one.Public,
		"disable_ramdisk": one.DisableRamdisk, "description": one.Description}, &b); err != nil {
		return err
	}
	b.ID, b.Kind, b.CreatedAt = one.ID, t.kind, one.CreatedAt
	if one, err = t.UpdateTemplate(r.Context(), b); err != nil {
		return err
	}
	return shown(w, r, http.StatusOK, t.doc(r, one))
}

func (t templates) delete(w http.ResponseWriter, r *api.Request) error {
	return done(w, http.StatusNoContent, t.DeleteTemplate(r.Context(), t.kind, r.PathValue("template")))
}
