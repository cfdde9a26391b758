package ironic

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// volumes serves the volume records of one kind.
type volumes struct {
	*ironic
	kind string // node.Connector or node.Target
}

// volumeBody has the fields of both kinds.
type volumeBody struct {
	UUID       string                     `json:"uuid"`
	Node       string                     `json:"node_uuid"`
	Type       string                     `json:"type"`         // of a connector
	Connector  string                     `json:"connector_id"` // of a connector
	VolumeType string                     `json:"volume_type"`  // of a target
	VolumeID   string                     `json:"volume_id"`    // of a target
	BootIndex  any                        `json:"boot_index"`   // of a target
	Properties map[string]json.RawMessage `json:"properties"`   // of a target
	Extra      map[string]json.RawMessage `json:"extra"`
}

func (b volumeBody) record(kind string) (node.Volume, error) {
	v := node.Volume{ID: strings.ToLower(b.UUID), Kind: kind, NodeID: node.ID(b.Node), Type: b.Type, Value: b.Connector, Properties: b.Properties, Extra: b.Extra}
	if kind == node.Target {
		index, err := strconv.Atoi(fmt.Sprint(b.BootIndex))
		if err != nil || index < 0 {
			return v, fault.Field("boot_index", "must be a number, 0 or more")
		}
		v.Type, v.Value = b.VolumeType, strconv.Itoa(index)+"/"+b.VolumeID
	}
	return v, nil
}

// doc has its links below volume/connectors or volume/targets.
func (s volumes) doc(r *api.Request, v node.Volume) api.Object {
	d := api.Object{"uuid": v.ID, "node_uuid": v.NodeID, "extra": orObject(v.Extra), "created_at": api.Time(v.CreatedAt), "updated_at": api.Time(v.UpdatedAt),
		"links": self(r, "volume/"+s.kind+"s", v.ID)}
	if s.kind == node.Connector {
		d["type"], d["connector_id"] = v.Type, v.Value
		return d
	}
	index, id, _ := strings.Cut(v.Value, "/")
	n, err := strconv.Atoi(index)
	if err != nil {
		n = 0
	}
	d["volume_type"], d["volume_id"], d["boot_index"], d["properties"] = v.Type, id, n, orObject(v.Properties)
	return d
}

func (s volumes) short() []string {
	if s.kind == node.Connector {
		return []string{"uuid", "node_uuid", "type", "connector_id"}
	}
	return []string{"uuid", "node_uuid", "volume_type", "boot_index", "volume_id"}
}

func (s volumes) list(w http.ResponseWriter, r *api.Request) error {
	ref := r.PathValue("node")
	if ref == "" {
		ref = r.URL.Query().Get("node")
	}
	id, err := s.nodeID(r, ref)
	if err != nil {
		return err
	}
	p, err := page(r)
	if err != nil {
		return err
	}
	all, err := s.Volumes(r.Context(), s.kind, id, p)
	if err != nil {
		return err
	}
	return listed(w, r, s.kind+"s", p, all, s.short(), s.doc)
}

func (s volumes) create(w http.ResponseWriter, r *api.Request) error {
	var b volumeBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	v, err := b.record(s.kind)
	if err != nil {
		return err
	}
	if v, err = s.CreateVolume(r.Context(), v); err != nil {
		return err
	}
	return shown(w, r, http.StatusCreated, s.doc(r, v))
}

func (s volumes) show(w http.ResponseWriter, r *api.Request) error {
	v, err := s.Volume(r.Context(), s.kind, r.PathValue("id"))
	if err != nil {
		return err
	}
	return shown(w, r, http.StatusOK, s.doc(r, v))
}

func (s volumes) patch(w http.ResponseWriter, r *api.Request) error {
	v, err := s.Volume(r.Context(), s.kind, r.PathValue("id"))
	if err != nil {
		return err
	}
	doc := s.doc(r, v)
	for _, own := range []string{"created_at", "updated_at", "links", "uuid"} {
		delete(doc, own)
	}
	var b volumeBody
	if err := patch(w, r, doc, &b); err != nil {
		return err
	}
	out, err := b.record(s.kind)
	if err != nil {
		return err
	}
	out.ID, out.CreatedAt = v.ID, v.CreatedAt
	if v, err = s.UpdateVolume(r.Context(), out); err != nil {
		return err
	}
	return shown(w, r, http.StatusOK, s.doc(r, v))
}

func (s volumes) delete(w http.ResponseWriter, r *api.Request) error {
	return done(w, http.StatusNoContent, s.DeleteVolume(r.Context(), s.kind, r.PathValue("id")))
}

// volumeRoot points at the two kinds.
func (i *ironic) volumeRoot(w http.ResponseWriter, r *api.Request) error {
	if r.PathValue("node") != "" {
		if _, err := i.get(r); err != nil {
			return err
		}
	}
	base := api.BaseURL(r.Request) + r.URL.Path
	links := func(name string) []api.Object { return []api.Object{{"rel": "self", "href": base + "/" + name}} }
	return api.JSON(w, http.StatusOK, api.Object{"connectors": links("connectors"), "targets": links("targets"), "links": []api.Object{{"rel": "self", "href": base}}})
}
