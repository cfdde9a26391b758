package redfish

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
)

const (
	taskPath   = "/redfish/v1/TaskService/Tasks/1"
	updatePath = "/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate"
)

// updates makes the device answer an update in some way.
func (d *device) updates(answer func(w http.ResponseWriter)) {
	d.inventory()
	d.set("/redfish/v1/UpdateService", `{"Actions":{"#UpdateService.SimpleUpdate":{"target":"`+updatePath+`"}}}`)
	d.on("POST "+updatePath, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		answer(w)
		return true
	})
}

// Fact: iDRAC answers 404 for a task that it has just made: there is a time of grace.
func TestTaskIsNotThereYet(t *testing.T) {
	b, looks := newDevice(t), 0
	b.write(taskPath, `{"TaskState":"Running","PercentComplete":"40"}`)
	b.on("GET "+taskPath, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		if looks++; looks < 4 {
			refuse(w, http.StatusNotFound, "Base.1.8.ResourceMissingAtURI", "no such task")
			return true
		}
		return false
	})
	got, err := b.driver(t).Follow(t.Context(), taskPath)
	if err != nil || got.Done || got.Percent != 40 {
		t.Errorf("%+v, %v", got, err)
	}
}

// Fact: Dell before 5.00 deletes finished tasks after a minute, and HPE's monitor is gone after an update of the BMC: a task that is gone is neither done well nor badly.
func TestTaskIsGone(t *testing.T) {
	got, err := newDevice(t).driver(t).Follow(t.Context(), taskPath)
	if err != nil || !got.Done || !got.Gone || got.Failed != "" || got.Percent == 100 {
		t.Errorf("%+v, %v", got, err)
	}
}

// Fact: Dell's tasks are New at first, end Completed with the status Critical or with Errors: only Completed and OK without bad messages is success.
func TestEndOfATask(t *testing.T) {
	for doc, want := range map[string]struct {
		done   bool
		failed string
	}{
		`{"TaskState":"New"}`:                                              {false, ""},
		`{"TaskState":"Completed","TaskStatus":"OK"}`:                      {true, ""},
		`{"JobState":"Completed","Message":"Job completed successfully."}`: {true, ""},
		`{"TaskState":"Completed","TaskStatus":"Critical","Messages":[{"MessageId":"IDRAC.2.8.JCP052","Message":"could not complete"}]}`: {true, "could not complete"},
		`{"JobState":"CompletedWithErrors","Message":"Job completed with errors."}`:                                                      {true, "with errors"},
		`{"JobState":"Completed with Errors"}`: {true, "Completed with Errors"},
		`{"TaskState":"Completed","TaskStatus":"OK","Messages":[{"Message":"flash failed","Severity":"Critical"}]}`: {true, "flash failed"},
		`{"TaskState":"Exception","Messages":{"Message":"bad image"}}`:                                              {true, "bad image"},
	} {
		b := newDevice(t)
		b.write(taskPath, doc)
		got, err := b.driver(t).Follow(t.Context(), taskPath)
		if err != nil || got.Done != want.done || (got.Failed != "") != (want.failed != "") || !strings.Contains(got.Failed, want.failed) {
			t.Errorf("%s: %+v, %v", doc, got, err)
		}
	}
}

// Fact: reading the monitor of a finished task deletes the task on Lenovo XCC: the task itself is followed.
func TestMonitorIsNotRead(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter){
		"body": func(w http.ResponseWriter) {
			w.Header().Set("Location", "/redfish/v1/TaskService/TaskMonitors/1")
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write([]byte(`{"@odata.id":"` + taskPath + `","TaskState":"New"}`))
		},
		"location": func(w http.ResponseWriter) {
			w.Header().Set("Location", "https://xcc.example/redfish/v1/TaskService/TaskMonitors/1")
			w.WriteHeader(http.StatusAccepted)
		},
		"below": func(w http.ResponseWriter) {
			w.Header().Set("Location", taskPath+"/Monitor")
			w.WriteHeader(http.StatusAccepted)
		},
	} {
		b := newDevice(t)
		b.updates(answer)
		got, err := b.driver(t).Update(t.Context(), "http://10.0.0.1/bios.bin", "")
		if err != nil || got.ID != taskPath || got.Done {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// Fact: an update that is accepted without a task is not told as a success: the version is what proves it.
func TestUpdateWithoutTask(t *testing.T) {
	b := newDevice(t)
	b.updates(func(w http.ResponseWriter) { w.WriteHeader(http.StatusAccepted) })
	got, err := b.driver(t).Update(t.Context(), "http://10.0.0.1/bios.bin", "")
	if err != nil || !got.Done || !got.Gone {
		t.Errorf("%+v, %v", got, err)
	}
}

// Fact: BMCs fail in the task that they began for an insertion, after they accepted it.
func TestTaskOfAnInsertionFails(t *testing.T) {
	b := newDevice(t)
	at := b.drive(mediaPath, "CD1", "")
	b.write(taskPath, `{"TaskState":"Exception","TaskStatus":"Critical","Messages":[{"Message":"the image can not be fetched"}]}`)
	b.on("POST "+at+"/Actions/VirtualMedia.InsertMedia", func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		w.Header().Set("Location", taskPath)
		w.WriteHeader(http.StatusAccepted)
		return true
	})
	_, err := b.driver(t).Insert(t.Context(), bmc.CD, image)
	wantClass(t, err, bmc.Broken)
	if err == nil || !strings.Contains(err.Error(), "can not be fetched") {
		t.Error(err)
	}
}
