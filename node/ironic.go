package node

import "github.com/hagane-cloud/hagane/workflow"

// ProvisionState is the name that Ironic's clients know for a state and its run's phase.
// Source: Ironic's API reference, "Node provisioning states".
func ProvisionState(s State, p workflow.Phase) string {
	names, ok := projection[s]
	if !ok {
		return string(s)
	}
	return names.of(p)
}

type names struct{ moving, wait, hold, failed string }

// of is the name in a phase of the run.
func (n names) of(p workflow.Phase) string {
	switch p {
	case workflow.Waits:
		return n.wait
	case workflow.Held:
		return n.hold
	case workflow.Failed:
		return n.failed
	case workflow.Queued, workflow.Running, workflow.Aborting, workflow.Done:
	}
	return n.moving
}

// projection has a row for each moving state. Where Ironic has no name for a phase, its moving name stands.
var projection = map[State]names{
	Verifying:  {"verifying", "verifying", "verifying", "enroll"},
	Inspecting: {"inspecting", "inspect wait", "inspect wait", "inspect failed"},
	Cleaning:   {"cleaning", "clean wait", "clean hold", "clean failed"},
	Deploying:  {"deploying", "wait call-back", "deploy hold", "deploy failed"},
	Deleting:   {"deleting", "deleting", "deleting", "error"},
	Rebuilding: {"deploying", "wait call-back", "deploy hold", "deploy failed"},
	Adopting:   {"adopting", "adopting", "adopting", "adopt failed"},
	Tending:    {"cleaning", "clean wait", "clean hold", "clean failed"},
	Servicing:  {"servicing", "service wait", "service hold", "service failed"},
	Rescuing:   {"rescuing", "rescue wait", "rescue wait", "rescue failed"},
	Unrescuing: {"unrescuing", "unrescuing", "unrescuing", "unrescue failed"},
}

// TargetState is what Ironic shows as target_provision_state: where the run leads; "" at rest.
func TargetState(s State, p workflow.Phase) string {
	w := moving(s)
	if w == nil {
		return ""
	}
	if w.Then == Cleaning {
		return string(Available)
	}
	return string(w.Then)
}
