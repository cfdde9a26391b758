// Package nova speaks OpenStack Compute v2.1, with microversions, for tenants' bare-metal servers: the same servers that
// the dialect ecl serves. What a physical server can not do is refused, in words that say so.
package nova

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/server"
)

// Prefix is where the service lives.
const Prefix = "/compute"

type nova struct {
	servers  *server.Service
	nodes    *node.Service
	networks *network.Service
	images   *image.Service
}

// Dialect makes the dialect.
func Dialect(s *server.Service, n *node.Service, nw *network.Service, i *image.Service) api.Dialect {
	v := &nova{s, n, nw, i}
	routes := slices.Concat(v.serverRoutes(), v.catalogRoutes(), v.imageRoutes(), v.operatorRoutes())
	for i := range routes {
		routes[i].Do = versioned(routes[i].Do)
	}
	return api.Dialect{Prefix: Prefix, Error: Error, Routes: routes}
}

func (n *nova) serverRoutes() []api.Route {
	return []api.Route{
		{"GET", "", api.Anyone, n.versions},
		{"GET", "/v2.1", api.Anyone, n.version},

		{"GET", "/v2.1/servers", api.Readers, n.listServers},
		{"POST", "/v2.1/servers", api.Members, n.createServer},
		{"POST", "/v2.1/os-volumes_boot", api.Members, n.createServer},
		{"GET", "/v2.1/servers/detail", api.Readers, n.listServersDetail},
		{"GET", "/v2.1/servers/{id}", api.Readers, n.showServer},
		{"PUT", "/v2.1/servers/{id}", api.Members, n.updateServer},
		{"DELETE", "/v2.1/servers/{id}", api.Members, n.deleteServer},
		{"POST", "/v2.1/servers/{id}/action", api.Members, n.action},
		{"GET", "/v2.1/servers/{id}/metadata", api.Readers, n.showMetadata},
		{"POST", "/v2.1/servers/{id}/metadata", api.Members, n.mergeMetadata},
		{"PUT", "/v2.1/servers/{id}/metadata", api.Members, n.replaceMetadata},
		{"GET", "/v2.1/servers/{id}/metadata/{key}", api.Readers, n.showMetadatum},
		{"PUT", "/v2.1/servers/{id}/metadata/{key}", api.Members, n.setMetadatum},
		{"DELETE", "/v2.1/servers/{id}/metadata/{key}", api.Members, n.dropMetadatum},
		{"GET", "/v2.1/servers/{id}/tags", api.Readers, n.tags},
		{"PUT", "/v2.1/servers/{id}/tags", api.Members, n.replaceTags},
		{"DELETE", "/v2.1/servers/{id}/tags", api.Members, n.clearTags},
		{"GET", "/v2.1/servers/{id}/tags/{tag}", api.Readers, n.hasTag},
		{"PUT", "/v2.1/servers/{id}/tags/{tag}", api.Members, n.addTag},
		{"DELETE", "/v2.1/servers/{id}/tags/{tag}", api.Members, n.removeTag},
		{"GET", "/v2.1/servers/{id}/ips", api.Readers, n.addresses},
		{"GET", "/v2.1/servers/{id}/ips/{network}", api.Readers, n.addressesOn},
		{"GET", "/v2.1/servers/{id}/os-interface", api.Readers, n.interfaces},
		{"POST", "/v2.1/servers/{id}/os-interface", api.Members, n.attachInterface},
		{"GET", "/v2.1/servers/{id}/os-interface/{port}", api.Readers, n.showInterface},
		{"DELETE", "/v2.1/servers/{id}/os-interface/{port}", api.Members, n.detachInterface},
		{"GET", "/v2.1/servers/{id}/os-security-groups", api.Readers, n.guards},
		{"GET", "/v2.1/servers/{id}/os-volume_attachments", api.Readers, n.volumes},
		{"POST", "/v2.1/servers/{id}/os-volume_attachments", api.Members, n.attachVolume},
		{"GET", "/v2.1/servers/{id}/os-instance-actions", api.Readers, n.instanceActions},
		{"GET", "/v2.1/servers/{id}/os-instance-actions/{request}", api.Readers, n.instanceAction},
		{"POST", "/v2.1/servers/{id}/remote-consoles", api.Members, n.remoteConsole},
	}
}

func (n *nova) catalogRoutes() []api.Route {
	return []api.Route{
		{"GET", "/v2.1/flavors", api.Readers, n.listFlavors},
		{"GET", "/v2.1/flavors/detail", api.Readers, n.listFlavorsDetail},
		{"POST", "/v2.1/flavors", api.Operators, n.createFlavor},
		{"GET", "/v2.1/flavors/{id}", api.Readers, n.showFlavor},
		{"PUT", "/v2.1/flavors/{id}", api.Operators, n.updateFlavor},
		{"DELETE", "/v2.1/flavors/{id}", api.Operators, n.deleteFlavor},
		{"POST", "/v2.1/flavors/{id}/action", api.Operators, n.flavorAction},
		{"GET", "/v2.1/flavors/{id}/os-flavor-access", api.Operators, n.flavorAccess},
		{"GET", "/v2.1/flavors/{id}/os-extra_specs", api.Readers, n.specs},
		{"POST", "/v2.1/flavors/{id}/os-extra_specs", api.Operators, n.addSpecs},
		{"GET", "/v2.1/flavors/{id}/os-extra_specs/{key}", api.Readers, n.spec},
		{"PUT", "/v2.1/flavors/{id}/os-extra_specs/{key}", api.Operators, n.setSpec},
		{"DELETE", "/v2.1/flavors/{id}/os-extra_specs/{key}", api.Operators, n.dropSpec},

		{"GET", "/v2.1/os-keypairs", api.Readers, n.keyPairs},
		{"POST", "/v2.1/os-keypairs", api.Members, n.createKeyPair},
		{"GET", "/v2.1/os-keypairs/{name}", api.Readers, n.keyPair},
		{"DELETE", "/v2.1/os-keypairs/{name}", api.Members, n.deleteKeyPair},

		{"GET", "/v2.1/os-server-groups", api.Readers, n.groups},
		{"POST", "/v2.1/os-server-groups", api.Members, n.createGroup},
		{"GET", "/v2.1/os-server-groups/{id}", api.Readers, n.group},
		{"DELETE", "/v2.1/os-server-groups/{id}", api.Members, n.deleteGroup},

		{"GET", "/v2.1/os-security-groups", api.Readers, proxied(n.securityGroups)},
		{"POST", "/v2.1/os-security-groups", api.Members, proxied(n.createSecurityGroup)},
		{"GET", "/v2.1/os-security-groups/{id}", api.Readers, proxied(n.securityGroup)},
		{"PUT", "/v2.1/os-security-groups/{id}", api.Members, proxied(n.updateSecurityGroup)},
		{"DELETE", "/v2.1/os-security-groups/{id}", api.Members, proxied(n.deleteSecurityGroup)},
		{"POST", "/v2.1/os-security-group-rules", api.Members, proxied(n.createRule)},
		{"DELETE", "/v2.1/os-security-group-rules/{id}", api.Members, proxied(n.deleteRule)},

		{"GET", "/v2.1/os-availability-zone", api.Readers, n.zones},
		{"GET", "/v2.1/limits", api.Readers, n.limits},
		{"GET", "/v2.1/extensions", api.Readers, n.extensions},
		{"GET", "/v2.1/extensions/{alias}", api.Readers, n.extension},
	}
}

func (n *nova) operatorRoutes() []api.Route {
	return []api.Route{
		{"GET", "/v2.1/os-quota-sets/{project}", api.Readers, n.quota},
		{"GET", "/v2.1/os-quota-sets/{project}/defaults", api.Readers, n.quotaDefaults},
		{"GET", "/v2.1/os-quota-sets/{project}/detail", api.Readers, n.quotaDetail},
		{"PUT", "/v2.1/os-quota-sets/{project}", api.Operators, n.setQuota},
		{"DELETE", "/v2.1/os-quota-sets/{project}", api.Operators, n.resetQuota},
		{"GET", "/v2.1/os-quota-class-sets/{class}", api.Operators, n.quotaClass},
		{"PUT", "/v2.1/os-quota-class-sets/{class}", api.Operators, n.setQuotaClass},

		{"GET", "/v2.1/os-availability-zone/detail", api.OperatorsRead, n.zones},
		{"GET", "/v2.1/os-hypervisors", api.OperatorsRead, n.hypervisors},
		{"GET", "/v2.1/os-hypervisors/detail", api.OperatorsRead, n.hypervisorsDetail},
		{"GET", "/v2.1/os-hypervisors/statistics", api.OperatorsRead, n.statistics},
		{"GET", "/v2.1/os-hypervisors/{id}", api.OperatorsRead, n.hypervisor},
		{"GET", "/v2.1/os-services", api.OperatorsRead, n.services},
		{"GET", "/v2.1/os-aggregates", api.OperatorsRead, n.aggregates},
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

// scope is the project whose things a caller may use: operators may use everyone's.
func scope(r *api.Request) string {
	if r.Caller.Operator() {
		return ""
	}
	return r.Caller.ProjectID()
}

func serverID(r *api.Request) server.ID { return server.ID(r.PathValue("id")) }

// links point at a thing.
func links(r *api.Request, kind, id string) []api.Object {
	base := api.BaseURL(r.Request) + Prefix
	return []api.Object{{"rel": "self", "href": base + "/v2.1/" + kind + "/" + id}, {"rel": "bookmark", "href": base + "/" + kind + "/" + id}}
}

func bookmark(r *api.Request, kind, id string) []api.Object { return links(r, kind, id)[1:] }

// last returns the id at the end of a reference, which may be a whole URL.
func last(ref string) string { return ref[strings.LastIndex(ref, "/")+1:] }

// orNull is null for an empty text.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// orEmpty is a map that is never null.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// instant is a time as Nova writes those without a zone; nil when it is zero.
func instant(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000")
}

// pageMost is the most that one answer lists.
const pageMost = 1000

// limit reads how many things are wanted, and reports whether that was said.
func limit(r *api.Request) (int, error) {
	v := r.URL.Query().Get("limit")
	if v == "" {
		return pageMost, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, fault.Field("limit", "must be a number, 0 or more")
	}
	if n == 0 {
		return pageMost, nil
	}
	return min(n, pageMost), nil
}

// next is the link to the page behind the thing with an id.
func next(r *api.Request, marker string) []api.Object {
	q := r.URL.Query()
	q.Set("marker", marker)
	return []api.Object{{"rel": "next", "href": api.BaseURL(r.Request) + r.URL.Path + "?" + q.Encode()}}
}

// truth reads a yes or no of a query; nil when it is not said.
func truth(r *api.Request, name string) (*bool, error) {
	v := r.URL.Query().Get(name)
	if v == "" || strings.EqualFold(v, "none") {
		return nil, nil
	}
	yes, err := strconv.ParseBool(strings.ToLower(v))
	if err != nil {
		return nil, fault.Field(name, "must be true or false")
	}
	return &yes, nil
}

// whole reads a whole number of a query.
func whole(r *api.Request, name string) (int64, error) {
	n, err := strconv.ParseInt(r.URL.Query().Get(name), 10, 64)
	if err != nil {
		return 0, fault.Field(name, "must be a number")
	}
	return n, nil
}

// number is a whole number, which some clients send as a text.
type number int

// UnmarshalJSON reads either.
func (n *number) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = []byte(text)
	}
	if v, err := strconv.Atoi(string(raw)); err == nil {
		*n = number(v)
		return nil
	}
	return fault.Errorf(fault.Invalid, "%s is no whole number", raw)
}
