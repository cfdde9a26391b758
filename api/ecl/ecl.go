// Package ecl speaks the bare-metal API of NTT's Enterprise Cloud 2.0 (catalog type baremetal-server,
// version 2) for tenants' servers. It is a dialect of Nova's API with states, codes and fields of its own.
package ecl

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/server"
)

// Prefix is where the service lives.
const Prefix = "/baremetal-server"

type ecl struct {
	servers  *server.Service
	nodes    *node.Service
	networks *network.Service
	images   *image.Service
}

// Dialect makes the dialect.
func Dialect(s *server.Service, n *node.Service, nw *network.Service, i *image.Service) api.Dialect {
	e := &ecl{s, n, nw, i}
	const t = "/v2/{tenant}"
	return api.Dialect{Prefix: Prefix, Error: Error, Routes: []api.Route{
		{"GET", "", api.Anyone, e.versions},
		{"GET", "/v2", api.Anyone, e.version},

		{"GET", t + "/servers", api.Readers, e.own(e.listServers)},
		{"POST", t + "/servers", api.Members, e.own(e.createServer)},
		{"GET", t + "/servers/detail", api.Readers, e.own(e.listServersDetail)},
		{"GET", t + "/servers/{id}", api.Readers, e.own(e.showServer)},
		{"PUT", t + "/servers/{id}", api.Members, e.own(e.renameServer)},
		{"DELETE", t + "/servers/{id}", api.Members, e.own(e.deleteServer)},
		{"POST", t + "/servers/{id}/action", api.Members, e.own(e.action)},
		{"GET", t + "/servers/{id}/nic_physical_ports", api.Readers, e.own(e.listNICs)},
		{"GET", t + "/servers/{id}/nic_physical_ports/{port}", api.Readers, e.own(e.showNIC)},
		{"GET", t + "/servers/{id}/uefi", api.Readers, e.own(e.showUEFI)},
		{"PUT", t + "/servers/{id}/uefi", api.Members, e.own(e.setUEFI)},
		{"GET", t + "/servers/{id}/metadata", api.Readers, e.own(e.showMetadata)},
		{"POST", t + "/servers/{id}/metadata", api.Members, e.own(e.mergeMetadata)},
		{"PUT", t + "/servers/{id}/metadata", api.Members, e.own(e.replaceMetadata)},
		{"GET", t + "/servers/{id}/metadata/{key}", api.Readers, e.own(e.showMetadatum)},
		{"PUT", t + "/servers/{id}/metadata/{key}", api.Members, e.own(e.setMetadatum)},
		{"DELETE", t + "/servers/{id}/metadata/{key}", api.Members, e.own(e.dropMetadatum)},

		{"GET", t + "/flavors", api.Readers, e.own(e.flavors)},
		{"GET", t + "/flavors/detail", api.Readers, e.own(e.flavors)},
		{"GET", t + "/flavors/{id}", api.Readers, e.own(e.flavor)},
		{"GET", t + "/chassis", api.Readers, e.own(e.listChassis)},
		{"GET", t + "/chassis/detail", api.Readers, e.own(e.listChassisDetail)},
		{"GET", t + "/chassis/{id}", api.Readers, e.own(e.showChassis)},
		{"GET", t + "/os-availability-zone", api.Readers, e.own(e.zones)},
		{"GET", t + "/stock", api.Readers, e.own(e.stock)},
		{"GET", t + "/limits", api.Readers, e.own(e.limits)},
		{"GET", t + "/images", api.Readers, e.own(e.listImages)},
		{"GET", t + "/images/detail", api.Readers, e.own(e.listImages)},

		{"GET", t + "/os-keypairs", api.Readers, e.own(e.keyPairs)},
		{"POST", t + "/os-keypairs", api.Members, e.own(e.createKeyPair)},
		{"GET", t + "/os-keypairs/{name}", api.Readers, e.own(e.keyPair)},
		{"DELETE", t + "/os-keypairs/{name}", api.Members, e.own(e.deleteKeyPair)},
	}}
}

// own refuses paths of other tenants: they do not exist for the caller.
func (e *ecl) own(do func(w http.ResponseWriter, r *api.Request) error) func(w http.ResponseWriter, r *api.Request) error {
	return func(w http.ResponseWriter, r *api.Request) error {
		if t := r.PathValue("tenant"); t != r.Caller.ProjectID() {
			return fault.Errorf(fault.NotFound, "no tenant %q for this token", t)
		}
		r.Request = r.WithContext(server.AskedBy(r.Context(), server.Asker{Project: r.Caller.ProjectID(), User: r.Caller.User.ID, Request: r.ID}))
		return do(w, r)
	}
}

// Error answers in the form of Nova.
func Error(w http.ResponseWriter, status int, err error) {
	names := map[int]string{400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 405: "badMethod", 409: "conflictingRequest",
		413: "overLimit", 415: "badMediaType", 429: "overLimit", 503: "serviceUnavailable"}
	name := names[status]
	if name == "" {
		name = "computeFault"
	}
	_ = api.JSON(w, status, api.Object{name: api.Object{"code": status, "message": fault.Message(err)}})
}

func versionDoc(r *api.Request) api.Object {
	return api.Object{"id": "v2.0", "status": "CURRENT", "updated": "2014-12-01T00:00:00Z", "links": []api.Object{{"rel": "self", "href": api.BaseURL(r.Request) + Prefix + "/v2/"}}}
}

func (e *ecl) versions(w http.ResponseWriter, r *api.Request) error {
	return api.JSON(w, http.StatusOK, api.Object{"versions": []api.Object{versionDoc(r)}})
}

func (e *ecl) version(w http.ResponseWriter, r *api.Request) error {
	return api.JSON(w, http.StatusOK, api.Object{"version": versionDoc(r)})
}

// links point at a thing of the caller's tenant.
func links(r *api.Request, kind, id string) []api.Object {
	base := api.BaseURL(r.Request) + Prefix + "/v2/" + r.Caller.ProjectID() + "/" + kind + "/" + id
	return []api.Object{{"rel": "self", "href": base}, {"rel": "bookmark", "href": base}}
}
