package ironic

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/server"
)

// verbs pairs Ironic's targets with ours, for those that need no more than their name.
var verbs = map[string]string{"manage": "manage", "provide": "provide", "inspect": "inspect", "abort": "abort", "deleted": "undeploy", "undeploy": "undeploy",
	"unrescue": "unrescue"}

// tenantVerbs are the targets that a project may use on a node that it owns or leases.
var tenantVerbs = []string{"active", "deploy", "rebuild", "deleted", "undeploy", "abort", "rescue", "unrescue"}

// provisionBody asks for a change of state.
type provisionBody struct {
	Target         string              `json:"target"`
	ConfigDrive    json.RawMessage     `json:"configdrive"`
	CleanSteps     []node.TemplateStep `json:"clean_steps"`
	ServiceSteps   []node.TemplateStep `json:"service_steps"`
	DeploySteps    []node.TemplateStep `json:"deploy_steps"`
	RescuePassword string              `json:"rescue_password"`
	DisableRamdisk bool                `json:"disable_ramdisk"`
	Runbook        string              `json:"runbook"`
}

func (i *ironic) provision(w http.ResponseWriter, r *api.Request) error {
	var b provisionBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	n, err := i.get(r)
	if err != nil {
		return err
	}
	if seen(r) != "" && !slices.Contains(tenantVerbs, b.Target) {
		return fault.Errorf(fault.Denied, "only operators use the target %q", b.Target)
	}
	if b.RescuePassword != "" && b.Target != "rescue" {
		return fault.Field("rescue_password", "is only for the target rescue")
	}
	if verb := verbs[b.Target]; verb != "" {
		return accepted(w, i.Do(r.Context(), n.ID, verb))
	}
	switch b.Target {
	case "active", "deploy", "rebuild":
		return i.deploy(w, r, n, b)
	case "adopt":
		return accepted(w, i.Adopt(r.Context(), n.ID))
	case "unhold":
		return accepted(w, i.Unhold(r.Context(), n.ID))
	case "clean", "service":
		return i.takeSteps(w, r, n, b)
	case "rescue":
		return accepted(w, i.Rescue(r.Context(), n.ID, b.RescuePassword))
	}
	return fault.Field("target", "the target %q is not possible; possible: active, rebuild, deleted, manage, provide, inspect, adopt, clean, service, rescue, unrescue, abort, unhold", b.Target)
}

// deploy deploys a node with what its instance_info names.
func (i *ironic) deploy(w http.ResponseWriter, r *api.Request, n *node.Node, b provisionBody) error {
	if len(b.DeploySteps) > 0 {
		return fault.Field("deploy_steps", "are not taken by deployments here; have steps taken before (clean) or after (service)")
	}
	drive, err := configDrive(b.ConfigDrive)
	if err != nil {
		return err
	}
	again := b.Target == "rebuild" || n.State != node.Available
	return accepted(w, i.servers.DeployNode(r.Context(), n.ID, drive, again))
}

// configDrive reads a config drive that is given as documents, or as a finished image.
func configDrive(text json.RawMessage) (*server.ConfigDrive, error) {
	if len(text) == 0 || string(text) == "null" || string(text) == `""` {
		return nil, nil
	}
	var image string
	if json.Unmarshal(text, &image) == nil {
		return server.DriveOf(image)
	}
	var b struct {
		MetaData    map[string]any  `json:"meta_data"`
		NetworkData json.RawMessage `json:"network_data"`
		UserData    any             `json:"user_data"`
		VendorData  map[string]any  `json:"vendor_data"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return nil, fault.Field("configdrive", "must be an object with meta_data, network_data, user_data and vendor_data")
	}
	out := &server.ConfigDrive{MetaData: b.MetaData, NetworkData: b.NetworkData, VendorData: b.VendorData}
	switch u := b.UserData.(type) {
	case nil:
	case string:
		out.UserData = u
	default: // cloud-config as a document
		raw, err := json.Marshal(u)
		if err != nil {
			return nil, fault.Field("configdrive", "its user_data can not be written")
		}
		out.UserData = "#cloud-config\n" + string(raw)
	}
	return out, nil
}

// takeSteps cleans or services a node by the steps of the request, or of a runbook.
func (i *ironic) takeSteps(w http.ResponseWriter, r *api.Request, n *node.Node, b provisionBody) error {
	steps := b.CleanSteps
	if b.Target == "service" {
		steps = b.ServiceSteps
	}
	if b.Runbook != "" {
		if len(steps) > 0 {
			return fault.Field("runbook", "can not be given together with steps")
		}
		book, err := i.Template(r.Context(), node.Runbook, b.Runbook)
		if err != nil {
			return err
		}
		if !slices.Contains(n.Traits, book.Name) {
			return fault.Field("runbook", "the node does not have the trait %s of the runbook", book.Name)
		}
		steps = slices.SortedStableFunc(slices.Values(book.Steps), func(a, b node.TemplateStep) int { return *a.Order - *b.Order })
	}
	take := i.Tend
	if b.Target == "service" {
		take = i.Serve
	}
	return accepted(w, take(r.Context(), n.ID, steps))
}

// setRAID keeps the RAID configuration that is wanted.
func (i *ironic) setRAID(w http.ResponseWriter, r *api.Request) error {
	var b raw
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if _, ok := b["logical_disks"]; !ok && len(b) > 0 {
		return fault.Field("logical_disks", "is missing")
	}
	n, err := i.get(r)
	if err != nil {
		return err
	}
	n.TargetRAID = b
	_, err = i.Update(r.Context(), *n, nil)
	return done(w, http.StatusNoContent, err)
}

func (i *ironic) vifs(w http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	ids, err := i.servers.VIFs(r.Context(), n.ID)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, id := range ids {
		docs = append(docs, api.Object{"id": id})
	}
	return api.JSON(w, http.StatusOK, api.Object{"vifs": docs})
}

func (i *ironic) attachVIF(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		ID    string `json:"id"`
		Port  string `json:"port_uuid"`
		Group string `json:"portgroup_uuid"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if b.ID == "" {
		return fault.Field("id", "is missing")
	}
	if b.Group != "" {
		return fault.Field("portgroup_uuid", "network ports are attached to ports, not to groups")
	}
	n, err := i.get(r)
	if err != nil {
		return err
	}
	return done(w, http.StatusNoContent, i.servers.AttachVIF(r.Context(), network.Owner(seen(r)), n.ID, b.ID, strings.ToLower(b.Port)))
}

func (i *ironic) detachVIF(w http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	return done(w, http.StatusNoContent, i.servers.DetachVIF(r.Context(), n.ID, r.PathValue("vif")))
}
