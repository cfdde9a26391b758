package wsman

import (
	"context"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/markup"
)

// biosTarget is the BIOS as a target of jobs.
const biosTarget = "BIOS.Setup.1-1"

// ready waits until the Lifecycle Controller takes configuration, which it does not while the server tests itself or a
// job runs. Waiting longer is up to the caller.
func (d *driver) ready(ctx context.Context) error {
	for again := 0; ; again++ {
		out, err := d.invoke(ctx, "DCIM_LCService", "GetRemoteServicesAPIStatus", true, serviceOf("DCIM_LCService"))
		if bmc.ClassOf(err) == bmc.Unsupported {
			return nil // older than the question
		}
		if err != nil {
			return err
		}
		f := bmc.Failure{Class: bmc.NotReady, Code: out.Value("MessageID")}
		switch lc := out.Value("LCStatus"); lc {
		case "0":
			return nil
		case "4":
			f.Class = bmc.Broken
			return bmc.Fail(f, "the Lifecycle Controller needs recovery (status 4): %s", out.Value("Message"))
		default:
			if again >= d.pace.Again {
				return bmc.Fail(f, "the Lifecycle Controller is not ready for configuration (status %s): %s", lc, out.Value("Message"))
			}
		}
		if err := wait(ctx, d.pace.Every); err != nil {
			return err
		}
	}
}

// open reports whether a job is still to run or running.
func open(job *markup.Element) bool {
	s := strings.ToLower(job.Value("JobStatus"))
	return !strings.Contains(s, "complet") && !strings.Contains(s, "fail")
}

// openJob returns the job for the BIOS that has not ended; nil when there is none.
func (d *driver) openJob(ctx context.Context) (*markup.Element, error) {
	all, err := d.enumerate(ctx, "DCIM_LifecycleJob")
	if err != nil {
		return nil, err
	}
	for _, j := range all {
		name := strings.ToLower(j.Value("Name"))
		if open(j) && strings.Contains(name, "bios") && !strings.Contains(name, "update") { // "ConfigBIOS:…", and no "Firmware Update: BIOS"
			return j, nil
		}
	}
	return nil, nil
}

// deleteJob removes a job from the queue and looks whether it is gone.
func (d *driver) deleteJob(ctx context.Context, id string) error {
	if _, err := d.invoke(ctx, "DCIM_JobService", "DeleteJobQueue", false, service("DCIM_JobService", "idrac", "JobService"), pair{"JobID", id}); err != nil {
		return err
	}
	return d.settle(ctx, "that the job "+id+" is gone", func() (bool, error) {
		all, err := d.enumerate(ctx, "DCIM_LifecycleJob")
		return pick(all, "InstanceID", id) == nil, err
	})
}

// createJob commits what is pending for the BIOS with the next boot, whoever causes it.
func (d *driver) createJob(ctx context.Context) error {
	out, err := d.invoke(ctx, "DCIM_BIOSService", "CreateTargetedConfigJob", false, serviceOf("DCIM_BIOSService"),
		pair{"Target", biosTarget}, pair{"ScheduledStartTime", "TIME_NOW"})
	if err != nil {
		return err
	}
	d.memory.Set(jobFact, jobOf(out))
	return nil
}

// Follow reads how a job is doing. A job that was just created may not be listed yet, so that it is looked for a few times. An update
// whose image is there waits to be put into the queue, without a job that restarts the server: it is carried out at the next boot
// (Lifecycle Controller's user guide 1.5.5, "Workflow for Remote Update from URI"). The iDRAC's own is installed without that.
func (d *driver) Follow(ctx context.Context, id string) (bmc.Task, error) {
	t := bmc.Task{ID: id}
	const looks = 3
	for look := 1; ; look++ {
		all, err := d.enumerate(ctx, "DCIM_LifecycleJob")
		if err != nil {
			return t, err
		}
		if j := pick(all, "InstanceID", id); j != nil {
			t := task(j)
			if strings.EqualFold(j.Value("JobStatus"), "Downloaded") {
				err = d.enqueue(ctx, id)
				t.Staged = err == nil
			}
			return t, err
		}
		if look == looks {
			t.Gone = true
			return t, nil
		}
		if err := wait(ctx, d.pace.Look); err != nil {
			return t, err
		}
	}
}

// enqueue has a job carried out at the next boot.
func (d *driver) enqueue(ctx context.Context, id string) error {
	_, err := d.invoke(ctx, "DCIM_JobService", "SetupJobQueue", false, service("DCIM_JobService", "idrac", "JobService"), pair{"JobArray", id}, pair{"StartTimeInterval", "TIME_NOW"})
	return err
}

// task reads a job. "Completed with Errors" is a failure.
func task(j *markup.Element) bmc.Task {
	t := bmc.Task{ID: j.Value("InstanceID"), Message: j.Value("Message")}
	if n, err := strconv.Atoi(j.Value("PercentComplete")); err == nil {
		t.Percent = n
	}
	status := j.Value("JobStatus")
	t.Done, t.Staged = !open(j), strings.EqualFold(status, "Scheduled")
	if t.Done && !strings.EqualFold(status, "Completed") {
		t.Failed = strings.TrimSpace(status + ": " + j.Value("MessageID") + " " + t.Message)
	}
	return t
}

// apply changes attributes of the iDRAC itself by a job that runs at once.
func (d *driver) apply(ctx context.Context, values ...pair) error {
	return d.applyThen(ctx, func() {}, values...)
}

// applyThen is apply; accepted is called when the iDRAC has accepted the job.
func (d *driver) applyThen(ctx context.Context, accepted func(), values ...pair) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	input := []pair{{"Target", "iDRAC.Embedded.1"}}
	for _, v := range values {
		input = append(input, pair{"AttributeName", v.name}, pair{"AttributeValue", v.value})
	}
	out, err := d.invoke(ctx, "DCIM_iDRACCardService", "ApplyAttributes", false, serviceOf("DCIM_iDRACCardService"), input...)
	if err != nil {
		return err
	}
	accepted()
	id := jobOf(out)
	if id == "" {
		return nil
	}
	var ended bmc.Task
	err = d.settle(ctx, "the end of the job "+id, func() (bool, error) {
		ended, err = d.Follow(ctx, id)
		return ended.Done || ended.Gone, err
	})
	if err == nil && ended.Failed != "" {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused, Code: id}, "the iDRAC's job %s ended badly: %s", id, ended.Failed)
	}
	return err
}
