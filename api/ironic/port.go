package ironic

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/node"
)

type portBody struct {
	UUID     string                     `json:"uuid"`
	Node     string                     `json:"node_uuid"`
	Address  string                     `json:"address"`
	Link     map[string]string          `json:"local_link_connection"`
	PXE      *bool                      `json:"pxe_enabled"`
	Plane    *string                    `json:"physical_network"`
	Extra    map[string]json.RawMessage `json:"extra"`
	Group    *string                    `json:"portgroup_uuid"`
	SmartNIC *bool                      `json:"is_smartnic"`
	Name     *string                    `json:"name"`
}

func (b portBody) apply(p *node.Port) {
	p.MAC, p.Link, p.Extra = b.Address, b.Link, b.Extra
	api.Set(&p.PXE, b.PXE)
	api.Set(&p.Plane, b.Plane)
}

func (i *ironic) createPort(w http.ResponseWriter, r *api.Request) error {
	var b portBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	p := node.Port{ID: node.PortID(strings.ToLower(b.UUID)), NodeID: node.ID(b.Node), PXE: true}
	b.apply(&p)
	p, err := i.CreatePort(r.Context(), p)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusCreated, portDoc(r, p))
}

func (i *ironic) listPorts(w http.ResponseWriter, r *api.Request, id node.ID) error {
	ps, err := i.Ports(r.Context(), id)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	docs := []api.Object{}
	for _, p := range ps {
		if want := strings.ToLower(q.Get("address")); want != "" && want != p.MAC {
			continue
		}
		d, err := pick(portDoc(r, p), fieldsOf(r))
		if err != nil {
			return err
		}
		docs = append(docs, d)
	}
	return api.JSON(w, http.StatusOK, api.Object{"ports": docs})
}

func (i *ironic) ports(w http.ResponseWriter, r *api.Request) error {
	ref := r.URL.Query().Get("node")
	if ref == "" {
		ref = r.URL.Query().Get("node_uuid")
	}
	if ref == "" {
		return i.listPorts(w, r, "")
	}
	n, err := i.Get(r.Context(), ref)
	if err != nil {
		return err
	}
	return i.listPorts(w, r, n.ID)
}

func (i *ironic) nodePorts(w http.ResponseWriter, r *api.Request) error {
	n, err := i.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	return i.listPorts(w, r, n.ID)
}

func (i *ironic) port(w http.ResponseWriter, r *api.Request) error {
	p, err := i.Port(r.Context(), r.PathValue("port"))
	if err != nil {
		return err
	}
	d, err := pick(portDoc(r, *p), fieldsOf(r))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, d)
}

func (i *ironic) patchPort(w http.ResponseWriter, r *api.Request) error {
	p, err := i.Port(r.Context(), r.PathValue("port"))
	if err != nil {
		return err
	}
	doc := api.Object{"address": p.MAC, "local_link_connection": p.Link, "pxe_enabled": p.PXE, "physical_network": p.Plane, "extra": orObject(p.Extra)}
	var b portBody
	if err := patch(w, r, doc, &b); err != nil {
		return err
	}
	b.apply(p)
	out, err := i.UpdatePort(r.Context(), *p)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, portDoc(r, out))
}

func (i *ironic) deletePort(w http.ResponseWriter, r *api.Request) error {
	p, err := i.Port(r.Context(), r.PathValue("port"))
	if err != nil {
		return err
	}
	return done(w, http.StatusNoContent, i.DeletePort(r.Context(), p.ID))
}
