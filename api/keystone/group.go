package keystone

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/identity"
)

func groupDoc(r *api.Request, g identity.Group) api.Object {
	return with(g.Extra, api.Object{"id": g.ID, "name": g.Name, "description": g.Description, "domain_id": g.DomainID, "links": self(r, "groups", g.ID)})
}

func (k *keystone) groups(w http.ResponseWriter, r *api.Request) error {
	q, err := query(r, "name", "domain_id")
	if err != nil {
		return err
	}
	gs, err := k.Groups(r.Context(), within(r, q, "domain_id"), "")
	return page(w, r, "groups", gs, err, groupDoc)
}

type groupBody struct {
	Name        *string `json:"name"`
	Description *string `json:"description"`
	DomainID    string  `json:"domain_id"`
}

func (b groupBody) apply(g *identity.Group, extra identity.Extra) {
	api.Set(&g.Name, b.Name)
	api.Set(&g.Description, b.Description)
	g.Extra = merged(g.Extra, extra)
}

func (k *keystone) createGroup(w http.ResponseWriter, r *api.Request) error {
	var b groupBody
	extra, err := take(w, r, "group", &b)
	if err != nil {
		return err
	}
	g := identity.Group{DomainID: homeOf(r, b.DomainID)}
	if err := managed(r, g.DomainID, "domain", g.DomainID); err != nil {
		return err
	}
	b.apply(&g, extra)
	g, err = k.CreateGroup(r.Context(), g)
	return show(w, r, http.StatusCreated, "group", g, err, groupDoc)
}

// seenGroup returns the group of the path, if the caller may look into its domain.
func (k *keystone) seenGroup(r *api.Request) (identity.Group, error) {
	g, err := k.Group(r.Context(), r.PathValue("group"))
	if err == nil {
		err = visible(r, g.DomainID, "group", g.ID)
	}
	return g, err
}

// ruledGroup returns the group of the path, if the caller may change it.
func (k *keystone) ruledGroup(r *api.Request) (identity.Group, error) {
	g, err := k.Group(r.Context(), r.PathValue("group"))
	if err == nil {
		err = k.ruled(r, g.DomainID, "group", g.ID)
	}
	return g, err
}

func (k *keystone) showGroup(w http.ResponseWriter, r *api.Request) error {
	g, err := k.seenGroup(r)
	return show(w, r, http.StatusOK, "group", g, err, groupDoc)
}

func (k *keystone) updateGroup(w http.ResponseWriter, r *api.Request) error {
	var b groupBody
	extra, err := take(w, r, "group", &b)
	if err != nil {
		return err
	}
	g, err := k.ruledGroup(r)
	if err != nil {
		return err
	}
	if err := sameDomain(b.DomainID, g.DomainID); err != nil {
		return err
	}
	b.apply(&g, extra)
	return show(w, r, http.StatusOK, "group", g, k.UpdateGroup(r.Context(), g), groupDoc)
}

func (k *keystone) deleteGroup(w http.ResponseWriter, r *api.Request) error {
	g, err := k.ruledGroup(r)
	if err != nil {
		return err
	}
	return api.Gone(w, k.DeleteGroup(r.Context(), g.ID))
}

func (k *keystone) groupUsers(w http.ResponseWriter, r *api.Request) error {
	g, err := k.seenGroup(r)
	if err != nil {
		return err
	}
	return k.listUsers(w, r, g.ID)
}

func (k *keystone) inGroup(w http.ResponseWriter, r *api.Request) error {
	g, err := k.seenGroup(r)
	if err != nil {
		return err
	}
	return api.Gone(w, k.InGroup(r.Context(), r.PathValue("user"), g.ID))
}

// memberOf returns the group and user of a path, if the caller may change the group and look at the user.
func (k *keystone) memberOf(r *api.Request) (user, group string, err error) {
	g, err := k.ruledGroup(r)
	if err != nil {
		return "", "", err
	}
	u, err := k.seenUser(r)
	return u.ID, g.ID, err
}

func (k *keystone) addToGroup(w http.ResponseWriter, r *api.Request) error {
	user, group, err := k.memberOf(r)
	if err != nil {
		return err
	}
	return api.Gone(w, k.AddToGroup(r.Context(), user, group))
}

func (k *keystone) removeFromGroup(w http.ResponseWriter, r *api.Request) error {
	user, group, err := k.memberOf(r)
	if err != nil {
		return err
	}
	return api.Gone(w, k.RemoveFromGroup(r.Context(), user, group))
}
