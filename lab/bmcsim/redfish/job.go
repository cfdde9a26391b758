package redfish

import (
	"net/http"
	"slices"
	"strings"
)

func (c *call) jobs() document {
	if c.kind.OEM != "Dell" {
		return nil
	}
	var paths []string
	for _, t := range c.state.tasks {
		if !c.fault.LoseTask {
			paths = append(paths, c.path+"/"+t.id)
		}
	}
	return c.members("DellJob", paths...)
}

func (c *call) job() document {
	if c.kind.OEM != "Dell" {
		return nil
	}
	t := c.task()
	if t == nil {
		return nil
	}
	d := c.resource("DellJob.v1_1_0.DellJob", t.name)
	state, percent, kind := "Running", min(100*t.reads/(steps+1), 99), "FirmwareUpdate"
	switch {
	case t.kind == "config":
		state, percent, kind = "Scheduled", 0, "BIOSConfiguration"
	case t.staged && t.reads > steps:
		state, percent = "Scheduled", 0
	}
	if t.done {
		state, percent = "Completed", 100
		if t.failed != "" {
			state = "Failed"
		}
	}
	d["JobState"], d["JobType"], d["PercentComplete"], d["Message"], d["TargetSettingsURI"] = state, kind, percent, t.failed, nil
	return d
}

// addJob makes the job that carries out what is pending.
func (c *call) addJob() {
	if c.openJob() != nil {
		c.refuse(http.StatusServiceUnavailable, "IDRAC.2.7.RAC0679", "A job for the same target is there already.")
		return
	}
	if !strings.Contains(strings.ToLower(c.body.text("TargetSettingsURI")), "bios") || len(c.state.pending) == 0 {
		c.refuse(http.StatusBadRequest, "IDRAC.2.7.RAC0704", "There is nothing pending.")
		return
	}
	t := c.startTask(&task{kind: "config", name: "Configure: BIOS.Setup.1-1"})
	c.w.Header().Set("Location", root+"/"+c.path+"/"+t.id)
	c.send(http.StatusOK, document{})
}

func (c *call) dropJob() {
	i := slices.IndexFunc(c.state.tasks, func(t *task) bool { return t.id == c.args[0] })
	if i < 0 {
		c.missing()
		return
	}
	c.dropTask(c.state.tasks[i])
	c.done(0)
}

// dropTask forgets a task; with an open configuration job goes what was pending.
func (c *call) dropTask(t *task) {
	if t.kind == "config" && !t.done {
		c.state.pending = nil
	}
	c.state.tasks = slices.DeleteFunc(c.state.tasks, func(other *task) bool { return other == t })
}

func (c *call) jobService() document {
	if c.kind.OEM != "Dell" {
		return nil
	}
	d := c.resource("DellJobService.v1_1_0.DellJobService", "DellJobService")
	d["Actions"] = document{"#DellJobService.DeleteJobQueue": document{"target": root + "/" + c.path + "/Actions/DellJobService.DeleteJobQueue"}}
	return d
}

// clearJobs deletes jobs. JID_CLEARALL leaves those that are scheduled; the forced form takes all.
func (c *call) clearJobs() {
	id := c.body.text("JobID")
	for _, t := range slices.Clone(c.state.tasks) {
		if id == "JID_CLEARALL_FORCE" || id == t.id || id == "JID_CLEARALL" && t.done {
			c.dropTask(t)
		}
	}
	c.done(http.StatusOK)
}

func (c *call) lcService() document {
	if c.kind.OEM != "Dell" {
		return nil
	}
	d := c.resource("DellLCService.v1_6_0.DellLCService", "DellLCService")
	d["Actions"] = document{"#DellLCService.GetRemoteServicesAPIStatus": document{"target": root + "/" + c.path + "/Actions/DellLCService.GetRemoteServicesAPIStatus"}}
	return d
}

func (c *call) lcStatus() {
	status, server := "Ready", "PoweredOff"
	if c.machine.Status().On {
		server = "OutOfPOST"
		if c.inSelfTest() {
			server, status = "InPOST", "NotReady"
		}
	}
	c.send(http.StatusOK, document{"LCStatus": status, "RTStatus": "Ready", "ServerStatus": server, "Status": "Ready"})
}
