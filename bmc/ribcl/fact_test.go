package ribcl

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	bmcsimribcl "github.com/hagane-cloud/hagane/lab/bmcsim/ribcl"
	"github.com/hagane-cloud/hagane/lab/machine"
)

const docOK = "<?xml version=\"1.0\"?>\n<RIBCL VERSION=\"2.23\">\n<RESPONSE\n STATUS=\"0x0000\"\n MESSAGE='No error'\n />\n</RIBCL>\n"

// Fact: HPE iLO RIBCL replies with one XML document for each level of the request, all in one body.
func TestReplyIsManyDocuments(t *testing.T) {
	data := "<?xml version=\"1.0\"?>\n<RIBCL VERSION=\"2.23\">\n<RESPONSE STATUS=\"0x0000\" MESSAGE='No error'/>\n<GET_HOST_POWER HOST_POWER=\"OFF\"/>\n</RIBCL>\n"
	r, err := read(server("X"), []byte(docOK+docOK+data+docOK))
	if err != nil || r.find("GET_HOST_POWER").Attr("HOST_POWER") != "OFF" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := read(server("X"), []byte("<html>busy</html>")); bmc.ClassOf(err) != bmc.Garbled {
		t.Errorf("a web page: %v", err)
	}
}

// Fact: HPE iLO RIBCL reports errors by a STATUS inside of a document, with HTTP status 200.
func TestErrorsAreInsideOfDocuments(t *testing.T) {
	for status, want := range map[string]bmc.Class{
		"0x005F": bmc.Credentials, "0x000A": bmc.Credentials, "0x0023": bmc.Privilege, "0x002A": bmc.Unsupported, "0x002E": bmc.Licence,
		"0x003C": bmc.Unsupported, "0x006D": bmc.Unsupported, "0x0088": bmc.Busy, "0x0042": bmc.Refused, "what": bmc.Garbled,
	} {
		bad := strings.Replace(docOK, "0x0000", status, 1)
		_, err := read(server("X"), []byte(docOK+bad+docOK))
		if bmc.ClassOf(err) != want {
			t.Errorf("%s: %v, want class %s", status, err, want)
		}
	}
	_, err := read(user("DELETE_USER"), []byte(strings.Replace(docOK, "0x0000", "0x000A", 1)))
	if bmc.ClassOf(err) != bmc.Refused {
		t.Errorf("a user that a command is about: %v", err)
	}
}

// Fact: HPE iLO RIBCL says "syntax error" of commands that its firmware does not know.
func TestSyntaxErrorMeansNoSuchCommand(t *testing.T) {
	bad := strings.NewReplacer("0x0000", "0x0042", "No error", "syntax error near GET_TPM_STATUS").Replace(docOK)
	if _, err := read(server("GET_TPM_STATUS"), []byte(bad)); bmc.ClassOf(err) != bmc.Unsupported {
		t.Error(err)
	}
}

// Fact: HPE iLO RIBCL puts remarks into the MESSAGE of status 0; they are no errors.
func TestRemarkIsNoError(t *testing.T) {
	r, err := read(server("SET_HOST_POWER"), []byte(strings.Replace(docOK, "No error", "Host power is already ON.", 1)))
	if err != nil || len(r.notes) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Fact: HPE iLO RIBCL holds unescaped quotation marks, ampersands and \x01 bytes, and roots that close themselves (iLO 2).
func TestMalformedDocumentsAreRepaired(t *testing.T) {
	for name, inside := range map[string]string{
		"double quotes": `<EVENT DESCRIPTION="Disk "A1" failed" CLASS="Drive"/>`,
		"single quotes": `<EVENT DESCRIPTION='Disk 'A1' failed' CLASS='Drive'/>`,
		"ampersand":     `<EVENT DESCRIPTION="Disk & cable" CLASS="Drive"/>`,
		"control byte":  "<EVENT DESCRIPTION=\"Disk \x01failed\" CLASS=\"Drive\"/>",
		"no quotes":     "<EVENT DESCRIPTION=Disk CLASS=\"Drive\"/>",
		"open root":     `<EVENT DESCRIPTION="Disk" CLASS="Drive"/><cut>`,
	} {
		text := "<?xml version=\"1.0\"?>\n<RIBCL VERSION=\"2.23\">\n<RESPONSE STATUS=\"0x0000\" MESSAGE='No error'/>\n" + inside + "\n</RIBCL>"
		if name == "open root" {
			text = strings.TrimSuffix(strings.TrimSuffix(text, "</RIBCL>"), "<cut>\n")
		}
		r, err := read(server("X"), []byte(text))
		e := r.find("EVENT")
		if err != nil || !strings.HasPrefix(e.Attr("DESCRIPTION"), "Disk") || e.Attr("CLASS") != "Drive" {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	self := strings.Replace(docOK, `VERSION="2.23">`, `VERSION="2.22"/>`, 1)
	bad := strings.Replace(self, "0x0000", "0x0023", 1)
	if _, err := read(server("X"), []byte(self+bad)); bmc.ClassOf(err) != bmc.Privilege {
		t.Errorf("a root that closes itself hides what follows: %v", err)
	}
}

// Fact: HPE iLO 2 speaks no HTTP, but XML straight on TLS, with the XML header in a write of its own.
func TestILO2SpeaksWithoutHTTP(t *testing.T) {
	g := simulated(t, personality(t, "iLO2"))
	g.Access.Memory = &bmc.Memory{}
	d := drive(t, g.Access)
	id, err := d.Identify(t.Context())
	if err != nil || id.BMCModel != "iLO2" || id.Serial != "HG1" {
		t.Fatalf("%+v, %v", id, err)
	}
	if got := g.Access.Memory.Get(formFact); got != formRaw {
		t.Errorf("the form that was learnt is %q", got)
	}
}

// Fact: HPE iLO 6 has no RIBCL any more; Redfish is all that it speaks.
func TestILO6HasNoRIBCL(t *testing.T) {
	g := simulated(t, personality(t, "iLO6"))
	_, err := drive(t, g.Access).Power(t.Context())
	if bmc.ClassOf(err) != bmc.Unsupported || !strings.Contains(err.Error(), "Redfish") {
		t.Error(err)
	}
}

// Fact: HPE iLO 2 and 3 speak TLS 1.0 with RC4 at most, which has to be allowed for each device.
func TestOldTLSHasToBeAllowed(t *testing.T) {
	kind := personality(t, "iLO3")
	kind.OldTLS = true
	g := simulated(t, kind)
	a := g.Access
	a.OldTLS = false
	if _, err := drive(t, a).Power(t.Context()); bmc.ClassOf(err) != bmc.Unreachable || !strings.Contains(err.Error(), "old TLS") {
		t.Errorf("without it: %v", err)
	}
	if p, err := drive(t, g.Access).Power(t.Context()); err != nil || p != bmc.Off {
		t.Errorf("with it: %s, %v", p, err)
	}
}

// Fact: HPE ProLiant G7 firmware misspells NIC_INFORMATION as NIC_INFOMATION, and lists the iLO's own port among them.
func TestMisspeltNICs(t *testing.T) {
	for _, section := range []string{"NIC_INFOMATION", "NIC_INFORMATION"} {
		text := strings.Replace(docOK, "</RIBCL>", "<GET_EMBEDDED_HEALTH_DATA><"+section+`><NIC><NETWORK_PORT VALUE = "Port 1"/><MAC_ADDRESS VALUE = "E4:11:5B:E0:14:58"/></NIC>
<iLO><NETWORK_PORT VALUE = "iLO"/><MAC_ADDRESS VALUE = "e4:11:5b:d3:ef:c3"/></iLO></`+section+"></GET_EMBEDDED_HEALTH_DATA></RIBCL>", 1)
		r, err := read(server("X"), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		nics := interfaces(r.find("GET_EMBEDDED_HEALTH_DATA"))
		if len(nics) != 1 || nics[0].MAC != "e4:11:5b:e0:14:58" {
			t.Errorf("%s: %+v", section, nics)
		}
	}
}

// Fact: HPE iLO 2 tells the boot order as positions in attributes, and the next boot as DEVICE; later iLOs as elements with a value in lower case.
func TestBootOrderHasTwoForms(t *testing.T) {
	for _, name := range []string{"iLO2", "iLO3"} {
		d := drive(t, simulated(t, personality(t, name)).Access)
		order, err := d.order(t.Context())
		if err != nil || len(order) != 4 || order[0].name != "CDROM" || order[3].device != bmc.PXE {
			t.Errorf("%s: %+v, %v", name, order, err)
		}
	}
}

// Fact: HPE iLO 4 with UEFI names boot devices BootXXXX; what they boot is told by their description alone.
func TestUEFIEntriesAreFoundByDescription(t *testing.T) {
	for text, want := range map[string]bmc.Device{
		"iLO Virtual USB 2 : HP iLO Virtual USB CD/DVD ROM": bmc.CDROM, "iLO Virtual USB 1 : HP iLO Virtual USB Key": "",
		"Embedded SAS : Smart Array P830i Controller - 279.367 GB, RAID 1 Logical Drive(Target:0, Lun:0)": bmc.Disk,
		"Embedded FlexibleLOM 1 Port 1 :HP Ethernet 1Gb 4-port 331FLR Adapter - NIC (IPv4) ":              bmc.PXE, "Embedded UEFI Shell": "",
	} {
		if got := kindOf("Boot0007", text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	kind := personality(t, "iLO4")
	kind.EntriesOnly = true
	g := simulated(t, kind)
	d := drive(t, g.Access)
	b := bmc.Boot{Device: bmc.PXE, Mode: bmc.UEFI}
	if err := d.SetBootMode(t.Context(), bmc.UEFI); err != nil {
		t.Fatal(err)
	}
	if err := g.machine.Power(t.Context(), machine.PowerOn); err != nil { // the entries are those of the last boot's mode
		t.Fatal(err)
	}
	if err := d.SetBoot(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Boot(t.Context()); err != nil || got != b {
		t.Errorf("%+v, %v", got, err)
	}
	if got := g.machine.Status().Boot.Device; got != machine.Network {
		t.Errorf("the machine's next boot is from %s", got)
	}
}

// Fact: HPE iLO needs a licence for virtual media, and says so by status 0x002e.
func TestVirtualMediaNeedALicence(t *testing.T) {
	kind := personality(t, "iLO4")
	kind.Unlicensed = true
	d := drive(t, simulated(t, kind).Access)
	if _, err := d.Insert(t.Context(), bmc.CD, "http://10.0.0.1/a.iso"); bmc.ClassOf(err) != bmc.Licence {
		t.Error(err)
	}
	offers, err := d.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range offers {
		if o.Capability == bmc.CanMedia && (o.Works || !strings.Contains(o.Evidence, "licence")) {
			t.Errorf("%+v", o)
		}
	}
}

// Fact: HPE iLO reports the ejection of an empty virtual drive as an error.
func TestEjectLooksFirst(t *testing.T) {
	d := drive(t, simulated(t, personality(t, "iLO4")).Access)
	for range 2 {
		if err := d.Eject(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	iso := make([]byte, 64<<10)
	copy(iso[32<<10:], "\x01CD001\x01")
	images := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(iso))
	}))
	t.Cleanup(images.Close)
	for _, url := range []string{images.URL + "/a.iso", images.URL + "/b.iso", images.URL + "/b.iso"} {
		slot, err := d.Insert(t.Context(), bmc.CD, url)
		if err != nil || slot != cdSlot {
			t.Fatalf("%s: %s, %v", url, slot, err)
		}
	}
	slots, err := d.Media(t.Context())
	if err != nil || !slots[0].Inserted || slots[0].Image != images.URL+"/b.iso" || slots[1].Inserted {
		t.Errorf("%+v, %v", slots, err)
	}
}

// Fact: HPE iLOs of some firmware take the password as it stands, without undoing XML escapes.
func TestPasswordWithoutEscapes(t *testing.T) {
	kind := personality(t, "iLO3")
	kind.PlainPassword = true
	g := simulated(t, kind)
	g.Access.Memory = &bmc.Memory{}
	if p, err := drive(t, g.Access).Power(t.Context()); err != nil || p != bmc.Off {
		t.Fatalf("%s, %v", p, err)
	}
	if g.Access.Memory.Get(quoteFact) != "plain" {
		t.Error("it was not remembered, so that every call fails one login")
	}
}

// Fact: HPE iLO RIBCL says "Problem manipulating EV" while firmware variables are locked; the same request works in a while.
func TestLockedVariablesPass(t *testing.T) {
	bad := strings.NewReplacer("0x0000", "0x0070", "No error", "Problem manipulating EV").Replace(docOK)
	if _, err := read(server("SET_ONE_TIME_BOOT"), []byte(bad)); bmc.ClassOf(err) != bmc.Busy || !bmc.Passing(err) {
		t.Error(err)
	}
}

// Fact: HPE iLO tells readings that are not there as N/A, and powers with their unit inside of the value.
func TestReadingsThatAreNotThere(t *testing.T) {
	if v := number("N/A"); v != nil {
		t.Error(*v)
	}
	if v := number("109 Watts"); v == nil || *v != 109 {
		t.Error(v)
	}
	g := simulated(t, personality(t, "iLO4"))
	d := drive(t, g.Access)
	h, err := d.Health(t.Context())
	if err != nil || h.Word != "ok" || len(h.Causes) != 0 {
		t.Errorf("a server that is off: %+v, %v", h, err)
	}
}

// Fact: HPE iLO without a clock writes [NOT SET] for the time of an event.
func TestEventsWithoutAClock(t *testing.T) {
	d := drive(t, simulated(t, personality(t, "iLO4")).Access) // with quotation marks inside of the texts
	all, err := d.Events(t.Context(), 10)
	if err != nil || len(all) != 3 || !all[0].At.IsZero() || all[2].Severity != "critical" || all[2].At.Year() != 2026 || !strings.Contains(all[2].Message, `"Power Supply 2"`) {
		t.Fatalf("%+v, %v", all, err)
	}
	if few, err := d.Events(t.Context(), 1); err != nil || len(few) != 1 || few[0] != all[2] {
		t.Errorf("%+v, %v", few, err)
	}
	if err := d.ClearEvents(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAccounts(t *testing.T) {
	g := simulated(t, personality(t, "iLO3"))
	d := drive(t, g.Access)
	ctx := t.Context()
	if err := d.AddAccount(ctx, "guest", "guest<>pass", "ReadOnly"); err != nil {
		t.Fatal(err)
	}
	if err := d.AddAccount(ctx, "guest", "guestpass2", "ReadOnly"); bmc.ClassOf(err) != bmc.Refused {
		t.Errorf("a second of the name: %v", err)
	}
	all, err := d.Accounts(ctx)
	if err != nil || len(all) != 2 || all[1].Role != "ReadOnly" || all[0].Role != "Administrator" {
		t.Errorf("%+v, %v", all, err)
	}
	a := g.Access
	a.Username, a.Password = "guest", "guest<>pass"
	if err := drive(t, a).SetPower(ctx, bmc.PowerOn); bmc.ClassOf(err) != bmc.Privilege {
		t.Errorf("without the privilege: %v", err)
	}
	if err := d.SetPassword(ctx, "admin", "another&word"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.RemoveAccount(ctx, "guest"); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.SetPassword(ctx, "guest", "whatever1"); bmc.ClassOf(err) != bmc.Refused || strings.Contains(err.Error(), "whatever") {
		t.Errorf("a user that is gone: %v", err)
	}
}

func TestLightAndReset(t *testing.T) {
	d := drive(t, simulated(t, personality(t, "iLO4")).Access)
	for _, l := range []bmc.Light{bmc.LightOn, bmc.LightOn, bmc.LightOff} {
		if err := d.SetLight(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Light(t.Context()); err != nil || got != l {
			t.Errorf("%s, %v", got, err)
		}
	}
	if err := d.SetLight(t.Context(), bmc.LightBlink); bmc.ClassOf(err) != bmc.Refused {
		t.Error(err)
	}
	if err := d.RestartBMC(t.Context(), bmc.Warm); err != nil {
		t.Error(err)
	}
	if _, err := d.Light(t.Context()); bmc.ClassOf(err) != bmc.Unreachable {
		t.Errorf("while the iLO is away: %v", err)
	}
}

func TestProbe(t *testing.T) {
	for _, kind := range bmcsimribcl.Personalities {
		if kind.Gone {
			continue
		}
		d := drive(t, simulated(t, kind).Access)
		offers, err := d.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		works := map[bmc.Capability]bool{}
		for _, o := range offers {
			works[o.Capability] = o.Works
			if o.Evidence == "" || strings.Contains(o.Evidence, "s3cret") {
				t.Errorf("%s: %+v", kind.Name, o)
			}
		}
		if !works[bmc.CanPower] || !works[bmc.CanHealth] || works[bmc.CanBootMode] != kind.Modes {
			text, _ := json.Marshal(offers)
			t.Errorf("%s: %s", kind.Name, text)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(docOK + docOK))
	f.Add([]byte("<?xml version=\"1.0\"?><RIBCL VERSION=\"2.22\"/><EVENT A=\"b\"c\"/></RIBCL>"))
	f.Fuzz(func(_ *testing.T, body []byte) {
		r, _ := read(server("X"), body)
		r.find("EVENT")
	})
}
