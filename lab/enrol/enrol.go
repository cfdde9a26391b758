// Package enrol makes a lab's machines known to a cloud, as an operator would: with the clouds.yaml of
// the data folder it gets a token, registers the switch, and enrols nodes and ports through the Ironic
// API. It may be repeated: what the cloud knows already is brought up to date.
package enrol

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	cloudclient "github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/client"
)

// SwitchName is the name under which the lab's switch is registered; ports name it as their switch_id.
const SwitchName = "lab"

// Options says what to enrol and where.
type Options struct {
	DataDir       string // the folder with clouds.yaml
	Cloud         string // its entry
	ResourceClass string // of the nodes
	Lab           client.Lab
	Log           *slog.Logger
}

// Run enrols the lab once. It returns Unavailable faults when the cloud does not answer (yet).
func Run(ctx context.Context, o Options) error {
	access, err := cloudclient.ReadAccess(o.DataDir, o.Cloud)
	if err != nil {
		return err
	}
	conn, err := cloudclient.Connect(ctx, access)
	if err != nil {
		return err
	}
	c := &cloud{conn}
	if err := c.addSwitch(ctx, o.Lab.Switch); err != nil {
		return err
	}
	for _, n := range o.Lab.Nodes {
		if err := c.addNode(ctx, n, o.ResourceClass); err != nil {
			return fault.Wrap("enrol "+n.Name, err)
		}
	}
	o.Log.Info("enrolled", "nodes", len(o.Lab.Nodes), "cloud", access.AuthURL)
	return nil
}

// cloud is a cloud with a token for it.
type cloud struct{ *cloudclient.Cloud }

// node is what the Ironic API takes and tells of a node, as far as the lab needs it.
type node struct {
	UUID          string            `json:"uuid,omitempty"`
	Name          string            `json:"name,omitempty"`
	Driver        string            `json:"driver,omitempty"`
	DriverInfo    map[string]any    `json:"driver_info,omitempty"`
	ResourceClass string            `json:"resource_class,omitempty"`
	Properties    map[string]string `json:"properties,omitempty"`
}

type port struct {
	NodeUUID string         `json:"node_uuid"`
	Address  string         `json:"address"`
	Link     linkConnection `json:"local_link_connection"`
	Plane    string         `json:"physical_network,omitempty"`
	PXE      bool           `json:"pxe_enabled"`
}

type linkConnection struct {
	SwitchID   string `json:"switch_id"`
	PortID     string `json:"port_id"`
	SwitchInfo string `json:"switch_info"`
}

// change is one operation of a JSON patch (RFC 6902).
type change struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

func (c *cloud) addSwitch(ctx context.Context, address string) error {
	body := struct {
		Name    string `json:"name"`
		Driver  string `json:"driver"`
		Address string `json:"address"`
	}{SwitchName, "lab", address}
	err := c.Do(ctx, http.MethodPost, "operator", "/v1/switches", body, nil)
	if fault.Is(err, fault.Conflict) { // it is known
		return nil
	}
	return fault.Wrap("register the lab's switch", err)
}

func (c *cloud) addNode(ctx context.Context, n client.Node, class string) error {
	info, err := driverInfo(n.BMC)
	if err != nil {
		return err
	}
	var known node
	err = c.Do(ctx, http.MethodGet, "baremetal", "/v1/nodes/"+url.PathEscape(n.Name), nil, &known)
	switch {
	case fault.Is(err, fault.NotFound):
		err = c.Do(ctx, http.MethodPost, "baremetal", "/v1/nodes", node{
			Name: n.Name, Driver: n.BMC.Driver, DriverInfo: info, ResourceClass: class,
			Properties: map[string]string{"capabilities": "boot_mode:" + n.Mode},
		}, &known)
	case err == nil:
		err = c.Do(ctx, http.MethodPatch, "baremetal", "/v1/nodes/"+url.PathEscape(known.UUID), []change{
			{Op: "replace", Path: "/driver_info", Value: info},
		}, nil)
		if err == nil {
			// The lab's BMCs make new certificates when they start: what was pinned is not theirs any more.
			err = c.Do(ctx, http.MethodPost, "operator", "/v1/nodes/"+url.PathEscape(known.UUID)+"/bmc-trust", nil, nil)
		}
	}
	if err != nil {
		return err
	}
	for i, nic := range n.NICs {
		err := c.Do(ctx, http.MethodPost, "baremetal", "/v1/ports", port{
			NodeUUID: known.UUID, Address: nic.MAC,
			Link:  linkConnection{SwitchID: SwitchName, PortID: nic.Port, SwitchInfo: SwitchName},
			Plane: nic.Plane, PXE: i == 0,
		}, nil)
		if err != nil && !fault.Is(err, fault.Conflict) { // a conflict: the port is known
			return fault.Wrap("add the port "+nic.MAC, err)
		}
	}
	return nil
}

// driverInfo returns how to reach a BMC in the words of the Ironic drivers.
func driverInfo(b client.BMC) (map[string]any, error) {
	info := map[string]any{b.Driver + "_username": b.Username, b.Driver + "_password": b.Password}
	ipmi := b.IPMI
	if b.Driver == "ipmi" {
		ipmi = b.Address
	} else {
		info[b.Driver+"_address"], info[b.Driver+"_verify_ca"] = b.Address, false
	}
	if ipmi != "" {
		host, port, ok := strings.Cut(ipmi, ":")
		if !ok {
			return nil, fault.Errorf(fault.Internal, "the lab can not enrol a BMC by IPMI at %q", ipmi)
		}
		info["ipmi_address"], info["ipmi_port"] = host, port
	}
	return info, nil
}
