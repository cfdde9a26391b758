// Package ironic speaks OpenStack Bare Metal v1 for the operator's nodes, with microversions, so that
// Ironic's clients can enrol, inspect and provide nodes.
package ironic

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// Prefix is where the service lives.
const Prefix = "/baremetal"

// The microversions that are spoken: 1.minMicro to 1.maxMicro.
const (
	minMicro = 1
	maxMicro = 89
)

const (
	headerVersion = "X-OpenStack-Ironic-API-Version"
	headerMin     = "X-OpenStack-Ironic-API-Minimum-Version"
	headerMax     = "X-OpenStack-Ironic-API-Maximum-Version"
)

type ironic struct{ *node.Service }

// Dialect makes the dialect.
func Dialect(s *node.Service) api.Dialect {
	i := &ironic{s}
	routes := []api.Route{
		{"GET", "", api.Anyone, i.root},
		{"GET", "/v1", api.Anyone, i.v1},
		{"GET", "/v1/drivers", api.OperatorsRead, i.drivers},
		{"GET", "/v1/drivers/{name}", api.OperatorsRead, i.driver},
		{"GET", "/v1/conductors", api.OperatorsRead, i.conductors},

		{"GET", "/v1/nodes", api.OperatorsRead, i.nodes},
		{"POST", "/v1/nodes", api.Operators, i.createNode},
		{"GET", "/v1/nodes/detail", api.OperatorsRead, i.nodesDetail},
		{"GET", "/v1/nodes/{node}", api.OperatorsRead, i.node},
		{"PATCH", "/v1/nodes/{node}", api.Operators, i.patchNode},
		{"DELETE", "/v1/nodes/{node}", api.Operators, i.deleteNode},
		{"GET", "/v1/nodes/{node}/validate", api.OperatorsRead, i.validate},
		{"GET", "/v1/nodes/{node}/states", api.OperatorsRead, i.states},
		{"PUT", "/v1/nodes/{node}/states/provision", api.Operators, i.provision},
		{"PUT", "/v1/nodes/{node}/states/power", api.Operators, i.power},
		{"GET", "/v1/nodes/{node}/management/boot_device", api.OperatorsRead, i.bootDevice},
		{"PUT", "/v1/nodes/{node}/management/boot_device", api.Operators, i.setBootDevice},
		{"GET", "/v1/nodes/{node}/management/boot_device/supported", api.OperatorsRead, i.bootDevices},
		{"PUT", "/v1/nodes/{node}/management/inject_nmi", api.Operators, i.interrupt},
		{"GET", "/v1/nodes/{node}/management/indicators", api.OperatorsRead, i.indicators},
		{"GET", "/v1/nodes/{node}/management/indicators/{component}", api.OperatorsRead, i.indicatorsOf},
		{"GET", "/v1/nodes/{node}/management/indicators/{component}/{indicator}", api.OperatorsRead, i.indicator},
		{"PUT", "/v1/nodes/{node}/management/indicators/{component}/{indicator}", api.Operators, i.setIndicator},
		{"GET", "/v1/nodes/{node}/bios", api.OperatorsRead, i.biosSettings},
		{"GET", "/v1/nodes/{node}/bios/{setting}", api.OperatorsRead, i.biosSetting},
		{"GET", "/v1/nodes/{node}/firmware", api.OperatorsRead, i.firmware},
		{"PUT", "/v1/nodes/{node}/states/boot_mode", api.Operators, i.setBootMode},
		{"PUT", "/v1/nodes/{node}/states/secure_boot", api.Operators, i.setSecureBoot},
		{"POST", "/v1/nodes/{node}/vmedia", api.Operators, i.attachMedia},
		{"DELETE", "/v1/nodes/{node}/vmedia", api.Operators, i.detachMedia},
		{"PUT", "/v1/nodes/{node}/maintenance", api.Operators, i.hold},
		{"DELETE", "/v1/nodes/{node}/maintenance", api.Operators, i.release},
		{"GET", "/v1/nodes/{node}/traits", api.OperatorsRead, i.traits},
		{"PUT", "/v1/nodes/{node}/traits", api.Operators, i.setTraits},
		{"DELETE", "/v1/nodes/{node}/traits", api.Operators, i.dropTraits},
		{"PUT", "/v1/nodes/{node}/traits/{trait}", api.Operators, i.addTrait},
		{"DELETE", "/v1/nodes/{node}/traits/{trait}", api.Operators, i.dropTrait},
		{"GET", "/v1/nodes/{node}/inventory", api.OperatorsRead, i.inventory},
		{"GET", "/v1/nodes/{node}/history", api.OperatorsRead, i.history},
		{"GET", "/v1/nodes/{node}/ports", api.OperatorsRead, i.nodePorts},

		{"GET", "/v1/ports", api.OperatorsRead, i.ports},
		{"POST", "/v1/ports", api.Operators, i.createPort},
		{"GET", "/v1/ports/detail", api.OperatorsRead, i.ports},
		{"GET", "/v1/ports/{port}", api.OperatorsRead, i.port},
		{"PATCH", "/v1/ports/{port}", api.Operators, i.patchPort},
		{"DELETE", "/v1/ports/{port}", api.Operators, i.deletePort},
	}
	for n := range routes {
		routes[n].Do = versioned(routes[n].Do)
	}
	return api.Dialect{Prefix: Prefix, Error: Error, Routes: routes}
}

// Error answers in the form that Ironic's client reads.
func Error(w http.ResponseWriter, status int, err error) {
	kind := "Client"
	if status >= http.StatusInternalServerError {
		kind = "Server"
	}
	// The message is a JSON document within a string: the baremetal command reads no other form, and OpenStack's SDK both.
	raw, encodeErr := json.Marshal(api.Object{"faultcode": kind, "faultstring": fault.Message(err), "debuginfo": nil})
	if encodeErr != nil {
		raw = []byte("{}")
	}
	_ = api.JSON(w, status, api.Object{"error_message": string(raw)})
}

var micro = regexp.MustCompile(`^1\.(\d+)$`)

// versioned answers with the versions that are spoken, and refuses others.
func versioned(do func(w http.ResponseWriter, r *api.Request) error) func(w http.ResponseWriter, r *api.Request) error {
	return func(w http.ResponseWriter, r *api.Request) error {
		h := w.Header()
		h.Set(headerMin, fmt.Sprintf("1.%d", minMicro))
		h.Set(headerMax, fmt.Sprintf("1.%d", maxMicro))
		version := maxMicro
		if v := r.Header.Get(headerVersion); v != "" && v != "latest" {
			m := micro.FindStringSubmatch(v)
			if m == nil {
				return fault.Errorf(fault.Invalid, "%q is not a version such as 1.%d", v, maxMicro)
			}
			n, err := strconv.Atoi(m[1])
			if err != nil || n < minMicro || n > maxMicro {
				// 406 is what clients negotiate by.
				return notAcceptable(w, v)
			}
			version = n
		} else if v == "" {
			version = minMicro
		}
		h.Set(headerVersion, fmt.Sprintf("1.%d", version))
		return do(w, r)
	}
}

func notAcceptable(w http.ResponseWriter, v string) error {
	Error(w, http.StatusNotAcceptable, fault.Errorf(fault.Invalid, "version %s is not spoken; the versions 1.%d to 1.%d are", v, minMicro, maxMicro))
	return nil
}

func (i *ironic) versionDoc(r *api.Request) api.Object {
	return api.Object{"id": "v1", "status": "CURRENT", "min_version": fmt.Sprintf("1.%d", minMicro), "version": fmt.Sprintf("1.%d", maxMicro),
		"links": []api.Object{{"rel": "self", "href": api.BaseURL(r.Request) + Prefix + "/v1/"}}}
}

func (i *ironic) root(w http.ResponseWriter, r *api.Request) error {
	v := i.versionDoc(r)
	return api.JSON(w, http.StatusOK, api.Object{"name": "Hagane Bare Metal API", "description": "physical nodes, as Ironic's clients know them", "default_version": v, "versions": []api.Object{v}})
}

func (i *ironic) v1(w http.ResponseWriter, r *api.Request) error {
	out := api.Object{"id": "v1", "version": i.versionDoc(r), "media_types": []api.Object{{"base": "application/json", "type": "application/vnd.openstack.ironic.v1+json"}}}
	for _, name := range []string{"nodes", "ports", "drivers", "conductors"} {
		out[name] = []api.Object{{"rel": "self", "href": api.BaseURL(r.Request) + Prefix + "/v1/" + name + "/"}}
	}
	return api.JSON(w, http.StatusOK, out)
}

func driverDoc(name string) api.Object {
	return api.Object{"name": name, "hosts": []string{"hagane"}, "type": "dynamic", "enabled_power_interfaces": []string{name}, "default_power_interface": name, "links": []any{}, "properties": []any{}}
}

func (i *ironic) drivers(w http.ResponseWriter, _ *api.Request) error {
	docs := []api.Object{}
	for _, d := range driverNames {
		docs = append(docs, driverDoc(d.theirs))
	}
	return api.JSON(w, http.StatusOK, api.Object{"drivers": docs})
}

func (i *ironic) driver(w http.ResponseWriter, r *api.Request) error {
	for _, d := range driverNames {
		if d.theirs == r.PathValue("name") {
			return api.JSON(w, http.StatusOK, driverDoc(d.theirs))
		}
	}
	return fault.Errorf(fault.NotFound, "no driver %q", r.PathValue("name"))
}

// driverNames pairs our drivers with Ironic's hardware types.
var driverNames = []struct{ ours, theirs string }{{"redfish", "redfish"}, {"ipmi", "ipmi"}, {"ribcl", "ribcl"}, {"wsman", "wsman"}, {"scci", "scci"}, {"fake", "fake-hardware"}}

func (i *ironic) conductors(w http.ResponseWriter, r *api.Request) error {
	cs, err := i.Conductors(r.Context())
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, c := range cs {
		docs = append(docs, api.Object{"hostname": c.Host, "conductor_group": "", "alive": c.Alive, "updated_at": nil, "links": []any{}, "drivers": theirNames()})
	}
	return api.JSON(w, http.StatusOK, api.Object{"conductors": docs})
}

func accepted(w http.ResponseWriter, err error) error { return done(w, http.StatusAccepted, err) }

func done(w http.ResponseWriter, status int, err error) error {
	if err == nil {
		w.WriteHeader(status)
	}
	return err
}

// theirNames are Ironic's names of the drivers.
func theirNames() []string {
	var out []string
	for _, d := range driverNames {
		out = append(out, d.theirs)
	}
	return out
}
