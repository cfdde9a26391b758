package ecl

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/server"
)

func (e *ecl) showUEFI(w http.ResponseWriter, r *api.Request) error {
	srv, all, err := e.servers.UEFI(r.Context(), r.Caller.ProjectID(), server.ID(r.PathValue("id")))
	if err != nil {
		return err
	}
	settings := api.Object{}
	for _, s := range all {
		value := s.Value
		if s.Pending != nil {
			value = s.Pending
		}
		settings[s.Name] = api.Object{"value": fmt.Sprint(value), "default": s.Default, "type": "enum", "selection": s.Allowed}
	}
	name := ""
	if f, err := e.servers.Flavor(r.Context(), "", srv.FlavorID); err == nil {
		name = f.Name
	}
	return api.JSON(w, http.StatusOK, api.Object{"uefi": api.Object{"flavor_name": name, "flavor_id": srv.FlavorID, "updated": api.Time(srv.UEFIAt.Time),
		"status": srv.UEFIStatus, "message": srv.UEFIMessage, "setting": settings}})
}

func (e *ecl) setUEFI(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		UEFI struct {
			Setting map[string]struct {
				Value string `json:"value"`
			} `json:"setting"`
		} `json:"uefi"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	values := map[string]string{}
	for name, v := range b.UEFI.Setting {
		values[name] = v.Value
	}
	if err := e.servers.SetUEFI(r.Context(), r.Caller.ProjectID(), server.ID(r.PathValue("id")), values); err != nil {
		return err
	}
	return e.showUEFI(w, r)
}

// chassisStatus tells which kinds of part are well. disk counts those that have failed.
func chassisStatus(h bmc.Health, on bool) api.Object {
	d := api.Object{"chassis-power": on, "power-supply": true, "cpu": true, "memory": true, "fan": true, "disk": 0, "nic": true, "system-board": true, "etc": true}
	disks := 0
	for _, cause := range h.Causes {
		if !strings.HasSuffix(cause, ": critical") {
			continue
		}
		part := "etc"
		for _, k := range kindsOfPart {
			if strings.Contains(strings.ToLower(cause), k.word) {
				part = k.part
				break
			}
		}
		if part == "disk" {
			disks++
			continue
		}
		d[part] = false
	}
	d["disk"] = disks
	return d
}

// kindsOfPart tell by the words of a cause which part it is about.
var kindsOfPart = []struct{ word, part string }{
	{"power supp", "power-supply"}, {"powersupp", "power-supply"}, {"psu", "power-supply"}, {"fan", "fan"}, {"processor", "cpu"}, {"cpu", "cpu"},
	{"memory", "memory"}, {"dimm", "memory"}, {"drive", "disk"}, {"storage", "disk"}, {"disk", "disk"}, {"ethernet", "nic"}, {"network", "nic"},
	{"nic", "nic"}, {"chassis", "system-board"}, {"board", "system-board"},
}
