package scci

import (
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// Fact: Fujitsu iRMC SCCI answers with HTTP status 200 and a Value other than 0 when it does not do as it was told.
func TestValueTellsTheResult(t *testing.T) {
	bad := `<?xml version="1.0"?><Status><Value>5</Value><Severity>Error</Severity><Error Context="SCCI">What</Error><Message>No such share</Message></Status>`
	if _, err := understand("x", []byte(bad)); bmc.ClassOf(err) != bmc.Refused || !strings.Contains(err.Error(), "No such share") {
		t.Error(err)
	}
	for words, want := range map[string]bmc.Class{"Input/Output error": bmc.Busy, "License required": bmc.Licence, "not supported": bmc.Unsupported, "Insufficient privilege": bmc.Privilege} {
		if err := refusal("x", "5", words); bmc.ClassOf(err) != want {
			t.Errorf("%s: %v", words, err)
		}
	}
}

// Fact: Fujitsu iRMC with newer firmware tells a status for each command of a sequence besides the one for all.
func TestStatusOfEachCommand(t *testing.T) {
	body := `<Status><Value>0</Value><CMD OC="E002" OE="1451" OI="2"><STATUS>0</STATUS></CMD><CMD OC="E002" OE="1454" OI="2"><STATUS>3</STATUS><ERROR>bad value</ERROR></CMD></Status>`
	r, err := understand("x", []byte(body))
	if err != nil || r[key("1451", 2)].status != 0 || r[key("1454", 2)].status != 3 || r[key("1454", 2)].why != "bad value" {
		t.Errorf("%+v, %v", r, err)
	}
}

// Fact: Fujitsu iRMC SCCI answers are not always well-formed.
func TestTornBodiesAreRead(t *testing.T) {
	for name, body := range map[string]string{
		"cut off":       "<?xml version=\"1.0\"?>\n<Status>\n<Value>0</Value>\n<Message>No Error</Message>\n</Stat",
		"control bytes": "<Status><Value>0</Value><Message>a\x02b</Message></Status>",
		"no quotes":     "<Status><Value>0</Value><CMD OE=1451 OI=1><DATA>x</DATA></CMD></Status>",
		"ampersand":     "<Status><Value>0</Value><CMD OE=\"1451\" OI=\"1\"><DATA>a & b</DATA></CMD></Status>",
	} {
		if _, err := understand("x", []byte(body)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, body := range []string{"", "busy", "<html><body>busy</body></html>"} {
		if _, err := understand("x", []byte(body)); bmc.ClassOf(err) != bmc.Garbled {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// Fact: Fujitsu iRMC gives status 1 for an SSH key that is empty, which is no error.
func TestEmptyKeyIsNoError(t *testing.T) {
	r, err := understand("x", []byte(`<Status><Value>0</Value><CMD OE="19A1" OI="1"><STATUS>1</STATUS></CMD><CMD OE="1451" OI="1"><STATUS>1</STATUS></CMD></Status>`))
	if err != nil || r[key("19A1", 1)].status != 0 || r[key("1451", 1)].status != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Fact: Fujitsu iRMC answers a request without a valid login with status 200 and the words that a login is required.
func TestLoginRequiredInABody(t *testing.T) {
	if _, err := understand("x", []byte("<html>Login required to continue.</html>")); bmc.ClassOf(err) != bmc.Credentials {
		t.Error(err)
	}
}

// Fact: Fujitsu iRMC takes Basic or Digest authentication, as it was set up.
func TestDigestIsLearnt(t *testing.T) {
	g := simulated(t, personality(t, "iRMC S4"))
	g.Access.Memory = &bmc.Memory{}
	if _, err := drive(t, g.Access).Identify(t.Context()); err != nil || g.Access.Memory.Get(authFact) != "digest" {
		t.Error(err)
	}
	a := g.Access
	a.Password = "wrong"
	if _, err := drive(t, a).Identify(t.Context()); bmc.ClassOf(err) != bmc.Credentials {
		t.Error(err)
	}
}

// Fact: Fujitsu iRMC refuses power commands that follow each other too closely with an Input/Output error.
func TestPowerCommandsTooClose(t *testing.T) {
	kind := personality(t, "iRMC S5")
	kind.PerCommand = false
	kind.TooSoon = quick.Again
	g := simulated(t, kind)
	if err := drive(t, g.Access).SetPower(t.Context(), bmc.PowerOn); err != nil || !g.machine.Status().On {
		t.Error(err)
	}
}

// Fact: Fujitsu iRMC takes values with signs of XML in CDATA, and passwords marked as not encrypted.
func TestValuesInCDATA(t *testing.T) {
	got := string(text([]command{put(cdPassword, 0, `a&b<c]]>`), put(cdServer, 0, "host"), put(cdNumber, 0, "1")}))
	for _, want := range []string{`Encrypted="0"><![CDATA[a&b<c]]]]><![CDATA[>]]></DATA>`, `OE="1A60" OI="0" CA="-1" Type="SET"><DATA Type="xsd::string">host</DATA>`, `<DATA Type="xsd::integer">1</DATA>`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
}

// Fact: Fujitsu iRMC S4 and S5 take virtual CDs from NFS and CIFS shares, not from http.
func TestMediaFromShares(t *testing.T) {
	g := simulated(t, personality(t, "iRMC S5"))
	d := drive(t, g.Access)
	ctx := t.Context()
	if _, err := d.Insert(ctx, bmc.CD, "http://10.0.0.1/a.iso"); bmc.ClassOf(err) != bmc.Refused {
		t.Error(err)
	}
	for _, url := range []string{"nfs://10.0.0.1/srv/iso/a.iso", "cifs://dom;u:p%26w@10.0.0.2/images/b.iso"} {
		if slot, err := d.Insert(ctx, bmc.CD, url); err != nil || slot != cdSlot || !g.bmc.Connected() {
			t.Fatalf("%s: %s, %v", url, slot, err)
		}
	}
	slots, err := d.Media(ctx)
	if err != nil || !slots[0].Inserted || slots[0].Image != "cifs://10.0.0.2/images/b.iso" {
		t.Errorf("%+v, %v", slots, err)
	}
	for range 2 {
		if err := d.Eject(ctx, ""); err != nil {
			t.Fatal(err)
		}
	}
	if g.bmc.Connected() {
		t.Error("it is connected still")
	}
}

// Fact: Fujitsu iRMC calls the disconnection of a CD image an error when none is set up.
func TestEjectLooksFirst(t *testing.T) {
	kind := personality(t, "iRMC S5")
	kind.PerCommand = false
	d := drive(t, simulated(t, kind).Access)
	if err := d.connect(t.Context(), "0"); err == nil {
		t.Error("the bare command is no error")
	}
	if err := d.Eject(t.Context(), cdSlot); err != nil {
		t.Error(err)
	}
}

// Fact: Fujitsu iRMC's eLCM puts further lines of header before the JSON of a body.
func TestLinesBeforeJSON(t *testing.T) {
	if got := string(document([]byte("Link: </x>; rel=self\r\nX: y\r\n\r\n{\"a\":1}"))); got != `{"a":1}` {
		t.Error(got)
	}
}

// Fact: Fujitsu iRMC's eLCM powers the server off for reading and changing BIOS settings, and may leave it on.
func TestELCMLeavesThePowerAsItWas(t *testing.T) {
	g := simulated(t, personality(t, "iRMC S4"))
	d := drive(t, g.Access)
	ctx := t.Context()
	all, err := d.Settings(ctx)
	if err != nil || len(all) != 4 || all[0].Name != "BootConfig/PxeBootOptionRetry" {
		t.Fatalf("%+v, %v", all, err)
	}
	if g.machine.Status().On {
		t.Error("the server is on")
	}
	if err := d.SetSettings(ctx, map[string]any{"CpuConfig/HyperThreading": "Disabled", "BootConfig/QuietBoot": false, "CpuConfig/ActiveCores": int64(4)}); err != nil {
		t.Fatal(err)
	}
	if all, err = d.Settings(ctx); err != nil || all[1].Value != false || all[3].Value != "Disabled" {
		t.Errorf("%+v, %v", all, err)
	}
	if err := g.machine.Power(ctx, machine.PowerOn); err != nil {
		t.Fatal(err)
	}
	before, _ := g.bmc.Sessions()
	if _, err := d.Settings(ctx); bmc.ClassOf(err) != bmc.Busy || !g.machine.Status().On {
		t.Errorf("a server that is on: %v", err)
	}
	after, left := g.bmc.Sessions()
	if before != after || left {
		t.Errorf("%d sessions, %d before; left: %v", after, before, left)
	}
}

// Fact: Fujitsu iRMC's eLCM keeps an old profile, which must be deleted before another is read, and takes one session at a time (409).
func TestELCMOldProfileAndSessions(t *testing.T) {
	d := drive(t, simulated(t, personality(t, "iRMC S5")).Access)
	for range 2 {
		if _, err := d.Settings(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.ask(t.Context(), "POST", profiles+"get?PARAM_PATH="+biosPath, false, nil, nil); bmc.ClassOf(err) != bmc.Busy {
		t.Errorf("with an old profile: %v", err)
	}
}

// Fact: Fujitsu iRMC's eLCM needs a licence.
func TestELCMNeedsALicence(t *testing.T) {
	kind := personality(t, "iRMC S5")
	kind.NoLicence = true
	if _, err := drive(t, simulated(t, kind).Access).Settings(t.Context()); bmc.ClassOf(err) != bmc.Licence {
		t.Error(err)
	}
}

// Fact: Fujitsu iRMC S6 has IPMI over LAN off by default, so that nobody tells SCCI's user the power state.
func TestWithoutIPMIThePowerIsUnknown(t *testing.T) {
	g := simulated(t, personality(t, "iRMC S5"))
	g.Access.Address, _, _ = strings.Cut(g.Access.Address, "?")
	g.Access.Address += "?ipmi=1"
	g.Access.Breaker = &bmc.Breaker{}
	d := drive(t, g.Access)
	if p, err := d.Power(t.Context()); bmc.ClassOf(err) != bmc.Unreachable || p != bmc.Unknown {
		t.Errorf("%s, %v", p, err)
	}
	for range 4 {
		if err := d.SetPower(t.Context(), bmc.PowerOn); err == nil || g.machine.Status().On {
			t.Errorf("a button was pressed: %v", err)
		}
	}
	if _, err := d.Identify(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAccounts(t *testing.T) {
	for _, kind := range []string{"iRMC S4", "iRMC S5"} {
		g := simulated(t, personality(t, kind))
		d := drive(t, g.Access)
		ctx := t.Context()
		if err := d.AddAccount(ctx, "guest", "guest<&>pass", "Operator"); err != nil {
			t.Fatal(err)
		}
		if err := d.AddAccount(ctx, "guest", "x", "Operator"); bmc.ClassOf(err) != bmc.Refused {
			t.Error(err)
		}
		all, err := d.Accounts(ctx)
		if err != nil || len(all) != 2 || all[1].Name != "guest" || all[1].Role != "Operator" || !all[1].Enabled {
			t.Errorf("%+v, %v", all, err)
		}
		if err := d.SetPassword(ctx, "admin", "another&word"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := d.RemoveAccount(ctx, "guest"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestControls(t *testing.T) {
	g := simulated(t, personality(t, "iRMC S5"))
	d := drive(t, g.Access)
	ctx := t.Context()
	if err := d.Interrupt(ctx); bmc.ClassOf(err) != bmc.Refused {
		t.Error(err)
	}
	if err := d.SetPower(ctx, bmc.PowerOn); err != nil {
		t.Fatal(err)
	}
	if err := d.Interrupt(ctx); err != nil || g.bmc.Interrupts() != 1 {
		t.Error(err)
	}
	h, err := d.Health(ctx)
	if err != nil || h.Word != "ok" || len(h.Causes) != 0 {
		t.Errorf("%+v, %v", h, err)
	}
	if err := d.RestartBMC(ctx, bmc.Warm); err != nil {
		t.Error(err)
	}
	if _, err := d.Identify(ctx); bmc.ClassOf(err) != bmc.Unreachable {
		t.Errorf("while it is away: %v", err)
	}
}

func TestProbe(t *testing.T) {
	for _, kind := range []string{"iRMC S4", "iRMC S5"} {
		offers, err := drive(t, simulated(t, personality(t, kind)).Access).Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range offers {
			if !o.Works && o.Capability != bmc.CanLight || o.Evidence == "" {
				t.Errorf("%s: %+v", kind, o)
			}
		}
	}
}

func FuzzUnderstand(f *testing.F) {
	f.Add([]byte("<Status><Value>0</Value></Stat"))
	f.Fuzz(func(_ *testing.T, body []byte) { _, _ = understand("x", body) })
}
