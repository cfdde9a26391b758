package ironic

import (
	"encoding/json"
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

func allocationDoc(r *api.Request, a node.Allocation) api.Object {
	return api.Object{"uuid": a.ID, "name": orNull(a.Name), "node_uuid": orNull(string(a.NodeID)), "resource_class": orNull(a.ResourceClass), "traits": orList(a.Traits),
		"candidate_nodes": orList(a.Candidates), "owner": orNull(a.Project), "state": a.State, "last_error": orNull(a.LastError), "extra": orObject(a.Extra),
		"created_at": api.Time(a.CreatedAt), "updated_at": api.Time(a.UpdatedAt), "links": self(r, "allocations", a.ID)}
}

func (i *ironic) allocations(w http.ResponseWriter, r *api.Request) error {
	q := r.URL.Query()
	id, err := i.nodeID(r, q.Get("node"))
	if err != nil {
		return err
	}
	p, err := page(r)
	if err != nil {
		return err
	}
	f := node.AllocationFilter{Node: id, ResourceClass: q.Get("resource_class"), State: q.Get("state"), Project: q.Get("owner")}
	if own := seen(r); own != "" {
		f.Project = own
	}
	all, err := i.Allocations(r.Context(), f, p)
	if err != nil {
		return err
	}
	return listed(w, r, "allocations", p, all, []string{"uuid", "name", "node_uuid", "resource_class", "state", "owner"}, allocationDoc)
}

func (i *ironic) createAllocation(w http.ResponseWriter, r *api.Request) error {
	var a node.Allocation
	if err := api.Decode(w, r, &a); err != nil {
		return err
	}
	if own := seen(r); own != "" {
		if a.Project != "" && a.Project != own {
			return fault.Errorf(fault.Denied, "only operators allocate for another project")
		}
		a.Project = own
	}
	a, err := i.Allocate(r.Context(), a)
	if err != nil {
		return err
	}
	return shown(w, r, http.StatusCreated, allocationDoc(r, a))
}

// ownAllocation returns an allocation that the caller may see.
func (i *ironic) ownAllocation(r *api.Request) (node.Allocation, error) {
	ref := r.PathValue("allocation")
	a, err := i.Allocation(r.Context(), ref)
	if own := seen(r); err == nil && own != "" && a.Project != own {
		err = fault.Errorf(fault.NotFound, "there is no allocation %q", ref)
	}
	return a, err
}

func (i *ironic) allocation(w http.ResponseWriter, r *api.Request) error {
	a, err := i.ownAllocation(r)
	if err != nil {
		return err
	}
	return shown(w, r, http.StatusOK, allocationDoc(r, a))
}

func (i *ironic) patchAllocation(w http.ResponseWriter, r *api.Request) error {
	a, err := i.ownAllocation(r)
	if err != nil {
		return err
	}
	var b struct {
		Name  string                     `json:"name"`
		Extra map[string]json.RawMessage `json:"extra"`
	}
	if err := patch(w, r, api.Object{"name": a.Name, "extra": orObject(a.Extra)}, &b); err != nil {
		return err
	}
	a.Name, a.Extra = b.Name, b.Extra
	if a, err = i.UpdateAllocation(r.Context(), a); err != nil {
		return err
	}
	return shown(w, r, http.StatusOK, allocationDoc(r, a))
}

func (i *ironic) deleteAllocation(w http.ResponseWriter, r *api.Request) error {
	a, err := i.ownAllocation(r)
	if err != nil {
		return err
	}
	return done(w, http.StatusNoContent, i.Deallocate(r.Context(), a.ID))
}

// ofNode returns the allocation of the node that a path names.
func (i *ironic) ofNode(r *api.Request) (node.Allocation, error) {
	n, err := i.get(r)
	if err != nil {
		return node.Allocation{}, err
	}
	return i.AllocationOf(r.Context(), n)
}

func (i *ironic) nodeAllocation(w http.ResponseWriter, r *api.Request) error {
	a, err := i.ofNode(r)
	if err != nil {
		return err
	}
	return shown(w, r, http.StatusOK, allocationDoc(r, a))
}

func (i *ironic) dropNodeAllocation(w http.ResponseWriter, r *api.Request) error {
	a, err := i.ofNode(r)
	if err != nil {
		return err
	}
	return done(w, http.StatusNoContent, i.Deallocate(r.Context(), a.ID))
}
