package redfish

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
)

type updateDoc struct {
	FirmwareInventory link
	Actions           struct {
		Simple *updateAction `json:"#UpdateService.SimpleUpdate"`
	}
}

type updateAction struct {
	action
	When struct {
		Supported many[text] `json:"SupportedValues"`
	} `json:"@Redfish.OperationApplyTimeSupport"`
}

// onReset is the apply time that leaves an update for the next boot (DSP0266, "Operation apply time"). iDRACs restart the server for
// an update otherwise, once for each component.
const onReset = "OnReset"

func (d *Driver) updates(ctx context.Context) (updateDoc, error) {
	var doc updateDoc
	root, err := d.service(ctx)
	if err != nil {
		return doc, err
	}
	_, err = d.get(ctx, root.UpdateService, &doc)
	return doc, err
}

// Firmware reads the inventory. A component's identity is its path: ids repeat on Supermicro.
func (d *Driver) Firmware(ctx context.Context) ([]bmc.Component, error) {
	u, err := d.updates(ctx)
	if err != nil {
		return nil, err
	}
	if u.FirmwareInventory == "" {
		return nil, lacks("firmware inventory")
	}
	var out []bmc.Component
	err = each(ctx, d, u.FirmwareInventory, func(at link, doc struct {
		Name, Version text
		Updateable    flag
	}) {
		out = append(out, bmc.Component{ID: at.last(), Name: string(doc.Name), Version: string(doc.Version), Updatable: doc.Updateable.value})
	})
	return out, err
}

// Update asks the BMC to fetch and install an image.
func (d *Driver) Update(ctx context.Context, image, component string) (bmc.Task, error) {
	at, err := url.Parse(image)
	if err != nil || at.Host == "" {
		return bmc.Task{}, wrong("%q is no URL of an image", image)
	}
	u, err := d.updates(ctx)
	if err != nil {
		return bmc.Task{}, err
	}
	if u.Actions.Simple == nil {
		return bmc.Task{}, lacks("update by URL (SimpleUpdate)")
	}
	target := u.Actions.Simple.Target
	if target == "" {
		target = "/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate"
	}
	body := map[string]any{"ImageURI": image, "TransferProtocol": strings.ToUpper(at.Scheme)}
	if component != "" {
		body["Targets"] = []string{string(u.FirmwareInventory.under(component))}
	}
	if slices.Contains(u.Actions.Simple.When.Supported, onReset) {
		body["@Redfish.OperationApplyTime"] = onReset
	}
	answer, err := d.post(ctx, "updating firmware", target, body)
	if err != nil {
		return bmc.Task{}, err
	}
	id := taskOf(answer)
	return bmc.Task{ID: id, Done: id == "", Gone: id == ""}, nil
}
