package wsman

import (
	"context"
	"encoding/base64"
	"sort"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/markup"
)

// The users of an iDRAC live in 16 places, of which the first is reserved and the second is the factory's administrator.
const (
	ownPlace  = 3
	lastPlace = 16
)

// privileges are the bit masks of the iDRAC's own roles.
var privileges = map[string]string{"511": "Administrator", "499": "Operator", "1": "ReadOnly", "0": "None"}

// places reads the users by their place, empty places included.
func (d *driver) places(ctx context.Context) (map[int]bmc.Account, error) {
	out := map[int]bmc.Account{}
	for _, class := range []string{"DCIM_iDRACCardString", "DCIM_iDRACCardEnumeration", "DCIM_iDRACCardInteger"} {
		all, err := d.enumerate(ctx, class)
		if err != nil {
			return nil, err
		}
		for _, e := range all {
			n, name := placeOf(e)
			if n == 0 {
				continue
			}
			a := out[n]
			a.ID = strconv.Itoa(n)
			switch name {
			case "UserName":
				a.Name = e.Value("CurrentValue")
			case "Enable":
				a.Enabled = strings.EqualFold(e.Value("CurrentValue"), "Enabled")
			case "Privilege":
				a.Role = e.Value("CurrentValue")
				if r, ok := privileges[a.Role]; ok {
					a.Role = r
				}
			}
			out[n] = a
		}
	}
	return out, nil
}

// placeOf tells the place and the name of an attribute of a user; 0 for other attributes.
func placeOf(e *markup.Element) (int, string) {
	parts := strings.Split(e.Value("InstanceID"), "#") // iDRAC.Embedded.1#Users.3#UserName
	if len(parts) != 3 {
		return 0, ""
	}
	number, ok := strings.CutPrefix(parts[1], "Users.")
	n, err := strconv.Atoi(number)
	if !ok || err != nil {
		return 0, ""
	}
	return n, parts[2]
}

func attribute(n int, name, value string) pair {
	return pair{"Users." + strconv.Itoa(n) + "#" + name, value}
}

func (d *driver) Accounts(ctx context.Context) ([]bmc.Account, error) {
	all, err := d.places(ctx)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for n, a := range all {
		if a.Name != "" {
			numbers = append(numbers, n)
		}
	}
	sort.Ints(numbers)
	var out []bmc.Account
	for _, n := range numbers {
		out = append(out, all[n])
	}
	return out, nil
}

func placeNamed(all map[int]bmc.Account, name string) int {
	for n, a := range all {
		if a.Name == name {
			return n
		}
	}
	return 0
}

// AddAccount adds a user into the first empty place of ours, with all attributes at once: an iDRAC refuses a role without a password.
func (d *driver) AddAccount(ctx context.Context, name, password, role string) error {
	d.client.Hide(password)
	mask := ""
	for m, r := range privileges {
		if r == role && m != "0" {
			mask = m
		}
	}
	if mask == "" {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "there is no role %q; take Administrator, Operator or ReadOnly", role)
	}
	all, err := d.places(ctx)
	if err != nil {
		return err
	}
	if placeNamed(all, name) != 0 {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the iDRAC has a user %q already", name)
	}
	n := ownPlace
	for ; n <= lastPlace; n++ {
		if a, there := all[n]; there && a.Name == "" {
			break
		}
	}
	if n > lastPlace {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "all %d places for users of the iDRAC are taken", lastPlace)
	}
	if err := d.apply(ctx, attribute(n, "UserName", name), attribute(n, "Password", password), attribute(n, "Privilege", mask), attribute(n, "Enable", "Enabled")); err != nil {
		return err
	}
	return d.settle(ctx, "the user "+name, func() (bool, error) {
		all, err := d.places(ctx)
		return all[n].Name == name && all[n].Role == role && all[n].Enabled, err
	})
}

// SetPassword changes a password, and goes on with the new one when it is the one in use.
func (d *driver) SetPassword(ctx context.Context, name, password string) error {
	d.client.Hide(password)
	all, err := d.places(ctx)
	if err != nil {
		return err
	}
	n := placeNamed(all, name)
	if n == 0 {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the iDRAC has no user %q", name)
	}
	if name != d.access.Username {
		return d.apply(ctx, attribute(n, "Password", password))
	}
	// From the answer on the old password may be refused, so that the job is followed with the new one.
	was := d.access.Password
	err = d.applyThen(ctx, func() {
		d.access.Password = password
		d.client.Hide(base64.StdEncoding.EncodeToString([]byte(name + ":" + password)))
	}, attribute(n, "Password", password))
	if bmc.ClassOf(err) == bmc.Credentials {
		d.access.Password = was
		return bmc.Fail(bmc.Failure{Class: bmc.Untrue, Err: err}, "the iDRAC accepted a new password for %s, but does not take it", name)
	}
	return err
}

// RemoveAccount disables a user and empties its place.
func (d *driver) RemoveAccount(ctx context.Context, name string) error {
	if name == d.access.Username {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "%s is the user that Hagane logs in as", name)
	}
	all, err := d.places(ctx)
	if err != nil {
		return err
	}
	n := placeNamed(all, name)
	if n == 0 {
		return nil
	}
	if err := d.apply(ctx, attribute(n, "Enable", "Disabled"), attribute(n, "Privilege", "0"), attribute(n, "UserName", "")); err != nil {
		return err
	}
	return d.settle(ctx, "that the user "+name+" is gone", func() (bool, error) {
		all, err := d.places(ctx)
		return placeNamed(all, name) == 0, err
	})
}
