package redfish

import (
	"cmp"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/lab/machine"
)

// components are what firmware there is, the BMC's own first.
var components = []string{"BMC", "BIOS", "NIC"}

// version returns a component's version in force.
func (b *BMC) version(component string) string {
	if v := b.state.versions[component]; v != "" {
		return v
	}
	switch component {
	case "BMC":
		return cmp.Or(b.config.Firmware, b.kind.Firmware)
	case "BIOS":
		return "lab-1.0"
	}
	return "22.31.6"
}

func (c *call) updateService() document {
	d := c.resource("UpdateService.v1_8_0.UpdateService", "Update Service")
	d["ServiceEnabled"], d["FirmwareInventory"], d["Status"] = true, link("UpdateService/FirmwareInventory"), fine()
	if !c.kind.Tasks.None {
		simple := document{
			"target": root + "/UpdateService/Actions/UpdateService.SimpleUpdate", "TransferProtocol@Redfish.AllowableValues": []string{"HTTP", "HTTPS"},
		}
		if c.kind.Tasks.OnReset {
			simple["@Redfish.OperationApplyTimeSupport"] = document{"@odata.type": "#Settings.v1_3_3.OperationApplyTimeSupport", "SupportedValues": []string{"Immediate", "OnReset"}}
		}
		d["Actions"] = document{"#UpdateService.SimpleUpdate": simple}
	}
	return d
}

func (c *call) firmwareList() document {
	var paths []string
	for _, name := range components {
		paths = append(paths, "UpdateService/FirmwareInventory/"+name)
	}
	return c.members("SoftwareInventory", paths...)
}

func (c *call) firmware() document {
	if !slices.Contains(components, c.args[0]) {
		return nil
	}
	d := c.resource("SoftwareInventory.v1_3_0.SoftwareInventory", c.args[0]+" firmware")
	d["Version"], d["Updateable"], d["Status"], d["SoftwareId"] = c.version(c.args[0]), true, fine(), c.args[0]
	return d
}

var versionText = regexp.MustCompile(`\d+(?:\.\d+)+`)

// componentOf finds out what an image is for, by the targets or its name.
func componentOf(image string, targets []any) string {
	hint := strings.ToLower(path.Base(image))
	if len(targets) > 0 {
		hint, _ = targets[0].(string)
		hint = strings.ToLower(path.Base(hint))
	}
	for _, name := range components {
		if strings.Contains(hint, strings.ToLower(name)) {
			return name
		}
	}
	return "BIOS"
}

func (c *call) update() {
	image := c.body.text("ImageURI")
	switch {
	case c.kind.Tasks.None:
		c.missing()
		return
	case image == "":
		c.refuse(http.StatusBadRequest, "ActionParameterMissing", "The action needs the parameter ImageURI.", "SimpleUpdate", "ImageURI")
		return
	}
	targets, _ := c.body["Targets"].([]any)
	t := &task{kind: "update", name: "Firmware Update", component: componentOf(image, targets), version: versionText.FindString(path.Base(image))}
	t.version = cmp.Or(strings.TrimSuffix(t.version, "."), "updated")
	t.staged = c.kind.Tasks.OnReset && c.body.text("@Redfish.OperationApplyTime") == "OnReset"
	if m, err := machine.OpenMedium(c.r.Context(), image); err != nil {
		t.failed = "The image can not be fetched."
	} else {
		_ = m.Close()
	}
	c.startTask(t)
	if !c.kind.Tasks.NoLocation {
		c.w.Header().Set("Location", root+"/TaskService/TaskMonitors/"+t.id)
	}
	c.path, c.args = "TaskService/Tasks/"+t.id, []string{t.id}
	c.send(http.StatusAccepted, c.taskDocument(t))
}
