package node

import (
	"slices"
	"time"

	"github.com/hagane-cloud/hagane/workflow"
)

// State is where a node is in its life. Names are Ironic's. A node is in a moving state exactly when
// a run exists for it; the run's phase says whether that is at work, waits, or has failed.
type State string

// Resting states.
const (
	Enroll     State = "enroll"     // known by name only
	Manageable State = "manageable" // its BMC answers and obeys
	Available  State = "available"  // proven off, isolated and erased: may be lent
	Active     State = "active"     // lent to a server
	Rescue     State = "rescue"     // lent, and running the rescue system in place of what is on its disk
)

// Moving states.
const (
	Verifying  State = "verifying"
	Inspecting State = "inspecting"
	Cleaning   State = "cleaning"
	Deploying  State = "deploying"
	Deleting   State = "deleting"
	Adopting   State = "adopting"   // a server that runs already becomes ours
	Tending    State = "tending"    // steps that an operator asked for, on a node that nobody has: Ironic's manual cleaning
	Servicing  State = "servicing"  // the same on a node that is lent
	Rebuilding State = "rebuilding" // deployed anew for the same tenant
	Rescuing   State = "rescuing"
	Unrescuing State = "unrescuing"
)

// Place is a state together with how its run stands.
type Place struct {
	State  State
	Failed bool
}

func in(states ...State) []Place {
	var ps []Place
	for _, s := range states {
		ps = append(ps, Place{State: s})
	}
	return ps
}

func failed(states ...State) []Place {
	var ps []Place
	for _, s := range states {
		ps = append(ps, Place{s, true})
	}
	return ps
}

// Verb is an arrow that someone asks for.
type Verb struct {
	Name  string
	From  []Place
	Enter State
}

// Verbs are the arrows that someone asks for. To abort is possible from every moving state that has not failed.
var Verbs = []Verb{
	{Name: "manage", From: in(Enroll), Enter: Verifying},
	{Name: "manage", From: slices.Concat(in(Available), failed(Inspecting, Cleaning, Adopting, Tending)), Enter: Manageable},
	{Name: "inspect", From: slices.Concat(in(Manageable), failed(Inspecting)), Enter: Inspecting},
	{Name: "provide", From: in(Manageable), Enter: Cleaning},
	{Name: "clean", From: slices.Concat(in(Manageable), failed(Tending)), Enter: Tending},
	{Name: "adopt", From: slices.Concat(in(Manageable), failed(Adopting)), Enter: Adopting},
	{Name: "deploy", From: in(Available), Enter: Deploying},
	{Name: "rebuild", From: slices.Concat(in(Active), failed(Deploying, Rebuilding)), Enter: Rebuilding},
	{Name: "service", From: slices.Concat(in(Active), failed(Servicing)), Enter: Servicing},
	{Name: "rescue", From: slices.Concat(in(Active, Rescue), failed(Rescuing, Unrescuing)), Enter: Rescuing},
	{Name: "unrescue", From: slices.Concat(in(Rescue), failed(Rescuing, Unrescuing)), Enter: Unrescuing},
	{Name: "undeploy", From: slices.Concat(in(Active, Rescue), failed(Deploying, Rebuilding, Servicing, Adopting, Rescuing, Unrescuing, Deleting)), Enter: Deleting},
}

// Work is an arrow that happens by itself, while a node is in a moving state.
type Work struct {
	While State
	Run   workflow.Workflow[*Job]
	Then  State // when the run ends well
	Else  State // when it fails; "" stays, as failed
}

// Works are the arrows that happen by themselves: one row for each moving state.
var Works = []Work{
	{While: Verifying, Run: verify, Then: Manageable, Else: Enroll},
	{While: Inspecting, Run: inspect, Then: Manageable},
	{While: Cleaning, Run: clean, Then: Available},
	{While: Deploying, Run: deploy, Then: Active},
	{While: Rebuilding, Run: rebuild, Then: Active},
	{While: Adopting, Run: adopt, Then: Active},
	{While: Tending, Run: tend, Then: Manageable},
	{While: Servicing, Run: service, Then: Active},
	{While: Rescuing, Run: rescue, Then: Rescue},
	{While: Unrescuing, Run: unrescue, Then: Active},
	{While: Deleting, Run: undeploy, Then: Cleaning},
}

var verify = workflow.Workflow[*Job]{Name: "verify/2", Steps: []workflow.Step[*Job]{
	{Name: "reach the BMC", Do: reachBMC, Within: 3 * time.Minute},
	{Name: "find out what the BMC can do", Do: surveyBMC, Within: 10 * time.Minute, Skippable: true},
	{Name: "read the power state", Do: readPower, Within: 2 * time.Minute},
}}

var inspect = workflow.Workflow[*Job]{Name: "inspect/2", Takes: takesSite, Steps: []workflow.Step[*Job]{
	{Name: "power off", Do: powerOff, Within: 15 * time.Minute},
	{Name: "join the provisioning network", Do: joinProvisioning, Undo: leaveNetworks, Within: 1 * time.Minute, Takes: takesSwitches},
	{Name: "boot the agent", Do: bootAgent, Undo: dismissAgent, Within: 15 * time.Minute, Takes: takesBMCNetwork},
	{Name: "hear from the agent", Do: heardFromAgent, Within: 15 * time.Minute},
	{Name: "take the inventory", Do: takeInventory, Within: 5 * time.Minute},
	{Name: "power off after the inspection", Do: shutDown, Within: 3 * time.Minute, Skippable: true},
	{Name: "leave the provisioning network", Do: leaveNetworks, Within: 1 * time.Minute, Takes: takesSwitches},
	{Name: "apply the inspection rules", Do: applyRules, Within: 1 * time.Minute},
}}

var clean = workflow.Workflow[*Job]{Name: "clean/2", Takes: takesSite, Steps: []workflow.Step[*Job]{
	{Name: "power off", Do: powerOff, Within: 15 * time.Minute},
	{Name: "put the BMC back in order", Do: tidyBMC, Within: 10 * time.Minute},
	{Name: "bring settings and firmware to the baseline", Do: settle, Within: 2 * time.Hour, NotAbortable: true},
	{Name: "join the cleaning network", Do: joinCleaning, Undo: leaveNetworks, Within: 1 * time.Minute, Takes: takesSwitches},
	{Name: "boot the agent", Do: bootAgent, Undo: dismissAgent, Within: 15 * time.Minute, Takes: takesBMCNetwork},
	{Name: "hear from the agent", Do: heardFromAgent, Within: 90 * time.Minute}, // with what firmware the server installs before
	{Name: "erase the disks", Do: eraseDisks, Within: 24 * time.Hour, NotAbortable: true},
	{Name: "power off after erasing", Do: shutDown, Within: 3 * time.Minute, Skippable: true},
	{Name: "leave the cleaning network", Do: leaveNetworks, Within: 1 * time.Minute, Takes: takesSwitches},
	{Name: "pass the hand-over gate", Do: passGate, Within: 3 * time.Minute},
}}

var deploy = workflow.Workflow[*Job]{Name: "deploy/3", Takes: takesSite, Steps: []workflow.Step[*Job]{
	{Name: "fetch the image", Do: fetchImage, Within: 4 * time.Hour},
	{Name: "power off", Do: powerOff, Within: 15 * time.Minute},
	{Name: "join the provisioning network", Do: joinProvisioning, Undo: leaveNetworks, Within: 1 * time.Minute, Takes: takesSwitches},
	{Name: "boot the agent", Do: bootAgent, Undo: dismissAgent, Within: 15 * time.Minute, Takes: takesBMCNetwork},
	{Name: "hear from the agent", Do: heardFromAgent, Within: 15 * time.Minute},
	{Name: "write the image", Do: writeImage, Within: 40 * time.Minute, Takes: takesImageStore},
	{Name: "lay out the disks", Do: layOutDisks, Within: 30 * time.Minute},
	{Name: "write the config drive", Do: writeConfigDrive, Within: 5 * time.Minute},
	{Name: "power off after writing", Do: shutDown, Within: 3 * time.Minute},
	{Name: "join the tenant's networks", Do: joinTenant, Undo: leaveNetworks, Within: 1 * time.Minute, Takes: takesSwitches},
	{Name: "boot from disk", Do: bootFromDisk, Undo: powerOff, Within: 15 * time.Minute, Takes: takesBMCNetwork},
}}

// rebuild is deploy for a node that runs its tenant's system, which it does until the image is there: it leaves the tenant's
// networks then.
var rebuild = workflow.Workflow[*Job]{Name: "rebuild/3", Takes: takesSite, Steps: slices.Concat(deploy.Steps[:1], []workflow.Step[*Job]{
	{Name: "leave the tenant's networks", Do: leaveNetworks, Within: 16 * time.Minute, Takes: takesSwitches},
}, deploy.Steps[2:])}

var adopt = workflow.Workflow[*Job]{Name: "adopt/1", Steps: []workflow.Step[*Job]{
	{Name: "reach the BMC", Do: reachBMC, Within: 3 * time.Minute},
	{Name: "read the power state", Do: readPower, Within: 2 * time.Minute},
}}

var tend = workflow.Workflow[*Job]{Name: "tend/1", Takes: takesSite, Steps: []workflow.Step[*Job]{
	{Name: "take the steps that were asked for", Do: takeSteps, Within: 6 * time.Hour},
	{Name: "power off before erasing", Do: ifErasing(powerOff), Within: 15 * time.Minute},
	{Name: "join the cleaning network", Do: ifErasing(joinCleaning), Undo: leaveNetworks, Within: 1 * time.Minute, Takes: takesSwitches},
	{Name: "boot the agent", Do: ifErasing(bootAgent), Undo: dismissAgent, Within: 15 * time.Minute, Takes: takesBMCNetwork},
	{Name: "hear from the agent", Do: ifErasing(heardFromAgent), Within: 15 * time.Minute},
	{Name: "erase the disks", Do: ifErasing(eraseDisks), Within: 24 * time.Hour, NotAbortable: true},
	{Name: "power off after erasing", Do: ifErasing(shutDown), Within: 3 * time.Minute, Skippable: true},
	{Name: "leave the cleaning network", Do: ifErasing(leaveNetworks), Within: 1 * time.Minute, Takes: takesSwitches},
}}

var service = workflow.Workflow[*Job]{Name: "service/1", Steps: []workflow.Step[*Job]{
	{Name: "take the steps that were asked for", Do: takeSteps, Within: 6 * time.Hour},
}}

// rescue has the agent's ramdisk serve the tenant on the tenant's own networks. Its disks are not touched. The agent's
// secrets are worth nothing any more before the tenant can reach it.
var rescue = workflow.Workflow[*Job]{Name: "rescue/1", Takes: takesSite, Steps: []workflow.Step[*Job]{
	{Name: "leave the tenant's networks", Do: leaveNetworks, Within: 16 * time.Minute, Takes: takesSwitches},
	{Name: "join the provisioning network", Do: joinProvisioning, Undo: leaveNetworks, Within: 1 * time.Minute, Takes: takesSwitches},
	{Name: "boot the agent", Do: bootAgent, Undo: dismissAgent, Within: 15 * time.Minute, Takes: takesBMCNetwork},
	{Name: "hear from the agent", Do: heardFromAgent, Within: 15 * time.Minute},
	{Name: "open the rescue system", Do: openRescue, Within: 5 * time.Minute},
	{Name: "let the agent go", Do: dismissAgent, Within: 3 * time.Minute},
	{Name: "join the tenant's networks", Do: joinTenant, Undo: leaveNetworks, Within: 1 * time.Minute, Takes: takesSwitches},
}}

var unrescue = workflow.Workflow[*Job]{Name: "unrescue/1", Steps: []workflow.Step[*Job]{
	{Name: "power off the rescue system", Do: powerOff, Within: 15 * time.Minute},
	{Name: "join the tenant's networks", Do: joinTenant, Undo: leaveNetworks, Within: 1 * time.Minute, Takes: takesSwitches},
	{Name: "boot from disk", Do: bootFromDisk, Undo: powerOff, Within: 15 * time.Minute, Takes: takesBMCNetwork},
}}

var undeploy = workflow.Workflow[*Job]{Name: "undeploy/1", Steps: []workflow.Step[*Job]{
	{Name: "power off", Do: powerOff, Within: 15 * time.Minute},
	{Name: "leave the tenant's networks", Do: leaveNetworks, Within: 5 * time.Minute},
	{Name: "forget the tenant", Do: forgetTenant, Within: 1 * time.Minute},
}}

// power changes the power of a node at rest. It is no part of the life: power is an observed fact, never a state.
var power = workflow.Workflow[*Job]{Name: "power/1", Urgent: true, Steps: []workflow.Step[*Job]{
	{Name: "change the power", Do: changePower, Within: 20 * time.Minute},
}}

// moving returns the work of a state; nil for a resting state.
func moving(s State) *Work {
	for i := range Works {
		if Works[i].While == s {
			return &Works[i]
		}
	}
	return nil
}

// find returns the verb of that name from a place; nil when it is not allowed there.
func find(name string, from Place) *Verb {
	for i := range Verbs {
		if Verbs[i].Name == name && slices.Contains(Verbs[i].From, from) {
			return &Verbs[i]
		}
	}
	return nil
}

// Allowed returns the names of the verbs that are possible from a place, for messages and the API.
func Allowed(from Place) []string {
	var names []string
	for _, v := range Verbs {
		if slices.Contains(v.From, from) {
			names = append(names, v.Name)
		}
	}
	if moving(from.State) != nil && !from.Failed {
		names = append(names, "abort")
	}
	return names
}
