package redfish

import (
	"context"
	"net/http"
	"strconv"

	"github.com/hagane-cloud/hagane/bmc"
)

type accountDoc struct {
	ID       text `json:"Id"`
	UserName text
	RoleID   text `json:"RoleId"`
	Enabled  flag
	at       link
}

func (d *Driver) accounts(ctx context.Context) (link, []accountDoc, error) {
	root, err := d.service(ctx)
	if err != nil {
		return "", nil, err
	}
	var service struct{ Accounts link }
	if _, err := d.get(ctx, root.AccountService, &service); err != nil {
		return "", nil, err
	}
	if service.Accounts == "" {
		return "", nil, lacks("accounts")
	}
	var all []accountDoc
	err = whole(ctx, d, service.Accounts, func(at link, a accountDoc) {
		a.at = at
		all = append(all, a)
	})
	if err == nil && len(all) == 0 {
		err = bmc.Fail(bmc.Failure{Class: bmc.Garbled}, "the BMC's list of users is empty, and we are one of them")
	}
	return service.Accounts, all, err
}

// Accounts lists the users.
func (d *Driver) Accounts(ctx context.Context) ([]bmc.Account, error) {
	_, all, err := d.accounts(ctx)
	if err != nil {
		return nil, err
	}
	var out []bmc.Account
	for _, a := range all {
		if a.UserName != "" {
			out = append(out, bmc.Account{ID: a.at.last(), Name: string(a.UserName), Role: string(a.RoleID), Enabled: !a.Enabled.set || a.Enabled.value})
		}
	}
	return out, nil
}

// AddAccount adds a user: by a new resource, or by filling an empty slot where the BMC has slots (Dell, some
// HPE and Lenovo), of which the first two belong to nobody.
func (d *Driver) AddAccount(ctx context.Context, name, password, role string) error {
	d.wire.Hide(password)
	at, all, err := d.accounts(ctx)
	if err != nil {
		return err
	}
	for _, a := range all {
		if string(a.UserName) == name {
			return wrong("the BMC has a user %q already", name)
		}
	}
	body := map[string]any{"UserName": name, "Password": password, "RoleId": role, "Enabled": true}
	p, err := d.know(ctx)
	if err != nil {
		return err
	}
	if p == nil || p.Accounts.FirstSlot == 0 {
		_, err = d.post(ctx, "adding the user "+name, at, body)
		if !absent(err) {
			return d.accountShows(ctx, name, true, err)
		}
	}
	first := 3
	if p != nil && p.Accounts.FirstSlot > 0 {
		first = p.Accounts.FirstSlot
	}
	for _, a := range all {
		if n, err := strconv.Atoi(a.at.last()); a.UserName == "" && (err != nil || n >= first) {
			_, err := d.patch(ctx, "adding the user "+name, a.at, "account", body)
			return d.accountShows(ctx, name, true, err)
		}
	}
	return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "all of the BMC's %d user slots are taken", len(all))
}

// accountShows reads back whether a user is there.
func (d *Driver) accountShows(ctx context.Context, name string, there bool, err error) error {
	if err != nil {
		return err
	}
	ok, err := d.settles(ctx, func() (bool, error) {
		all, err := d.Accounts(ctx)
		for _, a := range all {
			if a.Name == name {
				return there, err
			}
		}
		return !there, err
	})
	if err == nil && !ok {
		return untrue("the change of the user", name, "the users as they were")
	}
	return err
}

// SetPassword changes a user's password. On Dell role and state go along, or it answers 400. The driver goes on
// with the new password when it is its own; the proof is a login.
func (d *Driver) SetPassword(ctx context.Context, name, password string) error {
	d.wire.Hide(password)
	_, all, err := d.accounts(ctx)
	if err != nil {
		return err
	}
	for _, a := range all {
		if string(a.UserName) != name {
			continue
		}
		_, err := d.patch(ctx, "changing the password of "+name, a.at, "account", map[string]any{"Password": password})
		if bmc.ClassOf(err) == bmc.Refused && (blames(err, "RoleId") || blames(err, "UserName") || says(err, "PropertyMissing", "ActionParameterMissing")) {
			_, err = d.patch(ctx, "changing the password of "+name, a.at, "account", map[string]any{"UserName": name, "Password": password, "RoleId": a.RoleID, "Enabled": true})
		}
		if err != nil {
			return err
		}
		return d.proves(ctx, name, password)
	}
	return wrong("the BMC has no user %q", name)
}

// proves logs in with a new password.
func (d *Driver) proves(ctx context.Context, name, password string) error {
	if name == d.access.Username {
		_ = d.Close(ctx)
		d.access.Password, d.proven = password, false
		_, _, err := d.accounts(ctx)
		return err
	}
	place := "/redfish/v1/SessionService/Sessions"
	if d.root != nil && d.root.Links.Sessions != "" {
		place = string(d.root.Links.Sessions)
	}
	answer, err := d.fetch(ctx, request{method: http.MethodPost, path: place, body: map[string]string{"UserName": name, "Password": password}, open: true}, nil)
	if err != nil {
		if bmc.ClassOf(err) == bmc.Credentials {
			return untrue("the new password of", name, "that it does not work")
		}
		return nil // no session is free, or the user may not log in: nothing speaks against it
	}
	if at := local(answer.Header.Get("Location")); at != "" {
		_, _ = d.fetch(ctx, request{method: http.MethodDelete, path: at, once: true}, nil)
	}
	return nil
}

// RemoveAccount removes a user, or empties its slot.
func (d *Driver) RemoveAccount(ctx context.Context, name string) error {
	if name == d.access.Username {
		return wrong("the user %q is the one that Hagane works with", name)
	}
	_, all, err := d.accounts(ctx)
	if err != nil {
		return err
	}
	for _, a := range all {
		if string(a.UserName) != name {
			continue
		}
		_, err := d.fetch(ctx, request{method: http.MethodDelete, path: string(a.at), doing: "removing the user " + name}, nil)
		if absent(err) {
			// A slot is emptied in two steps: Dell answers 400 to an empty name beside a password.
			if _, err = d.patch(ctx, "disabling the user "+name, a.at, "account", map[string]any{"Enabled": false}); err == nil {
				_, err = d.patch(ctx, "removing the user "+name, a.at, "account", map[string]any{"UserName": ""})
			}
		}
		return d.accountShows(ctx, name, false, err)
	}
	return nil
}
