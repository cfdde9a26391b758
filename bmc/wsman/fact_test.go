package wsman

import (
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/markup"
	"github.com/hagane-cloud/hagane/lab/machine"
)

func element(t *testing.T, text string) *markup.Element {
	t.Helper()
	e, err := markup.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Fact: Dell iDRAC WS-MAN answers hold bytes that XML does not allow.
func TestUnprintableBytesAreTakenOut(t *testing.T) {
	root, err := parse([]byte("<a><b>Log\x01 cleared\x1f</b></a>"))
	if err != nil || root.Value("b") != "Log cleared" {
		t.Errorf("%+v, %v", root, err)
	}
	d := drive(t, simulated(t, personality(t, "iDRAC7")).Access)
	if all, err := d.Events(t.Context(), 5); err != nil || all[0].Message != "Log cleared." {
		t.Errorf("%+v, %v", all, err)
	}
}

// Fact: Dell iDRAC WS-MAN gives an enumeration in parts, whose items have another namespace from the second on.
func TestEnumerationIsPulledToItsEnd(t *testing.T) {
	d := drive(t, simulated(t, personality(t, "iDRAC7")).Access) // three instances a part
	all, err := d.Settings(t.Context())
	if err != nil || len(all) != 7 {
		t.Errorf("%d settings, %v", len(all), err)
	}
	s, err := d.Sensors(t.Context())
	if err != nil || len(s) != 6 {
		t.Errorf("%d sensors, %v", len(s), err)
	}
}

// Fact: Dell iDRAC WS-MAN may answer with a SOAP fault whatever the HTTP status.
func TestSOAPFaultsAreFailures(t *testing.T) {
	for sub, want := range map[string]bmc.Class{"wsman:AccessDenied": bmc.Privilege, "wsa:DestinationUnreachable": bmc.Unsupported, "wsman:QuotaLimit": bmc.SessionsFull,
		"wsman:TimedOut": bmc.NotReady, "wsman:InternalError": bmc.Broken, "wsman:InvalidSelectors": bmc.Refused} {
		f := element(t, "<Fault><Code><Value>s:Sender</Value><Subcode><Value>"+sub+"</Value></Subcode></Code><Reason><Text>why</Text></Reason></Fault>")
		if err := soapFault("x", f); bmc.ClassOf(err) != want || !strings.Contains(err.Error(), "why") {
			t.Errorf("%s: %v, want %s", sub, err, want)
		}
	}
}

// Fact: Dell iDRAC refuses RequestStateChange with return value 2, SYS021, when the server already is in the state.
func TestAlreadyInTheStateIsSuccess(t *testing.T) {
	g := simulated(t, personality(t, "iDRAC9"))
	d := drive(t, g.Access)
	if err := g.machine.Power(t.Context(), machine.PowerOn); err != nil {
		t.Fatal(err)
	}
	selectors := []pair{{"CreationClassName", "DCIM_ComputerSystem"}, {"Name", hostName}}
	_, err := d.invoke(t.Context(), "DCIM_ComputerSystem", "RequestStateChange", false, selectors, pair{"RequestedState", "2"})
	if bmc.ClassOf(err) != bmc.Refused || code(err) != "SYS021" {
		t.Errorf("the bare call: %v", err)
	}
	if err := d.SetPower(t.Context(), bmc.PowerOn); err != nil || g.machine.Status().Boots != 1 {
		t.Errorf("%v after %d boots", err, g.machine.Status().Boots)
	}
}

// Fact: Dell iDRAC takes one configuration job for the BIOS at a time (BIOS007), and a second change only when the first ran or was deleted.
func TestSecondChangeReplacesOurJob(t *testing.T) {
	g := simulated(t, personality(t, "iDRAC9"))
	d := drive(t, g.Access)
	ctx := t.Context()
	for _, change := range []map[string]any{{"LogicalProc": "Disabled"}, {"ProcVirtualization": "Enabled"}, {"AcPwrRcvryUserDelay": int64(90)}} {
		if err := d.SetSettings(ctx, change); err != nil {
			t.Fatal(err)
		}
	}
	pendings := map[string]any{}
	all, err := d.Settings(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Pending != nil {
			pendings[s.Name] = s.Pending
		}
	}
	if len(pendings) != 3 || pendings["LogicalProc"] != "Disabled" || pendings["AcPwrRcvryUserDelay"] != int64(90) {
		t.Errorf("pending: %v", pendings)
	}
	id := d.memory.Get(jobFact)
	if task, err := d.Follow(ctx, id); err != nil || task.Done {
		t.Errorf("%+v, %v", task, err)
	}
	if err := d.SetPower(ctx, bmc.PowerOn); err != nil {
		t.Fatal(err)
	}
	if task, err := d.Follow(ctx, id); err != nil || !task.Done || task.Failed != "" || task.Percent != 100 {
		t.Errorf("after the boot: %+v, %v", task, err)
	}
	all, err = d.Settings(ctx)
	if err != nil || pending(all) || !shows(all, map[string]string{"LogicalProc": "Disabled", "ProcVirtualization": "Enabled", "AcPwrRcvryUserDelay": "90"}) {
		t.Errorf("%+v, %v", all, err)
	}
}

// Fact: Dell iDRAC's open configuration job may be somebody else's, and must not be deleted for our change.
func TestJobOfSomebodyElseIsLeftAlone(t *testing.T) {
	g := simulated(t, personality(t, "iDRAC9"))
	g.bmc.Schedule()
	d := drive(t, g.Access)
	err := d.SetSettings(t.Context(), map[string]any{"LogicalProc": "Disabled"})
	if bmc.ClassOf(err) != bmc.Busy || !strings.Contains(err.Error(), "JID_") {
		t.Error(err)
	}
	if err := d.createJob(t.Context()); bmc.ClassOf(err) != bmc.Busy || code(err) != "BIOS007" {
		t.Errorf("another job: %v", err)
	}
	if j, err := d.openJob(t.Context()); err != nil || j == nil {
		t.Errorf("the job is gone: %v", err)
	}
}

// Fact: Dell's Lifecycle Controller is not ready for configuration for a while (LC060, LCStatus 5).
func TestConfigurationWaitsForTheLifecycleController(t *testing.T) {
	kind := personality(t, "iDRAC9")
	kind.NotReady = quick.Again
	d := drive(t, simulated(t, kind).Access)
	if err := d.SetSettings(t.Context(), map[string]any{"LogicalProc": "Disabled"}); err != nil {
		t.Errorf("ready at the last try: %v", err)
	}
	kind.NotReady = 100
	d = drive(t, simulated(t, kind).Access)
	if err := d.SetSettings(t.Context(), map[string]any{"LogicalProc": "Disabled"}); bmc.ClassOf(err) != bmc.NotReady || code(err) != "LC060" {
		t.Error(err)
	}
}

// Fact: Dell jobs end "Completed with Errors", which is a failure.
func TestCompletedWithErrorsIsAFailure(t *testing.T) {
	kind := personality(t, "iDRAC9")
	kind.JobErrors = true
	d := drive(t, simulated(t, kind).Access)
	if err := d.SetSettings(t.Context(), map[string]any{"LogicalProc": "Disabled"}); err != nil {
		t.Fatal(err)
	}
	id := d.memory.Get(jobFact)
	if err := d.SetPower(t.Context(), bmc.PowerOn); err != nil {
		t.Fatal(err)
	}
	if task, err := d.Follow(t.Context(), id); err != nil || !task.Done || !strings.Contains(task.Failed, "Errors") {
		t.Errorf("%+v, %v", task, err)
	}
}

// Fact: Dell purges jobs; one that is not listed is forgotten, neither done nor failed.
func TestForgottenJobIsGone(t *testing.T) {
	d := drive(t, simulated(t, personality(t, "iDRAC9")).Access)
	if task, err := d.Follow(t.Context(), "JID_000000000001"); err != nil || !task.Gone || task.Done {
		t.Errorf("%+v, %v", task, err)
	}
}

// Fact: Dell servers of the 11th generation tell a boot source's type only as the beginning of its id.
func TestBootSourcesWithoutAType(t *testing.T) {
	g := simulated(t, personality(t, "iDRAC6"))
	d := drive(t, g.Access)
	all, err := d.bootSources(t.Context())
	if err != nil || len(all["IPL"].current) != 3 || len(all["UEFI"].current) != 3 {
		t.Fatalf("%+v, %v", all, err)
	}
	b := bmc.Boot{Device: bmc.PXE, Persistent: true, Mode: bmc.BIOS}
	if err := d.SetBoot(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := d.SetSettings(t.Context(), map[string]any{"LogicalProc": "Disabled"}); err != nil { // in the same job
		t.Fatal(err)
	}
	if err := d.SetPower(t.Context(), bmc.PowerOn); err != nil {
		t.Fatal(err)
	}
	if got := g.machine.Status().BootedFrom; got != machine.Network {
		t.Errorf("booted from %s", got)
	}
	if got, err := d.Boot(t.Context()); err != nil || got != b {
		t.Errorf("%+v, %v", got, err)
	}
}

// Fact: Dell iDRAC's virtual CD is VCD-DVD; Cd would be the physical drive.
func TestVirtualCDIsVCD(t *testing.T) {
	g := simulated(t, personality(t, "iDRAC9"))
	if err := drive(t, g.Access).SetBoot(t.Context(), bmc.Boot{Device: bmc.CDROM}); err != nil {
		t.Fatal(err)
	}
	if got := g.machine.Status().Boot.Device; got != machine.CDROM {
		t.Errorf("it boots from %s", got)
	}
}

// Fact: Dell's BIOS lists upper bounds and lengths of 0 or -1 where there are none, and names read-only settings true or false.
func TestBoundsThatAreNone(t *testing.T) {
	s := setting(element(t, "<x><AttributeName>N</AttributeName><CurrentValue>5</CurrentValue><LowerBound>-1</LowerBound><UpperBound>0</UpperBound><IsReadOnly>false</IsReadOnly></x>"), "integer")
	if v, err := check(s, int64(70)); err != nil || v != "70" {
		t.Errorf("%s, %v", v, err)
	}
	s.ReadOnly = true
	if _, err := check(s, int64(70)); bmc.ClassOf(err) != bmc.Refused {
		t.Error(err)
	}
}

// Fact: Dell's serial number of a server is its service tag, not the board's number.
func TestSerialIsTheServiceTag(t *testing.T) {
	id, err := drive(t, simulated(t, personality(t, "iDRAC9")).Access).Identify(t.Context())
	if err != nil || id.Serial != "HG1" || id.BMCModel != "iDRAC9 Enterprise" || id.UUID != machine.Seed(1).UUID("n1") {
		t.Errorf("%+v, %v", id, err)
	}
}

// Fact: Dell lists firmware that it could install beside what is installed.
func TestFirmwareThatIsInstalled(t *testing.T) {
	d := drive(t, simulated(t, personality(t, "iDRAC9")).Access)
	all, err := d.Firmware(t.Context())
	if err != nil || len(all) != 2 || all[0].Version != "2.8.0" {
		t.Fatalf("%+v, %v", all, err)
	}
	task, err := d.Update(t.Context(), "http://10.0.0.1/BIOS.EXE", all[0].ID)
	if err != nil || !strings.HasPrefix(task.ID, "JID_") {
		t.Fatalf("%+v, %v", task, err)
	}
	if task, err = d.Follow(t.Context(), task.ID); err != nil || task.Done {
		t.Errorf("%+v, %v", task, err)
	}
}

// Fact: later Dell iDRACs have no WS-MAN; probe, do not assume.
func TestIDRAC10HasNoWSMAN(t *testing.T) {
	_, err := drive(t, simulated(t, personality(t, "iDRAC10")).Access).Power(t.Context())
	if bmc.ClassOf(err) != bmc.Unsupported || !strings.Contains(err.Error(), "Redfish") {
		t.Error(err)
	}
}

// Fact: Dell iDRAC's web server answers 504 with a page of HTML while it is stuck.
func TestHTMLOfAStuckWebServer(t *testing.T) {
	for status_, want := range map[int]bmc.Class{504: bmc.NotReady, 503: bmc.NotReady, 401: bmc.Credentials, 404: bmc.Unsupported, 500: bmc.Broken} {
		if err := status("x", status_); bmc.ClassOf(err) != want {
			t.Errorf("%d: %v", status_, err)
		}
	}
	if root, err := parse([]byte("<html><body>busy<br></body></html>")); err == nil && root.Find("Fault") != nil {
		t.Error("a page is a fault")
	}
}

// Fact: Dell iDRACs list the System Event Log newest first.
func TestEventsAreSortedByTheirNumber(t *testing.T) {
	d := drive(t, simulated(t, personality(t, "iDRAC9")).Access)
	all, err := d.Events(t.Context(), 2)
	if err != nil || len(all) != 2 || all[0].ID != "2" || all[1].Severity != "critical" || all[1].At.Year() != 2026 {
		t.Fatalf("%+v, %v", all, err)
	}
	if err := d.ClearEvents(t.Context()); err != nil {
		t.Error(err)
	}
}

// Fact: Dell iDRAC's WS-MAN downloads an update and then waits to be told to carry it out; with no job that restarts the server that
// is at the next boot. The iDRAC's own firmware is installed without either.
func TestUpdateIsPutIntoTheQueue(t *testing.T) {
	g := simulated(t, personality(t, "iDRAC9"))
	d, ctx := drive(t, g.Access), t.Context()
	parts, err := d.Firmware(ctx)
	if err != nil || len(parts) != 2 {
		t.Fatalf("%+v, %v", parts, err)
	}
	follow := func(component string) (task bmc.Task) {
		t.Helper()
		task, err := d.Update(ctx, "http://10.0.0.9/image.exe", component)
		for looks := 0; err == nil && !task.Done && !task.Staged && looks < 5; looks++ {
			task, err = d.Follow(ctx, task.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
		return task
	}
	bios := follow(parts[0].ID)
	if own := follow(parts[1].ID); !bios.Staged || bios.Done || own.Staged || !own.Done {
		t.Fatalf("the BIOS's is %+v, the iDRAC's %+v", bios, own)
	}
	if err := d.SetSettings(ctx, map[string]any{"LogicalProc": "Disabled"}); err != nil {
		t.Errorf("settings beside an update that waits: %v", err)
	}
	if task, err := d.Follow(ctx, bios.ID); err != nil || !task.Staged || g.machine.Status().Boots != 0 {
		t.Errorf("before a boot: %+v, %v", task, err)
	}
	if err := d.SetPower(ctx, bmc.PowerOn); err != nil {
		t.Fatal(err)
	}
	if task, err := d.Follow(ctx, bios.ID); err != nil || !task.Done || task.Failed != "" {
		t.Errorf("after a boot: %+v, %v", task, err)
	}
}
