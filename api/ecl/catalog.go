package ecl

import (
	"net/http"
	"slices"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/server"
)

func flavorDoc(r *api.Request, f server.Flavor) api.Object {
	return api.Object{"id": f.ID, "name": f.Name, "vcpus": f.VCPUs, "ram": f.RAM, "disk": f.Disk, "links": links(r, "flavors", f.ID)}
}

func (e *ecl) flavors(w http.ResponseWriter, r *api.Request) error {
	fs, err := e.servers.Flavors(r.Context(), server.FlavorQuery{Project: r.Caller.ProjectID()})
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, f := range fs {
		docs = append(docs, flavorDoc(r, f))
	}
	return api.JSON(w, http.StatusOK, api.Object{"flavors": docs})
}

func (e *ecl) flavor(w http.ResponseWriter, r *api.Request) error {
	f, err := e.servers.Flavor(r.Context(), r.Caller.ProjectID(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"flavor": flavorDoc(r, f)})
}

func (e *ecl) zones(w http.ResponseWriter, r *api.Request) error {
	zones, err := e.nodes.Zones(r.Context())
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, z := range zones {
		docs = append(docs, api.Object{"zoneName": z, "zoneState": api.Object{"available": true}, "hosts": nil})
	}
	return api.JSON(w, http.StatusOK, api.Object{"availabilityZoneInfo": docs})
}

func (e *ecl) stock(w http.ResponseWriter, r *api.Request) error {
	q := r.URL.Query()
	if q.Get("flavor_id") == "" {
		return fault.Field("flavor_id", "flavor_id is missing")
	}
	f, err := e.servers.Flavor(r.Context(), r.Caller.ProjectID(), q.Get("flavor_id"))
	if err != nil {
		return err
	}
	zone := q.Get("availability_zone")
	zones, err := e.nodes.Zones(r.Context())
	if err != nil {
		return err
	}
	if zone != "" && !slices.Contains(zones, zone) {
		return fault.Field("availability_zone", "no availability zone %q", zone)
	}
	n, err := e.nodes.Stock(r.Context(), node.Want{ResourceClass: f.ResourceClass, Traits: f.Traits, Zone: zone})
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"stock": api.Object{"flavor_id": f.ID, "availability_zone": zone, "stock": n > 0}})
}

// limits are the project's quotas, -1 where there is no limit. Nothing limits rates by route.
func (e *ecl) limits(w http.ResponseWriter, r *api.Request) error {
	qs, err := e.servers.Quotas(r.Context(), r.Caller.ProjectID(), true)
	if err != nil {
		return err
	}
	most := map[string]int{}
	used := 0
	for _, q := range qs {
		most[q.Resource] = q.Limit
		if q.Resource == "instances" {
			used = q.Used
		}
	}
	return api.JSON(w, http.StatusOK, api.Object{"limits": api.Object{"rate": []any{}, "absolute": api.Object{
		"maxPersonality": most["injected_files"], "maxPersonalitySize": most["injected_file_content_bytes"], "maxServerMeta": most["metadata_items"],
		"maxTotalInstances": most["instances"], "totalInstancesUsed": used, "maxTotalKeypairs": most["key_pairs"]}}})
}

func (e *ecl) listImages(w http.ResponseWriter, r *api.Request) error {
	all, err := e.images.Named(r.Context(), r.Caller.ProjectID(), r.URL.Query().Get("name"))
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, i := range all {
		docs = append(docs, api.Object{"id": i.ID, "name": i.Name, "status": "ACTIVE", "created": api.Time(i.CreatedAt), "updated": api.Time(i.UpdatedAt), "minDisk": i.MinDisk,
			"minRam": i.MinRAM, "progress": 100, "metadata": i.Properties, "OS-EXT-IMG-SIZE:size": i.Size, "links": links(r, "images", i.ID)})
	}
	return api.JSON(w, http.StatusOK, api.Object{"images": docs})
}

// keyPairDoc carries the pair flat, as ECL2.0 does, and nested, as Nova does: each client reads its own.
func keyPairDoc(k server.KeyPair) api.Object {
	flat := api.Object{"name": k.Name, "fingerprint": k.Fingerprint, "public_key": k.PublicKey}
	return api.Object{"name": k.Name, "fingerprint": k.Fingerprint, "public_key": k.PublicKey, "keypair": flat}
}

func (e *ecl) keyPairs(w http.ResponseWriter, r *api.Request) error {
	ks, err := e.servers.KeyPairs(r.Context(), r.Caller.ProjectID(), "", "", 0)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, k := range ks {
		docs = append(docs, keyPairDoc(k))
	}
	return api.JSON(w, http.StatusOK, api.Object{"keypairs": docs})
}

func (e *ecl) createKeyPair(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		KeyPair struct {
			Name      string `json:"name"`
			PublicKey string `json:"public_key"`
		} `json:"keypair"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	k, private, err := e.servers.CreateKeyPair(r.Context(), server.KeyPair{ProjectID: r.Caller.ProjectID(), UserID: r.Caller.User.ID, Name: b.KeyPair.Name, PublicKey: b.KeyPair.PublicKey})
	if err != nil {
		return err
	}
	d := api.Object{"name": k.Name, "fingerprint": k.Fingerprint, "public_key": k.PublicKey, "user_id": k.UserID}
	if private != "" {
		d["private_key"] = private
	}
	return api.JSON(w, http.StatusOK, api.Object{"keypair": d})
}

func (e *ecl) keyPair(w http.ResponseWriter, r *api.Request) error {
	k, err := e.servers.KeyPairFor(r.Context(), r.Caller.ProjectID(), r.Caller.User.ID, r.PathValue("name"))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"keypair": api.Object{"name": k.Name, "fingerprint": k.Fingerprint, "public_key": k.PublicKey, "user_id": k.UserID}})
}

func (e *ecl) deleteKeyPair(w http.ResponseWriter, r *api.Request) error {
	k, err := e.servers.KeyPairFor(r.Context(), r.Caller.ProjectID(), r.Caller.User.ID, r.PathValue("name"))
	if err != nil {
		return err
	}
	return api.Gone(w, e.servers.DeleteKeyPair(r.Context(), k.ProjectID, k.UserID, k.Name))
}
