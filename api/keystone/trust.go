package keystone

import (
	"database/sql"
	"net/http"
	"slices"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
)

func trustDoc(r *api.Request, t identity.Trust) api.Object {
	var uses any
	if t.RemainingUses.Valid {
		uses = t.RemainingUses.Int64
	}
	return api.Object{"id": t.ID, "trustor_user_id": t.TrustorID, "trustee_user_id": t.TrusteeID, "project_id": t.ProjectID, "impersonation": t.Impersonation,
		"expires_at": stamped(t.ExpiresAt.Time), "deleted_at": nil, "remaining_uses": uses, "redelegation_count": t.RedelegationCount,
		"redelegated_trust_id": orNull(t.RedelegatedFrom), "links": self(r, "OS-TRUST", "trusts", t.ID)}
}

// trusts lists the trusts that the caller made or was given; an operator may list all.
func (k *keystone) trusts(w http.ResponseWriter, r *api.Request) error {
	trustor, trustee := r.URL.Query().Get("trustor_user_id"), r.URL.Query().Get("trustee_user_id")
	if me := r.Caller.User.ID; !r.Caller.ReadsAll() && trustor != me && trustee != me {
		return fault.Errorf(fault.Denied, "a user may list the own trusts only (trustor_user_id or trustee_user_id)")
	}
	ts, err := k.Trusts(r.Context(), trustor, trustee)
	return list(w, r, "trusts", ts, err, trustDoc)
}

type trustBody struct {
	TrustorUserID     string    `json:"trustor_user_id"`
	TrusteeUserID     string    `json:"trustee_user_id"`
	ProjectID         string    `json:"project_id"`
	Impersonation     bool      `json:"impersonation"`
	ExpiresAt         *string   `json:"expires_at"`
	RemainingUses     *int64    `json:"remaining_uses"`
	AllowRedelegation bool      `json:"allow_redelegation"`
	RedelegationCount *int      `json:"redelegation_count"`
	Roles             []roleRef `json:"roles"`
}

// mostGenerations is how often a trust may be delegated further when a client only says that it may.
const mostGenerations = 3

func (k *keystone) createTrust(w http.ResponseWriter, r *api.Request) error {
	var body struct {
		Trust trustBody `json:"trust"`
	}
	if err := api.Decode(w, r, &body); err != nil {
		return err
	}
	b := body.Trust
	t := identity.Trust{TrustorID: b.TrustorUserID, TrusteeID: b.TrusteeUserID, ProjectID: b.ProjectID, Impersonation: b.Impersonation}
	var err error
	if t.Roles, err = k.roleIDs(r, b.Roles); err != nil {
		return err
	}
	if b.ExpiresAt != nil {
		at, err := parseTime(*b.ExpiresAt)
		if err != nil {
			return err
		}
		t.ExpiresAt = bun.NullTime{Time: at}
	}
	if b.RemainingUses != nil {
		t.RemainingUses = sql.NullInt64{Int64: *b.RemainingUses, Valid: true}
	}
	if b.AllowRedelegation {
		t.RedelegationCount = mostGenerations
		if r.Caller.Trust != nil {
			t.RedelegationCount = r.Caller.Trust.RedelegationCount - 1
		}
		api.Set(&t.RedelegationCount, b.RedelegationCount)
	}
	if t, err = k.CreateTrust(r.Context(), r.Caller, t); err != nil {
		return err
	}
	return k.answerTrust(w, r, http.StatusCreated, t)
}

func (k *keystone) answerTrust(w http.ResponseWriter, r *api.Request, status int, t identity.Trust) error {
	doc := trustDoc(r, t)
	roles, err := k.roleDocs(r, t.Roles)
	if err != nil {
		return err
	}
	doc["roles"], doc["roles_links"] = roles, self(r, "OS-TRUST", "trusts", t.ID, "roles")
	return api.JSON(w, status, api.Object{"trust": doc})
}

// seenTrust returns the trust of the path, if the caller is in it or may look at everything.
func (k *keystone) seenTrust(r *api.Request) (identity.Trust, error) {
	t, err := k.Trust(r.Context(), r.PathValue("trust"))
	if me := r.Caller.User.ID; err == nil && t.TrustorID != me && t.TrusteeID != me && !r.Caller.ReadsAll() {
		err = fault.Errorf(fault.NotFound, "no trust %q", r.PathValue("trust"))
	}
	return t, err
}

func (k *keystone) trust(w http.ResponseWriter, r *api.Request) error {
	t, err := k.seenTrust(r)
	if err != nil {
		return err
	}
	return k.answerTrust(w, r, http.StatusOK, t)
}

func (k *keystone) deleteTrust(w http.ResponseWriter, r *api.Request) error {
	t, err := k.seenTrust(r)
	if err != nil {
		return err
	}
	if mine(r, t.TrustorID) != nil || r.Caller.Delegated() {
		return fault.Errorf(fault.Denied, "a trust is deleted by its trustor, and not with a restricted application credential or a trust")
	}
	return api.Gone(w, k.DeleteTrust(r.Context(), t.ID))
}

func (k *keystone) trustRoles(w http.ResponseWriter, r *api.Request) error {
	t, err := k.seenTrust(r)
	if err != nil {
		return err
	}
	roles, err := k.roleDocs(r, t.Roles)
	return list(w, r, "roles", roles, err, asIs)
}

func (k *keystone) trustRole(w http.ResponseWriter, r *api.Request) error {
	t, err := k.seenTrust(r)
	if err != nil {
		return err
	}
	if !slices.Contains(t.Roles, r.PathValue("role")) {
		return fault.Errorf(fault.NotFound, "the trust has no role %q", r.PathValue("role"))
	}
	roles, err := k.roleDocs(r, []string{r.PathValue("role")})
	if err != nil || len(roles) == 0 {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"role": roles[0]})
}
