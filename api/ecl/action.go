package ecl

import (
	"encoding/json"
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/server"
)

// notYet are the actions of the dialect that are known and not served.
var notYet = map[string]bool{"boot_mode": true, "media-attach": true, "media-detach": true, "bmc-reset": true, "os-getManagementConsole": true}

// action carries out the one verb that the body names.
func (e *ecl) action(w http.ResponseWriter, r *api.Request) error {
	var body map[string]json.RawMessage
	if err := api.Decode(w, r, &body); err != nil {
		return err
	}
	if len(body) != 1 {
		return fault.Errorf(fault.Invalid, "the body must name one action, such as {\"os-start\": null}")
	}
	s, err := e.find(r)
	if err != nil {
		return err
	}
	for verb, raw := range body {
		a, err := powerAction(verb, raw)
		if err != nil {
			return err
		}
		if task := s.taskState(); task != "None" {
			return fault.Errorf(fault.Conflict, "the server is %s; actions are possible when its task_state is None", task)
		}
		if err := e.servers.SetPower(r.Context(), r.Caller.ProjectID(), server.ID(r.PathValue("id")), a); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func powerAction(verb string, raw json.RawMessage) (bmc.Action, error) {
	var how struct {
		Type string `json:"type"`
	}
	if len(raw) > 0 && string(raw) != "null" {
		if err := json.Unmarshal(raw, &how); err != nil {
			return "", fault.Field(verb, "must be null or an object with type")
		}
	}
	if how.Type != "" && how.Type != "HARD" && how.Type != "SOFT" {
		return "", fault.Field("type", "must be HARD or SOFT")
	}
	switch {
	case verb == "os-start":
		return bmc.PowerOn, nil
	case verb == "os-stop" && how.Type == "SOFT":
		return bmc.SoftOff, nil
	case verb == "os-stop":
		return bmc.PowerOff, nil
	case verb == "reboot" && how.Type == "HARD":
		return bmc.Reset, nil
	case verb == "reboot" && how.Type == "SOFT":
		return "", fault.Field("type", "a SOFT reboot is not served yet; stop SOFT and start")
	case verb == "reboot":
		return "", fault.Field("type", "must be HARD or SOFT")
	case notYet[verb]:
		return "", fault.Field(verb, "is not served yet")
	}
	return "", fault.Errorf(fault.Invalid, "there is no action %q", verb)
}
