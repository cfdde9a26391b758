package glance

import (
	"encoding/json"
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
)

// asked is an import as its caller asks for it.
func asked(r *api.Request, kind, method, uri string) image.Import {
	return image.Import{Type: kind, Method: method, URI: uri, UserID: r.Caller.User.ID, UserName: r.Caller.User.Name, Request: r.ID}
}

// bring is Glance's import.
func (g *glance) bring(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Method struct {
			Name string `json:"name"`
			URI  string `json:"uri"`
		} `json:"method"`
		Stores               []string `json:"stores"`
		AllStores            bool     `json:"all_stores"`
		AllStoresMustSucceed *bool    `json:"all_stores_must_succeed"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	for _, s := range b.Stores {
		if s != store {
			return fault.Field("stores", "there is no store %.40q; there is %s", s, store)
		}
	}
	if _, err := g.Import(r.Context(), project(r), r.PathValue("id"), asked(r, image.TypeImport, b.Method.Name, b.Method.URI)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (g *glance) importInfo(w http.ResponseWriter, _ *api.Request) error {
	return api.JSON(w, http.StatusOK, api.Object{"import-methods": api.Object{"description": "Import methods available.", "type": "array", "value": image.Methods}})
}

func (g *glance) stores(w http.ResponseWriter, _ *api.Request) error {
	return api.JSON(w, http.StatusOK, api.Object{"stores": []api.Object{{"id": store, "description": "files named by their content", "default": "true"}}})
}

func (g *glance) usage(w http.ResponseWriter, r *api.Request) error {
	all, err := g.Usage(r.Context(), r.Caller.ProjectID())
	if err != nil {
		return err
	}
	docs := api.Object{}
	for resource, u := range all {
		docs[resource] = api.Object{"limit": u.Limit, "usage": u.Used}
	}
	return api.JSON(w, http.StatusOK, api.Object{"usage": docs})
}

func taskDoc(t image.Task) api.Object {
	input := api.Object{"image_id": t.ImageID, "import_req": api.Object{"method": api.Object{"name": t.Method}}}
	if t.URI != "" {
		input["import_req"] = api.Object{"method": api.Object{"name": t.Method, "uri": t.URI}}
	}
	var result, expires any
	if t.Status == image.TaskSuccess {
		result = api.Object{"image_id": t.ImageID}
	}
	if !t.EndedAt.IsZero() {
		expires = api.Time(t.EndedAt.Add(image.Keep))
	}
	return api.Object{"id": t.ID, "type": t.Type, "status": t.Status, "owner": t.Owner, "image_id": t.ImageID, "user_id": t.UserID, "request_id": t.Request,
		"input": input, "result": result, "message": t.Message, "expires_at": expires, "created_at": api.Time(t.CreatedAt), "updated_at": api.Time(t.UpdatedAt),
		"self": "/v2/tasks/" + t.ID, "schema": "/v2/schemas/task"}
}

// tasksOf lists the imports of an image.
func (g *glance) tasksOf(w http.ResponseWriter, r *api.Request) error {
	i, err := g.Own(r.Context(), project(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	ts, err := g.Tasks(r.Context(), image.TaskQuery{ImageID: i.ID, Limit: pageMost})
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, t := range ts {
		docs = append(docs, taskDoc(t))
	}
	return api.JSON(w, http.StatusOK, api.Object{"tasks": docs})
}

func (g *glance) tasks(w http.ResponseWriter, r *api.Request) error {
	values := r.URL.Query()
	q := image.TaskQuery{Owner: project(r), Limit: pageDefault}
	for name := range values {
		v := values.Get(name)
		var err error
		switch name {
		case "limit":
			q.Limit, err = limit(v)
		case "marker":
			q.After = v
		case "id":
			q.ID = v
		case "type":
			q.Type = v
		case "status":
			q.Status = v
		case "owner":
			if q.Owner != "" && v != q.Owner {
				return fault.Errorf(fault.Denied, "only an operator may list the tasks of other projects")
			}
			q.Owner = v
		case "sort_key", "sort_dir":
		default:
			err = fault.Field(name, "%.40q can not be filtered by", name)
		}
		if err != nil {
			return err
		}
	}
	var err error
	if q.Sort, err = sorts(values); err != nil {
		return err
	}
	page := q.Limit
	q.Limit++
	found, err := g.Tasks(r.Context(), q)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, t := range found[:min(page, len(found))] {
		docs = append(docs, taskDoc(t))
	}
	out := api.Object{"tasks": docs, "schema": "/v2/schemas/tasks", "first": link("/v2/tasks", values, "")}
	if len(found) > page && page > 0 {
		out["next"] = link("/v2/tasks", values, found[page-1].ID)
	}
	return api.JSON(w, http.StatusOK, out)
}

func (g *glance) task(w http.ResponseWriter, r *api.Request) error {
	t, err := g.Task(r.Context(), project(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, taskDoc(t))
}

// createTask makes an image and imports its data: Glance's older way, for operators.
func (g *glance) createTask(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Type  string `json:"type"`
		Input struct {
			From       string                     `json:"import_from"`
			Format     string                     `json:"import_from_format"`
			Properties map[string]json.RawMessage `json:"image_properties"`
		} `json:"input"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if b.Type != image.TypeNewImport {
		return fault.Field("type", "%.40q is not served; possible: import", b.Type)
	}
	i, err := newImage(r.Caller.ProjectID(), b.Input.Properties)
	if err != nil {
		return err
	}
	if i.DiskFormat == "" {
		i.DiskFormat = b.Input.Format
	}
	if b.Input.Format != i.DiskFormat {
		return fault.Field("import_from_format", "nothing is converted: it must be the image's disk_format")
	}
	t, err := g.CreateAndImport(r.Context(), project(r), i, asked(r, image.TypeNewImport, image.WebDownload, b.Input.From))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusCreated, taskDoc(t))
}
