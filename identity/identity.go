// Package identity knows users, groups, projects, domains, roles and tokens, in Keystone's terms: a user has roles
// on a project, a domain or the system, and a token carries them for a while. Every request to Hagane is
// made by a Caller that this package vouches for.
package identity

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
)

// The roles that are always there, by their ids. Admin implies Member, and Member implies Reader. ServiceRole is for
// programs that work beside the cloud: it lets them look at others' tokens.
const (
	Admin       = "role-admin"
	Member      = "role-member"
	Reader      = "role-reader"
	ServiceRole = "role-service"
)

// System is the target of roles on the cloud itself: whoever is admin there is an operator.
const System = "system"

// DomainID is the domain that is always there; the operators are at home in it.
const (
	DomainID   = "default"
	DomainName = "Default"
)

// Extra holds what clients keep with a thing beyond the fields that it has.
type Extra = map[string]any

// Project is a tenant, or a domain: a name space of users, groups and projects.
type Project struct {
	bun.BaseModel `bun:"table:project,alias:project"`

	ID, DomainID, ParentID, Name, Description string // a domain has no DomainID and no ParentID
	Enabled, IsDomain                         bool
	Tags                                      []string
	Options, Extra                            Extra
	CreatedAt                                 time.Time

	DomainName    string `bun:",scanonly"`
	DomainEnabled bool   `bun:",scanonly"`
}

// User is someone, or a program, that can authenticate.
type User struct {
	bun.BaseModel `bun:"table:account,alias:account"`

	ID, DomainID, Name, Email, Description string
	Password                               string // argon2id; "" for a user who can not log in by one
	Enabled                                bool
	DefaultProjectID                       string
	Options, Extra                         Extra
	PasswordExpiresAt                      bun.NullTime
	Failures                               int // wrong passwords since the last right one
	FailedAt                               bun.NullTime
	CreatedAt                              time.Time

	DomainName    string `bun:",scanonly"`
	DomainEnabled bool   `bun:",scanonly"`
}

// Group is a set of users who share roles.
type Group struct {
	bun.BaseModel `bun:"table:user_group,alias:user_group"`

	ID, DomainID, Name, Description string
	Extra                           Extra
	CreatedAt                       time.Time
}

// Role is a right with a name. One of a domain (DomainID) is worth only what it implies, and only there.
type Role struct {
	bun.BaseModel `bun:"table:role,alias:role"`

	ID, DomainID, Name, Description string
	Options, Extra                  Extra
	CreatedAt                       time.Time
}

// Grant is a role of a user or group on a project, a domain or System. An inherited one is worth something on
// what lies below the target only.
type Grant struct {
	bun.BaseModel `bun:"table:assignment,alias:assignment"`

	Actor     string // user or group
	IsGroup   bool
	Target    string // project, domain or System
	RoleID    string
	Inherited bool
}

// Token is an issued token; only its fingerprint is kept.
type Token struct {
	bun.BaseModel `bun:"table:token"`

	Hash        string `bun:",pk"`
	AccountID   string
	Target      string // project, domain, System, or "" for an unscoped token
	Methods     []string
	AppCred     string // id of the application credential it was issued for
	Trust       string // id of the trust it was issued for
	AuditID     string
	AuditParent string // audit id of the first token of a chain of exchanges
	IssuedAt    time.Time
	ExpiresAt   time.Time
}

// Caller is who makes a request, and in which role.
type Caller struct {
	User    User
	Project *Project // nil unless the token is scoped to one
	Domain  *Project // nil unless the token is scoped to one
	System  bool     // the token is scoped to the system
	Roles   []Role   // effective, implied ones included
	Token   Token
	AppCred *AppCredential // what the token was issued for, if that was one
	Trust   *Trust         // what the token was issued for, if that was one
}

// ProjectID returns the id of the project that the caller acts for; "" when none.
func (c Caller) ProjectID() string {
	if c.Project == nil {
		return ""
	}
	return c.Project.ID
}

// Asks returns a context for what the caller asks for: its transactions take turns with those of the same project, or of the same user when
// there is none, and it does not wait for ever for a database that is silent. The zero Caller is one who is not known yet.
func (c Caller) Asks(ctx context.Context) context.Context {
	return db.Guest(ctx, cmp.Or(c.ProjectID(), c.User.ID))
}

// Has reports whether the caller has a role, by its id, on what the token is scoped to.
func (c Caller) Has(role string) bool {
	return slices.ContainsFunc(c.Roles, func(r Role) bool { return r.ID == role })
}

// adminProject is the project whose admins are operators too, as OpenStack's tools expect.
const adminProject = "admin"

// Operator reports whether the caller runs the cloud: admin on the system, or on the project "admin" of the domain default.
func (c Caller) Operator() bool {
	return c.Has(Admin) && (c.System || (c.Project != nil && c.Project.Name == adminProject && c.Project.DomainID == DomainID))
}

// ReadsAll reports whether the caller may look at everything: an operator, or a reader on the system.
func (c Caller) ReadsAll() bool { return c.Operator() || (c.System && c.Has(Reader)) }

// Reads reports whether the caller may look at what is in a domain.
func (c Caller) Reads(domain string) bool {
	return c.ReadsAll() || (c.Domain != nil && c.Domain.ID == domain && c.Has(Reader))
}

// Manages reports whether the caller may change users, groups and projects of a domain. Those of the domain
// default are the operators' alone, because the operators are among them.
func (c Caller) Manages(domain string) bool {
	return c.Operator() || (c.Domain != nil && c.Domain.ID == domain && domain != DomainID && c.Has(Admin))
}

// Delegated reports whether the token was issued for an application credential or a trust, and so may not be
// used to make further ones, unless it is an unrestricted application credential.
func (c Caller) Delegated() bool {
	return c.Trust != nil || (c.AppCred != nil && !c.AppCred.Unrestricted)
}
