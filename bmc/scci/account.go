package scci

import (
	"context"
	"strconv"

	"github.com/hagane-cloud/hagane/bmc"
)

// The values of the configuration space for users, one index a user (numbers as in Fujitsu's Ansible modules).
const (
	userName        = "1451"
	userPassword    = "1452"
	userConfigUsers = "1453"
	userGroup       = "1454" // LAN privilege: 2 user, 3 operator, 4 administrator
	userNote        = "1455"
	userEnabled     = "1457"
	userConfigBMC   = "145D"
	users           = 16
)

var groups = map[string]string{"2": "ReadOnly", "3": "Operator", "4": "Administrator"}

func (d *driver) Accounts(ctx context.Context) ([]bmc.Account, error) {
	all, _, err := d.slots(ctx)
	return all, err
}

// slots reads the users and the first empty place; -1 when there is none. A place that answers with an error is empty.
func (d *driver) slots(ctx context.Context) ([]bmc.Account, int, error) {
	var all []command
	for i := range users {
		all = append(all, get(userName, i), get(userGroup, i), get(userEnabled, i))
	}
	results, err := d.exec(ctx, "reading the users", all...)
	if err != nil && len(results) == 0 {
		return nil, -1, err
	}
	var out []bmc.Account
	free := -1
	for i := range users {
		name := results[key(userName, i)]
		if name.status != 0 || name.data == "" {
			if free < 0 && i > 0 { // the first belongs to the nameless user of IPMI
				free = i
			}
			continue
		}
		group := results[key(userGroup, i)].data
		role, ok := groups[group]
		if !ok {
			role = group
		}
		out = append(out, bmc.Account{ID: strconv.Itoa(i), Name: name.data, Role: role, Enabled: results[key(userEnabled, i)].data == "1"})
	}
	return out, free, nil
}

func (d *driver) slotOf(ctx context.Context, name string) (int, error) {
	all, _, err := d.slots(ctx)
	for _, a := range all {
		if a.Name == name {
			return strconv.Atoi(a.ID)
		}
	}
	return -1, err
}

func (d *driver) AddAccount(ctx context.Context, name, password, role string) error {
	d.client.Hide(password)
	group, all := "", "0"
	for g, r := range groups {
		if r == role {
			group = g
		}
	}
	if group == "" {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "there is no role %q; take Administrator, Operator or ReadOnly", role)
	}
	if role == "Administrator" {
		all = "1"
	}
	list, free, err := d.slots(ctx)
	if err != nil {
		return err
	}
	for _, a := range list {
		if a.Name == name {
			return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the iRMC has a user %q already", name)
		}
	}
	if free < 0 {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "all %d places for users of the iRMC are taken", users)
	}
	err = d.write(ctx, "adding the user "+name, put(userName, free, name), put(userPassword, free, password), put(userNote, free, "added by Hagane"), put(userGroup, free, group),
		put(userConfigUsers, free, all), put(userConfigBMC, free, all), put(userEnabled, free, "1"))
	if err != nil {
		return err
	}
	return d.settle(ctx, "the user "+name, func() (bool, error) {
		i, err := d.slotOf(ctx, name)
		return i == free, err
	})
}

// SetPassword changes a password, and goes on with the new one when it is the one in use.
func (d *driver) SetPassword(ctx context.Context, name, password string) error {
	d.client.Hide(password)
	i, err := d.slotOf(ctx, name)
	if err != nil {
		return err
	}
	if i < 0 {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the iRMC has no user %q", name)
	}
	if err := d.write(ctx, "changing the password of "+name, put(userPassword, i, password)); err != nil || name != d.access.Username {
		return err
	}
	was := d.access.Password
	d.access.Password = password
	if _, err := d.Accounts(ctx); err != nil {
		if bmc.ClassOf(err) == bmc.Credentials {
			d.access.Password = was
			return bmc.Fail(bmc.Failure{Class: bmc.Untrue, Err: err}, "the iRMC accepted a new password for %s, but does not take it", name)
		}
		return err
	}
	return d.reopen(ctx)
}

// RemoveAccount empties the user's place.
func (d *driver) RemoveAccount(ctx context.Context, name string) error {
	if name == d.access.Username {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "%s is the user that Hagane logs in as", name)
	}
	i, err := d.slotOf(ctx, name)
	if err != nil || i < 0 {
		return err
	}
	if err := d.write(ctx, "removing the user "+name, put(userName, i, ""), put(userNote, i, "")); err != nil {
		return err
	}
	return d.settle(ctx, "that the user "+name+" is gone", func() (bool, error) {
		i, err := d.slotOf(ctx, name)
		return i < 0, err
	})
}
