package nova

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/server"
)

// The microversions that are spoken: 2.minMicro to 2.maxMicro. Later ones are about what bare metal has not (shares,
// evacuation, pinned zones), and generating key pairs goes away with 2.92.
const (
	minMicro = 1
	maxMicro = 90
)

const (
	headerVersion = "OpenStack-API-Version"
	headerNova    = "X-OpenStack-Nova-API-Version"
)

var micro = regexp.MustCompile(`^2\.(\d+)$`)

// versioned answers with the version that is spoken, and refuses others. What is done is recorded as the caller's.
func versioned(do func(w http.ResponseWriter, r *api.Request) error) func(w http.ResponseWriter, r *api.Request) error {
	return func(w http.ResponseWriter, r *api.Request) error {
		asked := askedVersion(r)
		version := minMicro
		switch m := micro.FindStringSubmatch(asked); {
		case asked == "":
		case asked == "latest":
			version = maxMicro
		case m == nil:
			return fault.Errorf(fault.Invalid, "API Version String %s is of invalid format. Must be of format MajorNum.MinorNum.", asked)
		default:
			n, err := strconv.Atoi(m[1])
			if err != nil || n < minMicro || n > maxMicro {
				// 406 is what clients negotiate by.
				Error(w, http.StatusNotAcceptable, fault.Errorf(fault.Invalid, "Version %s is not supported by the API. Minimum is 2.%d and maximum is 2.%d.", asked, minMicro, maxMicro))
				return nil
			}
			version = n
		}
		h := w.Header()
		h.Set(headerVersion, fmt.Sprintf("compute 2.%d", version))
		h.Set(headerNova, fmt.Sprintf("2.%d", version))
		h.Set("Vary", headerVersion+", "+headerNova)
		r.Header.Set(headerNova, fmt.Sprintf("2.%d", version))
		r.Request = r.WithContext(server.AskedBy(r.Context(), server.Asker{Project: r.Caller.ProjectID(), User: r.Caller.User.ID, Request: r.ID}))
		return do(w, r)
	}
}

// askedVersion is the version that a request names for this service in the newer header, or in the older one.
func askedVersion(r *api.Request) string {
	for part := range strings.SplitSeq(r.Header.Get(headerVersion), ",") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(part), "compute "); ok {
			return strings.TrimSpace(v)
		}
	}
	return r.Header.Get(headerNova)
}

// microOf is the microversion that a request was found to be of.
func microOf(r *api.Request) int {
	n, err := strconv.Atoi(strings.TrimPrefix(r.Header.Get(headerNova), "2."))
	if err != nil {
		return minMicro
	}
	return n
}

// since tells from which microversion on a field is there. Source: Nova's "REST API Version History".
type since map[string]int

// at drops the fields that came after the version of a request.
func (s since) at(r *api.Request, d api.Object) api.Object {
	for field, from := range s {
		if from > microOf(r) {
			delete(d, field)
		}
	}
	return d
}

func versionDoc(r *api.Request) api.Object {
	return api.Object{"id": "v2.1", "status": "CURRENT", "version": fmt.Sprintf("2.%d", maxMicro), "min_version": fmt.Sprintf("2.%d", minMicro),
		"updated": "2013-07-23T11:33:21Z", "links": []api.Object{{"rel": "self", "href": api.BaseURL(r.Request) + Prefix + "/v2.1/"}}}
}

func (n *nova) versions(w http.ResponseWriter, r *api.Request) error {
	return api.JSON(w, http.StatusOK, api.Object{"versions": []api.Object{versionDoc(r)}})
}

func (n *nova) version(w http.ResponseWriter, r *api.Request) error {
	d := versionDoc(r)
	d["media-types"] = []api.Object{{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}}
	return api.JSON(w, http.StatusOK, api.Object{"version": d})
}
