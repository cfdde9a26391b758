// Package operator is Hagane's own API for operators: what no other cloud's dialect has a place for,
// such as switches, flavors and the runs of a node with every step they took.
package operator

import (
	"net/http"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/server"
)

// Prefix is where the service lives.
const Prefix = "/operator"

type operator struct {
	nodes    *node.Service
	networks *network.Service
	servers  *server.Service
}

// Dialect makes the dialect.
func Dialect(n *node.Service, nw *network.Service, s *server.Service) api.Dialect {
	o := &operator{n, nw, s}
	return api.Dialect{Prefix: Prefix, Error: Error, Routes: []api.Route{
		{"GET", "", api.Anyone, o.version},
		{"GET", "/v1/switches", api.OperatorsRead, o.switches},
		{"POST", "/v1/switches", api.Operators, o.setSwitch},
		{"POST", "/v1/flavors", api.Operators, o.createFlavor},
		{"GET", "/v1/conductors", api.OperatorsRead, o.conductors},
		{"POST", "/v1/conductors/{conductor}/drain", api.Operators, o.drain},
		{"GET", "/v1/limits", api.OperatorsRead, o.limits},
		{"PUT", "/v1/limits/{pool}", api.Operators, o.setLimit},
		{"GET", "/v1/runs", api.OperatorsRead, o.runs},
		{"GET", "/v1/runs/{run}", api.OperatorsRead, o.run},
		{"POST", "/v1/nodes/{node}/run", api.Operators, o.steer},
		{"GET", "/v1/nodes/{node}/runs", api.OperatorsRead, o.runsOf},
		{"GET", "/v1/nodes/{node}/why", api.OperatorsRead, o.why},
		{"GET", "/v1/nodes/{node}/events", api.OperatorsRead, o.events},
		{"GET", "/v1/nodes/{node}/gate", api.OperatorsRead, o.gate},
		{"GET", "/v1/nodes/{node}/bmc", api.OperatorsRead, o.bmcOf},
		{"POST", "/v1/nodes/{node}/bmc", api.Operators, o.deed},
		{"GET", "/v1/nodes/{node}/bmc/{kind}", api.OperatorsRead, o.learn},
		{"POST", "/v1/nodes/{node}/bmc-restart", api.Operators, o.restartBMC},
		{"POST", "/v1/nodes/{node}/bmc-password", api.Operators, o.rotate},
		{"POST", "/v1/nodes/{node}/bmc-trust", api.Operators, o.trust},
		{"GET", "/v1/nodes/{node}/agent", api.OperatorsRead, o.agent},
		{"GET", "/v1/nodes/{node}/console", api.Operators, o.console},
		{"GET", "/v1/nodes/{node}/trace", api.OperatorsRead, o.trace},
		{"GET", "/v1/baselines", api.OperatorsRead, o.baselines},
		{"PUT", "/v1/baselines/{class}", api.Operators, o.setBaseline},
		{"GET", "/v1/servers/{server}", api.OperatorsRead, o.server},
	}}
}

// Error answers with kind and message, and the field at fault where there is one.
func Error(w http.ResponseWriter, status int, err error) {
	doc := api.Object{"code": status, "kind": fault.KindOf(err).String(), "message": fault.Message(err)}
	if f := fault.FieldOf(err); f != "" {
		doc["field"] = f
	}
	_ = api.JSON(w, status, api.Object{"error": doc})
}

func (o *operator) version(w http.ResponseWriter, r *api.Request) error {
	return api.JSON(w, http.StatusOK, api.Object{"versions": []api.Object{{"id": "v1", "status": "CURRENT", "links": []api.Object{{"rel": "self", "href": api.BaseURL(r.Request) + Prefix + "/v1/"}}}}})
}

// Switch is a switch as clients give and see it. The password is never shown.
type Switch struct {
	Name     string `json:"name"`
	Driver   string `json:"driver"`
	Address  string `json:"address"`
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
}

func (o *operator) switches(w http.ResponseWriter, r *api.Request) error {
	all, err := o.networks.Switches(r.Context())
	if err != nil {
		return err
	}
	docs := []Switch{}
	for _, s := range all {
		docs = append(docs, Switch{Name: s.Name, Driver: s.Driver, Address: s.Address, Username: s.Username})
	}
	return api.JSON(w, http.StatusOK, api.Object{"switches": docs})
}

func (o *operator) setSwitch(w http.ResponseWriter, r *api.Request) error {
	var b Switch
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if err := o.networks.SetSwitch(r.Context(), network.Switch{Name: b.Name, Driver: b.Driver, Address: b.Address, Username: b.Username}, b.Password); err != nil {
		return err
	}
	b.Password = ""
	return api.JSON(w, http.StatusCreated, b)
}

// Flavor is a flavor as clients give and see it.
type Flavor struct {
	ID            string   `json:"id,omitempty"`
	Name          string   `json:"name"`
	ResourceClass string   `json:"resource_class"`
	Traits        []string `json:"traits,omitempty"`
	VCPUs         int      `json:"vcpus"`
	RAM           int64    `json:"ram"`
	Disk          int64    `json:"disk"`
}

func (o *operator) createFlavor(w http.ResponseWriter, r *api.Request) error {
	var b Flavor
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	f, err := o.servers.CreateFlavor(r.Context(), server.Flavor{Name: b.Name, ResourceClass: b.ResourceClass, Traits: b.Traits, VCPUs: b.VCPUs, RAM: b.RAM, Disk: b.Disk})
	if err != nil {
		return err
	}
	b.ID = f.ID
	return api.JSON(w, http.StatusCreated, b)
}

func (o *operator) events(w http.ResponseWriter, r *api.Request) error {
	n, err := o.nodes.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	events, err := o.nodes.Events(r.Context(), n.ID, 1000)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, e := range events {
		docs = append(docs, api.Object{"at": api.Time(e.At), "kind": e.Kind, "text": e.Text})
	}
	return api.JSON(w, http.StatusOK, api.Object{"events": docs})
}

func (o *operator) gate(w http.ResponseWriter, r *api.Request) error {
	n, err := o.nodes.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"gate": n.Gate, "holds": n.Holds})
}

// server tells the node that a tenant's server is on, and the networks' VLANs: what support needs.
func (o *operator) server(w http.ResponseWriter, r *api.Request) error {
	s, err := o.servers.Get(r.Context(), "", server.ID(r.PathValue("server")))
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"server": api.Object{"id": s.ID, "name": s.Name, "project_id": s.ProjectID, "state": s.State, "node_id": s.NodeID, "tried": s.Tried, "fault": s.Fault}})
}

// console shows what a node's console showed while no tenant's system ran, and while that of the server on it did.
func (o *operator) console(w http.ResponseWriter, r *api.Request) error {
	n, err := o.nodes.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	text, trouble, err := o.nodes.ConsoleText(r.Context(), n.ID, "")
	if err != nil {
		return err
	}
	tenant := ""
	if n.Owner != "" {
		if tenant, _, err = o.nodes.ConsoleText(r.Context(), n.ID, n.Owner); err != nil {
			return err
		}
	}
	on, why := n.Recorded()
	if !on {
		trouble = why
	}
	return api.JSON(w, http.StatusOK, api.Object{"recorded": on, "trouble": trouble, "text": text, "server": n.Owner, "server_text": tenant})
}

// agent shows what Ironic's own agent told of itself on a node.
func (o *operator) agent(w http.ResponseWriter, r *api.Request) error {
	n, err := o.nodes.Get(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	a, err := o.nodes.RamdiskOf(r.Context(), n.ID)
	if err != nil {
		return err
	}
	if a == nil {
		return fault.Errorf(fault.NotFound, "no agent of Ironic's was heard on the node %s", n.Name)
	}
	return api.JSON(w, http.StatusOK, api.Object{"url": a.URL, "version": a.Version, "status": a.Status, "message": a.Message, "heard_at": api.Time(a.SeenAt.Time),
		"run": a.RunID, "current": a.RunID == n.RunID})
}
