package identity

import (
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// The options of a user, by Keystone's names.
const (
	ignoreLockout        = "ignore_lockout_failure_attempts"
	ignorePasswordExpiry = "ignore_password_expiry"
	lockPassword         = "lock_password"
	mfaEnabled           = "multi_factor_auth_enabled"
	mfaRules             = "multi_factor_auth_rules"
)

var userOptions = []string{ignoreLockout, ignorePasswordExpiry, lockPassword, mfaEnabled, mfaRules,
	"ignore_change_password_upon_first_use", "ignore_user_inactivity"}

func (u User) option(name string) bool { v, _ := u.Options[name].(bool); return v }

// selectUsers begins a query for users with their domains.
func selectUsers(q bun.IDB, dst any) *bun.SelectQuery {
	return q.NewSelect().Model(dst).ColumnExpr("?TableColumns").ColumnExpr("d.name AS domain_name").ColumnExpr("d.enabled AS domain_enabled").
		Join("JOIN project AS d ON d.id = account.domain_id")
}

// User returns a user by id.
func (s *Service) User(ctx context.Context, id string) (User, error) {
	var u User
	err := selectUsers(s.db.Read(), &u).Where("account.id = ?", id).Scan(ctx)
	return u, missing(err, "user", id)
}

// Users returns users; of a group if one is given.
func (s *Service) Users(ctx context.Context, q Query, group string) ([]User, error) {
	var us []User
	sel := q.page(selectUsers(s.db.Read(), &us), "account")
	if group != "" {
		sel = sel.Where("account.id IN (SELECT account_id FROM membership WHERE group_id = ?)", group)
	}
	return us, fault.Wrap("listing users", sel.Scan(ctx))
}

// CreateUser makes a user, in the default domain unless another is given. The name must be new in the domain. A user
// without a password can not log in by one.
func (s *Service) CreateUser(ctx context.Context, u User, password *string) (User, error) {
	if u.DomainID == "" {
		u.DomainID = DomainID
	}
	if err := s.checkUser(&u, password); err != nil {
		return u, err
	}
	if _, err := s.Domain(ctx, u.DomainID); err != nil {
		return u, fault.Field("domain_id", "no domain %q", u.DomainID)
	}
	u.ID, u.CreatedAt = secret.Token(), db.Now()
	return u, s.insert(ctx, &u, "user "+u.Name)
}

// checkUser checks what is new about a user and takes a new password on.
func (s *Service) checkUser(u *User, password *string) error {
	if err := checkName(u.Name); err != nil {
		return err
	}
	for name, v := range u.Options {
		_, isBool := v.(bool)
		switch {
		case !slices.Contains(userOptions, name):
			return fault.Field("options", "a user has no option %q", name)
		case name == mfaRules && mfaRuleSets(v) == nil, name != mfaRules && !isBool:
			return fault.Field("options", "the option %q is true or false, or for %s a list of lists of methods", name, mfaRules)
		}
	}
	if err := checkExtras(u.Description+u.Email, u.Extra, u.Options); err != nil {
		return err
	}
	if password == nil {
		return nil
	}
	if err := s.policy.check(*password); err != nil {
		return err
	}
	u.Password, u.PasswordExpiresAt = s.policy.hash(*password), s.policy.passwordEnd(db.Now())
	u.Failures, u.FailedAt = 0, bun.NullTime{}
	return nil
}

// UpdateUser writes a user that the caller has read and changed, with a new password if one is given.
// A new password, or disabling, ends the user's tokens.
func (s *Service) UpdateUser(ctx context.Context, u User, password *string) (User, error) {
	if err := s.checkUser(&u, password); err != nil {
		return u, err
	}
	columns := []string{"name", "email", "description", "enabled", "default_project_id", "options", "extra"}
	if password != nil {
		columns = append(columns, "password", "password_expires_at", "failures", "failed_at")
	}
	return u, s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model(&u).Column(columns...).Where("id = ?", u.ID).Exec(ctx)
		if err = duplicate(err, "user "+u.Name); err != nil || (password == nil && u.Enabled) {
			return err
		}
		return endTokens(ctx, tx, u.ID)
	})
}

// endTokens ends the tokens of a user, and those that others got by the user's trusts.
func endTokens(ctx context.Context, tx db.Tx, user string) error {
	return revoke(ctx, tx, Revocation{AccountID: user}, "account_id = ? OR (trust <> '' AND trust IN (SELECT id FROM trust WHERE trustor_id = ? OR trustee_id = ?))", user, user, user)
}

// ChangePassword lets a user replace the password by proving the old one, also when that has expired.
func (s *Service) ChangePassword(ctx context.Context, id, old, password string) error {
	u, err := s.checkPassword(ctx, UserRef{ID: id}, old)
	if err != nil {
		return err
	}
	if u.option(lockPassword) {
		return fault.Errorf(fault.Invalid, "this user's password is set by the operator only")
	}
	_, err = s.UpdateUser(ctx, u, &password)
	return err
}

// DeleteUser forgets a user with tokens, grants, credentials and trusts.
func (s *Service) DeleteUser(ctx context.Context, id string) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := endTokens(ctx, tx, id); err != nil {
			return err
		}
		if err := forgetActors(ctx, tx, "SELECT ?", id); err != nil {
			return err
		}
		return remove(ctx, tx, (*User)(nil), "user", id)
	})
}

// forgetActors drops the grants of users and groups.
func forgetActors(ctx context.Context, tx db.Tx, which string, args ...any) error {
	_, err := tx.NewDelete().Model((*Grant)(nil)).Where("actor IN (?)", bun.SafeQuery(which, args...)).Exec(ctx)
	return err
}

// Powerful reports whether a user or group is an operator by a grant on the system, the operators' project or what is
// above it; whoever manages only a domain may not touch those.
func (s *Service) Powerful(ctx context.Context, actor string) (bool, error) {
	n, err := s.db.Read().NewSelect().Model((*Grant)(nil)).
		Where("actor = ? OR actor IN (SELECT group_id FROM membership WHERE account_id = ?)", actor, actor).
		Where("target IN (?, ?) OR target IN (SELECT id FROM project WHERE domain_id = ? AND name = ?)", System, DomainID, DomainID, adminProject).Count(ctx)
	return n > 0, fault.Wrap("reading grants", err)
}

// Policy is what the operator wants of passwords. The zero value of a field stands for what its comment says.
type Policy struct {
	PasswordAge time.Duration // after which a password has expired; never
	PasswordMin int           // bytes that a password must have; 6
	Tries       int           // wrong passwords in a row that lock a user out; 10. Negative: never
	LockOut     time.Duration // how long a user is locked out after the last wrong password; 5 minutes
	HashKiB     uint32        // memory, in KiB, that hashing a password takes; 19456, as OWASP advises
}

func (p Policy) complete() Policy {
	if p.PasswordMin == 0 {
		p.PasswordMin = 6
	}
	if p.Tries == 0 {
		p.Tries = 10
	}
	if p.LockOut == 0 {
		p.LockOut = 5 * time.Minute
	}
	if p.HashKiB == 0 {
		p.HashKiB = argonKiB
	}
	return p
}

const longestPassword = 255

func (p Policy) check(password string) error {
	if len(password) < p.PasswordMin || len(password) > longestPassword {
		return fault.Field("password", "must have %d to %d bytes", p.PasswordMin, longestPassword)
	}
	return nil
}

func (p Policy) passwordEnd(now time.Time) bun.NullTime {
	if p.PasswordAge <= 0 {
		return bun.NullTime{}
	}
	return bun.NullTime{Time: now.Add(p.PasswordAge)}
}

// locked reports whether a user is locked out.
func (p Policy) locked(u User, now time.Time) bool {
	return p.Tries > 0 && u.Failures >= p.Tries && !u.option(ignoreLockout) && now.Before(u.FailedAt.Add(p.LockOut))
}
