// Package identity knows users, projects, roles and tokens, in Keystone's terms: a user has roles on
// a project or on the system, and a token carries them for a while. Every request to Hagane is
// made by a Caller that this package vouches for.
package identity

import (
	"slices"
	"time"

	"github.com/uptrace/bun"
)

// Role is what a user may do on a project or the system. Each implies those after it.
type Role string

// The roles.
const (
	Admin  Role = "admin"
	Member Role = "member"
	Reader Role = "reader"
)

// Roles are all roles, mightiest first.
var Roles = []Role{Admin, Member, Reader}

// ID returns the role's fixed identifier: clients of Keystone expect one beside the name.
func (r Role) ID() string { return "role-" + string(r) }

// implied returns r and all that it implies.
func implied(r Role) []Role {
	i := slices.Index(Roles, r)
	if i < 0 {
		return nil
	}
	return Roles[i:]
}

// System is the target of roles on the cloud itself: whoever is admin there is an operator.
const System = "system"

// DomainID is the one domain that there is.
const (
	DomainID   = "default"
	DomainName = "Default"
)

// Project is a tenant.
type Project struct {
	bun.BaseModel `bun:"table:project"`

	ID, Name, Description string
	Enabled               bool
	CreatedAt             time.Time
}

// User is someone, or a program, that can authenticate.
type User struct {
	bun.BaseModel `bun:"table:account"`

	ID, Name, Email, Description string
	Password                     string // argon2id
	Enabled                      bool
	DefaultProjectID             string
	CreatedAt                    time.Time
}

// Grant is a role of a user on a project, or on System.
type Grant struct {
	bun.BaseModel `bun:"table:grants"`

	AccountID string
	Target    string // project id or System
	Role      Role
}

// Token is an issued token; only its fingerprint is kept.
type Token struct {
	bun.BaseModel `bun:"table:token"`

	Hash      string `bun:",pk"`
	AccountID string
	Target    string // project id, System, or "" for an unscoped token
	Methods   []string
	AppCred   string // id of the application credential it was issued for
	AuditID   string
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// AppCredential lets a program act as a user on one project without the user's password.
type AppCredential struct {
	bun.BaseModel `bun:"table:app_credential"`

	ID, AccountID, ProjectID, Name, Description string
	Secret                                      string // argon2id
	Roles                                       []Role
	Unrestricted                                bool
	ExpiresAt                                   bun.NullTime
	CreatedAt                                   time.Time
}

// Caller is who makes a request, and in which role.
type Caller struct {
	User    User
	Project *Project // nil unless the token is scoped to one
	System  bool     // the token is scoped to the system
	Roles   []Role   // effective, implied ones included
	Token   Token
}

// ProjectID returns the id of the project that the caller acts for; "" when none.
func (c Caller) ProjectID() string {
	if c.Project == nil {
		return ""
	}
	return c.Project.ID
}

// Has reports whether the caller has a role on what the token is scoped to.
func (c Caller) Has(r Role) bool { return slices.Contains(c.Roles, r) }

// adminProject is the project whose admins are operators too, as OpenStack's tools expect.
const adminProject = "admin"

// Operator reports whether the caller runs the cloud: admin on the system or on the project "admin".
func (c Caller) Operator() bool {
	return c.Has(Admin) && (c.System || (c.Project != nil && c.Project.Name == adminProject))
}
