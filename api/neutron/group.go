package neutron

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"strconv"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

type groupBody struct {
	Name        *string  `json:"name"`
	Description *string  `json:"description"`
	Stateful    *bool    `json:"stateful"`
	Tags        tagsBody `json:"tags"`
	TenantID    string   `json:"tenant_id" on:"post"`
	ProjectID   string   `json:"project_id" on:"post"`
}

func (n *neutron) groupKind() kind[network.Group, groupBody] {
	return kind[network.Group, groupBody]{one: "security_group", many: "security_groups", doc: groupDoc, list: n.Groups, get: n.Group, create: n.createGroups,
		update: func(r *api.Request, id string, rev int64, b groupBody) (network.Group, error) {
			return n.EditGroup(r.Context(), owner(r), id, rev, b.apply)
		}, remove: n.DeleteGroup, readOnly: "id status security_group_rules shared created_at updated_at revision_number"}
}

func groupDoc(r *api.Request, g network.Group) api.Object {
	rules := make([]api.Object, len(g.Rules))
	for i, rule := range g.Rules {
		rules[i] = ruleDoc(r, rule)
	}
	return api.Object{"id": g.ID, "name": g.Name, "description": g.Description, "tenant_id": g.ProjectID, "project_id": g.ProjectID, "stateful": g.Stateful,
		"shared": sharedWith(r, g.Shared, g.ProjectID), "security_group_rules": rules, "status": "ACTIVE", "tags": tags(g.Tags, g.Labels),
		"revision_number": g.Revision, "created_at": api.Time(g.CreatedAt), "updated_at": api.Time(g.UpdatedAt)}
}

func (b groupBody) apply(g *network.Group) error {
	api.Set(&g.Name, b.Name)
	api.Set(&g.Description, b.Description)
	api.Set(&g.Stateful, b.Stateful)
	return b.Tags.into(&g.Tags, &g.Labels)
}

func (n *neutron) createGroups(r *api.Request, bodies []groupBody) ([]network.Group, error) {
	gs := make([]network.Group, len(bodies))
	for i, b := range bodies {
		project, err := projectOf(r, b.TenantID, b.ProjectID)
		if err != nil {
			return nil, err
		}
		gs[i] = network.Group{Record: network.Record{ProjectID: project}, Stateful: true}
		if err := b.apply(&gs[i]); err != nil {
			return nil, err
		}
	}
	return n.CreateGroups(r.Context(), gs)
}

// groups makes the caller's default group before a list in which it belongs.
func (n *neutron) groups(list func(w http.ResponseWriter, r *api.Request) error) func(w http.ResponseWriter, r *api.Request) error {
	return func(w http.ResponseWriter, r *api.Request) error {
		if err := n.EnsureDefaultGroup(r.Context(), r.Caller.ProjectID()); err != nil {
			return err
		}
		return list(w, r)
	}
}

type ruleBody struct {
	GroupID            string               `json:"security_group_id"`
	Description        *string              `json:"description"`
	Direction          string               `json:"direction"`
	EtherType          *string              `json:"ethertype"`
	Protocol           optional[nameOrCode] `json:"protocol"`
	PortMin            optional[nameOrCode] `json:"port_range_min"`
	PortMax            optional[nameOrCode] `json:"port_range_max"`
	RemotePrefix       optional[string]     `json:"remote_ip_prefix"`
	RemoteGroup        optional[string]     `json:"remote_group_id"`
	RemoteAddressGroup optional[string]     `json:"remote_address_group_id"`
	TenantID           string               `json:"tenant_id"`
	ProjectID          string               `json:"project_id"`
}

// nameOrCode is a text or a number: clients send both.
type nameOrCode string

// UnmarshalJSON reads either.
func (n *nameOrCode) UnmarshalJSON(raw []byte) error {
	var number int
	if err := json.Unmarshal(raw, &number); err == nil {
		*n = nameOrCode(strconv.Itoa(number))
		return nil
	}
	return json.Unmarshal(raw, (*string)(n))
}

// port reads a port of a rule; absent is any.
func port(name string, o optional[nameOrCode]) (int, error) {
	if o.value == nil || *o.value == "" {
		return -1, nil
	}
	n, err := strconv.Atoi(string(*o.value))
	if err != nil || n < 0 {
		return 0, fault.Field(name, "%q is no port", *o.value)
	}
	return n, nil
}

func (n *neutron) ruleKind() kind[network.Rule, ruleBody] {
	return kind[network.Rule, ruleBody]{one: "security_group_rule", many: "security_group_rules", doc: ruleDoc, list: n.Rules, get: n.Rule,
		create: n.createRules, remove: n.DeleteRule, readOnly: "id created_at updated_at revision_number"}
}

func ruleDoc(_ *api.Request, r network.Rule) api.Object {
	port := func(n int) any {
		if n < 0 {
			return nil
		}
		return n
	}
	return api.Object{"id": r.ID, "tenant_id": r.ProjectID, "project_id": r.ProjectID, "security_group_id": r.GroupID, "description": r.Description,
		"direction": r.Direction, "ethertype": r.EtherType, "protocol": orNull(r.Protocol), "port_range_min": port(r.PortMin), "port_range_max": port(r.PortMax),
		"remote_ip_prefix": orNull(r.RemotePrefix), "remote_group_id": orNull(r.RemoteGroup), "remote_address_group_id": orNull(r.RemoteAddressGroup),
		"revision_number": r.Revision, "created_at": api.Time(r.CreatedAt), "updated_at": api.Time(r.UpdatedAt)}
}

func (n *neutron) createRules(r *api.Request, bodies []ruleBody) ([]network.Rule, error) {
	rules := make([]network.Rule, len(bodies))
	for i, b := range bodies {
		if _, err := projectOf(r, b.TenantID, b.ProjectID); err != nil {
			return nil, err
		}
		rule := network.Rule{GroupID: b.GroupID, Direction: b.Direction, EtherType: network.IPv4}
		api.Set(&rule.Description, b.Description)
		api.Set(&rule.EtherType, b.EtherType)
		if b.Protocol.value != nil {
			rule.Protocol = string(*b.Protocol.value)
		}
		b.RemotePrefix.into(&rule.RemotePrefix)
		b.RemoteGroup.into(&rule.RemoteGroup)
		b.RemoteAddressGroup.into(&rule.RemoteAddressGroup)
		var err error
		if rule.PortMin, err = port("port_range_min", b.PortMin); err != nil {
			return nil, err
		}
		if rule.PortMax, err = port("port_range_max", b.PortMax); err != nil {
			return nil, err
		}
		rules[i] = rule
	}
	return n.CreateRules(r.Context(), owner(r), rules)
}

type addressGroupBody struct {
	Name        *string   `json:"name"`
	Description *string   `json:"description"`
	Addresses   *[]string `json:"addresses" on:"post"`
	TenantID    string    `json:"tenant_id" on:"post"`
	ProjectID   string    `json:"project_id" on:"post"`
}

func (n *neutron) addressGroupKind() kind[network.AddressGroup, addressGroupBody] {
	return kind[network.AddressGroup, addressGroupBody]{one: "address_group", many: "address_groups", doc: addressGroupDoc, list: n.AddressGroups,
		get: n.AddressGroup, create: n.createAddressGroups,
		update: func(r *api.Request, id string, rev int64, b addressGroupBody) (network.AddressGroup, error) {
			return n.EditAddressGroup(r.Context(), owner(r), id, rev, func(g *network.AddressGroup) error {
				api.Set(&g.Name, b.Name)
				api.Set(&g.Description, b.Description)
				return nil
			})
		}, remove: n.DeleteAddressGroup,
		readOnly: "id shared created_at updated_at revision_number"}
}

func addressGroupDoc(r *api.Request, g network.AddressGroup) api.Object {
	return api.Object{"id": g.ID, "name": g.Name, "description": g.Description, "tenant_id": g.ProjectID, "project_id": g.ProjectID,
		"addresses": orEmpty(g.Addresses), "shared": sharedWith(r, g.Shared, g.ProjectID), "revision_number": g.Revision,
		"created_at": api.Time(g.CreatedAt), "updated_at": api.Time(g.UpdatedAt)}
}

// addressesOf reads addresses and ranges of them; an address is a range of one.
func addressesOf(given []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, len(given))
	for i, text := range given {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fault.Field("addresses", "%q is not an address or a range of them", text)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out[i] = p.Masked()
	}
	return out, nil
}

func (n *neutron) createAddressGroups(r *api.Request, bodies []addressGroupBody) ([]network.AddressGroup, error) {
	gs := make([]network.AddressGroup, len(bodies))
	for i, b := range bodies {
		project, err := projectOf(r, b.TenantID, b.ProjectID)
		if err != nil {
			return nil, err
		}
		gs[i] = network.AddressGroup{Record: network.Record{ProjectID: project}}
		api.Set(&gs[i].Name, b.Name)
		api.Set(&gs[i].Description, b.Description)
		if b.Addresses != nil {
			if gs[i].Addresses, err = addressesOf(*b.Addresses); err != nil {
				return nil, err
			}
		}
	}
	return n.CreateAddressGroups(r.Context(), gs)
}

// addresses serves the verbs that add addresses to a group and take them away.
func (n *neutron) addresses(w http.ResponseWriter, r *api.Request, do func(ctx context.Context, o network.Owner, id string, as []netip.Prefix) (network.AddressGroup, error)) error {
	var b struct {
		Addresses []string `json:"addresses"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	as, err := addressesOf(b.Addresses)
	if err != nil {
		return err
	}
	g, err := do(r.Context(), owner(r), r.PathValue("id"), as)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"address_group": addressGroupDoc(r, g)})
}

func (n *neutron) addAddresses(w http.ResponseWriter, r *api.Request) error {
	return n.addresses(w, r, n.AddAddresses)
}

func (n *neutron) removeAddresses(w http.ResponseWriter, r *api.Request) error {
	return n.addresses(w, r, n.RemoveAddresses)
}
