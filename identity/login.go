package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what RFC 6238 asks for
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// DomainRef names a domain by id or name; neither stands for the default one.
type DomainRef struct{ ID, Name string }

// UserRef names a user by id, or by name and domain.
type UserRef struct {
	ID, Name string
	Domain   DomainRef
}

// AppCredRef names an application credential by id, or by name and user, with its secret.
type AppCredRef struct {
	ID, Name, Secret string
	User             UserRef
}

// Login is what someone authenticates with. Password and Passcode may be together; everything else is alone.
type Login struct {
	User     UserRef // of the password and passcode
	Password *string
	Passcode string // of a TOTP credential
	Token    string
	AppCred  *AppCredRef
	EC2      *EC2Signature
	Scope    Scope
}

// Scope is what a token is asked for. The zero value stands for the user's default project, if there is one.
type Scope struct {
	ProjectID, ProjectName string
	Domain                 DomainRef // of the project's name, or what is asked for itself
	ToDomain               bool
	System, Unscoped       bool
	Trust                  string
}

func (s Scope) given() bool { return s != Scope{} }

// errWho is the one answer to every failed authentication: what was wrong is nobody's business.
var errWho = fault.Errorf(fault.Unauthentic, "the credentials are not valid")

// proven is what a login has shown.
type proven struct {
	user    User
	methods []string
	token   *Token         // that was exchanged
	cred    *AppCredential // that was used
	project string         // what an EC2 credential is for
}

// who checks what a login shows.
func (s *Service) who(ctx context.Context, l Login) (proven, error) {
	switch {
	case l.Token != "":
		return s.byToken(ctx, l)
	case l.AppCred != nil:
		u, cred, err := s.byAppCredential(ctx, *l.AppCred)
		return proven{user: u, cred: cred, methods: []string{"application_credential"}}, err
	case l.EC2 != nil:
		u, project, err := s.bySignature(ctx, *l.EC2)
		return proven{user: u, project: project, methods: []string{"ec2credential"}}, err
	}
	var p proven
	var err error
	if l.Password != nil {
		if p.user, err = s.checkPassword(ctx, l.User, *l.Password); err != nil {
			return p, err
		}
		if !p.user.PasswordExpiresAt.IsZero() && p.user.PasswordExpiresAt.Before(db.Now()) && !p.user.option(ignorePasswordExpiry) {
			return p, fault.Errorf(fault.Unauthentic, "the password has expired and must be changed for the user %s", p.user.ID)
		}
		p.methods = append(p.methods, "password")
	}
	if l.Passcode != "" {
		if p.user, err = s.checkPasscode(ctx, l.User, l.Passcode); err != nil {
			return p, err
		}
		p.methods = append(p.methods, "totp")
	}
	return p, enough(p.user, p.methods)
}

func (s *Service) byToken(ctx context.Context, l Login) (proven, error) {
	t, err := s.token(ctx, l.Token)
	if err != nil {
		return proven{}, err
	}
	if t.AppCred != "" || t.Trust != "" {
		return proven{}, fault.Errorf(fault.Denied, "a token of an application credential or a trust can not be exchanged")
	}
	u, err := s.User(ctx, t.AccountID)
	if err != nil || !u.Enabled || !u.DomainEnabled {
		return proven{}, errWho
	}
	methods := t.Methods
	if !slices.Contains(methods, "token") {
		methods = append(methods, "token")
	}
	return proven{user: u, token: &t, methods: methods}, nil
}

// userBy finds a user by reference.
func (s *Service) userBy(ctx context.Context, r UserRef) (User, error) {
	var u User
	q := selectUsers(s.db.Read(), &u)
	switch {
	case r.ID != "":
		q = q.Where("account.id = ?", r.ID)
	case r.Domain.ID != "":
		q = q.Where("account.name = ? AND d.id = ?", r.Name, r.Domain.ID)
	case r.Domain.Name != "" && !strings.EqualFold(r.Domain.Name, DomainName):
		q = q.Where("account.name = ? AND d.name = ?", r.Name, r.Domain.Name)
	default:
		q = q.Where("account.name = ? AND d.id = ?", r.Name, DomainID)
	}
	err := q.Scan(ctx)
	return u, missing(err, "user", r.ID+r.Name)
}

// checkPassword finds a user who proves to be that by a password. Whether there is no such user, whether the password is wrong, or whether the
// user is disabled or locked out looks the same and takes as long.
func (s *Service) checkPassword(ctx context.Context, r UserRef, password string) (User, error) {
	u, err := s.userBy(ctx, r)
	hash := u.Password
	if err != nil || hash == "" {
		hash = s.nobody
	}
	right := samePassword(hash, password)
	if fault.Is(err, fault.Internal) || fault.Is(err, fault.Unavailable) {
		return u, fault.E(fault.Unavailable, "looking for the user", err)
	}
	if err != nil || s.policy.locked(u, db.Now()) {
		return u, errWho
	}
	if !right {
		if err := s.failed(ctx, u); err != nil {
			return u, err
		}
		return u, errWho
	}
	if !u.Enabled || !u.DomainEnabled {
		return u, errWho
	}
	if u.Failures > 0 {
		err = s.record(ctx, "UPDATE account SET failures = 0, failed_at = NULL WHERE id = ?", u.ID)
	}
	return u, err
}

// failed counts a wrong password. The count begins anew when a lock-out has ended.
func (s *Service) failed(ctx context.Context, u User) error {
	if s.policy.Tries < 0 {
		return nil
	}
	now := db.Now()
	return s.record(ctx, "UPDATE account SET failures = CASE WHEN failures >= ? AND failed_at < ? THEN 1 ELSE failures + 1 END, failed_at = ? WHERE id = ?",
		s.policy.Tries, now.Add(-s.policy.LockOut), now, u.ID)
}

func (s *Service) record(ctx context.Context, sql string, args ...any) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewRaw(sql, args...).Exec(ctx)
		return err
	})
}

// mfaRuleSets reads the option of that name: lists of methods of which one must have been used in full. It is nil for what can
// not be read.
func mfaRuleSets(v any) [][]string {
	list, ok := v.([]any)
	if !ok {
		return nil
	}
	sets := [][]string{}
	for _, e := range list {
		words, ok := e.([]any)
		if !ok {
			return nil
		}
		var set []string
		for _, w := range words {
			method, ok := w.(string)
			if !ok {
				return nil
			}
			set = append(set, method)
		}
		sets = append(sets, set)
	}
	return sets
}

// knownMethods are the ways to authenticate.
var knownMethods = []string{"password", "token", "totp", "application_credential"}

// enough checks a user's rules about several methods. As in Keystone, a rule with a method that there is not here is
// no rule, and without a rule any method is enough.
func enough(u User, methods []string) error {
	if on, ok := u.Options[mfaEnabled].(bool); ok && !on {
		return nil
	}
	rules := slices.DeleteFunc(mfaRuleSets(u.Options[mfaRules]), func(set []string) bool {
		return len(set) == 0 || slices.ContainsFunc(set, func(m string) bool { return !slices.Contains(knownMethods, m) })
	})
	if len(rules) == 0 {
		return nil
	}
	for _, set := range rules {
		if !slices.ContainsFunc(set, func(m string) bool { return !slices.Contains(methods, m) }) {
			return nil
		}
	}
	return fault.Errorf(fault.Unauthentic, "this user must authenticate with more methods in one request: %v", rules)
}

// totpStep is how long a passcode is shown (RFC 6238); the one before is taken too, as clocks differ.
const totpStep = 30 * time.Second

// checkPasscode finds a user who proves to be that by a passcode of a TOTP credential.
func (s *Service) checkPasscode(ctx context.Context, r UserRef, passcode string) (User, error) {
	u, err := s.userBy(ctx, r)
	if err != nil || s.policy.locked(u, db.Now()) || !u.Enabled || !u.DomainEnabled {
		return u, errWho
	}
	creds, err := s.Credentials(ctx, u.ID, "totp")
	if err != nil {
		return u, err
	}
	now := db.Now()
	for _, c := range creds {
		for _, at := range []time.Time{now, now.Add(-totpStep)} {
			if code := Passcode(c.Text, at); code != "" && secret.Same(code, passcode) {
				return u, nil
			}
		}
	}
	if err := s.failed(ctx, u); err != nil {
		return u, err
	}
	return u, errWho
}

// Passcode is the passcode of six digits that a key, in base32, has at a time (RFC 6238, RFC 4226 section 5.3); "" for what is no key.
func Passcode(key string, at time.Time) string {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(strings.ToUpper(key), "="))
	if err != nil || len(raw) == 0 {
		return ""
	}
	mac := hmac.New(sha1.New, raw)
	_ = binary.Write(mac, binary.BigEndian, at.Unix()/int64(totpStep/time.Second)) // a hash takes everything
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[offset:])&0x7fffffff)%1_000_000)
}

// target returns what a scope means: a project, a domain, System, or "".
func (s *Service) target(ctx context.Context, sc Scope, p proven) (string, error) {
	switch {
	case p.cred != nil:
		return p.cred.ProjectID, nil
	case p.project != "":
		return p.project, nil
	case sc.System:
		return System, nil
	case sc.Unscoped:
		return "", nil
	case sc.ToDomain, sc.ProjectID+sc.ProjectName != "":
		return s.namedTarget(ctx, sc)
	}
	return "", nil
}

// namedTarget finds the project or domain that a scope names.
func (s *Service) namedTarget(ctx context.Context, sc Scope) (string, error) {
	d := sc.Domain
	if d.ID == "" && (d.Name == "" || strings.EqualFold(d.Name, DomainName)) {
		d = DomainRef{ID: DomainID}
	}
	var t Project
	q := selectProjects(s.db.Read(), &t).Where("project.is_domain = ?", sc.ToDomain)
	switch {
	case sc.ToDomain && d.ID != "":
		q = q.Where("project.id = ?", d.ID)
	case sc.ToDomain:
		q = q.Where("project.name = ?", d.Name)
	case sc.ProjectID != "":
		q = q.Where("project.id = ?", sc.ProjectID)
	case d.ID != "":
		q = q.Where("project.name = ? AND d.id = ?", sc.ProjectName, d.ID)
	default:
		q = q.Where("project.name = ? AND d.name = ?", sc.ProjectName, d.Name)
	}
	if err := q.Scan(ctx); err != nil {
		if db.None(err) {
			return "", errWho
		}
		return "", fault.E(fault.Unavailable, "looking for what the token is asked for", err)
	}
	return t.ID, nil
}

// ofTrust finds the trust that a login uses, and takes one of its uses away.
func (s *Service) ofTrust(ctx context.Context, tx bun.IDB, id, user string) (Trust, error) {
	t, err := one[Trust](ctx, tx, "trust", id)
	if err != nil || t.TrusteeID != user || t.over() {
		return t, fault.Errorf(fault.Denied, "there is no such trust for this user, or it is used up")
	}
	if !t.RemainingUses.Valid {
		return t, nil
	}
	res, err := tx.NewRaw("UPDATE trust SET remaining_uses = remaining_uses - 1 WHERE id = ? AND remaining_uses > 0", id).Exec(ctx)
	return t, affected(res, err, "the trust is used up")
}
