package nova

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

// proxyEnds is the microversion with which the security groups went from this API to the network service alone.
const proxyEnds = 36

// handler answers a request.
type handler = func(w http.ResponseWriter, r *api.Request) error

// until answers in the place of another service, for clients of old versions such as the command openstack: up to the
// microversion with which what it answers with went away.
func until(ends int, what, service string, do handler) handler {
	return func(w http.ResponseWriter, r *api.Request) error {
		if microOf(r) >= ends {
			return fault.Errorf(fault.NotFound, "%s went away from here with 2.%d; the %s service has them", what, ends, service)
		}
		return do(w, r)
	}
}

func proxied(do handler) handler { return until(proxyEnds, "security groups", "network", do) }

func owner(r *api.Request) network.Owner { return network.Owner(r.Caller.ProjectID()) }

// ruleDoc shows a rule; names are those of the project's groups.
func ruleDoc(rule network.Rule, names map[string]string) api.Object {
	d := api.Object{"id": rule.ID, "parent_group_id": rule.GroupID, "ip_protocol": orNull(rule.Protocol), "from_port": rule.PortMin, "to_port": rule.PortMax}
	d["group"], d["ip_range"] = api.Object{}, api.Object{}
	switch {
	case rule.RemoteGroup != "":
		d["group"] = api.Object{"name": names[rule.RemoteGroup], "tenant_id": rule.ProjectID}
	case rule.RemotePrefix != "":
		d["ip_range"] = api.Object{"cidr": rule.RemotePrefix}
	case rule.EtherType == network.IPv6:
		d["ip_range"] = api.Object{"cidr": "::/0"}
	default:
		d["ip_range"] = api.Object{"cidr": "0.0.0.0/0"}
	}
	return d
}

// securityGroupDoc shows the rules for what may come in, which are all that this API knows.
func securityGroupDoc(g network.Group, names map[string]string) api.Object {
	rules := []api.Object{}
	for _, rule := range g.Rules {
		if rule.Direction == network.Ingress {
			rules = append(rules, ruleDoc(rule, names))
		}
	}
	return api.Object{"id": g.ID, "name": g.Name, "description": g.Description, "tenant_id": g.ProjectID, "rules": rules}
}

// ownGroups are the security groups of the caller's project, with their names by id.
func (n *nova) ownGroups(r *api.Request) ([]network.Group, map[string]string, error) {
	if err := n.networks.EnsureDefaultGroup(r.Context(), r.Caller.ProjectID()); err != nil {
		return nil, nil, err
	}
	gs, err := n.networks.Groups(r.Context(), owner(r), network.Query{Limit: pageMost})
	names := map[string]string{}
	for _, g := range gs {
		names[g.ID] = g.Name
	}
	return gs, names, err
}

func (n *nova) securityGroups(w http.ResponseWriter, r *api.Request) error {
	gs, names, err := n.ownGroups(r)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, g := range gs {
		docs = append(docs, securityGroupDoc(g, names))
	}
	return api.JSON(w, http.StatusOK, api.Object{"security_groups": docs})
}

func (n *nova) answerGroup(w http.ResponseWriter, r *api.Request, g network.Group) error {
	_, names, err := n.ownGroups(r)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"security_group": securityGroupDoc(g, names)})
}

func (n *nova) securityGroup(w http.ResponseWriter, r *api.Request) error {
	g, err := n.networks.Group(r.Context(), owner(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	return n.answerGroup(w, r, g)
}

type groupBody struct {
	Group struct {
		Name        string  `json:"name"`
		Description *string `json:"description"`
	} `json:"security_group"`
}

func (n *nova) createSecurityGroup(w http.ResponseWriter, r *api.Request) error {
	var b groupBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	g := network.Group{Name: b.Group.Name, Stateful: true}
	g.ProjectID = r.Caller.ProjectID()
	if api.Set(&g.Description, b.Group.Description); g.Name == "" {
		return fault.Field("name", "must have 1 to 255 characters")
	}
	made, err := n.networks.CreateGroups(r.Context(), []network.Group{g})
	if err != nil {
		return err
	}
	return n.answerGroup(w, r, made[0])
}

func (n *nova) updateSecurityGroup(w http.ResponseWriter, r *api.Request) error {
	var b groupBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	g, err := n.networks.EditGroup(r.Context(), owner(r), r.PathValue("id"), 0, func(g *network.Group) error {
		if b.Group.Name != "" {
			g.Name = b.Group.Name
		}
		api.Set(&g.Description, b.Group.Description)
		return nil
	})
	if err != nil {
		return err
	}
	return n.answerGroup(w, r, g)
}

// acceptedIf answers 202 when err is nil; otherwise it passes err on.
func acceptedIf(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusAccepted)
	}
	return err
}

func (n *nova) deleteSecurityGroup(w http.ResponseWriter, r *api.Request) error {
	return acceptedIf(w, n.networks.DeleteGroup(r.Context(), owner(r), r.PathValue("id"), 0))
}

func (n *nova) createRule(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		Rule struct {
			Parent   string  `json:"parent_group_id"`
			From     *number `json:"from_port"`
			To       *number `json:"to_port"`
			Protocol string  `json:"ip_protocol"`
			CIDR     string  `json:"cidr"`
			Group    string  `json:"group_id"`
		} `json:"security_group_rule"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	in := b.Rule
	rule := network.Rule{GroupID: in.Parent, Direction: network.Ingress, EtherType: network.IPv4, Protocol: strings.ToLower(in.Protocol), PortMin: -1, PortMax: -1,
		RemotePrefix: in.CIDR, RemoteGroup: in.Group}
	if p, err := netip.ParsePrefix(in.CIDR); err == nil && p.Addr().Is6() {
		rule.EtherType = network.IPv6
	}
	if in.From != nil && in.To != nil {
		rule.PortMin, rule.PortMax = int(*in.From), int(*in.To)
	}
	made, err := n.networks.CreateRules(r.Context(), owner(r), []network.Rule{rule})
	if err != nil {
		return err
	}
	_, names, err := n.ownGroups(r)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"security_group_rule": ruleDoc(made[0], names)})
}

func (n *nova) deleteRule(w http.ResponseWriter, r *api.Request) error {
	return acceptedIf(w, n.networks.DeleteRule(r.Context(), owner(r), r.PathValue("id"), 0))
}
