package redfish

import (
	"net/http"
	"strings"
	"testing"
)

// Fact: an iDRAC restarts the server for each update unless it is told to leave it for the next boot, which it offers as OnReset; others
// offer nothing of the kind and refuse what they do not know.
func TestUpdateIsLeftForTheNextBoot(t *testing.T) {
	for _, offers := range []bool{true, false} {
		b := newDevice(t)
		var sent map[string]any
		b.updates(nil)
		times := ""
		if offers {
			times = `"@Redfish.OperationApplyTimeSupport":{"SupportedValues":["Immediate","OnReset"]},`
		}
		b.set("/redfish/v1/UpdateService", `{"Actions":{"#UpdateService.SimpleUpdate":{`+times+`"target":"`+updatePath+`"}}}`)
		b.on("POST "+updatePath, func(w http.ResponseWriter, _ *http.Request, body map[string]any) bool {
			sent = body
			w.Header().Set("Location", taskPath)
			w.WriteHeader(http.StatusAccepted)
			return true
		})
		b.write(taskPath, `{"TaskState":"Pending","Messages":[{"Message":"Task successfully scheduled."}]}`)
		d := b.driver(t)
		task, err := d.Update(t.Context(), "http://10.0.0.1/bios.bin", "BIOS")
		if err != nil || (sent["@Redfish.OperationApplyTime"] == "OnReset") != offers {
			t.Errorf("offered %v, sent %v, %v", offers, sent, err)
		}
		if task, err = d.Follow(t.Context(), task.ID); err != nil || !task.Staged || task.Done {
			t.Errorf("a task that waits for a boot: %+v, %v", task, err)
		}
	}
}

// Fact: who may say what boots stands in the databases PK, KEK and db (DGX H100, GH200); Supermicro shows a list without any, HPE and
// Lenovo show none, and the lists of what may not boot grow by themselves.
func TestKeysOfSecureBoot(t *testing.T) {
	const at = "/redfish/v1/Systems/1/SecureBoot"
	b := newDevice(t)
	show := func(databases string) string {
		t.Helper()
		b.set("/redfish/v1/Systems/1", `{"SecureBoot":{"@odata.id":"`+at+`"}}`)
		b.write(at, `{"SecureBootEnable":true,"SecureBootMode":"UserMode"`+databases+`}`)
		s, err := b.driver(t).SecureBoot(t.Context())
		if err != nil || !s.Enabled || s.Mode != "UserMode" {
			t.Fatalf("%+v, %v", s, err)
		}
		return s.Keys
	}
	if got := show(""); got != "" {
		t.Errorf("without databases: %q", got)
	}
	const linked = `,"SecureBootDatabases":{"@odata.id":"` + at + `/SecureBootDatabases"}`
	if got := show(linked); got != "" {
		t.Errorf("databases that are not there: %q", got)
	}
	b.write(at+"/SecureBootDatabases", `{"Members":[]}`)
	if got := show(linked); got != "" {
		t.Errorf("no databases: %q", got)
	}
	b.write(at+"/SecureBootDatabases", `{"Members":[{"@odata.id":"`+at+`/SecureBootDatabases/PK"},{"@odata.id":"`+at+`/SecureBootDatabases/db"},{"@odata.id":"`+at+`/SecureBootDatabases/dbx"}]}`)
	for _, name := range []string{"PK", "db", "dbx"} {
		own := at + "/SecureBootDatabases/" + name
		b.write(own, `{"Certificates":{"@odata.id":"`+own+`/Certificates"},"Signatures":{"@odata.id":"`+own+`/Signatures"}}`)
		b.write(own+"/Certificates", `{"Members":[{"@odata.id":"`+own+`/Certificates/1"}]}`)
		b.write(own+"/Certificates/1", `{"CertificateString":"`+name+`"}`)
	}
	before := show(linked)
	if !strings.HasPrefix(before, "PK 1, db 1, fingerprint ") {
		t.Errorf("%q", before)
	}
	b.write(at+"/SecureBootDatabases/dbx/Certificates/1", `{"CertificateString":"new"}`)
	if got := show(linked); got != before {
		t.Errorf("a longer list of what may not boot: %q, was %q", got, before)
	}
	b.write(at+"/SecureBootDatabases/PK/Certificates/1", `{"CertificateString":"the tenant's"}`)
	if got := show(linked); got == before || got == "" {
		t.Errorf("with another PK: %q", got)
	}
}
