package profile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func embeddedBook(t *testing.T) *Book {
	t.Helper()
	b, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// folder writes an operator's profiles.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestEmbeddedProfiles(t *testing.T) {
	b := embeddedBook(t)
	if len(b.All()) < 20 {
		t.Fatalf("%d profiles", len(b.All()))
	}
	sourced := 0
	for _, p := range b.All() {
		if p.Title == "" || len(p.Match.Vendor) == 0 {
			t.Errorf("%s has no title or fits everything", p.Name)
		}
		if b.Named(p.Name) != p {
			t.Errorf("%s is not found by its name", p.Name)
		}
		seen := map[string]bool{}
		for _, d := range p.Deviations {
			if seen[d.Fact] {
				t.Errorf("%s tells twice: %s", p.Name, d.Fact)
			}
			seen[d.Fact] = true
			if strings.Contains(d.Source, "http") || strings.ContainsAny(d.Source, "#") {
				t.Errorf("%s: the source %q is to be a project and a file or issue", p.Name, d.Source)
			}
			sourced++
		}
	}
	if sourced < 100 {
		t.Errorf("%d deviations", sourced)
	}
}

// kinds are what BMCs of each kind tell of themselves, from documents of real ones, and the profile that is for them.
var kinds = map[string]Facts{
	"ami-megarac":     {Vendor: "AMI", BMC: "AMI Redfish Server AST2600", Firmware: "13.09.1", Maker: "ASRockRack", Model: "B650D4U"},
	"nvidia-dgx":      {Vendor: "AMI", BMC: "AMI Redfish Server 77171220", Firmware: "23.11.20", Maker: "NVIDIA", Model: "DGXH100"},
	"dell-idrac8":     {Vendor: "Dell", BMC: "Integrated Dell Remote Access Controller 13G Monolithic", Firmware: "2.75.75.75", Maker: "Dell Inc.", Model: "PowerEdge R630"},
	"dell-idrac9":     {Vendor: "Dell", BMC: "Integrated Dell Remote Access Controller 15G Monolithic", Firmware: "6.00.30.00", Maker: "Dell Inc.", Model: "PowerEdge R750"},
	"dell-idrac9-old": {Vendor: "Dell", BMC: "Integrated Dell Remote Access Controller 14G Monolithic", Firmware: "3.30.30.30", Maker: "Dell Inc.", Model: "PowerEdge R640"},
	"dell-idrac10":    {Vendor: "Dell", BMC: "Integrated Dell Remote Access Controller 17G Monolithic", Firmware: "1.20.25.00", Maker: "Dell Inc.", Model: "PowerEdge R670"},
	"fujitsu-irmc":    {Vendor: "FUJITSU", BMC: "PRIMERGY RX2540 M7 iRMC S6", Firmware: "2.63P", Maker: "FUJITSU", Model: "PRIMERGY RX2540 M7"},
	"hpe-ilo4":        {Vendor: "HPE", BMC: "ProLiant DL380 Gen9 iLO 4", Firmware: "iLO 4 v2.78", Maker: "HP", Model: "ProLiant DL380 Gen9"},
	"hpe-ilo5":        {Vendor: "HPE", BMC: "ProLiant DL385 Gen10 Plus v2 iLO 5", Firmware: "iLO 5 v2.72", Maker: "HPE", Model: "ProLiant DL385 Gen10 Plus v2"},
	"hpe-ilo6":        {Vendor: "HPE", BMC: "ProLiant DL365 Gen11 iLO 6", Firmware: "iLO 6 v1.66", Maker: "HPE", Model: "ProLiant DL365 Gen11"},
	"hpe-ilo7":        {Vendor: "HPE", BMC: "ProLiant DL340e Gen12 iLO 7", Firmware: "iLO 7 v1.12.00", Maker: "HPE", Model: "ProLiant DL340e Gen12"},
	"lenovo-xcc":      {Vendor: "Lenovo", BMC: "ThinkSystem SR670 V2 Lenovo XClarity Controller", Firmware: "TGBT42S 2.83 2023-07-05", Maker: "Lenovo", Model: "ThinkSystem SR670 V2"},
	"lenovo-sr675v3":  {Vendor: "Lenovo", BMC: "Lenovo XClarity Controller", Firmware: "QGX328F 9.10", Maker: "Lenovo", Model: "ThinkSystem SR675 V3"},
	"lenovo-sr650v4":  {Vendor: "Lenovo", BMC: "Lenovo XClarity Controller 3", Firmware: "4.20", Maker: "Lenovo", Model: "ThinkSystem SR650 V4"},
	"openbmc":         {Vendor: "OpenBMC", BMC: "OpenBmc", Firmware: "2.14.0", Maker: "IBM", Model: "9105-22A"},
	"cisco-imc":       {Vendor: "Cisco Systems Inc.", BMC: "UCS C220 M6 UCSC-C220-M6S", Firmware: "4.2(3g)", Maker: "Cisco Systems Inc", Model: "UCSC-C220-M6S"},
	"supermicro":      {Vendor: "Supermicro", BMC: "ASPEED", Firmware: "11.01.01", Maker: "Supermicro", Model: "SYS-821GE-TNHR"},
	"supermicro-x10":  {Vendor: "Supermicro", BMC: "ASPEED", Firmware: "03.90", Maker: "Supermicro", Model: "X10DRW-i"},
	"hagane-lab":      {Vendor: "Hagane", BMC: "Lab BMC Lab BMC", Firmware: "2.13", Maker: "Hagane", Model: "Rack 1"},
}

func TestEachProfileFitsItsKind(t *testing.T) {
	b := embeddedBook(t)
	for want, f := range kinds {
		if p := b.Find(f); p == nil || p.Name != want {
			t.Errorf("%+v: %+v, want %s", f, p, want)
		}
	}
	for _, p := range b.All() {
		if _, ok := kinds[p.Name]; !ok && p.Name != "dell-idrac" && p.Name != "hpe-ilo" {
			t.Errorf("no BMC is known that %s fits", p.Name)
		}
	}
	for _, f := range []Facts{{}, {Vendor: "Nokia", Model: "R1"}, {Vendor: "Dellmont"}} {
		if p := b.Find(f); p != nil && f.Vendor != "Dellmont" {
			t.Errorf("%+v: %s", f, p.Name)
		}
	}
	if p := b.Find(Facts{Maker: "Dell Inc.", BMC: "iDRAC9", Firmware: "7.00"}); p == nil || p.Name != "dell-idrac9" {
		t.Errorf("by the server's maker, where the BMC does not tell its own: %+v", p)
	}
	var none *Book
	if none.Find(kinds["openbmc"]) != nil || none.Named("openbmc") != nil {
		t.Error("the nil book knows something")
	}
}

// Fact: firmware versions are written "iLO 5 v2.72", "TGBT42S 2.83 2023-07-05", "GB200Nvl-25.01-8" and "11.01.01": the dotted numbers in them are compared.
func TestRangesOfVersions(t *testing.T) {
	for _, c := range []struct {
		bounds, version string
		want            bool
	}{
		{">=2.60 <2.75", "2.60", true}, {">=2.60 <2.75", "2.74.99.1", true}, {">=2.60 <2.75", "2.75", false}, {">=2.60", "2.9", false}, {">=2.60", "10.1", true},
		{"<4.00", "3.30.30.30", true}, {"<4.00", "4.00.00.00", false}, {">2.0", "iLO 5 v2.72", true}, {"<2.84", "TGBT42S 2.83 2023-07-05", true}, {"=25.1", "GB200Nvl-25.01-8", true},
		{"<=11.1.1", "11.01.01", true}, {">=1.0", "unknown", false}, {">=1.0", "", false},
	} {
		if got := within(c.bounds, c.version); got != c.want {
			t.Errorf("%q within %q: %v", c.version, c.bounds, got)
		}
	}
}

// Fact: iDRAC10 numbers its firmware from 1 again: its versions are not compared with those of iDRAC9.
func TestNumbersOfAnotherGeneration(t *testing.T) {
	f := kinds["dell-idrac10"] // 1.20 is less than 4.00
	if p := embeddedBook(t).Find(f); p == nil || p.Name != "dell-idrac10" {
		t.Errorf("%+v", p)
	}
}

func TestLikeInherits(t *testing.T) {
	b := embeddedBook(t)
	eight, nine := b.Named("dell-idrac8"), b.Named("dell-idrac9")
	if !nine.KeepsAlive() || !nine.Settings.Jobs || nine.Accounts.FirstSlot != 3 || len(nine.Deviations) < 10 {
		t.Errorf("%+v", nine)
	}
	if eight.KeepsAlive() || !eight.Settings.Jobs || len(eight.Deviations) <= len(nine.Deviations) {
		t.Errorf("what the profile says itself goes first: %+v", eight)
	}
	if eight.Match.BMC == nine.Match.BMC {
		t.Error("what it fits is its own")
	}
	if p := b.Named("lenovo-sr675v3"); p.Power.Restart != "off-on" || p.Media.Style != "patch" {
		t.Errorf("%+v", p)
	}
}

func TestOperatorsProfilesWin(t *testing.T) {
	dir := folder(t, map[string]string{"ours.yaml": `name: hpe-ilo5
title: ours
match: {vendor: [HPE], bmc: "iLO ?5"}
http: {keep_alive: true}
---
name: our-hpe
title: another
like: hpe-ilo6
match: {vendor: [HPE], bmc: "iLO ?6", model: "DL365"}
power: {restart: off-on, pause: 5s}
`, "README.txt": "not a profile"})
	b, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if p := b.Named("hpe-ilo5"); p.Title != "ours" || !p.KeepsAlive() || len(p.Deviations) != 0 {
		t.Errorf("%+v", p)
	}
	p := b.Find(kinds["hpe-ilo6"])
	if p == nil || p.Name != "our-hpe" || !p.Boot.FixedMode || p.Power.Restart != "off-on" || len(p.Deviations) == 0 {
		t.Errorf("%+v", p)
	}
	if b.Named("dell-idrac9") == nil || len(b.All()) != len(embeddedBook(t).All())+1 {
		t.Error("the embedded ones are gone")
	}
	for _, nothing := range []string{"", filepath.Join(dir, "missing"), t.TempDir()} {
		if b, err := Load(nothing); err != nil || len(b.All()) != len(embeddedBook(t).All()) {
			t.Errorf("%q: %v", nothing, err)
		}
	}
}

func TestMistakesAreTold(t *testing.T) {
	for text, words := range map[string][]string{
		"title: no name\nmatch: {vendor: [X]}":          {"bad.yaml", "no name"},
		"name: x\nspeed: 3":                             {"bad.yaml", "speed"},
		"name: x\nmatch: {bmc: \"(\"}":                  {"bad.yaml", "match.bmc"},
		"name: x\nmedia: {slots: \"[\"}":                {"bad.yaml", "media.slots"},
		"name: x\nmatch: {firmware: \"2.60\"}":          {"bad.yaml", "match.firmware", "2.60"},
		"name: x\nmatch: {firmware: \">=new\"}":         {"bad.yaml", "match.firmware"},
		"name: x\ndeny: [\"/redfish/[\"]":               {"bad.yaml", "deny"},
		"name: x\ndeviations: [{fact: a, handling: b}]": {"bad.yaml", "source"},
		"name: x\nlike: y":                              {"x", "like", "y"},
		"name: x\nlike: y\n---\nname: y\nlike: x":       {"like", "leads nowhere"},
		"name: x\npower: {pause: soon}":                 {"bad.yaml", "soon"},
		"name: x\nprefer: {boot devices: ipmi}":         {"bad.yaml", "prefer", "boot devices"},
		"name: x\nprefer: {power: telnet}":              {"bad.yaml", "prefer", "telnet"},
		"name: x\npower: {restart: twice}":              {"bad.yaml", "power.restart", "twice"},
		"name: x\nboot: {persistent: sometimes}":        {"bad.yaml", "boot.persistent", "sometimes"},
		"name: x\nboot: {oem: ilo}":                     {"bad.yaml", "boot.oem", "ilo"},
		"name: x\nboot: {mode: {uefi: Uefi}}":           {"bad.yaml", "boot.mode"},
		"name: x\nmedia: {style: usb}":                  {"bad.yaml", "media.style", "usb"},
		"name: x\nhttp: {max_tls: \"1.1\"}":             {"bad.yaml", "http.max_tls", "1.1"},
	} {
		_, err := Load(folder(t, map[string]string{"bad.yaml": text}))
		if err == nil {
			t.Errorf("%s: no mistake is found", text)
			continue
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v does not say %s", text, err, w)
			}
		}
	}
}

func TestDenies(t *testing.T) {
	p := embeddedBook(t).Named("dell-idrac9")
	for path, want := range map[string]bool{
		"/redfish/v1/Chassis/RAID.SL.3-1": true, "/redfish/v1/Chassis/RAID.SL.3-1/": true, "/redfish/v1/Chassis/Enclosure.Internal.0-1:RAID.SL.3-1": true,
		"/redfish/v1/Chassis/System.Embedded.1": false, "/redfish/v1/Systems/System.Embedded.1/Storage/RAID.SL.3-1": false,
	} {
		if got := p.Denies(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	var none *Profile
	if none.Denies("/") || none.KeepsAlive() || none.MaxTLS() != "" {
		t.Error("the nil profile knows something")
	}
}
