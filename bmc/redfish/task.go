package redfish

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/wire"
)

// taskDoc is a Task, or a Dell job, which says the same in other words.
type taskDoc struct {
	ID              link `json:"@odata.id"`
	TaskState       text
	TaskStatus      text
	PercentComplete number
	Messages        many[struct {
		Text     text `json:"Message"`
		ID       text `json:"MessageId"`
		Severity text
	}]

	JobState text
	JobType  text
	Message  text
}

// taskOf finds the task in the answer to a request that began one: in the body, where Location names the
// monitor; reading a monitor deletes a finished task on Lenovo's XCC. Some answer 202 without a Location.
func taskOf(answer wire.Answer) string {
	var doc taskDoc
	if len(answer.Body) > 0 && unmarshal(answer.Body, &doc) == nil && (strings.Contains(string(doc.ID), "/Tasks/") || strings.Contains(string(doc.ID), "/Jobs/")) {
		return string(doc.ID)
	}
	at := local(answer.Header.Get("Location"))
	for _, monitor := range []string{"/TaskMonitors/", "/TaskMonitor/"} {
		at = strings.Replace(at, monitor, "/Tasks/", 1)
	}
	return strings.TrimSuffix(at, "/Monitor")
}

// Follow reads how a task is doing. A job that was just made is not there yet on iDRAC: 404 has a time of grace.
func (d *Driver) Follow(ctx context.Context, id string) (bmc.Task, error) {
	var t taskDoc
	var err error
	ok, settleErr := d.settles(ctx, func() (bool, error) {
		t = taskDoc{}
		_, err = d.get(ctx, link(id), &t)
		return !absent(err), nil
	})
	if settleErr != nil {
		return bmc.Task{}, settleErr
	}
	if !ok {
		return bmc.Task{ID: id, Done: true, Gone: true, Message: "the BMC has forgotten the task"}, nil
	}
	if err != nil {
		return bmc.Task{}, err
	}
	return t.task(id), nil
}

// task judges a task: it ended well only when it is completed, its status is OK and none of its messages is an
// error. "Completed" with status Critical is a failure, and "Completed with Errors" too.
func (t taskDoc) task(id string) bmc.Task {
	out := bmc.Task{ID: id, Percent: int(t.PercentComplete.value), Message: string(t.Message)}
	var bad string
	for _, m := range t.Messages {
		if m.Text != "" {
			out.Message = string(m.Text)
		}
		if strings.EqualFold(string(m.Severity), "Critical") && bad == "" {
			bad = string(m.Text)
		}
	}
	state := strings.ToLower(strings.ReplaceAll(string(t.TaskState+t.JobState), " ", ""))
	switch {
	case strings.HasPrefix(state, "completed") && state != "completed", state == "exception", state == "killed", state == "cancelled", state == "failed", state == "interrupted":
		out.Done, out.Failed = true, "the task ended as "+string(t.TaskState+t.JobState)
	case state == "scheduled", state == "pending":
		out.Staged = true
	case state == "completed":
		out.Done, out.Percent = true, 100
		if bad != "" || (t.TaskStatus != "" && !strings.EqualFold(string(t.TaskStatus), "OK")) {
			out.Failed = "the task is completed with the status " + string(t.TaskStatus)
		}
	}
	if out.Failed != "" {
		if bad == "" {
			bad = out.Message
		}
		if bad != "" {
			out.Failed += ": " + bad
		}
	}
	return out
}

// finish waits for a task that an answer may have begun, at most as long as a transfer may take.
func (d *Driver) finish(ctx context.Context, answer wire.Answer) error {
	if answer.Status != http.StatusAccepted {
		return nil
	}
	at := taskOf(answer)
	if at == "" {
		return nil // the change itself is read back
	}
	for deadline := time.Now().Add(time.Duration(wire.Transfer)); ; {
		t, err := d.Follow(ctx, at)
		switch {
		case err != nil:
			return err
		case t.Failed != "":
			return bmc.Fail(bmc.Failure{Class: bmc.Broken, Code: "task"}, "%s", t.Failed)
		case t.Done:
			return nil
		}
		if time.Now().After(deadline) || !bmc.Wait(ctx, d.pace.Look) {
			return bmc.Fail(bmc.Failure{Class: bmc.Uncertain, Code: "task"}, "the BMC's task %s does not end", at)
		}
	}
}
