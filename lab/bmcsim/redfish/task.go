package redfish

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// task is long work: an update, or on a Dell the job that carries out BIOS settings.
type task struct {
	id, kind, name     string // kind is update or config
	component, version string
	failed             string
	reads              int
	done, seen, missed bool
	staged             bool // an update that is fetched waits for a boot, or the BMC's restart
}

// steps is how often an update is read before it is complete: the lab's time is that of its clients.
const steps = 3

func (c *call) startTask(t *task) *task {
	c.state.made++
	t.id = strconv.Itoa(c.state.made)
	if c.kind.OEM == "Dell" {
		t.id = fmt.Sprintf("JID_%012d", c.state.made)
	}
	c.state.tasks = append(c.state.tasks, t)
	return t
}

// openJob returns the job that holds BIOS settings, or nil.
func (b *BMC) openJob() *task {
	for _, t := range b.state.tasks {
		if t.kind == "config" && !t.done {
			return t
		}
	}
	return nil
}

// task returns the task that is asked for, one step further.
func (c *call) task() *task {
	i := slices.IndexFunc(c.state.tasks, func(t *task) bool { return t.id == c.args[0] })
	if i < 0 || c.fault.LoseTask {
		return nil
	}
	t := c.state.tasks[i]
	if c.kind.Tasks.Racy && !t.missed {
		t.missed = true
		return nil
	}
	if c.kind.Tasks.Purge && t.done && t.seen {
		c.state.tasks = slices.Delete(c.state.tasks, i, i+1)
		return nil
	}
	t.seen = t.done
	if t.reads++; t.kind == "update" && !t.done && t.reads > steps && (!t.staged || t.failed != "") {
		c.finish(t)
	}
	return t
}

// finish ends an update. A BIOS comes into force with a boot, a BMC's firmware with its restart.
func (c *call) finish(t *task) {
	t.done = true
	if t.failed != "" || c.kind.Tasks.Critical {
		return
	}
	c.state.wait(t)
	if t.component != "BMC" && (t.component != "BIOS" || !c.machine.Status().On) {
		c.activate(t.component)
	}
}

// finishStaged ends the updates of a component that waited for what has come to pass, once their images are there.
func (b *BMC) finishStaged(component string) {
	for _, t := range b.state.tasks {
		if t.staged && !t.done && t.component == component && t.failed == "" && t.reads > steps {
			t.done = true
			b.state.wait(t)
			b.activate(component)
		}
	}
}

func (s *state) wait(t *task) {
	if s.waiting == nil {
		s.waiting = map[string]string{}
	}
	s.waiting[t.component] = t.version
}

// activate brings a version into force.
func (b *BMC) activate(component string) {
	s := &b.state
	if version, ok := s.waiting[component]; ok {
		if s.versions == nil {
			s.versions = map[string]string{}
		}
		s.versions[component] = version
		delete(s.waiting, component)
	}
}

func (c *call) taskService() document {
	d := c.resource("TaskService.v1_1_4.TaskService", "Task Service")
	d["ServiceEnabled"], d["Tasks"], d["Status"] = true, link("TaskService/Tasks"), fine()
	return d
}

func (c *call) taskList() document {
	var paths []string
	for _, t := range c.state.tasks {
		if !c.fault.LoseTask {
			paths = append(paths, "TaskService/Tasks/"+t.id)
		}
	}
	return c.members("Task", paths...)
}

func (c *call) showTask() document {
	if t := c.task(); t != nil {
		return c.taskDocument(t)
	}
	return nil
}

func (c *call) taskDocument(t *task) document {
	d := c.resource("Task.v1_4_2.Task", t.name)
	d["@odata.id"], d["Id"] = root+"/TaskService/Tasks/"+t.id, t.id
	d["TaskMonitor"] = root + "/TaskService/TaskMonitors/" + t.id
	state, status, percent, message := "Running", "OK", min(100*t.reads/(steps+1), 99), "In progress."
	switch {
	case t.done && t.failed != "":
		state, status, percent, message = "Exception", "Critical", 100, t.failed
	case t.done:
		state, percent, message = "Completed", 100, "Done."
		if c.kind.Tasks.Critical && t.kind == "update" {
			status, message = "Critical", "There was no progress."
		}
		d["EndTime"] = since(0)
	case t.kind == "config":
		state, percent, message = "Pending", 0, "Waits for the next boot."
	case t.staged && t.reads > steps:
		state, percent, message = "Pending", 0, "Task successfully scheduled."
	case t.reads <= 1 && c.kind.Tasks.NewFirst:
		state, percent = "New", 0
	}
	d["TaskState"], d["TaskStatus"], d["PercentComplete"] = state, status, percent
	d["Messages"] = []document{{"MessageId": "TaskEvent.1.0.TaskProgressChanged", "Message": message, "Severity": status}}
	return d
}

// monitor is the resource that DSP0266 lets a client poll: 202 until the task is done.
func (c *call) monitor() document {
	t := c.task()
	if t == nil || t.done && c.kind.Tasks.MonitorGone && t.component == "BMC" {
		return nil
	}
	if !t.done {
		c.w.Header().Set("Location", root+"/TaskService/TaskMonitors/"+t.id)
		c.status = http.StatusAccepted
	} else if c.kind.Tasks.MonitorDeletes {
		c.state.tasks = slices.DeleteFunc(c.state.tasks, func(other *task) bool { return other == t })
	}
	return c.taskDocument(t)
}
