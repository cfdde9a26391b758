package ecl

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/server"
)

// how is what the actions take beside their name.
type how struct {
	Type     string          `json:"type"`
	BootMode server.BootInto `json:"boot_mode"`
	ImageRef string          `json:"imageRef"`
}

// act is an action on a server; a document that it returns is the answer's body.
type act func(e *ecl, r *api.Request, id server.ID, h how) (api.Object, error)

// actions are the verbs of the dialect.
var actions = map[string]act{
	"os-start": func(e *ecl, r *api.Request, id server.ID, _ how) (api.Object, error) {
		return nil, e.press(r, id, bmc.PowerOn)
	},
	"os-stop": func(e *ecl, r *api.Request, id server.ID, h how) (api.Object, error) {
		if soft, err := h.soft(false); err != nil || soft {
			return nil, orElse(err, func() error { return e.press(r, id, bmc.SoftOff) })
		}
		return nil, e.press(r, id, bmc.PowerOff)
	},
	"reboot": func(e *ecl, r *api.Request, id server.ID, h how) (api.Object, error) {
		soft, err := h.soft(true)
		if err != nil {
			return nil, err
		}
		if soft {
			return nil, e.servers.Restart(r.Context(), r.Caller.ProjectID(), id, node.Restart{Soft: true})
		}
		return nil, e.press(r, id, bmc.Reset)
	},
	"boot_mode": func(e *ecl, r *api.Request, id server.ID, h how) (api.Object, error) {
		soft, err := h.soft(true)
		return nil, orElse(err, func() error { return e.servers.RestartInto(r.Context(), r.Caller.ProjectID(), id, h.BootMode, soft) })
	},
	"media-attach": func(e *ecl, r *api.Request, id server.ID, h how) (api.Object, error) {
		image, err := h.image()
		return nil, orElse(err, func() error { return e.servers.Attach(r.Context(), r.Caller.ProjectID(), id, image) })
	},
	"media-detach": func(e *ecl, r *api.Request, id server.ID, h how) (api.Object, error) {
		image, err := h.image()
		return nil, orElse(err, func() error { return e.servers.Detach(r.Context(), r.Caller.ProjectID(), id, image) })
	},
	"bmc-reset": func(e *ecl, r *api.Request, id server.ID, h how) (api.Object, error) {
		kinds := map[string]bmc.RestartKind{"WARM": bmc.Warm, "COLD": bmc.Cold}
		if kinds[h.Type] == "" {
			return nil, fault.Field("type", "must be WARM or COLD")
		}
		return nil, e.servers.RestartBMC(r.Context(), r.Caller.ProjectID(), id, kinds[h.Type])
	},
	"os-getManagementConsole": func(e *ecl, r *api.Request, id server.ID, _ how) (api.Object, error) {
		c, err := e.servers.Console(r.Context(), r.Caller.ProjectID(), id)
		return api.Object{"console": api.Object{"type": c.Type, "url": c.Address, "user_id": c.User, "password": c.Password}}, err
	},
}

// takes are the fields that each action knows.
var takes = map[string][]string{
	"os-stop": {"type"}, "reboot": {"type"}, "bmc-reset": {"type"}, "boot_mode": {"type", "boot_mode"}, "media-attach": {"imageRef"}, "media-detach": {"imageRef"},
}

// read reads what an action is given. A field that it does not know is refused, as everywhere.
func read(verb string, raw json.RawMessage) (h how, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		return h, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return h, fault.Field(verb, "%s must be null or an object", verb)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(takes[verb], name) {
			return h, fault.Field(name, "the field %q is unknown in %s", name, verb)
		}
	}
	return h, api.Redecode(raw, &h)
}

func orElse(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}

// image reads the id of the image that is to be attached or detached.
func (h how) image() (string, error) {
	if h.ImageRef == "" {
		return "", fault.Field("imageRef", "imageRef is missing")
	}
	return last(h.ImageRef), nil
}

// soft reads the type: SOFT asks the operating system, HARD cuts the power.
func (h how) soft(needed bool) (bool, error) {
	switch {
	case h.Type == "SOFT":
		return true, nil
	case h.Type == "HARD", h.Type == "" && !needed:
		return false, nil
	}
	return false, fault.Field("type", "must be HARD or SOFT")
}

func (e *ecl) press(r *api.Request, id server.ID, a bmc.Action) error {
	return e.servers.SetPower(r.Context(), r.Caller.ProjectID(), id, a)
}

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
		do := actions[verb]
		if do == nil {
			return fault.Errorf(fault.Invalid, "there is no action %q; there are %s", verb, strings.Join(slices.Sorted(maps.Keys(actions)), ", "))
		}
		h, err := read(verb, raw)
		if err != nil {
			return err
		}
		if task := s.taskState(); task != "None" {
			return fault.Errorf(fault.Conflict, "the server is %s; actions are possible when its task_state is None", task)
		}
		doc, err := do(e, r, s.ID, h)
		if err != nil {
			return err
		}
		if doc != nil {
			return api.JSON(w, http.StatusOK, doc)
		}
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
