package ribcl

import (
	"context"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/bmc/markup"
)

func (b *BMC) vmedia(ctx context.Context, _ string, c *markup.Element) (string, bool) {
	id := strings.ToUpper(c.Attr("DEVICE"))
	m := b.media[id]
	switch c.Name {
	case "GET_VM_STATUS", "INSERT_VIRTUAL_MEDIA", "EJECT_VIRTUAL_MEDIA", "SET_VM_STATUS":
		if m == nil {
			return refusal(0x003a, "No such device."), true
		}
		if b.kind.Unlicensed && c.Name != "GET_VM_STATUS" {
			return refusal(0x002e, "This feature requires an installed license key."), true
		}
	}
	switch c.Name {
	case "GET_VM_STATUS":
		return good + attrs("GET_VM_STATUS", "VM_APPLET", "DISCONNECTED", "DEVICE", id, "BOOT_OPTION", m.option, "WRITE_PROTECT", "YES",
			"IMAGE_INSERTED", map[bool]string{true: "YES", false: "NO"}[m.url != ""], "IMAGE_URL", m.url), true
	case "INSERT_VIRTUAL_MEDIA":
		if m.url != "" {
			return refusal(0x0068, "An image is already in the device."), true
		}
		if id == "CDROM" {
			if err := b.config.Machine.SetMedium(ctx, c.Attr("IMAGE_URL")); err != nil {
				return refusal(0x0066, "The image can not be reached."), true
			}
		}
		m.url = c.Attr("IMAGE_URL")
		return good, true
	case "EJECT_VIRTUAL_MEDIA":
		if m.url == "" {
			return refusal(0x0065, "No image present in the Virtual Media drive."), true
		}
		if id == "CDROM" {
			if err := b.config.Machine.SetMedium(ctx, ""); err != nil {
				return refusal(0x0001, "Internal error."), true
			}
		}
		*m = medium{option: "NO_BOOT"}
		return good, true
	case "SET_VM_STATUS":
		m.option = c.Child("VM_BOOT_OPTION").Attr("VALUE")
		return good, true
	}
	return "", false
}

var privileges = []string{"ADMIN_PRIV", "REMOTE_CONS_PRIV", "RESET_SERVER_PRIV", "VIRTUAL_MEDIA_PRIV", "CONFIG_ILO_PRIV"}

func (b *BMC) people(_ context.Context, _ string, c *markup.Element) (string, bool) {
	login := c.Attr("USER_LOGIN")
	i := slices.IndexFunc(b.users, func(u *account) bool { return u.login == login })
	switch c.Name {
	case "GET_ALL_USER_INFO":
		var out strings.Builder
		for _, u := range b.users {
			pairs := []string{"USER_NAME", u.login, "USER_LOGIN", u.login}
			for _, p := range privileges {
				pairs = append(pairs, p, map[bool]string{true: "Y", false: "N"}[u.privileges[p]])
			}
			out.WriteString(attrs("GET_USER", pairs...))
		}
		return good + wrap("GET_ALL_USER_INFO", out.String()), true
	case "ADD_USER":
		return b.addUser(i, login, c), true
	case "MOD_USER", "DELETE_USER":
		if i < 0 {
			return refusal(0x000a, "User login name was not found."), true
		}
		if c.Name == "DELETE_USER" {
			b.users = slices.Delete(b.users, i, i+1)
			return good, true
		}
		if p, ok := c.Child("PASSWORD").Has("VALUE"); ok {
			if len(p) < 8 {
				return refusal(0x0004, "Password is too short."), true
			}
			b.users[i].password = p
		}
		return good, true
	}
	return "", false
}

func (b *BMC) addUser(i int, login string, c *markup.Element) string {
	if i >= 0 {
		return refusal(0x000b, "Login name already exists.")
	}
	if len(c.Attr("PASSWORD")) < 8 {
		return refusal(0x0004, "Password is too short.")
	}
	u := &account{login: login, password: c.Attr("PASSWORD"), privileges: map[string]bool{}}
	for _, p := range privileges {
		u.privileges[p] = strings.EqualFold(c.Child(p).Attr("VALUE"), "Yes")
	}
	b.users = append(b.users, u)
	return good
}
