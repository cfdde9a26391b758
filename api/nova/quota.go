package nova

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/server"
)

// ended tells with which microversion a quota went away.
var ended = map[string]int{"fixed_ips": 36, "floating_ips": 36, "security_groups": 36, "security_group_rules": 36,
	"injected_files": 57, "injected_file_content_bytes": 57, "injected_file_path_bytes": 57}

// shownQuotas is a document of quotas, each as show has it.
func shownQuotas(r *api.Request, qs []server.Quota, show func(server.Quota) any) api.Object {
	d := api.Object{}
	for _, q := range qs {
		if last := ended[q.Resource]; last == 0 || microOf(r) < last {
			d[q.Resource] = show(q)
		}
	}
	return d
}

func quotaDoc(r *api.Request, qs []server.Quota) api.Object {
	return shownQuotas(r, qs, func(q server.Quota) any { return q.Limit })
}

// quotaProject is the project whose quotas are asked for: a tenant may see its own.
func quotaProject(r *api.Request) (string, error) {
	p := r.PathValue("project")
	if p != r.Caller.ProjectID() && !r.Caller.Operator() {
		return "", fault.Errorf(fault.Denied, "only an operator may see the quotas of other projects")
	}
	return p, nil
}

func (n *nova) quotasOf(r *api.Request, withUsed bool) (string, []server.Quota, error) {
	p, err := quotaProject(r)
	if err != nil {
		return "", nil, err
	}
	qs, err := n.servers.Quotas(r.Context(), p, withUsed)
	return p, qs, err
}

func (n *nova) quota(w http.ResponseWriter, r *api.Request) error {
	p, qs, err := n.quotasOf(r, false)
	if err != nil {
		return err
	}
	d := quotaDoc(r, qs)
	d["id"] = p
	return api.JSON(w, http.StatusOK, api.Object{"quota_set": d})
}

func (n *nova) quotaDefaults(w http.ResponseWriter, r *api.Request) error {
	p, err := quotaProject(r)
	if err != nil {
		return err
	}
	qs, err := n.servers.DefaultQuotas(r.Context())
	if err != nil {
		return err
	}
	d := quotaDoc(r, qs)
	d["id"] = p
	return api.JSON(w, http.StatusOK, api.Object{"quota_set": d})
}

func (n *nova) quotaDetail(w http.ResponseWriter, r *api.Request) error {
	p, qs, err := n.quotasOf(r, true)
	if err != nil {
		return err
	}
	d := shownQuotas(r, qs, func(q server.Quota) any { return api.Object{"limit": q.Limit, "in_use": q.Used, "reserved": 0} })
	d["id"] = p
	return api.JSON(w, http.StatusOK, api.Object{"quota_set": d})
}

// amounts reads quotas, and whether they may be less than what is used.
func amounts(given map[string]json.RawMessage) (map[string]int, bool, error) {
	out, force := map[string]int{}, false
	for name, raw := range given {
		switch name {
		case "tenant_id", "id", "class_name": // in the path
		case "force":
			force = strings.EqualFold(strings.Trim(string(raw), `"`), "true")
		default:
			var n number
			if err := json.Unmarshal(raw, &n); err != nil {
				return nil, false, fault.Field(name, "must be a number")
			}
			out[name] = int(n)
		}
	}
	return out, force, nil
}

func (n *nova) setQuota(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Set map[string]json.RawMessage `json:"quota_set"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	set, force, err := amounts(b.Set)
	if err != nil {
		return err
	}
	p := r.PathValue("project")
	if err := n.servers.SetQuotas(r.Context(), p, set, force); err != nil {
		return err
	}
	qs, err := n.servers.Quotas(r.Context(), p, false)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"quota_set": quotaDoc(r, qs)})
}

func (n *nova) resetQuota(w http.ResponseWriter, r *api.Request) error {
	return acceptedIf(w, n.servers.ResetQuotas(r.Context(), r.PathValue("project")))
}

// defaultClass is the only class of quotas: what holds for projects of which nothing else was said.
func defaultClass(r *api.Request) error {
	if r.PathValue("class") != "default" {
		return fault.Errorf(fault.NotFound, "there is no quota class %q; there is default", r.PathValue("class"))
	}
	return nil
}

func (n *nova) quotaClass(w http.ResponseWriter, r *api.Request) error {
	if err := defaultClass(r); err != nil {
		return err
	}
	qs, err := n.servers.DefaultQuotas(r.Context())
	if err != nil {
		return err
	}
	d := quotaDoc(r, qs)
	d["id"] = "default"
	return api.JSON(w, http.StatusOK, api.Object{"quota_class_set": d})
}

func (n *nova) setQuotaClass(w http.ResponseWriter, r *api.Request) error {
	if err := defaultClass(r); err != nil {
		return err
	}
	var b struct {
		Set map[string]json.RawMessage `json:"quota_class_set"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	set, _, err := amounts(b.Set)
	if err != nil {
		return err
	}
	if err := n.servers.SetQuotas(r.Context(), "", set, true); err != nil {
		return err
	}
	qs, err := n.servers.DefaultQuotas(r.Context())
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"quota_class_set": quotaDoc(r, qs)})
}

func (n *nova) limits(w http.ResponseWriter, r *api.Request) error {
	p := r.Caller.ProjectID()
	if other := r.URL.Query().Get("tenant_id"); other != "" && other != p {
		if !r.Caller.Operator() {
			return fault.Errorf(fault.Denied, "only an operator may see the limits of other projects")
		}
		p = other
	}
	qs, err := n.servers.Quotas(r.Context(), p, true)
	if err != nil {
		return err
	}
	of := func(resource string) server.Quota {
		return qs[slices.IndexFunc(qs, func(q server.Quota) bool { return q.Resource == resource })]
	}
	d := api.Object{"maxServerMeta": of("metadata_items").Limit, "maxTotalInstances": of("instances").Limit, "totalInstancesUsed": of("instances").Used,
		"maxTotalCores": of("cores").Limit, "totalCoresUsed": of("cores").Used, "maxTotalRAMSize": of("ram").Limit, "totalRAMUsed": of("ram").Used,
		"maxTotalKeypairs": of("key_pairs").Limit, "maxServerGroups": of("server_groups").Limit, "totalServerGroupsUsed": of("server_groups").Used,
		"maxServerGroupMembers": of("server_group_members").Limit}
	if microOf(r) < 57 {
		d["maxPersonality"], d["maxPersonalitySize"] = of("injected_files").Limit, of("injected_file_content_bytes").Limit
	}
	if microOf(r) < 36 {
		d["maxSecurityGroups"], d["totalSecurityGroupsUsed"] = of("security_groups").Limit, of("security_groups").Used
		d["maxSecurityGroupRules"] = of("security_group_rules").Limit
		d["maxTotalFloatingIps"], d["totalFloatingIpsUsed"] = of("floating_ips").Limit, of("floating_ips").Used
	}
	if microOf(r) < 39 {
		d["maxImageMeta"] = of("metadata_items").Limit
	}
	return api.JSON(w, http.StatusOK, api.Object{"limits": api.Object{"rate": []any{}, "absolute": d}})
}
