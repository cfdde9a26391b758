package ribcl

import (
	"context"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
)

// privileges are those of an iLO user, and the roles that have them.
var privileges = []struct {
	name  string
	roles []string
}{
	{"ADMIN_PRIV", []string{"Administrator"}}, {"REMOTE_CONS_PRIV", []string{"Administrator", "Operator"}},
	{"RESET_SERVER_PRIV", []string{"Administrator", "Operator"}}, {"VIRTUAL_MEDIA_PRIV", []string{"Administrator", "Operator"}},
	{"CONFIG_ILO_PRIV", []string{"Administrator"}},
}

func (d *driver) Accounts(ctx context.Context) ([]bmc.Account, error) {
	c := user("GET_ALL_USER_INFO")
	r, err := d.do(ctx, c)
	if err != nil {
		return nil, err
	}
	all, err := r.need(c, "GET_ALL_USER_INFO")
	if err != nil {
		return nil, err
	}
	var out []bmc.Account
	for _, e := range all.All("GET_USER") {
		name := e.Attr("USER_LOGIN")
		if name == "" {
			continue
		}
		role := "ReadOnly"
		switch {
		case yes(e.Attr("ADMIN_PRIV")):
			role = "Administrator"
		case yes(e.Attr("RESET_SERVER_PRIV")):
			role = "Operator"
		}
		out = append(out, bmc.Account{ID: name, Name: name, Role: role, Enabled: true})
	}
	return out, nil
}

func yes(s string) bool { return strings.HasPrefix(strings.ToUpper(s), "Y") }

func (d *driver) account(ctx context.Context, name string) (bool, error) {
	all, err := d.Accounts(ctx)
	for _, a := range all {
		if a.Name == name {
			return true, err
		}
	}
	return false, err
}

func (d *driver) AddAccount(ctx context.Context, name, password, role string) error {
	d.client.Hide(password)
	there, err := d.account(ctx, name)
	if err != nil {
		return err
	}
	if there {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the iLO has a user %q already", name)
	}
	var body strings.Builder
	known := false
	for _, p := range privileges {
		word := "No"
		for _, r := range p.roles {
			if r == role {
				word, known = "Yes", true
			}
		}
		body.WriteString(value(p.name, word))
	}
	if !known && role != "ReadOnly" {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "there is no role %q; take Administrator, Operator or ReadOnly", role)
	}
	if _, err := d.do(ctx, user("ADD_USER", "USER_NAME", name, "USER_LOGIN", name, "PASSWORD", password).change(body.String())); err != nil {
		return err
	}
	return d.settle(ctx, "the user "+name, func() (bool, error) { return d.account(ctx, name) })
}

// SetPassword changes a password, and goes on with the new one when it is the one in use. The proof of that is a login.
func (d *driver) SetPassword(ctx context.Context, name, password string) error {
	d.client.Hide(password)
	if _, err := d.do(ctx, user("MOD_USER", "USER_LOGIN", name).change(value("PASSWORD", password))); err != nil {
		return err
	}
	if name != d.access.Username {
		return nil
	}
	was := d.access.Password
	d.access.Password = password
	if _, err := d.Power(ctx); err != nil {
		if bmc.ClassOf(err) == bmc.Credentials {
			d.access.Password = was
			return bmc.Fail(bmc.Failure{Class: bmc.Untrue, Err: err}, "the iLO accepted a new password for %s, but does not take it", name)
		}
		return err
	}
	return nil
}

func (d *driver) RemoveAccount(ctx context.Context, name string) error {
	if name == d.access.Username {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "%s is the user that Hagane logs in as", name)
	}
	if there, err := d.account(ctx, name); err != nil || !there {
		return err
	}
	if _, err := d.do(ctx, user("DELETE_USER", "USER_LOGIN", name).change("")); err != nil {
		return err
	}
	return d.settle(ctx, "that the user "+name+" is gone", func() (bool, error) {
		there, err := d.account(ctx, name)
		return !there, err
	})
}
