package nova

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/server"
)

func flavorDoc(r *api.Request, f server.Flavor) api.Object {
	d := api.Object{"id": f.ID, "name": f.Name, "ram": f.RAM, "disk": f.Disk, "vcpus": f.VCPUs, "swap": "", "rxtx_factor": 1.0,
		"OS-FLV-EXT-DATA:ephemeral": 0, "OS-FLV-DISABLED:disabled": false, "os-flavor-access:is_public": !f.Private, "links": links(r, "flavors", f.ID)}
	d["description"], d["extra_specs"] = orNull(f.Description), orEmpty(f.Specs)
	if microOf(r) >= 75 {
		d["swap"] = 0
	}
	return since{"description": 55, "extra_specs": 61}.at(r, d)
}

func (n *nova) listFlavors(w http.ResponseWriter, r *api.Request) error {
	return n.flavors(w, r, func(f server.Flavor) api.Object {
		d := api.Object{"id": f.ID, "name": f.Name, "links": links(r, "flavors", f.ID)}
		d["description"] = orNull(f.Description)
		return since{"description": 55}.at(r, d)
	})
}

func (n *nova) listFlavorsDetail(w http.ResponseWriter, r *api.Request) error {
	return n.flavors(w, r, func(f server.Flavor) api.Object { return flavorDoc(r, f) })
}

func (n *nova) flavors(w http.ResponseWriter, r *api.Request, show func(server.Flavor) api.Object) error {
	v := r.URL.Query()
	q := server.FlavorQuery{Project: scope(r), Sort: v.Get("sort_key"), Down: v.Get("sort_dir") == "desc", After: v.Get("marker")}
	if q.Sort == "" {
		q.Sort = "flavorid"
	}
	if public, err := truth(r, "is_public"); err != nil {
		return err
	} else if public != nil {
		private := !*public
		q.Private = &private
	} else if !v.Has("is_public") {
		q.Private = new(bool) // those for everyone, and for tenants those that they were let use
	}
	if q.Project != "" {
		q.Private = nil
	}
	for name, least := range map[string]*int64{"minDisk": &q.MinDisk, "minRam": &q.MinRAM} {
		if v.Get(name) == "" {
			continue
		}
		var err error
		if *least, err = whole(r, name); err != nil {
			return err
		}
	}
	most, err := limit(r)
	if err != nil {
		return err
	}
	q.Limit = most + 1
	all, err := n.servers.Flavors(r.Context(), q)
	if err != nil {
		return err
	}
	out := api.Object{}
	if len(all) > most {
		all = all[:most]
		out["flavors_links"] = next(r, all[most-1].ID)
	}
	docs := []api.Object{}
	for _, f := range all {
		docs = append(docs, show(f))
	}
	out["flavors"] = docs
	return api.JSON(w, http.StatusOK, out)
}

func (n *nova) showFlavor(w http.ResponseWriter, r *api.Request) error {
	f, err := n.servers.Flavor(r.Context(), scope(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"flavor": flavorDoc(r, f)})
}

type flavorBody struct {
	Name        string  `json:"name"`
	ID          *string `json:"id"`
	RAM         number  `json:"ram"`
	VCPUs       number  `json:"vcpus"`
	Disk        number  `json:"disk"`
	Swap        number  `json:"swap"`
	Ephemeral   number  `json:"OS-FLV-EXT-DATA:ephemeral"`
	RXTX        any     `json:"rxtx_factor"`
	Public      *bool   `json:"os-flavor-access:is_public"`
	Description *string `json:"description"`
}

func (n *nova) createFlavor(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Flavor flavorBody `json:"flavor"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	in := b.Flavor
	if in.Swap != 0 || in.Ephemeral != 0 {
		return fault.Field("swap", "the disks of a physical server are what they are: swap and OS-FLV-EXT-DATA:ephemeral must be 0")
	}
	f := server.Flavor{Name: in.Name, VCPUs: int(in.VCPUs), RAM: int64(in.RAM), Disk: int64(in.Disk), Private: in.Public != nil && !*in.Public}
	api.Set(&f.Description, in.Description)
	if api.Set(&f.ID, in.ID); f.ID == "auto" {
		f.ID = ""
	}
	f, err := n.servers.CreateFlavor(r.Context(), f)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"flavor": flavorDoc(r, f)})
}

func (n *nova) updateFlavor(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Flavor struct {
			Description *string `json:"description"`
		} `json:"flavor"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	f, err := n.servers.EditFlavor(r.Context(), r.PathValue("id"), func(f *server.Flavor) error {
		f.Description = ""
		api.Set(&f.Description, b.Flavor.Description)
		return nil
	})
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"flavor": flavorDoc(r, f)})
}

func (n *nova) deleteFlavor(w http.ResponseWriter, r *api.Request) error {
	return acceptedIf(w, n.servers.DeleteFlavor(r.Context(), r.PathValue("id")))
}

type tenantBody struct {
	Tenant string `json:"tenant"`
}

// flavorAction lets a project use a private flavor, or no longer.
func (n *nova) flavorAction(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Add    *tenantBody `json:"addTenantAccess"`
		Remove *tenantBody `json:"removeTenantAccess"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if (b.Add == nil) == (b.Remove == nil) {
		return fault.Errorf(fault.Invalid, "the body must name one action: addTenantAccess or removeTenantAccess")
	}
	who, may := b.Add, true
	if who == nil {
		who, may = b.Remove, false
	}
	if err := n.servers.Allow(r.Context(), r.PathValue("id"), who.Tenant, may); err != nil {
		return err
	}
	return n.flavorAccess(w, r)
}

func (n *nova) flavorAccess(w http.ResponseWriter, r *api.Request) error {
	all, err := n.servers.Accesses(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, a := range all {
		docs = append(docs, api.Object{"flavor_id": a.FlavorID, "tenant_id": a.ProjectID})
	}
	return api.JSON(w, http.StatusOK, api.Object{"flavor_access": docs})
}

func (n *nova) specs(w http.ResponseWriter, r *api.Request) error {
	f, err := n.servers.Flavor(r.Context(), scope(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"extra_specs": orEmpty(f.Specs)})
}

func (n *nova) addSpecs(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Specs map[string]string `json:"extra_specs"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if err := n.editSpecs(r, func(have map[string]string) error { merged(have, b.Specs); return nil }); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"extra_specs": orEmpty(b.Specs)})
}

func (n *nova) editSpecs(r *api.Request, fn func(have map[string]string) error) error {
	_, err := n.servers.EditFlavor(r.Context(), r.PathValue("id"), func(f *server.Flavor) error {
		f.Specs = orEmpty(f.Specs)
		return fn(f.Specs)
	})
	return err
}

func noSpec(r *api.Request) error {
	return fault.Errorf(fault.NotFound, "Flavor %s has no extra specs with key %s.", r.PathValue("id"), r.PathValue("key"))
}

func (n *nova) spec(w http.ResponseWriter, r *api.Request) error {
	f, err := n.servers.Flavor(r.Context(), scope(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	v, ok := f.Specs[r.PathValue("key")]
	if !ok {
		return noSpec(r)
	}
	return api.JSON(w, http.StatusOK, map[string]string{r.PathValue("key"): v})
}

func (n *nova) setSpec(w http.ResponseWriter, r *api.Request) error {
	var b map[string]string
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if _, ok := b[r.PathValue("key")]; !ok || len(b) != 1 {
		return fault.Field("key", "the body must have the key of the path alone")
	}
	if err := n.editSpecs(r, func(have map[string]string) error { merged(have, b); return nil }); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, b)
}

func (n *nova) dropSpec(w http.ResponseWriter, r *api.Request) error {
	err := n.editSpecs(r, func(have map[string]string) error {
		if _, ok := have[r.PathValue("key")]; !ok {
			return noSpec(r)
		}
		delete(have, r.PathValue("key"))
		return nil
	})
	if err == nil {
		w.WriteHeader(http.StatusOK)
	}
	return err
}
