package redfish

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
)

// guarded makes the device send an ETag with the system and take changes of it only with the right If-Match. It
// collects those that arrive.
func (d *device) guarded(header string, right func(match string) bool) *[]string {
	var all []string
	d.on("GET "+system1, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		if header != "absent" {
			w.Header().Set("ETag", header)
		}
		return false
	})
	d.on("PATCH "+system1, func(w http.ResponseWriter, r *http.Request, _ map[string]any) bool {
		match, sent := r.Header.Get("If-Match"), len(r.Header.Values("If-Match")) > 0
		if !sent {
			match = "absent"
		}
		all = append(all, match)
		if right(match) {
			return false
		}
		status, id := http.StatusPreconditionFailed, "Base.1.8.PreconditionFailed"
		if !sent {
			status, id = http.StatusPreconditionRequired, "Ami.1.0.PreconditionHeaderMissing"
		}
		refuse(w, status, id, "the ETag is missing or wrong")
		return true
	})
	return &all
}

// is makes a condition of one value.
func is(want string) func(string) bool { return func(got string) bool { return got == want } }

// Fact: AMI MegaRAC answers 428 to a change without If-Match: the resource is read first, and its ETag goes along.
func TestChangeNeedsETag(t *testing.T) {
	b := newDevice(t)
	sent := b.guarded(`"7"`, is(`"7"`))
	must(t, b.driver(t).SetBoot(t.Context(), bmc.Boot{Device: bmc.PXE}))
	if len(*sent) != 1 {
		t.Errorf("sent %v", *sent)
	}
}

// Fact: some BMCs send weak ETags and take strong ones only.
func TestWeakETagIsMadeStrong(t *testing.T) {
	b := newDevice(t)
	sent := b.guarded(`W/"7"`, is(`"7"`))
	d := b.driver(t)
	must(t, d.SetBoot(t.Context(), bmc.Boot{Device: bmc.PXE}))
	must(t, d.SetBoot(t.Context(), bmc.Boot{Device: bmc.Disk}))
	if last := (*sent)[len(*sent)-2:]; last[0] != `"7"` || last[1] != `"7"` {
		t.Errorf("sent %v: what worked was not remembered", *sent)
	}
}

// Fact: Gigabyte's BMCs quote ETags twice and take the value without any.
func TestETagWithoutQuotes(t *testing.T) {
	b := newDevice(t)
	b.guarded(`""7""`, is(`7`))
	must(t, b.driver(t).SetBoot(t.Context(), bmc.Boot{Device: bmc.PXE}))
}

// Fact: some firmware answers 412 whatever If-Match says, and takes a change without it.
func TestAnyETagIsRefused(t *testing.T) {
	b := newDevice(t)
	sent := b.guarded(`"7"`, is("absent"))
	d := b.driver(t)
	must(t, d.SetBoot(t.Context(), bmc.Boot{Device: bmc.PXE}))
	before := len(*sent)
	must(t, d.SetBoot(t.Context(), bmc.Boot{Device: bmc.Disk}))
	if len(*sent) != before+1 {
		t.Errorf("sent %v: what worked was not remembered", *sent)
	}
}

// Fact: Lenovo XCC changes ETags by itself, so that the right one comes too late: the resource is read again.
func TestETagChangesMeanwhile(t *testing.T) {
	b, version := newDevice(t), '1'
	b.on("GET "+system1, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		w.Header().Set("ETag", `"`+string(version)+`"`)
		return false
	})
	refused := 0
	b.on("PATCH "+system1, func(w http.ResponseWriter, r *http.Request, _ map[string]any) bool {
		if version < '3' {
			version++
		}
		if r.Header.Get("If-Match") != `"`+string(version)+`"` {
			refused++
			refuse(w, http.StatusPreconditionFailed, "Base.1.8.PreconditionFailed", "changed")
			return true
		}
		return false
	})
	must(t, b.driver(t).SetBoot(t.Context(), bmc.Boot{Device: bmc.PXE}))
	if refused != 2 {
		t.Errorf("%d refusals", refused)
	}
}

// Fact: some BMCs send an ETag with nothing in it, and answer 412 when it is sent back.
func TestEmptyETag(t *testing.T) {
	for _, empty := range []string{"", `""`} {
		b := newDevice(t)
		sent := b.guarded(empty, is("absent"))
		must(t, b.driver(t).SetBoot(t.Context(), bmc.Boot{Device: bmc.PXE}))
		if len(*sent) != 1 {
			t.Errorf("%q: sent %v", empty, *sent)
		}
	}
}

// Fact: iDRAC10 answers 412 to an action that carries If-Match.
func TestActionsCarryNoETag(t *testing.T) {
	b := newDevice(t)
	b.guarded(`"7"`, is(`"7"`))
	b.on("POST "+resetPath, func(w http.ResponseWriter, r *http.Request, _ map[string]any) bool {
		if len(r.Header.Values("If-Match")) > 0 {
			refuse(w, http.StatusPreconditionFailed, "Base.1.18.PreconditionFailed", "no")
			return true
		}
		return false
	})
	d := b.driver(t)
	must(t, d.SetBoot(t.Context(), bmc.Boot{Device: bmc.PXE}))
	must(t, d.SetPower(t.Context(), bmc.PowerOn))
}

// Fact: Fujitsu's iRMC S4 to S6 want the bare number of the document's @odata.etag, and send no ETag in the header.
func TestETagInTheDocument(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"@odata.etag":"1700000000"}`)
	sent := b.guarded("absent", is("1700000000"))
	must(t, b.driver(t).SetBoot(t.Context(), bmc.Boot{Device: bmc.PXE}))
	if len(*sent) != 1 || strings.Contains((*sent)[0], `"`) {
		t.Errorf("sent %v", *sent)
	}
}

// Fact: the DGX H100 leaves ETags out of documents within collections: a resource is read by itself right before it is changed.
func TestReadRightBeforeChange(t *testing.T) {
	b := newDevice(t)
	b.guarded(`"7"`, is(`"7"`))
	must(t, b.driver(t).SetBoot(t.Context(), bmc.Boot{Device: bmc.PXE}))
	for i, asked := range b.asked {
		if asked == "PATCH "+system1 && b.asked[i-1] != "GET "+system1 {
			t.Errorf("before the change came %s", b.asked[i-1])
		}
	}
	for _, asked := range b.asked {
		if strings.Contains(asked, "$expand") {
			t.Errorf("asked %s", asked)
		}
	}
}
