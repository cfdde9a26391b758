package redfish

import (
	"context"
	"net/http"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
)

// On iDRACs a change of BIOS settings is a job, of which one can be open at a time; it is carried out at the
// next boot. Until then the Bios resource may show the new values already.

// jobsAt are where the job queue is, the newer place first.
var jobsAt = []string{"Oem/Dell/Jobs", "Jobs"}

// configJob returns the open job that changes BIOS settings; "" when there is none, or the BMC knows no jobs.
func (d *Driver) configJob(ctx context.Context) (link, error) {
	if d.profile == nil || !d.profile.Settings.Jobs {
		return "", nil
	}
	if d.manager == "" {
		s, _, err := d.read(ctx)
		if err == nil {
			_, err = d.bmcOf(ctx, s)
		}
		if err != nil {
			if absent(err) {
				return "", nil
			}
			return "", err
		}
	}
	for _, place := range jobsAt {
		var open link
		err := each(ctx, d, link(d.manager).under(place), func(at link, j taskDoc) {
			state := strings.ToLower(strings.ReplaceAll(string(j.JobState), " ", ""))
			done := strings.HasPrefix(state, "completed") || state == "failed"
			if strings.EqualFold(string(j.JobType), "BIOSConfiguration") && !done {
				open = at
			}
		})
		if absent(err) {
			continue
		}
		return open, err
	}
	return "", nil
}

// dropJob deletes a job. Some firmware leaves scheduled jobs in the queue, and lets the queue's own service do it.
func (d *Driver) dropJob(ctx context.Context, job link) error {
	_, err := d.fetch(ctx, request{method: http.MethodDelete, path: string(job), doing: "deleting the job " + job.last()}, nil)
	if err == nil || (bmc.ClassOf(err) != bmc.Unsupported && bmc.ClassOf(err) != bmc.Refused) {
		return err
	}
	service := link(d.manager).under("Oem/Dell/DellJobService/Actions/DellJobService.DeleteJobQueue")
	_, err = d.post(ctx, "deleting the job "+job.last(), service, map[string]string{"JobID": job.last()})
	return err
}
