package keystone

import (
	"net/http"
	"time"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

func (k *keystone) peopleRoutes() []api.Route {
	return []api.Route{
		{"GET", "/v3/users", api.DomainReaders, k.users},
		{"POST", "/v3/users", api.DomainAdmins, k.createUser},
		{"GET", "/v3/users/{user}", api.Authenticated, k.showUser},
		{"PATCH", "/v3/users/{user}", api.DomainAdmins, k.updateUser},
		{"DELETE", "/v3/users/{user}", api.DomainAdmins, k.deleteUser},
		{"POST", "/v3/users/{user}/password", api.Anyone, k.changePassword},
		{"GET", "/v3/users/{user}/projects", api.Authenticated, k.userProjects},
		{"GET", "/v3/users/{user}/groups", api.Authenticated, k.userGroups},

		{"GET", "/v3/groups", api.DomainReaders, k.groups},
		{"POST", "/v3/groups", api.DomainAdmins, k.createGroup},
		{"GET", "/v3/groups/{group}", api.DomainReaders, k.showGroup},
		{"PATCH", "/v3/groups/{group}", api.DomainAdmins, k.updateGroup},
		{"DELETE", "/v3/groups/{group}", api.DomainAdmins, k.deleteGroup},
		{"GET", "/v3/groups/{group}/users", api.DomainReaders, k.groupUsers},
		{"PUT", "/v3/groups/{group}/users/{user}", api.DomainAdmins, k.addToGroup},
		{"GET", "/v3/groups/{group}/users/{user}", api.DomainReaders, k.inGroup},
		{"DELETE", "/v3/groups/{group}/users/{user}", api.DomainAdmins, k.removeFromGroup},
	}
}

// stamp is the form of times in tokens and users.
const stamp = "2006-01-02T15:04:05.000000Z"

func stamped(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(stamp)
}

func userDoc(r *api.Request, u identity.User) api.Object {
	o := with(u.Extra, api.Object{"id": u.ID, "name": u.Name, "email": u.Email, "description": u.Description, "enabled": u.Enabled, "domain_id": u.DomainID,
		"password_expires_at": stamped(u.PasswordExpiresAt.Time), "options": orNone(u.Options), "links": self(r, "users", u.ID)})
	if u.DefaultProjectID != "" {
		o["default_project_id"] = u.DefaultProjectID
	}
	return o
}

func (k *keystone) users(w http.ResponseWriter, r *api.Request) error { return k.listUsers(w, r, "") }

func (k *keystone) listUsers(w http.ResponseWriter, r *api.Request, group string) error {
	q, err := query(r, "name", "domain_id", "enabled?", "email")
	if err != nil {
		return err
	}
	us, err := k.Users(r.Context(), within(r, q, "domain_id"), group)
	return page(w, r, "users", us, err, userDoc)
}

type userBody struct {
	Name             *string        `json:"name"`
	Email            *string        `json:"email"`
	Description      *string        `json:"description"`
	Password         *string        `json:"password"`
	OriginalPassword *string        `json:"original_password"` // some clients send it with an update; the operator need not know it
	Enabled          *bool          `json:"enabled"`
	DefaultProjectID *string        `json:"default_project_id"`
	DomainID         string         `json:"domain_id"`
	Options          identity.Extra `json:"options"`
}

func (b userBody) apply(u *identity.User, extra identity.Extra) {
	api.Set(&u.Name, b.Name)
	api.Set(&u.Email, b.Email)
	api.Set(&u.Description, b.Description)
	api.Set(&u.Enabled, b.Enabled)
	api.Set(&u.DefaultProjectID, b.DefaultProjectID)
	u.Options, u.Extra = merged(u.Options, b.Options), merged(u.Extra, extra)
}

// sameDomain refuses to move something to another domain.
func sameDomain(named, domain string) error {
	if named != "" && named != domain {
		return fault.Field("domain_id", "can not be changed")
	}
	return nil
}

func (k *keystone) createUser(w http.ResponseWriter, r *api.Request) error {
	var b userBody
	extra, err := take(w, r, "user", &b)
	if err != nil {
		return err
	}
	u := identity.User{Enabled: true, DomainID: homeOf(r, b.DomainID)}
	if err := managed(r, u.DomainID, "domain", u.DomainID); err != nil {
		return err
	}
	b.apply(&u, extra)
	u, err = k.CreateUser(r.Context(), u, b.Password)
	return show(w, r, http.StatusCreated, "user", u, err, userDoc)
}

func (k *keystone) showUser(w http.ResponseWriter, r *api.Request) error {
	u, err := k.seenUser(r)
	return show(w, r, http.StatusOK, "user", u, err, userDoc)
}

// seenUser returns the user of the path, if the caller is that or may look into the user's domain.
func (k *keystone) seenUser(r *api.Request) (identity.User, error) {
	u, err := k.User(r.Context(), r.PathValue("user"))
	if err == nil && u.ID != r.Caller.User.ID {
		err = visible(r, u.DomainID, "user", u.ID)
	}
	return u, err
}

// ruledUser returns the user of the path, if the caller may change that.
func (k *keystone) ruledUser(r *api.Request) (identity.User, error) {
	u, err := k.User(r.Context(), r.PathValue("user"))
	if err == nil {
		err = k.ruled(r, u.DomainID, "user", u.ID)
	}
	return u, err
}

func (k *keystone) updateUser(w http.ResponseWriter, r *api.Request) error {
	var b userBody
	extra, err := take(w, r, "user", &b)
	if err != nil {
		return err
	}
	u, err := k.ruledUser(r)
	if err != nil {
		return err
	}
	if err := sameDomain(b.DomainID, u.DomainID); err != nil {
		return err
	}
	b.apply(&u, extra)
	u, err = k.UpdateUser(r.Context(), u, b.Password)
	return show(w, r, http.StatusOK, "user", u, err, userDoc)
}

func (k *keystone) deleteUser(w http.ResponseWriter, r *api.Request) error {
	u, err := k.ruledUser(r)
	if err != nil {
		return err
	}
	return api.Gone(w, k.DeleteUser(r.Context(), u.ID))
}

// changePassword needs no token, as in Keystone: the old password proves more.
func (k *keystone) changePassword(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		User struct {
			Password         string `json:"password"`
			OriginalPassword string `json:"original_password"`
		} `json:"user"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	return api.Gone(w, k.ChangePassword(r.Context(), r.PathValue("user"), b.User.OriginalPassword, b.User.Password))
}

func (k *keystone) userProjects(w http.ResponseWriter, r *api.Request) error {
	u, err := k.seenUser(r)
	if err != nil {
		return err
	}
	return k.projectsOf(w, r, u.ID, false)
}

func (k *keystone) userGroups(w http.ResponseWriter, r *api.Request) error {
	u, err := k.seenUser(r)
	if err != nil {
		return err
	}
	q, err := query(r, "name")
	if err != nil {
		return err
	}
	gs, err := k.Groups(r.Context(), q, u.ID)
	return page(w, r, "groups", gs, err, groupDoc)
}
