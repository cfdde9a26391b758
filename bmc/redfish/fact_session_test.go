package redfish

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fence"
)

const sessionsPath = "/redfish/v1/SessionService/Sessions"

// vouched tells by what the requests to a path vouched for themselves: token or basic.
func (d *device) vouched(path string) *[]string {
	var all []string
	d.on("GET "+path, func(_ http.ResponseWriter, r *http.Request, _ map[string]any) bool {
		switch {
		case r.Header.Get("X-Auth-Token") != "":
			all = append(all, "token")
		case r.Header.Get("Authorization") != "":
			all = append(all, "basic")
		default:
			all = append(all, "nothing")
		}
		return false
	})
	return &all
}

// Fact: Dell iDRAC8 and 9 have eight sessions and answer 503 RAC0218 when they are taken; requests with the password still work.
func TestSessionsAreTaken(t *testing.T) {
	b := newDevice(t)
	b.on("POST "+sessionsPath, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		refuse(w, http.StatusServiceUnavailable, "IDRAC.2.7.RAC0218", "The maximum number of user sessions is reached.")
		return true
	})
	by := b.vouched(system1)
	if p, err := b.driver(t).Power(t.Context()); err != nil || p != bmc.Off {
		t.Errorf("%s, %v", p, err)
	}
	if !slices.Contains(*by, "basic") || b.count("POST "+sessionsPath) != 1 {
		t.Errorf("asked by %v after %d logins", *by, b.count("POST "+sessionsPath))
	}
}

// Fact: Lenovo XCC has sixteen sessions: one is opened for all requests, and closed.
func TestOneSessionForAll(t *testing.T) {
	b := newDevice(t)
	d := b.driver(t)
	for range 20 {
		_, err := d.Power(t.Context())
		must(t, err)
	}
	must(t, d.Close(t.Context()))
	if opened, closed := b.count("POST "+sessionsPath), b.count("DELETE "+sessionsPath+"/1"); opened != 1 || closed != 1 {
		t.Errorf("%d opened, %d closed", opened, closed)
	}
}

// Fact: iDRAC7 and 8 answer 405 to a login at SessionService/Sessions; their place is /redfish/v1/Sessions, which the root may not name.
func TestSessionsAtTheOldPlace(t *testing.T) {
	b := newDevice(t)
	b.set("/redfish/v1", `{"Links":null}`)
	b.on("POST "+sessionsPath, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return true
	})
	b.on("POST /redfish/v1/Sessions", func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		w.Header().Set("X-Auth-Token", "old")
		w.WriteHeader(http.StatusCreated)
		return true
	})
	by := b.vouched(system1)
	_, err := b.driver(t).Power(t.Context())
	must(t, err)
	if !slices.Contains(*by, "token") {
		t.Errorf("asked by %v", *by)
	}
}

// Fact: HPE iLO 4's answer to a login lacks @odata.id, and others' Location is a whole URL: the session is ended at the path of whichever is there.
func TestPathOfTheSession(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter){
		"location": func(w http.ResponseWriter) {
			w.Header().Set("Location", "https://ilo.example:443"+sessionsPath+"/abc")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"UserName":"root"}`)
		},
		"body": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"@odata.id":"`+sessionsPath+`/abc"}`)
		},
	} {
		b := newDevice(t)
		b.on("POST "+sessionsPath, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
			w.Header().Set("X-Auth-Token", "token")
			answer(w)
			return true
		})
		d := b.driver(t)
		_, err := d.Power(t.Context())
		must(t, err)
		must(t, d.Close(t.Context()))
		if b.count("DELETE "+sessionsPath+"/abc") != 1 {
			t.Errorf("%s: the session was not ended", name)
		}
	}
}

// Fact: iDRAC7 and 8 drop sessions silently and answer 401 from then on: another session is opened, once.
func TestSessionIsForgotten(t *testing.T) {
	b, dropped := newDevice(t), false
	d := b.driver(t)
	_, err := d.Power(t.Context())
	must(t, err)
	b.on("GET "+system1, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		if dropped {
			return false
		}
		dropped = true
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	if p, err := d.Power(t.Context()); err != nil || p != bmc.Off {
		t.Errorf("%s, %v", p, err)
	}
	if n := b.count("POST " + sessionsPath); n != 2 {
		t.Errorf("%d logins", n)
	}
}

// Fact: BMCs say 401 of a session that they still have, which would stay taken; one that restarted numbers its sessions from the beginning.
func TestForgottenSessionIsGivenBack(t *testing.T) {
	for _, c := range []struct {
		user      string
		restarted bool
		deletions int
	}{{"root", false, 1}, {"somebody", false, 0}, {"root", true, 0}} {
		b, n, refuse := newDevice(t), 0, true
		b.on("POST "+sessionsPath, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
			if n++; c.restarted {
				n = 1
			}
			w.Header().Set("Location", sessionsPath+"/"+strconv.Itoa(n))
			w.Header().Set("X-Auth-Token", "token")
			w.WriteHeader(http.StatusCreated)
			return true
		})
		b.on("GET "+system1, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
			if !refuse {
				return false
			}
			refuse = false
			w.WriteHeader(http.StatusUnauthorized)
			return true
		})
		b.write(sessionsPath+"/1", `{"UserName":"`+c.user+`"}`)
		if _, err := b.driver(t).Power(t.Context()); err != nil || b.count("DELETE "+sessionsPath+"/1") != c.deletions {
			t.Errorf("%+v: %v after %v", c, err, b.asked)
		}
	}
}

// Fact: a BMC that is going wrong takes logins and refuses every session: it is told as broken after one more login.
func TestEverySessionIsRefused(t *testing.T) {
	b, logins := newDevice(t), 0
	b.on("POST "+sessionsPath, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		const most = 20
		if logins++; logins > most {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		at := sessionsPath + "/" + strconv.Itoa(logins)
		b.on("GET "+at, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		})
		w.Header().Set("Location", at)
		w.Header().Set("X-Auth-Token", "token")
		w.WriteHeader(http.StatusCreated)
		return true
	})
	for _, path := range []string{system1, "/redfish/v1/Systems"} {
		b.on("GET "+path, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		})
	}
	_, err := b.driver(t).Power(t.Context())
	wantClass(t, err, bmc.Broken)
	if n := b.count("POST " + sessionsPath); n != 2 {
		t.Errorf("%d logins", n)
	}
}

// Fact: HPE iLO refuses a good login right after a bad one, and others lock the user out: a login that is refused is not tried in other ways.
func TestRefusedLoginIsNotRepeated(t *testing.T) {
	b := newDevice(t)
	b.on("POST "+sessionsPath, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		refuse(w, http.StatusUnauthorized, "iLO.2.10.UnauthorizedLoginAttempt", "not you")
		return true
	})
	by := b.vouched(system1)
	_, err := b.driver(t).Power(t.Context())
	wantClass(t, err, bmc.Credentials)
	if n := b.count("POST " + sessionsPath); n != 1 || len(*by) > 0 {
		t.Errorf("%d logins, then asked by %v", n, *by)
	}
}

// Fact: some BMCs answer 401 to the session service itself before there is a login: the place of the sessions is taken from the root.
func TestSessionServiceIsNotRead(t *testing.T) {
	b := newDevice(t)
	b.set("/redfish/v1", `{"Links":{"Sessions":{"@odata.id":"/redfish/v1/Elsewhere"}}}`)
	b.on("POST /redfish/v1/Elsewhere", func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		w.Header().Set("X-Auth-Token", "token")
		w.WriteHeader(http.StatusCreated)
		return true
	})
	_, err := b.driver(t).Power(t.Context())
	must(t, err)
	if b.count("POST /redfish/v1/Elsewhere") != 1 || b.count("GET /redfish/v1/SessionService") != 0 {
		t.Errorf("asked %v", b.asked)
	}
}

// Fact: a BMC with its factory password answers 403 PasswordChangeRequired to everything: the words say what to do.
func TestFactoryPassword(t *testing.T) {
	b := newDevice(t)
	b.on("GET "+system1, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		refuse(w, http.StatusForbidden, "Base.1.12.PasswordChangeRequired", "The password must be changed.", "/redfish/v1/AccountService/Accounts/1")
		return true
	})
	_, err := b.driver(t).Power(t.Context())
	wantClass(t, err, bmc.NewPassword)
	if !strings.Contains(err.Error(), "must be changed first") {
		t.Error(err)
	}
}

// Fact: Supermicro X11 and later answer 403 OemLicenseNotPassed where a licence is missing, which is no lack of rights.
func TestLicenceIsMissing(t *testing.T) {
	b := newDevice(t)
	b.set(system1, `{"SecureBoot":{"@odata.id":"/redfish/v1/Systems/1/SecureBoot"}}`)
	b.on("GET /redfish/v1/Systems/1/SecureBoot", func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		refuse(w, http.StatusForbidden, "SMC.1.0.OemLicenseNotPassed", "Not licensed to perform this request. SFT-DCMS-SINGLE")
		return true
	})
	_, err := b.driver(t).SecureBoot(t.Context())
	wantClass(t, err, bmc.Licence)
	if err == nil || !strings.Contains(err.Error(), "SFT-DCMS-SINGLE") {
		t.Errorf("the licence is not named: %v", err)
	}
}

// Fact: Dell iDRAC9's web server answers 504 with a page of HTML while the service behind it hangs.
func TestPageOf504(t *testing.T) {
	b := newDevice(t)
	b.on("GET "+system1, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		w.WriteHeader(http.StatusGatewayTimeout)
		_, _ = io.WriteString(w, "<!DOCTYPE HTML><html><head><title>504 Gateway Timeout</title></head></html>")
		return true
	})
	p, err := b.driver(t).Power(t.Context())
	wantClass(t, err, bmc.Broken)
	if p != bmc.Unknown || err == nil || strings.Contains(err.Error(), "DOCTYPE") {
		t.Errorf("%s, %v", p, err)
	}
}

// Fact: Supermicro answers 200 with its login page in place of a document when it has dropped a session.
func TestLoginPageInPlaceOfADocument(t *testing.T) {
	b, page := newDevice(t), 1
	b.on("GET "+system1, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		if page == 0 {
			return false
		}
		page--
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "\r\n<html><body><form action=\"/cgi/login.cgi\"></form></body></html>")
		return true
	})
	d := b.driver(t)
	if p, err := d.Power(t.Context()); err != nil || p != bmc.Off {
		t.Errorf("%s, %v", p, err)
	}
	page = 100
	_, err := b.driver(t).Power(t.Context()) // which does not know the system yet
	wantClass(t, err, bmc.Garbled)
	if n := b.count("POST " + sessionsPath); n > 4 {
		t.Errorf("%d logins", n)
	}
}

// Fact: some BMCs answer 403 with a document of XHTML: the status says enough.
func TestPageOf403(t *testing.T) {
	b := newDevice(t)
	b.on("GET "+system1, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><title>403</title></html>`)
		return true
	})
	_, err := b.driver(t).Power(t.Context())
	wantClass(t, err, bmc.Privilege)
}

// Fact: iDRAC8 answers 503 with nothing in it while it is not ready: it is asked again, and the empty body is no error of its own.
func TestEmpty503(t *testing.T) {
	b, refusals := newDevice(t), 2
	b.on("GET "+system1, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		if refusals == 0 {
			return false
		}
		refusals--
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	d := b.driver(t)
	if p, err := d.Power(t.Context()); err != nil || p != bmc.Off {
		t.Errorf("%s, %v", p, err)
	}
	refusals = 100
	_, err := d.Power(t.Context())
	wantClass(t, err, bmc.NotReady)
}

// Fact: iDRAC sends one object where ExtendedInfo is a list, and message ids without their registry.
func TestMessagesOfOneObject(t *testing.T) {
	b := newDevice(t)
	b.on("GET "+system1, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"@Message.ExtendedInfo":{"MessageId":"NotLicensed","Message":"no licence is there"}}}`)
		return true
	})
	_, err := b.driver(t).Power(t.Context())
	wantClass(t, err, bmc.Licence)
	if err == nil || !strings.Contains(err.Error(), "no licence is there") {
		t.Error(err)
	}
}

// Fact: nobody ends the session of a process that died. Whoever takes a BMC over ends the session that was open before, so that a
// process that was only paused is refused when it comes back; and without the right to change something it opens no new one.
func TestSessionIsInherited(t *testing.T) {
	b, logins := newDevice(t), 0
	b.on("POST "+sessionsPath, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		logins++
		at := sessionsPath + "/" + strconv.Itoa(logins)
		b.write(at, `{"UserName":"root"}`)
		w.Header().Set("Location", at)
		w.Header().Set("X-Auth-Token", "token")
		w.WriteHeader(http.StatusCreated)
		return true
	})
	memory, saved := &bmc.Memory{}, 0
	memory.SaveBy(func(context.Context) { saved++ })
	knows := func(m *bmc.Memory) func(a *bmc.Access) { return func(a *bmc.Access) { a.Memory = m } }
	first := b.driver(t, knows(memory))
	if _, err := first.Power(t.Context()); err != nil {
		t.Fatal(err)
	}
	if saved != 1 {
		t.Errorf("the session was recorded %d times", saved)
	}
	heir := &bmc.Memory{}
	heir.Load(memory.Facts())
	if _, err := b.driver(t, knows(heir)).Power(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.count("DELETE " + sessionsPath + "/1"); n != 1 || logins != 2 {
		t.Errorf("%d logins; the session of the first one was ended %d times", logins, n)
	}
	paused := fence.With(t.Context(), func() error { return errors.New("somebody else has taken over") })
	before := b.count("POST " + resetPath)
	if err := first.SetPower(paused, bmc.PowerOn); err == nil || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("the first one: %v", err)
	}
	if n := b.count("POST " + resetPath); n != before {
		t.Error("the first one pressed the button")
	}
}
