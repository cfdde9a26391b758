package redfish

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// user is an account. A slot without a name is empty.
type user struct {
	id, name, password, role string
	enabled                  bool
}

const minPassword = 8

// roles are those that there are.
var roles = []string{"Administrator", "Operator", "ReadOnly", "None"}

// firstUsers makes the accounts as delivered.
func (b *BMC) firstUsers() []user {
	admin := user{id: "2", name: b.config.Username, password: b.config.Password, role: "Administrator", enabled: true}
	if b.kind.Accounts.Slots == 0 {
		return []user{admin}
	}
	var all []user
	for i := range b.kind.Accounts.Slots {
		u := user{id: strconv.Itoa(i + 1), role: "None"}
		if u.id == admin.id {
			u = admin
		}
		all = append(all, u)
	}
	return all
}

func (b *BMC) knows(name, password string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.knowsLocked(name, password)
}

func (b *BMC) knowsLocked(name, password string) bool {
	for _, u := range b.users {
		if u.name != "" && u.enabled && same(u.name, name) && same(u.password, password) {
			return true
		}
	}
	return false
}

// accountOf returns the path of a user's account.
func (b *BMC) accountOf(name string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.users {
		if u.name == name {
			return "AccountService/Accounts/" + u.id
		}
	}
	return ""
}

func (c *call) accountService() document {
	d := c.resource("AccountService.v1_6_0.AccountService", "Account Service")
	d["ServiceEnabled"], d["MinPasswordLength"], d["MaxPasswordLength"] = true, minPassword, 20
	d["Accounts"], d["Roles"] = link("AccountService/Accounts"), link("AccountService/Roles")
	return d
}

func (c *call) accountList() document {
	var paths []string
	for _, u := range c.users {
		paths = append(paths, "AccountService/Accounts/"+u.id)
	}
	return c.members("ManagerAccount", paths...)
}

// find returns the index of the account that is asked for, or -1.
func (c *call) account() int {
	return slices.IndexFunc(c.users, func(u user) bool { return u.id == c.args[0] })
}

func (c *call) showAccount() document {
	i := c.account()
	if i < 0 {
		return nil
	}
	u := c.users[i]
	d := c.resource("ManagerAccount.v1_4_0.ManagerAccount", "User Account")
	d["UserName"], d["Password"], d["Enabled"], d["Locked"], d["RoleId"] = u.name, nil, u.enabled, false, u.role
	d["Links"] = document{"Role": link("AccountService/Roles/" + u.role)}
	if c.config.NewPassword && !c.state.password && u.name == c.config.Username {
		d["PasswordChangeRequired"] = true
	}
	return d
}

func (c *call) roleList() document {
	var paths []string
	for _, r := range roles {
		paths = append(paths, "AccountService/Roles/"+r)
	}
	return c.members("Role", paths...)
}

func (c *call) role() document {
	if !slices.Contains(roles, c.args[0]) {
		return nil
	}
	d := c.resource("Role.v1_2_4.Role", "Role")
	d["IsPredefined"], d["RoleId"], d["AssignedPrivileges"] = true, c.args[0], []string{"Login", "ConfigureSelf"}
	if c.args[0] == "Administrator" {
		d["AssignedPrivileges"] = []string{"Login", "ConfigureManager", "ConfigureUsers", "ConfigureComponents", "ConfigureSelf"}
	}
	return d
}

func (c *call) addAccount() {
	if c.kind.Accounts.Slots > 0 {
		c.refuse(http.StatusMethodNotAllowed, "OperationNotAllowed", "The resource does not support the method.")
		return
	}
	next := 2
	for _, u := range c.users {
		if n, err := strconv.Atoi(u.id); err == nil {
			next = max(next, n)
		}
	}
	u := user{id: strconv.Itoa(next + 1), enabled: true, role: "ReadOnly"}
	if !c.fill(&u) {
		return
	}
	if u.name == "" || u.password == "" {
		c.refuse(http.StatusBadRequest, "PropertyMissing", "UserName and Password are needed.", "UserName")
		return
	}
	c.users = append(c.users, u)
	c.path, c.args = "AccountService/Accounts/"+u.id, []string{u.id}
	c.w.Header().Set("Location", root+"/"+c.path)
	c.send(http.StatusCreated, c.showAccount())
}

// fill reads an account's properties; it answers when one is wrong.
func (c *call) fill(u *user) bool {
	for name, value := range c.body {
		text, isText := value.(string)
		enabled, isBool := value.(bool)
		switch {
		case name == "UserName" && isText:
			if slices.ContainsFunc(c.users, func(other user) bool { return other.id != u.id && text != "" && other.name == text }) {
				c.refuse(http.StatusConflict, "ResourceAlreadyExists", "There is an account of the name already.", "ManagerAccount", "UserName", text)
				return false
			}
			u.name = text
		case name == "Password" && isText:
			if len(text) < minPassword || len(text) > 20 {
				c.refuse(http.StatusBadRequest, "PropertyValueFormatError", fmt.Sprintf("The password has %d to 20 characters.", minPassword), "Password")
				return false
			}
			u.password = text
		case name == "RoleId" && isText && slices.Contains(roles, text):
			u.role = text
		case name == "Enabled" && isBool:
			u.enabled = enabled
		case name == "AccountTypes" || name == "Oem" || name == "Description" || name == "Locked":
		case name == "UserName" || name == "Password" || name == "RoleId" || name == "Enabled":
			c.refuse(http.StatusBadRequest, "PropertyValueTypeError", "The value of the property "+name+" is of another type than the schema says.", name)
			return false
		default:
			c.unknownProperty(name)
			return false
		}
	}
	return true
}

func (c *call) changeAccount() {
	i := c.account()
	slot, _ := strconv.Atoi(c.args[0])
	rules := c.kind.Accounts
	if rules.Slots > 0 && slot < rules.First && c.users[i].name == "" {
		c.refuse(http.StatusBadRequest, "IDRAC.2.7.SYS417", "The slot is reserved.")
		return
	}
	_, role := c.body["RoleId"]
	_, password := c.body["Password"]
	if name, named := c.body["UserName"]; rules.RoleNeedsPassword && (role && !password && c.users[i].name == "" || named && name == "" && password) {
		c.refuse(http.StatusBadRequest, "IDRAC.2.7.SYS428", "The properties can not be changed in this combination.")
		return
	}
	u, before := c.users[i], c.users[i]
	if !c.fill(&u) {
		return
	}
	if rules.Slots > 0 && u.name == "" {
		u = user{id: u.id, role: "None"}
	}
	c.users[i] = u
	if u.password != before.password {
		c.state.password = true
	}
	c.undo(func() {
		if i < len(c.users) {
			c.users[i] = before
		}
	})
	c.changed()
}

func (c *call) removeAccount() {
	i := c.account()
	switch {
	case i < 0:
		c.missing()
	case c.kind.Accounts.Slots > 0:
		c.refuse(http.StatusMethodNotAllowed, "OperationNotAllowed", "The resource does not support the method.")
	case c.users[i].name == c.config.Username:
		c.refuse(http.StatusForbidden, "AccountNotModified", "The account can not be removed.")
	default:
		c.users = slices.Delete(c.users, i, i+1)
		c.done(0)
	}
}
