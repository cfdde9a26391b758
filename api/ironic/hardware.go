package ironic

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// fresh is how old what is known of the hardware may be before the BMC is asked anew.
const fresh = 10 * time.Minute

// learn returns what is known of a kind about the node that a path names.
func learn[T any](i *ironic, r *api.Request, kind string, age time.Duration) (v T, t *node.Truth, err error) {
	n, err := i.get(r)
	if err != nil {
		return v, nil, err
	}
	if t, err = i.Learn(r.Context(), n.ID, kind, age); err != nil {
		return v, nil, err
	}
	v, err = node.Known[T](t)
	return v, t, err
}

// perform has a deed done on the node that a path names, and waits for its outcome.
func (i *ironic) perform(w http.ResponseWriter, r *api.Request, deed node.Deed) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	return done(w, http.StatusNoContent, i.Perform(r.Context(), n.ID, deed))
}

func (i *ironic) interrupt(w http.ResponseWriter, r *api.Request) error {
	return i.perform(w, r, node.Deed{Do: node.Interrupt})
}

// The only indicator: the identify LED of the chassis.
const (
	component = "chassis"
	indicator = "led"
)

func (i *ironic) indicators(w http.ResponseWriter, r *api.Request) error {
	if _, err := i.get(r); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"components": []api.Object{{"name": component, "links": self(r, "nodes", r.PathValue("node")+"/management/indicators/"+component)}}})
}

func (i *ironic) indicatorsOf(w http.ResponseWriter, r *api.Request) error {
	if r.PathValue("component") != component {
		return fault.Errorf(fault.NotFound, "there is no component %q; there is: chassis", r.PathValue("component"))
	}
	doc := api.Object{"name": indicator, "readonly": false, "states": []string{"OFF", "ON", "BLINKING"},
		"links": self(r, "nodes", r.PathValue("node")+"/management/indicators/"+component+"/"+indicator)}
	return api.JSON(w, http.StatusOK, api.Object{"indicators": []api.Object{doc}})
}

func thisIndicator(r *api.Request) error {
	if r.PathValue("component") != component || r.PathValue("indicator") != indicator {
		return fault.Errorf(fault.NotFound, "there is no indicator %q of %q; there is: led of chassis", r.PathValue("indicator"), r.PathValue("component"))
	}
	return nil
}

func (i *ironic) indicator(w http.ResponseWriter, r *api.Request) error {
	if err := thisIndicator(r); err != nil {
		return err
	}
	l, _, err := learn[bmc.Light](i, r, "light", time.Second)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"state": strings.ToUpper(string(l))})
}

func (i *ironic) setIndicator(w http.ResponseWriter, r *api.Request) error {
	if err := thisIndicator(r); err != nil {
		return err
	}
	var b struct {
		State string `json:"state"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	l := bmc.Light(strings.ToLower(b.State))
	if !slices.Contains([]bmc.Light{bmc.LightOn, bmc.LightOff, bmc.LightBlink}, l) {
		return fault.Field("state", "must be ON, OFF or BLINKING")
	}
	return i.perform(w, r, node.Deed{Do: node.SetLight, Light: l})
}

// settingDoc is a BIOS setting as Ironic shows it.
func settingDoc(r *api.Request, t *node.Truth, s bmc.Setting, detail bool) api.Object {
	d := api.Object{"name": s.Name, "value": s.Value, "created_at": api.Time(t.At), "updated_at": api.Time(t.At), "links": self(r, "nodes", r.PathValue("node")+"/bios/"+s.Name)}
	if detail {
		kinds := map[string]any{"enumeration": "Enumeration", "integer": "Integer", "string": "String", "boolean": "Boolean", "password": "Password", "": nil}
		d["attribute_type"], d["allowable_values"], d["lower_bound"], d["upper_bound"] = kinds[s.Type], s.Allowed, s.Min, s.Max
		d["min_length"], d["max_length"], d["read_only"], d["reset_required"], d["unique"] = nil, s.MaxLength, s.ReadOnly, s.NeedsReboot, nil
		d["default"], d["pending"] = s.Default, s.Pending
	}
	return d
}

func (i *ironic) biosSettings(w http.ResponseWriter, r *api.Request) error {
	all, t, err := learn[[]bmc.Setting](i, r, "settings", fresh)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, s := range all {
		docs = append(docs, settingDoc(r, t, s, strings.EqualFold(r.URL.Query().Get("detail"), "true")))
	}
	return api.JSON(w, http.StatusOK, api.Object{"bios": docs})
}

func (i *ironic) biosSetting(w http.ResponseWriter, r *api.Request) error {
	all, t, err := learn[[]bmc.Setting](i, r, "settings", fresh)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.Name == r.PathValue("setting") {
			return api.JSON(w, http.StatusOK, api.Object{s.Name: settingDoc(r, t, s, true)})
		}
	}
	return fault.Errorf(fault.NotFound, "the BIOS has no setting %q", r.PathValue("setting"))
}

func (i *ironic) firmware(w http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	if has, _ := n.Has(bmc.CanFirmware); !has && n.Driver != "fake" {
		return api.JSON(w, http.StatusOK, api.Object{"firmware": []api.Object{}}) // as its firmware_interface says
	}
	all, t, err := learn[[]bmc.Component](i, r, "firmware", fresh)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, c := range all {
		docs = append(docs, api.Object{"component": c.ID, "name": c.Name, "initial_version": c.Version, "current_version": c.Version, "last_version_flashed": nil,
			"created_at": api.Time(t.At), "updated_at": api.Time(t.At)})
	}
	return api.JSON(w, http.StatusOK, api.Object{"firmware": docs})
}

func (i *ironic) setBootMode(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Target bmc.Mode `json:"target"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if b.Target != bmc.UEFI && b.Target != bmc.BIOS {
		return fault.Field("target", "must be uefi or bios")
	}
	return i.ask(w, r, node.Deed{Do: node.SetMode, Mode: b.Target})
}

func (i *ironic) setSecureBoot(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Target any `json:"target"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	on, ok := map[any]bool{true: true, "on": true, "true": true, false: false, "off": false, "false": false}[b.Target]
	if !ok {
		return fault.Field("target", "must be on or off")
	}
	return i.ask(w, r, node.Deed{Do: node.SetSecureBoot, Enabled: on})
}

// ask has a deed begun and answers at once.
func (i *ironic) ask(w http.ResponseWriter, r *api.Request, deed node.Deed) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	return accepted(w, i.AskDeed(r.Context(), n.ID, deed))
}

// media tells what is in the virtual drives.
func (i *ironic) media(w http.ResponseWriter, r *api.Request) error {
	slots, _, err := learn[[]bmc.Slot](i, r, "media", fresh)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, s := range slots {
		docs = append(docs, api.Object{"media_types": s.Media, "inserted": s.Inserted, "image": s.Image, "image_url": orNull(s.Image), "id": s.ID})
	}
	return api.JSON(w, http.StatusOK, api.Object{"vmedia": docs})
}

func (i *ironic) attachMedia(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Device   string `json:"device_type"`
		URL      string `json:"image_url"`
		Download string `json:"image_download_source"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	kinds := map[string]bmc.Medium{"cdrom": bmc.CD, "disk": bmc.USB, "floppy": bmc.USB}
	if kinds[b.Device] == "" {
		return fault.Field("device_type", "must be cdrom, disk or floppy")
	}
	if b.Download != "" && b.Download != "http" {
		return fault.Field("image_download_source", "must be http: the BMC fetches the image by itself")
	}
	n, err := i.get(r)
	if err != nil {
		return err
	}
	return done(w, http.StatusNoContent, i.AskDeed(r.Context(), n.ID, node.Deed{Do: node.InsertMedia, Medium: kinds[b.Device], URL: b.URL}))
}

func (i *ironic) detachMedia(w http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	return done(w, http.StatusNoContent, i.AskDeed(r.Context(), n.ID, node.Deed{Do: node.EjectMedia}))
}
