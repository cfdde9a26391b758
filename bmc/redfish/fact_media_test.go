package redfish

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
)

const (
	mediaPath = "/redfish/v1/Managers/1/VirtualMedia"
	image     = "http://10.0.0.1/agent.iso"
)

// drive gives the device a virtual drive whose actions work.
func (d *device) drive(collection, name, extra string) string {
	at := collection + "/" + name
	d.write(at, `{"@odata.id":"`+at+`","Id":"`+name+`","MediaTypes":["CD","DVD"],"Inserted":false,"Image":null,"ConnectedVia":"NotConnected",
		"Actions":{"#VirtualMedia.InsertMedia":{"target":"`+at+`/Actions/VirtualMedia.InsertMedia"},"#VirtualMedia.EjectMedia":{"target":"`+at+`/Actions/VirtualMedia.EjectMedia"}}}`)
	if extra != "" {
		d.set(at, extra)
	}
	var page struct {
		Members []struct {
			ID string `json:"@odata.id"`
		}
	}
	_ = unmarshal([]byte(d.docs[collection]), &page)
	all := []string{}
	for _, m := range page.Members {
		all = append(all, m.ID)
	}
	d.write(collection, members(append(all, at)...))
	d.on("POST "+at+"/Actions/VirtualMedia.InsertMedia", func(w http.ResponseWriter, _ *http.Request, body map[string]any) bool {
		d.merge(at, map[string]any{"Inserted": true, "ConnectedVia": "URI", "Image": body["Image"]})
		w.WriteHeader(http.StatusNoContent)
		return true
	})
	d.on("POST "+at+"/Actions/VirtualMedia.EjectMedia", func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		d.merge(at, map[string]any{"Inserted": false, "ConnectedVia": "NotConnected", "Image": nil})
		w.WriteHeader(http.StatusNoContent)
		return true
	})
	return at
}

// picky refuses insertions by a rule, and leaves the rest to the drive. It collects the bodies that arrive.
func (d *device) picky(at string, refusal func(body map[string]any) (id, field string)) *[]map[string]any {
	var all []map[string]any
	key := "POST " + at + "/Actions/VirtualMedia.InsertMedia"
	works := d.hooks[key]
	d.on(key, func(w http.ResponseWriter, r *http.Request, body map[string]any) bool {
		all = append(all, body)
		if id, field := refusal(body); id != "" {
			refuse(w, http.StatusBadRequest, id, "refused "+field, field)
			return true
		}
		return works(w, r, body)
	})
	return &all
}

func inserted(t *testing.T, d *Driver) []string {
	t.Helper()
	all, err := d.Media(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range all {
		if s.Inserted {
			out = append(out, s.ID)
		}
	}
	return out
}

// Fact: virtual media are below the manager (HPE, AMI), the system (newer Dell, Cisco) or both: each drive counts once.
func TestMediaOfSystemAndManager(t *testing.T) {
	for _, places := range [][]string{{mediaPath}, {system1 + "/VirtualMedia"}, {mediaPath, system1 + "/VirtualMedia"}} {
		b := newDevice(t)
		b.set(system1, `{"VirtualMedia":{"@odata.id":"`+system1+`/VirtualMedia"}}`)
		for _, p := range places {
			b.drive(p, "CD1", "")
		}
		d := b.driver(t)
		all, err := d.Media(t.Context())
		if err != nil || len(all) != 1 {
			t.Errorf("%v: %+v, %v", places, all, err)
		}
		_, err = d.Insert(t.Context(), bmc.CD, image)
		must(t, err)
	}
}

// Fact: Lenovo XCC has no InsertMedia: a PATCH of the slots EXT1 to EXT4 inserts, and the others that it lists are of no use.
func TestMediaByPatch(t *testing.T) {
	b := newDevice(t)
	for _, name := range []string{"RDOC1", "Remote1", "EXT1"} {
		b.drive(mediaPath, name, `{"Actions":null,"MediaTypes":["CD"],"ConnectedVia":null}`)
	}
	d := b.driver(t, knowing(t, "lenovo-xcc"))
	slot, err := d.Insert(t.Context(), bmc.CD, image)
	if err != nil || slot != "EXT1" {
		t.Fatalf("%s, %v", slot, err)
	}
	if all, err := d.Media(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	must(t, d.Eject(t.Context(), ""))
	if got := inserted(t, d); len(got) > 0 || b.count("PATCH "+mediaPath+"/EXT1") != 2 {
		t.Errorf("%v after %v", got, b.asked)
	}
}

// Fact: Supermicro X11, X12 and iLO 4 refuse Inserted and WriteProtected beside the image: the smallest request goes first.
func TestSmallestInsertion(t *testing.T) {
	b := newDevice(t)
	at := b.drive(mediaPath, "CD1", "")
	sent := b.picky(at, func(body map[string]any) (string, string) {
		for _, name := range []string{"Inserted", "WriteProtected"} {
			if body[name] != nil {
				return "Base.1.4.ActionParameterUnknown", name
			}
		}
		return "", ""
	})
	_, err := b.driver(t).Insert(t.Context(), bmc.CD, image)
	must(t, err)
	if len(*sent) != 1 {
		t.Errorf("sent %v", *sent)
	}
}

// Fact: Nokia, Huawei and the DGX need TransferProtocolType, TransferMethod or a user and password beside the image, and say so in many ways.
func TestInsertionNeedsMore(t *testing.T) {
	for needed, id := range map[string]string{"TransferProtocolType": "Base.1.8.ActionParameterMissing", "TransferMethod": "Base.1.8.PropertyMissing", "UserName": "Base.1.8.GeneralError", "Password": ""} {
		b := newDevice(t)
		at := b.drive(mediaPath, "CD1", "")
		b.picky(at, func(body map[string]any) (string, string) {
			if body[needed] == nil {
				if id == "" {
					return "nothing known", ""
				}
				return id, needed
			}
			return "", ""
		})
		if _, err := b.driver(t).Insert(t.Context(), bmc.CD, image); err != nil {
			t.Errorf("%s: %v", needed, err)
		}
	}
}

// Fact: a parameter that was added and is unknown to the BMC is left out of what is tried next.
func TestUnknownParameterIsLeftOut(t *testing.T) {
	b := newDevice(t)
	at := b.drive(mediaPath, "CD1", "")
	b.picky(at, func(body map[string]any) (string, string) {
		switch {
		case body["TransferProtocolType"] != nil:
			return "Base.1.8.ActionParameterUnknown", "TransferProtocolType"
		case body["TransferMethod"] == nil:
			return "Base.1.8.ActionParameterMissing", "TransferMethod"
		}
		return "", ""
	})
	_, err := b.driver(t).Insert(t.Context(), bmc.CD, image)
	must(t, err)
}

// Fact: Supermicro leaves ImageName behind after an ejection: a slot is free when it says NotConnected, or not inserted.
func TestNameOfAnImageIsLeftBehind(t *testing.T) {
	b := newDevice(t)
	b.drive(mediaPath, "CD1", `{"ImageName":"old.iso","Image":"http://old/old.iso","Inserted":true,"ConnectedVia":"NotConnected"}`)
	b.drive(mediaPath, "CD2", `{"ImageName":"old.iso","Inserted":false,"ConnectedVia":"URI"}`)
	d := b.driver(t)
	if got := inserted(t, d); len(got) > 0 {
		t.Errorf("%v count as taken", got)
	}
	must(t, d.Eject(t.Context(), ""))
	for _, asked := range b.asked {
		if strings.HasPrefix(asked, "POST "+mediaPath) {
			t.Errorf("asked %s", asked)
		}
	}
}

// Fact: HPE iLO answers 415 to an ejection without a body, and an error to one of an empty drive.
func TestEjectionHasABody(t *testing.T) {
	b := newDevice(t)
	at := b.drive(mediaPath, "CD1", `{"Inserted":true,"ConnectedVia":"URI","Image":"`+image+`"}`)
	works := b.hooks["POST "+at+"/Actions/VirtualMedia.EjectMedia"]
	b.on("POST "+at+"/Actions/VirtualMedia.EjectMedia", func(w http.ResponseWriter, r *http.Request, body map[string]any) bool {
		if body == nil {
			w.WriteHeader(http.StatusUnsupportedMediaType)
			return true
		}
		if !strings.Contains(b.docs[at], `"Inserted":true`) {
			refuse(w, http.StatusBadRequest, "iLO.2.10.NoVirtualMedia", "there is nothing to eject")
			return true
		}
		return works(w, r, body)
	})
	d := b.driver(t)
	must(t, d.Eject(t.Context(), "CD1"))
	must(t, d.Eject(t.Context(), "CD1"))
	if n := b.count("POST " + at + "/Actions/VirtualMedia.EjectMedia"); n != 1 {
		t.Errorf("%d ejections", n)
	}
}

// Fact: Supermicro X13 lists EjectMedia only while something is inserted.
func TestEjectionIsNotListed(t *testing.T) {
	b := newDevice(t)
	b.drive(mediaPath, "VirtualMedia1", `{"Inserted":true,"ConnectedVia":"URI","Image":"`+image+`","Actions":{"#VirtualMedia.EjectMedia":null}}`)
	d := b.driver(t)
	must(t, d.Eject(t.Context(), ""))
	if got := inserted(t, d); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

// Fact: iDRAC9 shows a medium for a while after it was ejected, and passes over an insertion meanwhile: the slot is watched until it is free.
func TestMediumLingers(t *testing.T) {
	b := newDevice(t)
	at := b.drive(mediaPath, "CD1", `{"Inserted":true,"ConnectedVia":"URI","Image":"http://old/old.iso"}`)
	looks := -1
	b.on("POST "+at+"/Actions/VirtualMedia.EjectMedia", func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		looks = 3
		w.WriteHeader(http.StatusNoContent)
		return true
	})
	b.on("GET "+at, func(_ http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		if looks--; looks == 0 {
			b.merge(at, map[string]any{"Inserted": false, "ConnectedVia": "NotConnected", "Image": nil})
		}
		return false
	})
	b.picky(at, func(map[string]any) (string, string) {
		if looks > 0 {
			return "IDRAC.2.8.VRM0012", "Virtual Media is attached"
		}
		return "", ""
	})
	d := b.driver(t)
	_, err := d.Insert(t.Context(), bmc.CD, image)
	must(t, err)
	if !strings.Contains(b.docs[at], image) {
		t.Error(b.docs[at])
	}
}

// Fact: iDRAC10 answers 204 to an insertion and shows nothing; of its slots only the first boots.
func TestInsertionThatDoesNotShow(t *testing.T) {
	b := newDevice(t)
	b.drive(mediaPath, "1", "")
	b.drive(mediaPath, "2", "")
	b.on("POST "+mediaPath+"/1/Actions/VirtualMedia.InsertMedia", func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		w.WriteHeader(http.StatusNoContent)
		return true
	})
	_, err := b.driver(t, knowing(t, "dell-idrac10")).Insert(t.Context(), bmc.CD, image)
	wantClass(t, err, bmc.Untrue)
	if b.count("POST "+mediaPath+"/2/Actions/VirtualMedia.InsertMedia") != 0 {
		t.Error("the slot that does not boot was used")
	}
}

// Fact: some slots of Cisco UCS are for the vendor's console and refuse InsertMedia: the next one is tried and remembered.
func TestSlotOfTheConsole(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusMethodNotAllowed} {
		b := newDevice(t)
		b.drive(mediaPath, "0", "")
		b.drive(mediaPath, "1", `{"MediaTypes":["DVD"]}`)
		b.on("POST "+mediaPath+"/0/Actions/VirtualMedia.InsertMedia", func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
			w.WriteHeader(status)
			return true
		})
		d := b.driver(t)
		slot, err := d.Insert(t.Context(), bmc.CD, image)
		if err != nil || slot != "1" {
			t.Errorf("%d: %s, %v", status, slot, err)
		}
		tried := b.count("POST " + mediaPath + "/0/Actions/VirtualMedia.InsertMedia")
		must(t, d.Eject(t.Context(), ""))
		_, err = d.Insert(t.Context(), bmc.CD, image)
		must(t, err)
		if b.count("POST "+mediaPath+"/0/Actions/VirtualMedia.InsertMedia") != tried {
			t.Error("the slot that works was not remembered")
		}
	}
}

// Fact: Gigabyte's AMI 12.84 gives null for MediaTypes: the slot's name tells what it takes.
func TestMediaTypesAreNull(t *testing.T) {
	b := newDevice(t)
	b.drive(mediaPath, "HD1", `{"MediaTypes":null}`)
	b.drive(mediaPath, "CD1", `{"MediaTypes":null}`)
	slot, err := b.driver(t).Insert(t.Context(), bmc.CD, image)
	if err != nil || slot != "CD1" {
		t.Errorf("%s, %v", slot, err)
	}
}

// Fact: Fujitsu's iRMC S4 calls the parameter of its action VirtualMediaAction, later ones FTSVirtualMediaAction.
func TestMediaOfFujitsu(t *testing.T) {
	for _, parameter := range []string{"VirtualMediaAction", "FTSVirtualMediaAction"} {
		b := newDevice(t)
		at := system1 + "/Oem/ts_fujitsu/VirtualMedia"
		b.set(system1, `{"Oem":{"ts_fujitsu":{}}}`)
		b.write(at, `{"CDStatus":"Disconnected","CDImage":{}}`)
		var verbs []string
		b.on("POST "+system1+"/Actions/Oem/FTSComputerSystem.VirtualMedia", func(w http.ResponseWriter, _ *http.Request, body map[string]any) bool {
			verb, ok := body[parameter].(string)
			if !ok {
				refuse(w, http.StatusBadRequest, "Base.1.2.ActionParameterUnknown", "unknown")
				return true
			}
			verbs = append(verbs, verb)
			state := map[string]string{"ConnectCD": "Connected", "DisconnectCD": "Disconnected"}[verb]
			b.merge(at, map[string]any{"CDStatus": state})
			return true
		})
		d := b.driver(t, knowing(t, "fujitsu-irmc"))
		_, err := d.Insert(t.Context(), bmc.CD, image)
		must(t, err)
		must(t, d.Eject(t.Context(), ""))
		if !slices.Equal(verbs, []string{"ConnectCD", "DisconnectCD"}) {
			t.Errorf("%s: %v", parameter, verbs)
		}
	}
}

// Fact: iDRAC 3.30 answers an insertion with the internal error SYS446 until it is restarted: a fault of the BMC's own, which escalates.
func TestInsertionIsBroken(t *testing.T) {
	b := newDevice(t)
	b.drive(mediaPath, "CD", "")
	b.on("POST "+mediaPath+"/CD/Actions/VirtualMedia.InsertMedia", func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		refuse(w, http.StatusInternalServerError, "IDRAC.1.6.SYS446", "An internal error occurred.")
		return true
	})
	_, err := b.driver(t, knowing(t, "dell-idrac9-old")).Insert(t.Context(), bmc.CD, image)
	wantClass(t, err, bmc.Broken)
	if err == nil || !bmc.Passing(err) || !strings.Contains(err.Error(), "SYS446") {
		t.Error(err)
	}
}

// Fact: many BMCs answer 202 without a Location: what was asked for is read back in place of a task.
func TestAcceptedWithoutLocation(t *testing.T) {
	b := newDevice(t)
	at := b.drive(mediaPath, "CD1", "")
	looks := 0
	b.on("POST "+at+"/Actions/VirtualMedia.InsertMedia", func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		looks = 3
		w.WriteHeader(http.StatusAccepted)
		return true
	})
	b.on("GET "+at, func(_ http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		if looks--; looks == 0 {
			b.merge(at, map[string]any{"Inserted": true, "ConnectedVia": "URI", "Image": image})
		}
		return false
	})
	_, err := b.driver(t).Insert(t.Context(), bmc.CD, image)
	must(t, err)
	if got := inserted(t, b.driver(t)); !slices.Equal(got, []string{"CD1"}) {
		t.Errorf("%v", got)
	}
}
