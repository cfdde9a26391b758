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
	"github.com/hagane-cloud/hagane/server"
)

// Prefix is where the service lives.
const Prefix = "/baremetal"

// The microversions that are spoken: 1.minMicro to 1.maxMicro.
const (
	minMicro = 1
	maxMicro = 97
)

const (
	headerVersion = "X-OpenStack-Ironic-API-Version"
	headerMin     = "X-OpenStack-Ironic-API-Minimum-Version"
	headerMax     = "X-OpenStack-Ironic-API-Maximum-Version"
)

type ironic struct {
	*node.Service
	servers *server.Service // deploys nodes for operators
	written writings
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
		r.Header.Set(headerVersion, fmt.Sprintf("1.%d", version))
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
	for _, name := range []string{"nodes", "ports", "portgroups", "chassis", "drivers", "conductors", "allocations", "deploy_templates", "runbooks", "inspection_rules", "volume", "shards"} {
		out[name] = []api.Object{{"rel": "self", "href": api.BaseURL(r.Request) + Prefix + "/v1/" + name + "/"}}
	}
	return api.JSON(w, http.StatusOK, out)
}

// driverNames pairs our drivers with Ironic's hardware types.
var driverNames = []struct{ ours, theirs string }{{"redfish", "redfish"}, {"ipmi", "ipmi"}, {"ribcl", "ribcl"}, {"wsman", "wsman"}, {"scci", "scci"}, {"fake", "fake-hardware"}}

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
