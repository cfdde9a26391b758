package operator

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/record"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// bmcOf tells all that is known of a node's BMC: what it is, what it can do by which protocol, what was learnt
// about it, and what was read from it, each with its evidence.
func (o *operator) bmcOf(w http.ResponseWriter, r *api.Request) error {
	n, err := o.nodes.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	truths, err := o.nodes.Truths(r.Context(), n.ID)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"bmc": api.Object{"identity": n.Identity, "profile": n.Device["profile"], "capabilities": n.Offers(), "learnt": n.Device, "truths": truths}})
}

// learn tells what is known of one kind; with refresh=true the BMC is asked first.
func (o *operator) learn(w http.ResponseWriter, r *api.Request) error {
	n, err := o.nodes.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	age := time.Duration(0)
	if r.URL.Query().Get("refresh") == "true" {
		age = time.Nanosecond
	}
	t, err := o.nodes.Learn(r.Context(), n.ID, r.PathValue("kind"), age)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"truth": t})
}

// deed has something done by the BMC, and answers when it is done.
func (o *operator) deed(w http.ResponseWriter, r *api.Request) error {
	var b node.Deed
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if err := b.Check(); err != nil {
		return err
	}
	n, err := o.nodes.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	if err := o.nodes.Perform(r.Context(), n.ID, b); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"done": b.Do})
}

// restartBMC has the BMC restarted; the run shows when it is back.
func (o *operator) restartBMC(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Kind bmc.RestartKind `json:"kind"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if b.Kind != bmc.Warm && b.Kind != bmc.Cold {
		return fault.Field("kind", "must be warm or cold")
	}
	n, err := o.nodes.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	if err := o.nodes.RestartBMC(r.Context(), n.ID, b.Kind); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// rotate has the BMC's password changed to a random one, and answers when it works.
func (o *operator) rotate(w http.ResponseWriter, r *api.Request) error {
	n, err := o.nodes.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	return api.Gone(w, o.nodes.RotatePassword(r.Context(), n.ID))
}

// trust has the next certificate of the BMC pinned.
func (o *operator) trust(w http.ResponseWriter, r *api.Request) error {
	n, err := o.nodes.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	return api.Gone(w, o.nodes.Trust(r.Context(), n.ID))
}

// trace tells the latest exchanges with the BMC, without secrets. As application/jsonl it is a recording that can be
// replayed in a test.
func (o *operator) trace(w http.ResponseWriter, r *api.Request) error {
	n, err := o.nodes.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	all, err := o.nodes.Trace(r.Context(), n.ID)
	if err != nil {
		return err
	}
	if r.Header.Get("Accept") == "application/jsonl" {
		w.Header().Set("Content-Type", "application/jsonl")
		return record.Write(w, all)
	}
	if all == nil {
		all = []record.Exchange{}
	}
	return api.JSON(w, http.StatusOK, api.Object{"exchanges": all})
}

func (o *operator) baselines(w http.ResponseWriter, r *api.Request) error {
	all, err := o.nodes.Baselines(r.Context())
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"baselines": all})
}

func (o *operator) setBaseline(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Settings   map[string]json.RawMessage  `json:"settings"`
		Firmware   map[string]node.FirmwareAim `json:"firmware"`
		SecureBoot string                      `json:"secure_boot"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	n := node.Baseline{ResourceClass: r.PathValue("class"), Settings: map[string]any{}, Firmware: b.Firmware, SecureBoot: b.SecureBoot}
	for name, raw := range b.Settings {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return fault.Field("settings", "the value of %s is no JSON", name)
		}
		n.Settings[name] = v
	}
	if err := o.nodes.SetBaseline(r.Context(), n); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"baseline": n})
}
