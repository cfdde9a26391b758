package redfish_test

import (
	"errors"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/profile"
	"github.com/hagane-cloud/hagane/bmc/record"
	"github.com/hagane-cloud/hagane/bmc/redfish"
	bmcsimredfish "github.com/hagane-cloud/hagane/lab/bmcsim/redfish"
)

// session is what is asked of a BMC, in an order that a recording can answer again.
func session(t *testing.T, d *redfish.Driver) []any {
	t.Helper()
	var out []any
	take := func(name string, v any, err error) {
		if err != nil {
			v = string(bmc.ClassOf(err))
		}
		if text, ok := v.(string); ok {
			v = name + ": " + text
		}
		out = append(out, v)
	}
	id, err := d.Identify(t.Context())
	take("identity", id, err)
	p, err := d.Power(t.Context())
	take("power", p, err)
	take("on", "done", d.SetPower(t.Context(), bmc.PowerOn))
	p, err = d.Power(t.Context())
	take("power", p, err)
	take("boot", "done", d.SetBoot(t.Context(), bmc.Boot{Device: bmc.PXE}))
	b, err := d.Boot(t.Context())
	take("boot", b, err)
	settings, err := d.Settings(t.Context())
	take("settings", settings, err)
	sensors, err := d.Sensors(t.Context())
	take("sensors", sensors, err)
	firmware, err := d.Firmware(t.Context())
	take("firmware", firmware, err)
	media, err := d.Media(t.Context())
	take("media", media, err)
	take("reset of a BMC that has none", "done", d.SetPower(t.Context(), "explode"))
	return out
}

// TestRecordingIsReplayed records a session with a BMC, saves it, reads it, and drives the replay: the driver must find all equal.
func TestRecordingIsReplayed(t *testing.T) {
	book, err := profile.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	open := func(a bmc.Access) *redfish.Driver {
		d, err := redfish.Opener(book)(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		return d.(*redfish.Driver)
	}
	for _, name := range []string{"generic", "dell-idrac9", "hpe-ilo5", "lenovo-xcc", "supermicro-x13", "ami-megarac"} {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(bmcsimredfish.Personalities, func(p bmcsimredfish.Personality) bool { return p.Name == name })
			if i < 0 {
				t.Fatal("there is no such kind")
			}
			g, r := simulated(t, bmcsimredfish.Personalities[i]), record.NewWhole()
			g.Access.Recorder = r
			d := open(g.Access)
			want := session(t, d)
			if err := d.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			var file strings.Builder
			if err := record.Write(&file, r.Exchanges()); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(file.String(), g.Access.Password) {
				t.Error("the password stands in the recording")
			}
			all, err := record.Read(strings.NewReader(file.String()))
			var twice strings.Builder
			if err := errors.Join(err, record.Write(&twice, all)); err != nil || len(all) == 0 || twice.String() != file.String() {
				t.Fatalf("%d exchanges of %d were read: %v", len(all), len(r.Exchanges()), err)
			}
			replay := record.NewReplay(all)
			s := httptest.NewServer(replay)
			defer s.Close()
			a := g.Access
			a.Address, a.Recorder, a.Memory = s.URL, nil, &bmc.Memory{}
			again := open(a)
			if got := session(t, again); !reflect.DeepEqual(got, want) {
				for i := range want {
					if !reflect.DeepEqual(got[i], want[i]) {
						t.Errorf("%+v, recorded %+v", got[i], want[i])
					}
				}
			}
			if err := again.Close(t.Context()); err != nil || len(replay.Missed()) > 0 {
				t.Errorf("%v; not in the recording: %v", err, replay.Missed())
			}
		})
	}
}
