package ironic

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

type portBody struct {
	UUID        string            `json:"uuid"`
	Node        string            `json:"node_uuid"`
	Address     string            `json:"address"`
	Link        map[string]string `json:"local_link_connection"`
	PXE         *bool             `json:"pxe_enabled"`
	Plane       *string           `json:"physical_network"`
	Extra       raw               `json:"extra"`
	Group       *string           `json:"portgroup_uuid"`
	SmartNIC    *bool             `json:"is_smartnic"`
	Name        *string           `json:"name"`
	Description *string           `json:"description"`
}

func (b portBody) apply(p *node.Port) {
	p.MAC, p.Link, p.Extra, p.GroupID, p.Name, p.Describes = b.Address, b.Link, b.Extra, or(b.Group), or(b.Name), or(b.Description)
	api.Set(&p.PXE, b.PXE)
	api.Set(&p.Plane, b.Plane)
	api.Set(&p.SmartNIC, b.SmartNIC)
}

func (i *ironic) createPort(w http.ResponseWriter, r *api.Request) error {
	var b portBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	id, err := i.nodeID(r, b.Node)
	if err != nil {
		return fault.Field("node_uuid", "there is no node %q", b.Node)
	}
	p := node.Port{ID: node.PortID(strings.ToLower(b.UUID)), NodeID: id, PXE: true}
	b.apply(&p)
	if p, err = i.CreatePort(r.Context(), p); err != nil {
		return err
	}
	return shown(w, r, http.StatusCreated, portDoc(r, p))
}

// portShort are the fields of a list; older clients get all.
var portShort = []string{"uuid", "address"}

func (i *ironic) listPorts(w http.ResponseWriter, r *api.Request, f node.PortFilter) error {
	p, err := page(r)
	if err != nil {
		return err
	}
	f.MAC, f.Seen, f.Page = r.URL.Query().Get("address"), seen(r), p
	all, err := i.ListPorts(r.Context(), f)
	if err != nil {
		return err
	}
	return listed(w, r, "ports", p, all, portShort, portDoc)
}

func (i *ironic) ports(w http.ResponseWriter, r *api.Request) error {
	q := r.URL.Query()
	id, err := i.nodeID(r, cmp.Or(q.Get("node"), q.Get("node_uuid")))
	if err != nil {
		return err
	}
	group := q.Get("portgroup")
	if group != "" {
		g, err := i.PortGroup(r.Context(), group)
		if err != nil {
			return err
		}
		group = g.ID
	}
	return i.listPorts(w, r, node.PortFilter{Node: id, Group: group})
}

func (i *ironic) nodePorts(w http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	return i.listPorts(w, r, node.PortFilter{Node: n.ID})
}

// seenPort returns the port that a path names, if the caller may see its node.
func (i *ironic) seenPort(r *api.Request) (*node.Port, error) {
	p, err := i.Port(r.Context(), r.PathValue("port"))
	own := seen(r)
	if err != nil || own == "" {
		return p, err
	}
	n, err := i.Get(r.Context(), string(p.NodeID))
	if err != nil || (n.Project != own && n.Lessee != own) {
		return nil, fault.Errorf(fault.NotFound, "no port %q", r.PathValue("port"))
	}
	return p, nil
}

func (i *ironic) port(w http.ResponseWriter, r *api.Request) error {
	p, err := i.seenPort(r)
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
	doc := api.Object{"address": p.MAC, "local_link_connection": p.Link, "pxe_enabled": p.PXE, "physical_network": p.Plane, "extra": orObject(p.Extra),
		"portgroup_uuid": orNull(p.GroupID), "name": orNull(p.Name), "description": orNull(p.Describes), "is_smartnic": p.SmartNIC}
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
