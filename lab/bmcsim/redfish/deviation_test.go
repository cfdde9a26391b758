package redfish

import (
	"compress/gzip"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/lab/bmcsim"
)

// named returns a kind.
func named(t *testing.T, name string) Personality {
	t.Helper()
	k, err := PersonalityNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// exchange is a request and what a kind answers to it. {s} and {m} are the paths of system and manager.
type exchange struct {
	method, path, body string
	match              string // If-Match: "header", "body" and "strong" take what the resource shows; anything else is sent as it is
	status             int
	id                 string
}

const (
	resetAction = "{s}/Actions/ComputerSystem.Reset"
	once        = `{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe"}}`
	onceUEFI    = `{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe","BootSourceOverrideMode":"UEFI"}}`
	image       = `"Image":"http://127.0.0.1:9/x.iso"`
)

// TestDeviations asks each kind for what it answers differently from others.
func TestDeviations(t *testing.T) {
	for kind, asked := range map[string][]exchange{
		"hpe-ilo5": {
			{"PATCH", "{s}", onceUEFI, "", 400, "iLO.2.14.UnsupportedOperation"},
			{"PATCH", "{s}", `{"Boot":{"BootOrder":["Boot0001"]}}`, "", 400, "ArrayPropertyOutOfBound"},
			{"POST", "{m}/VirtualMedia/2/Actions/VirtualMedia.EjectMedia", "", "", 415, "MissingOrMalformedPart"},
			{"POST", "{m}/VirtualMedia/2/Actions/VirtualMedia.EjectMedia", "{}", "", 400, "ResourceNotInUse"},
			{"GET", "/redfish/v1/systems/1/bios/settings/", "", "", 200, ""},
			{"GET", "/redfish/v1/Managers/1/SecurityService/PlatformCertUpdate/Certificates", "", "", 404, "ResourceMissingAtURI"},
			{"POST", resetAction, `{"ResetType":"ForceOff"}`, "", 400, "iLO.2.14.InvalidOperationForSystemState"},
			{"POST", resetAction, `{"ResetType":"On"}`, "", 204, ""},
			{"PATCH", "{s}", once, "", 400, "iLO.2.14.UnableToModifyDuringSystemPOST"},
			{"POST", resetAction, `{"ResetType":"ForceOff"}`, "", 400, "iLO.2.14.InvalidOperationForSystemState"},
		},
		"hpe-ilo4": {{"POST", "{m}/VirtualMedia/2/Actions/VirtualMedia.InsertMedia", `{` + image + `,"Inserted":true}`, "", 400, "ActionParameterUnknown"}},
		"hpe-ilo6": {{"GET", "/redfish/v1/Chassis/1/NetworkAdapters", "", "", 400, "InternalError"}},
		"dell-idrac8": {
			{"POST", "/redfish/v1/SessionService/Sessions", `{"UserName":"admin","Password":"` + password + `"}`, "", 405, "OperationNotAllowed"},
			{"POST", "/redfish/v1/Sessions", `{"UserName":"admin","Password":"` + password + `"}`, "", 201, ""},
			{"POST", resetAction, `{"ResetType":"GracefulRestart"}`, "", 400, "ActionParameterNotSupported"},
			{"POST", "{s}/Bios/Actions/Bios.ResetBios", "", "", 415, "MissingOrMalformedPart"},
		},
		"dell-idrac9": {
			{"POST", "/redfish/v1/AccountService/Accounts", `{"UserName":"u","Password":"p4ssw0rd!"}`, "", 405, "OperationNotAllowed"},
			{"PATCH", "/redfish/v1/AccountService/Accounts/1", `{"UserName":"u"}`, "", 400, "IDRAC.2.7.SYS417"},
			{"PATCH", "/redfish/v1/AccountService/Accounts/4", `{"UserName":"u","RoleId":"Operator"}`, "", 400, "IDRAC.2.7.SYS428"},
			{"PATCH", "/redfish/v1/AccountService/Accounts/4", `{"UserName":"u","RoleId":"Operator","Password":"p4ssw0rd!"}`, "", 200, ""},
			{"POST", resetAction, `{"ResetType":"ForceOff"}`, "", 409, "ActionParameterValueConflict"},
			{"POST", "{m}/Actions/Manager.Reset", `{"ResetType":"ForceRestart"}`, "", 400, "ActionParameterNotSupported"},
			{"PATCH", "{s}/Bios/Settings", `{"Attributes":{"NumLock":false},"@Redfish.SettingsApplyTime":{"ApplyTime":"OnReset"}}`, "", 202, ""},
			{"PATCH", "{s}/Bios/Settings", `{"Attributes":{"NumLock":true}}`, "", 400, "IDRAC.2.7.SYS011"},
		},
		"dell-idrac10": {
			{"PATCH", "{s}", once, "", 400, "IDRAC.3.0.SYS426"},
			{"PATCH", "{s}/Settings", once, "", 200, ""},
			{"POST", resetAction, `{"ResetType":"On"}`, `"x"`, 412, "PreconditionFailed"},
			{"POST", resetAction, `{"ResetType":"On"}`, "", 204, ""},
			{"POST", resetAction, `{"ResetType":"ForceOff"}`, "", 409, "Base.1.18.ActionParameterValueConflict"},
		},
		"fujitsu-irmc-s6": {
			{"PATCH", "{s}", once, "", 428, "PreconditionRequired"},
			{"PATCH", "{s}", once, "strong", 412, "PreconditionFailed"},
			{"PATCH", "{s}", once, "body", 200, ""},
			{"GET", "{s}?$select=PowerState", "", "", 400, "QueryNotSupportedOnResource"},
			{"GET", "{s}/Oem/Fsas/BootConfig", "", "", 200, ""},
			{"GET", "{s}/Oem/ts_fujitsu/BootConfig", "", "", 404, "ResourceMissingAtURI"},
			{"POST", "{s}/Actions/Oem/FTSComputerSystem.Reset", `{"FTSResetType":"PowerOff"}`, "", 400, "ActionParameterValueNotInList"},
			{"POST", "{s}/Actions/Oem/FTSComputerSystem.Reset", `{"FTSResetType":"PowerOn"}`, "", 204, ""},
		},
		"supermicro-x10": {
			{"PATCH", "{s}", onceUEFI, "", 400, "PropertyUnknown"},
			{"PATCH", "{s}", `{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"CD/DVD"}}`, "", 200, ""},
			{"GET", "{m}/VirtualMedia", "", "", 404, "ResourceMissingAtURI"},
		},
		"supermicro-x11": {
			{"GET", "{s}/Bios", "", "", 403, "SMC.1.0.OemLicenseNotPassed"}, {"GET", "{s}/SecureBoot", "", "", 403, "SMC.1.0.OemLicenseNotPassed"},
			{"GET", "{m}/VirtualMedia", "", "", 403, "SMC.1.0.OemLicenseNotPassed"},
		},
		"supermicro-x12": {{"POST", "{m}/VirtualMedia/VirtualMedia1/Actions/VirtualMedia.InsertMedia", `{` + image + `,"Inserted":true}`, "", 400, "ActionParameterUnknown"}},
		"supermicro-x13": {
			{"PATCH", "{s}", `{"Boot":{"BootOrder":["Boot0001","Boot0002","Boot0003"]}}`, "", 400, "PropertyUnknown"},
			{"PATCH", "{s}", `{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Cd","BootSourceOverrideMode":"UEFI"}}`, "", 400, "PropertyValueNotInList"},
			{"PATCH", "{s}", `{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"UsbCd","BootSourceOverrideMode":"UEFI"}}`, "", 200, ""},
			{"POST", "{m}/Actions/Manager.Reset", `{"ResetType":"ForceRestart"}`, "", 400, "ActionParameterNotSupported"},
		},
		"lenovo-xcc": {
			{"PATCH", "{s}", `{"Boot":{"BootSourceOverrideEnabled":"Continuous","BootSourceOverrideTarget":"Pxe"}}`, "", 400, "PropertyValueNotInList"},
			{"PATCH", "{s}", onceUEFI, "header", 412, "PreconditionFailed"}, {"PATCH", "{s}", onceUEFI, "header", 200, ""},
			{"POST", "{m}/VirtualMedia/EXT1/Actions/VirtualMedia.InsertMedia", `{` + image + `}`, "", 404, "ResourceMissingAtURI"},
			{"PATCH", "{m}/VirtualMedia/RDOC1", `{` + image + `,"Inserted":true}`, "", 400, "ActionNotSupported"},
			{"POST", resetAction, `{"ResetType":"ForceOff"}`, "", 204, ""},
		},
		"ami-megarac": {
			{"PATCH", "{s}", onceUEFI, "", 428, "PreconditionRequired"},
			{"PATCH", "{s}", onceUEFI, "header", 400, "Ami.1.0.OperationSupportedInFutureStateURI"},
			{"PATCH", "{s}/SD", once, "header", 400, "PropertyMissing"},
			{"PATCH", "{s}/SD", onceUEFI, "header", 200, ""},
			{"POST", "{m}/VirtualMedia/CD1/Actions/VirtualMedia.InsertMedia", `{` + image + `}`, "", 400, "PropertyMissing"},
		},
		"nvidia-dgx": {
			{"POST", "/redfish/v1/Systems/HGX_Baseboard_0/Actions/ComputerSystem.Reset", `{"ResetType":"On"}`, "", 404, "ResourceMissingAtURI"},
			{"GET", "/redfish/v1/Managers/HGX_BMC_0", "", "", 200, ""},
		},
		"openbmc": {{"PATCH", "{s}", `{"Boot":{"BootOrder":[]}}`, "", 400, "PropertyUnknown"}, {"PATCH", "{s}", `{"IndicatorLED":"Lit"}`, "", 400, "PropertyUnknown"}, {"PATCH", "{s}", `{"LocationIndicatorActive":true}`, "", 200, ""}},
		"cisco-cimc": {
			{"POST", "{s}/VirtualMedia/0/Actions/VirtualMedia.InsertMedia", `{` + image + `}`, "", 405, "ActionNotSupported"},
			{"POST", "{m}/Actions/Manager.Reset", `{"ResetType":"ForceRestart"}`, "", 400, "ActionParameterUnknown"},
		},
		"nokia-like": {
			{"PATCH", "{s}", once, "", 400, "PropertyNotWritable"}, {"PATCH", "{s}/Settings", once, "", 200, ""},
			{"POST", "{m}/VirtualMedia/2/Actions/VirtualMedia.InsertMedia", `{` + image + `}`, "", 400, "ActionParameterMissing"},
			{"POST", "{m}/VirtualMedia/2/Actions/VirtualMedia.InsertMedia", `{` + image + `,"TransferProtocolType":"HTTP"}`, "", 400, "ActionParameterMissing"},
		},
		"decoy-settings": {{"PATCH", "{s}/Settings", once, "", 400, "PropertyNotWritable"}, {"PATCH", "{s}", once, "header", 412, "PreconditionFailed"}, {"PATCH", "{s}", once, "bare", 200, ""}},
		"weak-etags":     {{"PATCH", "{s}", once, "header", 412, "PreconditionFailed"}, {"PATCH", "{s}", once, "strong", 200, ""}},
		"no-etags":       {{"PATCH", "{s}", once, "header", 412, "PreconditionFailed"}, {"PATCH", "{s}", once, "", 200, ""}},
		"intel-s2600":    {{"GET", "{s}/EthernetInterfaces", "", "", 404, "ResourceMissingAtURI"}, {"PATCH", "{s}", once, "header", 412, "PreconditionFailed"}, {"PATCH", "{s}", once, "", 200, ""}},
		"bluefield":      {{"GET", "{s}/Bios", "", "", 404, "ResourceMissingAtURI"}},
	} {
		t.Run(kind, func(t *testing.T) {
			b, _ := serve(t, named(t, kind))
			at := newClient(t, b)
			for _, x := range asked {
				path := strings.NewReplacer("{s}", b.SystemPath(), "{m}", root+"/"+b.manager()).Replace(x.path)
				status, id, _ := at.do(x.method, path, x.body, func(r *http.Request) { r.Header.Set("If-Match", at.tag(path, x.match)) })
				if status != x.status || id != x.id {
					t.Errorf("%s %s %s with %q: %d %s, want %d %s", x.method, path, x.body, x.match, status, id, x.status, x.id)
				}
			}
		})
	}
}

// tag returns the If-Match of a kind.
func (c client) tag(path, form string) string {
	switch form {
	case "header", "bare":
		_, _, header := c.do("GET", path, "", nil)
		if tag := header.Get("ETag"); form == "header" {
			return tag
		} else {
			return strings.Trim(tag, `"`)
		}
	case "body":
		tag, _ := c.get(path)["@odata.etag"].(string)
		return tag
	case "strong":
		_, _, header := c.do("GET", path, "", nil)
		if tag := header.Get("ETag"); tag != "" {
			return strings.TrimPrefix(tag, "W/")
		}
		return `"` + c.tag(path, "body") + `"`
	}
	return form
}

// TestShapes reads documents that are odd.
func TestShapes(t *testing.T) {
	read := func(kind, path string) (string, map[string]any, http.Header) {
		b, _ := serve(t, named(t, kind))
		req, _ := http.NewRequestWithContext(t.Context(), "GET", b.Address()+root+"/"+path, nil)
		req.SetBasicAuth("admin", password)
		req.Header.Set("Accept-Encoding", "identity")
		res, err := newClient(t, b).http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var from io.Reader = res.Body
		if res.Header.Get("Content-Encoding") == "gzip" {
			if from, err = gzip.NewReader(res.Body); err != nil {
				t.Fatal(err)
			}
		}
		raw, _ := io.ReadAll(from)
		var doc map[string]any
		_ = json.Unmarshal(raw, &doc)
		return string(raw), doc, res.Header
	}
	if _, doc, header := read("hpe-ilo5", "Managers/1"); header.Get("Content-Encoding") != "gzip" || doc["Id"] != "1" {
		t.Errorf("iLO 5: %v", header)
	}
	if _, doc, _ := read("supermicro-x13", ""); doc["Vendor"] != nil {
		t.Error("X13 tells its vendor")
	}
	if raw, doc, _ := read("lenovo-xcc", "TelemetryService/MetricReports/PowerMetrics"); doc != nil || !strings.Contains(raw, ",]") {
		t.Errorf("the XCC's report is valid: %s", raw)
	}
	if _, doc, _ := read("openbmc", "Managers/bmc/EthernetInterfaces"); doc["Members"] != nil || doc["Name"] == nil {
		t.Error("an empty list is no null")
	}
	if _, doc, _ := read("dell-idrac9", "Managers/iDRAC.Embedded.1/LogServices/Lclog/Entries"); len(doc["Members"].([]any)) != 50 || doc["Members@odata.count"] != 77.0 || !strings.HasSuffix(doc["Members@odata.nextLink"].(string), "?$skip=50") {
		t.Errorf("pages: %v", doc["Members@odata.nextLink"])
	}
	if _, doc, _ := read("dell-idrac9", "Managers/iDRAC.Embedded.1/LogServices/Lclog/Entries?$skip=50"); len(doc["Members"].([]any)) != 27 || doc["Members@odata.nextLink"] != nil {
		t.Error("the second page")
	}
	if raw, _, _ := read("nvidia-dgx", "Chassis/DGX/Sensors/1"); !strings.Contains(raw, `"Reading":"55.546875"`) {
		t.Error(raw)
	}
	if raw, _, _ := read("ami-megarac", "Systems?$expand=."); strings.Contains(raw, `"Id"`) || !strings.Contains(raw, "PowerState") {
		t.Error(raw)
	}
	if raw, _, _ := read("generic", "Systems?$expand=."); !strings.Contains(raw, `"Id":"1"`) {
		t.Error(raw)
	}
	if _, doc, _ := read("nvidia-gb200", ""); doc["Systems"] != nil {
		t.Error("the root has links")
	}
}

// TestOldTLS refuses TLS 1.3.
func TestOldTLS(t *testing.T) {
	b, _ := serve(t, named(t, "dell-idrac8"))
	conn, err := tls.Dial("tcp", strings.TrimPrefix(b.Address(), "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil || conn.ConnectionState().Version != tls.VersionTLS12 {
		t.Errorf("%v", err)
	} else {
		_ = conn.Close()
	}
	if _, err := tls.Dial("tcp", strings.TrimPrefix(b.Address(), "https://"), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}); err == nil {
		t.Error("TLS 1.3 works")
	}
}

// TestNewPassword lets nothing happen before the password was changed, and then only the new one counts.
func TestNewPassword(t *testing.T) {
	b, _ := serve(t, named(t, "ami-megarac"), func(c *bmcsim.Config) { c.NewPassword = true })
	at := newClient(t, b)
	if status, id, _ := at.do("GET", b.SystemPath(), "", nil); status != 403 || id != "PasswordChangeRequired" {
		t.Errorf("%d %s", status, id)
	}
	account := root + "/AccountService/Accounts/2"
	tag, _ := at.get(account)["@odata.etag"].(string)
	if status, id, _ := at.do("PATCH", account, `{"Password":"an0ther-word"}`, func(r *http.Request) { r.Header.Set("If-Match", tag) }); status != 200 {
		t.Fatalf("%d %s", status, id)
	}
	if status, _, _ := at.do("GET", b.SystemPath(), "", nil); status != 401 {
		t.Errorf("the old password: %d", status)
	}
	if status, _, _ := at.do("GET", b.SystemPath(), "", func(r *http.Request) { r.SetBasicAuth("admin", "an0ther-word") }); status != 200 {
		t.Errorf("the new password: %d", status)
	}
}

// TestHangsUp sends a second request over a connection that an iLO has closed without a word.
func TestHangsUp(t *testing.T) {
	b, _ := serve(t, named(t, "hpe-ilo5"))
	at := newClient(t, b)
	at.http.Transport.(*http.Transport).DisableKeepAlives = false
	failed := false
	for range 20 {
		req, _ := http.NewRequestWithContext(t.Context(), "POST", b.Address()+root+"/SessionService/Sessions", strings.NewReader(`{"UserName":"admin","Password":"wrong"}`))
		res, err := at.http.Do(req)
		if err != nil {
			failed = true
			break
		}
		if res.Close {
			t.Fatal("it says that it closes")
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	if !failed {
		t.Skip("the client noticed the closed connections in time")
	}
}
