package redfish

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/bmc"
)

const accountsPath = "/redfish/v1/AccountService/Accounts"

// slots makes the device keep its users in fixed slots, of which the second is ours.
func (d *device) slots(n int) {
	var all []string
	d.docs["/redfish/v1/AccountService"] = `{"Accounts":{"@odata.id":"` + accountsPath + `"}}`
	for i := range n {
		at := accountsPath + "/" + string(rune('1'+i))
		all = append(all, at)
		d.docs[at] = `{"@odata.id":"` + at + `","UserName":"","RoleId":"None","Enabled":false}`
	}
	d.set(accountsPath+"/2", `{"UserName":"root","RoleId":"Administrator","Enabled":true}`)
	d.docs[accountsPath] = members(all...)
	d.on("POST "+accountsPath, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return true
	})
	for _, at := range all {
		d.on("DELETE "+at, func(w http.ResponseWriter, _ *http.Request, _ map[string]any) bool {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return true
		})
	}
}

// Fact: Dell, some HPE and some Lenovo keep users in fixed slots: a POST answers 405, and the first slots are not ours.
func TestUsersInSlots(t *testing.T) {
	for _, profile := range []string{"", "dell-idrac9"} {
		b := newDevice(t)
		b.slots(5)
		var options []func(a *bmc.Access)
		if profile != "" {
			options = append(options, knowing(t, profile))
		}
		d := b.driver(t, options...)
		must(t, d.AddAccount(t.Context(), "hagane", "s3cretpassword", "Operator"))
		if !strings.Contains(b.docs[accountsPath+"/3"], `"UserName":"hagane"`) || strings.Contains(b.docs[accountsPath+"/1"], "hagane") {
			t.Errorf("%q: slot 1 %s, slot 3 %s", profile, b.docs[accountsPath+"/1"], b.docs[accountsPath+"/3"])
		}
		if profile != "" && b.count("POST "+accountsPath) > 0 {
			t.Error("a POST was tried although the profile knows better")
		}
	}
}

// Fact: Dell iDRAC answers 400 to an empty user name beside a password: a slot is emptied in two steps, without one.
func TestSlotIsEmptied(t *testing.T) {
	b := newDevice(t)
	b.slots(5)
	b.set(accountsPath+"/4", `{"UserName":"guest","RoleId":"ReadOnly","Enabled":true}`)
	b.on("PATCH "+accountsPath+"/4", func(w http.ResponseWriter, _ *http.Request, body map[string]any) bool {
		_, password := body["Password"]
		_, enabled := body["Enabled"]
		if name, ok := body["UserName"]; ok && name == "" && (password || enabled) {
			refuse(w, http.StatusBadRequest, "IDRAC.2.8.RAC0709", "an empty name can not stand beside others")
			return true
		}
		return false
	})
	must(t, b.driver(t).RemoveAccount(t.Context(), "guest"))
	if doc := b.docs[accountsPath+"/4"]; !strings.Contains(doc, `"UserName":""`) || !strings.Contains(doc, `"Enabled":false`) {
		t.Error(doc)
	}
}

// Fact: Dell iDRAC answers 400 to a password without the role: both go along then.
func TestPasswordWithRole(t *testing.T) {
	b := newDevice(t)
	b.slots(5)
	b.set(accountsPath+"/3", `{"UserName":"guest","RoleId":"ReadOnly","Enabled":true}`)
	b.on("PATCH "+accountsPath+"/3", func(w http.ResponseWriter, _ *http.Request, body map[string]any) bool {
		if body["RoleId"] != "ReadOnly" {
			refuse(w, http.StatusBadRequest, "Base.1.8.PropertyMissing", "RoleId is missing", "RoleId")
			return true
		}
		return false
	})
	must(t, b.driver(t).SetPassword(t.Context(), "guest", "an0thersecret"))
	if !strings.Contains(b.docs[accountsPath+"/3"], "an0thersecret") {
		t.Error(b.docs[accountsPath+"/3"])
	}
}

// Fact: HPE leaves properties of accounts out that the standard requires, such as AccountTypes and Enabled.
func TestAccountWithoutRequiredProperties(t *testing.T) {
	b := newDevice(t)
	b.docs["/redfish/v1/AccountService"] = `{"Accounts":{"@odata.id":"` + accountsPath + `"}}`
	b.docs[accountsPath] = members(accountsPath + "/1")
	b.docs[accountsPath+"/1"] = `{"UserName":"Administrator"}`
	all, err := b.driver(t).Accounts(t.Context())
	if err != nil || len(all) != 1 || !all[0].Enabled || all[0].ID != "1" {
		t.Errorf("%+v, %v", all, err)
	}
}
