package ironic

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// defaults of a list, as Ironic has them.
const pageMost = 1000

func (i *ironic) nodes(w http.ResponseWriter, r *api.Request) error {
	if detail, err := boolOf(r, "detail"); err != nil || (detail != nil && *detail) {
		if err != nil {
			return err
		}
		return i.nodesDetail(w, r)
	}
	fields := fieldsOf(r)
	if len(fields) == 0 {
		fields = []string{"uuid", "name", "instance_uuid", "power_state", "provision_state", "maintenance"}
	}
	return i.listNodes(w, r, fields)
}

func (i *ironic) nodesDetail(w http.ResponseWriter, r *api.Request) error {
	return i.listNodes(w, r, nil)
}

func (i *ironic) listNodes(w http.ResponseWriter, r *api.Request, fields []string) error {
	q := r.URL.Query()
	f := node.Filter{Driver: ours(q.Get("driver")), ResourceClass: q.Get("resource_class"), Owner: q.Get("instance_uuid"), Marker: q.Get("marker"), Limit: pageMost}
	if v := q.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return fault.Field("limit", "must be a number, 0 or more")
		}
		if n > 0 {
			f.Limit = min(n, pageMost)
		}
	}
	var err error
	if f.Associated, err = boolOf(r, "associated"); err != nil {
		return err
	}
	if f.Held, err = boolOf(r, "maintenance"); err != nil {
		return err
	}
	f.Limit++ // one more tells whether there is a next page
	all, err := i.List(r.Context(), f)
	if err != nil {
		return err
	}
	more := len(all) == f.Limit
	if more {
		all = all[:f.Limit-1]
	}
	runs, err := i.Phases(r.Context(), all)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	want := q.Get("provision_state")
	for k := range all {
		d := nodeDoc(r, &all[k], runs[all[k].ID])
		if want != "" && d["provision_state"] != want {
			continue
		}
		if d, err = pick(d, fields); err != nil {
			return err
		}
		docs = append(docs, d)
	}
	out := api.Object{"nodes": docs}
	if more {
		q.Set("marker", string(all[len(all)-1].ID))
		out["next"] = api.BaseURL(r.Request) + r.URL.Path + "?" + q.Encode()
	}
	return api.JSON(w, http.StatusOK, out)
}

func (i *ironic) node(w http.ResponseWriter, r *api.Request) error {
	n, err := i.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	return i.showNode(w, r, http.StatusOK, n)
}

// nodeBody has the fields that a client may set. Of those that choose interfaces only boot_interface means something, how the
// agent is booted; the others are read and dropped: a driver is composed by what works.
type nodeBody struct {
	UUID          string                     `json:"uuid"`
	Name          *string                    `json:"name"`
	Driver        string                     `json:"driver"`
	DriverInfo    map[string]any             `json:"driver_info"`
	Properties    map[string]any             `json:"properties"`
	Extra         map[string]json.RawMessage `json:"extra"`
	ResourceClass *string                    `json:"resource_class"`
	Description   *string                    `json:"description"`
	BootInterface *string                    `json:"boot_interface"`
}

// foreign are Ironic's other node fields: they are accepted on create and ignored.
var foreign = []string{"chassis_uuid", "conductor_group", "automated_clean", "owner", "lessee", "protected", "retired", "shard", "instance_info", "instance_uuid", "network_data"}

func (i *ironic) createNode(w http.ResponseWriter, r *api.Request) error {
	var raw map[string]json.RawMessage
	if err := api.Decode(w, r, &raw); err != nil {
		return err
	}
	for k := range raw {
		if strings.HasSuffix(k, "_interface") && k != "boot_interface" {
			delete(raw, k)
		}
	}
	for _, k := range foreign {
		delete(raw, k)
	}
	var b nodeBody
	if err := api.Redecode(raw, &b); err != nil {
		return err
	}
	n := node.Node{ID: node.ID(strings.ToLower(b.UUID)), Driver: ours(b.Driver), Extra: b.Extra}
	api.Set(&n.Name, b.Name)
	api.Set(&n.ResourceClass, b.ResourceClass)
	api.Set(&n.Description, b.Description)
	password := setInfo(&n, b.DriverInfo)
	if err := setProperties(&n, b.Properties); err != nil {
		return err
	}
	if err := setBootBy(&n, b.BootInterface); err != nil {
		return err
	}
	if b.Driver == "" {
		return fault.Field("driver", "driver is missing")
	}
	p := ""
	api.Set(&p, password)
	n, err := i.Create(r.Context(), n, p)
	if err != nil {
		return err
	}
	w.Header().Set("Location", api.BaseURL(r.Request)+Prefix+"/v1/nodes/"+string(n.ID))
	return i.showNode(w, r, http.StatusCreated, &n)
}

// setInfo takes driver_info over and returns the password in it, if it was given and is not the mask that we show.
func setInfo(n *node.Node, info map[string]any) *string {
	var password *string
	n.DriverInfo = map[string]string{}
	for k, v := range info {
		if strings.HasSuffix(k, "_password") {
			if s := fmt.Sprint(v); s != masked {
				password = &s
			}
			continue
		}
		n.DriverInfo[k] = fmt.Sprint(v)
	}
	return password
}

// setProperties takes properties over; capabilities hold the boot mode, and zone says where the node stands.
func setProperties(n *node.Node, props map[string]any) error {
	n.Properties, n.RootHint = map[string]string{}, protocol.RootHint{}
	for k, v := range props {
		switch k {
		case "capabilities":
			for _, c := range strings.Split(fmt.Sprint(v), ",") {
				if mode, ok := strings.CutPrefix(c, "boot_mode:"); ok {
					n.BootMode = bmc.Mode(mode)
				}
			}
		case "zone":
			n.Zone = fmt.Sprint(v)
		case "root_device":
			raw, err := json.Marshal(v)
			if err == nil {
				err = json.Unmarshal(raw, &n.RootHint)
			}
			if err != nil {
				return fault.Field("properties/root_device", "must be an object with name, serial, wwn or model")
			}
		default:
			n.Properties[k] = fmt.Sprint(v)
		}
	}
	return nil
}

func (i *ironic) patchNode(w http.ResponseWriter, r *api.Request) error {
	n, err := i.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	info := map[string]any{}
	for k, v := range n.DriverInfo {
		info[k] = v
	}
	props := ownProperties(n)
	for k, v := range n.Properties {
		props[k] = v
	}
	doc := api.Object{"name": n.Name, "driver": theirs(n.Driver), "driver_info": info, "properties": props, "extra": orObject(n.Extra),
		"resource_class": n.ResourceClass, "description": n.Description, "boot_interface": bootWord(n)}
	var b nodeBody
	if err := patch(w, r, doc, &b); err != nil {
		return err
	}
	n.Driver, n.Extra, n.Name, n.Description = ours(b.Driver), b.Extra, "", ""
	api.Set(&n.Name, b.Name)
	api.Set(&n.ResourceClass, b.ResourceClass)
	api.Set(&n.Description, b.Description)
	password := setInfo(n, b.DriverInfo)
	if err := setProperties(n, b.Properties); err != nil {
		return err
	}
	if err := setBootBy(n, b.BootInterface); err != nil {
		return err
	}
	out, err := i.Update(r.Context(), *n, password)
	if err != nil {
		return err
	}
	return i.showNode(w, r, http.StatusOK, &out)
}

func (i *ironic) deleteNode(w http.ResponseWriter, r *api.Request) error {
	n, err := i.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	return done(w, http.StatusNoContent, i.Delete(r.Context(), n.ID))
}

// validate says what is missing for each interface that Ironic's clients ask about.
func (i *ironic) validate(w http.ResponseWriter, r *api.Request) error {
	n, err := i.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	out := api.Object{}
	for _, name := range []string{"power", "management", "deploy", "boot", "inspect", "network"} {
		out[name] = api.Object{"result": true}
	}
	if err := i.Reachable(n); err != nil {
		for _, name := range []string{"power", "management"} {
			out[name] = api.Object{"result": false, "reason": fault.Message(err)}
		}
	}
	if err := i.CanBoot(n); err != nil {
		out["boot"] = api.Object{"result": false, "reason": fault.Message(err)}
	}
	return api.JSON(w, http.StatusOK, out)
}

func (i *ironic) inventory(w http.ResponseWriter, r *api.Request) error {
	n, err := i.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	if n.Inventory == nil {
		return fault.Errorf(fault.NotFound, "the node has no inventory yet; inspect it")
	}
	return api.JSON(w, http.StatusOK, api.Object{"inventory": n.Inventory, "plugin_data": api.Object{}})
}

func (i *ironic) history(w http.ResponseWriter, r *api.Request) error {
	n, err := i.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	events, err := i.Events(r.Context(), n.ID, pageMost)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, e := range events {
		docs = append(docs, api.Object{"uuid": e.ID, "created_at": api.Time(e.At), "severity": "INFO", "event_type": e.Kind, "event": e.Text, "conductor": "", "user": nil, "links": []any{}})
	}
	return api.JSON(w, http.StatusOK, api.Object{"history": docs})
}
