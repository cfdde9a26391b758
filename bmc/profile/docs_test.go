package profile_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/ipmi"
	"github.com/hagane-cloud/hagane/bmc/profile"
	"github.com/hagane-cloud/hagane/bmc/redfish"
	"github.com/hagane-cloud/hagane/bmc/ribcl"
	"github.com/hagane-cloud/hagane/bmc/scci"
	"github.com/hagane-cloud/hagane/bmc/wsman"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	simipmi "github.com/hagane-cloud/hagane/lab/bmcsim/ipmi"
	simredfish "github.com/hagane-cloud/hagane/lab/bmcsim/redfish"
	simribcl "github.com/hagane-cloud/hagane/lab/bmcsim/ribcl"
	simscci "github.com/hagane-cloud/hagane/lab/bmcsim/scci"
	simwsman "github.com/hagane-cloud/hagane/lab/bmcsim/wsman"
	"github.com/hagane-cloud/hagane/lab/ether"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
	"github.com/hagane-cloud/hagane/lab/vswitch"
)

var update = flag.Bool("update", false, "write the tables into the documents")

const (
	docFile  = "../../docs/bmc.md"
	docBegin = "<!-- generated: go test ./bmc/profile -update -->\n"
	docEnd   = "<!-- end of what is generated -->\n"
)

// shown are the profiles of kinds that the lab can play, with the BMC that plays it and the protocol of XML beside it.
// The profiles that are missing differ from one of them by data alone, and are shown with it.
var shown = []struct{ profile, kind, xml string }{
	{"hpe-ilo4", "hpe-ilo4", "ribcl"}, {"hpe-ilo5", "hpe-ilo5", "ribcl"}, {"hpe-ilo6", "hpe-ilo6", ""}, {"hpe-ilo7", "hpe-ilo7", ""},
	{"dell-idrac8", "dell-idrac8", "wsman"}, {"dell-idrac9-old", "dell-idrac9", "wsman"}, {"dell-idrac9", "dell-idrac9", "wsman"}, {"dell-idrac10", "dell-idrac10", ""},
	{"lenovo-xcc", "lenovo-xcc", ""}, {"lenovo-sr675v3", "lenovo-xcc", ""}, {"lenovo-sr650v4", "lenovo-xcc", ""},
	{"supermicro-x10", "supermicro-x10", ""}, {"supermicro", "supermicro-x13", ""},
	{"fujitsu-irmc", "fujitsu-irmc-s6", "scci"}, {"ami-megarac", "ami-megarac", ""}, {"nvidia-dgx", "nvidia-dgx", ""},
	{"openbmc", "openbmc", ""}, {"cisco-imc", "cisco-cimc", ""}, {"hagane-lab", "generic", ""},
}

// TestDocsAreCurrent compares the tables in the documents with the profiles and with what the drivers find on the
// lab's BMCs. Run with -update to write them.
func TestDocsAreCurrent(t *testing.T) {
	raw, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(raw), docBegin)
	have, after, ok2 := strings.Cut(rest, docEnd)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for the tables", docFile)
	}
	want := tables(t)
	if have == want {
		return
	}
	if !*update {
		t.Fatalf("the tables in %s are not those of the profiles and drivers; run: go test ./bmc/profile -run Docs -update", docFile)
	}
	if err := os.WriteFile(docFile, []byte(before+docBegin+want+docEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tables writes which protocol serves each capability, and the deviations of each profile.
func tables(t *testing.T) string {
	t.Helper()
	book, err := profile.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("\n### Which protocol serves what\n\nR is Redfish, I is IPMI, X is the vendor's XML; the first is used, the others stand in. A dot: none has it.\n\n| profile |")
	for _, c := range bmc.Capabilities {
		fmt.Fprintf(&b, " %s |", c)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(bmc.Capabilities)) + "\n")
	found := map[string]map[string]map[bmc.Capability]bool{}
	for _, s := range shown {
		p := book.Named(s.profile)
		if p == nil {
			t.Fatalf("there is no profile %s", s.profile)
		}
		if found[s.kind+s.xml] == nil {
			found[s.kind+s.xml] = survey(t, book, s.kind, s.xml)
		}
		fmt.Fprintf(&b, "| %s |", p.Name)
		for _, c := range bmc.Capabilities {
			fmt.Fprintf(&b, " %s |", letters(found[s.kind+s.xml], p, c))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n### Deviations that are handled\n")
	for _, p := range book.All() {
		if !slices.ContainsFunc(shown, func(s struct{ profile, kind, xml string }) bool { return s.profile == p.Name }) && p.Name != "dell-idrac" && p.Name != "hpe-ilo" {
			t.Errorf("the profile %s is shown with no BMC", p.Name)
		}
		own := p.Deviations
		if base := book.Named(p.Like); base != nil {
			own = own[:len(own)-len(base.Deviations)] // those of the base are told with it
		}
		if len(own) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n**%s** (`%s`", p.Title, p.Name)
		if p.Like != "" {
			fmt.Fprintf(&b, ", and all of `%s`", p.Like)
		}
		b.WriteString("):\n\n| fact | handling | source |\n|---|---|---|\n")
		for _, d := range own {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", d.Fact, d.Handling, d.Source)
		}
	}
	b.WriteString("\n")
	return b.String()
}

// letters names the protocols of a capability, in the order in which they are taken.
func letters(works map[string]map[bmc.Capability]bool, p *profile.Profile, c bmc.Capability) string {
	var out string
	for _, protocol := range bmc.Protocols {
		if !works[protocol][c] {
			continue
		}
		letter := map[string]string{"redfish": "R", "ipmi": "I"}[protocol]
		if letter == "" {
			letter = "X"
		}
		if p.Prefer[string(c)] == protocol {
			out = letter + out
		} else {
			out += letter
		}
	}
	if out == "" {
		return "·"
	}
	return out
}

// survey finds out on BMCs of the lab what each protocol can do.
func survey(t *testing.T, book *profile.Book, kind, xml string) map[string]map[bmc.Capability]bool {
	t.Helper()
	m := box(t)
	config := bmcsim.Config{Machine: m, Address: netip.MustParseAddr("127.0.0.1"), Username: "admin", Password: "s3cretpassword16", Log: slog.New(slog.DiscardHandler), SelfTest: -1}
	personality, err := simredfish.PersonalityNamed(kind)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[bmc.Capability]bool{}
	probe := func(driver string, open bmc.Opener, address string) {
		d, err := open(t.Context(), bmc.Access{Driver: driver, Address: address, Username: config.Username, Password: config.Password, Insecure: true, Memory: &bmc.Memory{},
			Pace: bmc.Pace{Tries: 3, Least: time.Millisecond, Most: 5 * time.Millisecond, Again: 10, Every: 20 * time.Millisecond, Settle: time.Second, Look: 5 * time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.Close(context.WithoutCancel(t.Context())) }()
		offers, err := d.(bmc.Prober).Probe(t.Context())
		if err != nil {
			t.Fatalf("%s of %s: %v", driver, kind, err)
		}
		out[driver] = map[bmc.Capability]bool{}
		for _, o := range offers {
			out[driver][o.Capability] = o.Works
		}
	}
	web, err := simredfish.Listen(config, personality)
	serve(t, err, web)
	probe("redfish", redfish.Opener(book), web.Address())
	switch xml {
	case "ribcl":
		b, err := simribcl.Listen(config, named(t, simribcl.Personalities, "iLO4", func(p simribcl.Personality) string { return p.Name }))
		serve(t, err, b)
		probe("ribcl", ribcl.Open, b.Address())
	case "wsman":
		b, err := simwsman.Listen(config, named(t, simwsman.Personalities, "iDRAC9", func(p simwsman.Personality) string { return p.Name }))
		serve(t, err, b)
		probe("wsman", wsman.Open, b.Address())
	case "scci":
		b, err := simscci.Listen(config, named(t, simscci.Personalities, "iRMC S5", func(p simscci.Personality) string { return p.Name }))
		serve(t, err, b)
		probe("scci", scci.Open, b.Address())
	}
	config.Vendor, config.Model, config.Firmware = "Hagane", "Lab BMC", "2.13"
	lan, err := simipmi.Listen(config)
	serve(t, err, lan)
	probe("ipmi", ipmi.Open, lan.Address().String())
	return out
}

func named[P any](t *testing.T, all []P, name string, of func(P) string) P {
	t.Helper()
	for _, p := range all {
		if of(p) == name {
			return p
		}
	}
	t.Fatalf("the lab has no %s", name)
	panic("not reached")
}

// serve runs a BMC for the test's time.
func serve(t *testing.T, err error, b interface {
	Serve(ctx context.Context) error
}) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- b.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// box makes a machine that is on.
func box(t *testing.T) *sim.Machine {
	t.Helper()
	plug, err := vswitch.New("lab", ether.MAC{2, 0, 0, 0, 0, 9}).AddPort("p1")
	if err != nil {
		t.Fatal(err)
	}
	m, err := sim.New(machine.Spec{Name: "n1", Manufacturer: "Hagane", Product: "Rack 1", Serial: "HG1", UUID: machine.Seed(1).UUID("n1"), Mode: machine.UEFI,
		CPUs: 1, MemoryMB: 512, Disks: []machine.DiskSpec{{Bus: machine.Virtio, Bytes: 1 << 20, Serial: "D0"}},
		NICs: []machine.NICSpec{{Port: "p1", MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}}}}, t.TempDir(), []*vswitch.Port{plug}, sim.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}
