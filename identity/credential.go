package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// Credential is a secret that is kept for a user: an EC2 key pair (kind "ec2", with a project), the key of a TOTP device
// ("totp"), or whatever a client puts there.
type Credential struct {
	bun.BaseModel `bun:"table:credential"`

	ID, AccountID, ProjectID, Kind string
	Blob                           []byte // sealed
	CreatedAt                      time.Time

	Text string `bun:"-"` // the blob, opened
}

// The kinds of credentials that mean something here.
const (
	kindEC2    = "ec2"
	mostBlob   = 64 << 10
	mostOfUser = 200 // credentials of a user, application credentials and trusts: so many of each
)

// EC2Key is what the blob of an EC2 credential holds.
type EC2Key struct {
	Access  string `json:"access"`
	Secret  string `json:"secret"`
	TrustID string `json:"trust_id,omitempty"`
}

// ec2ID is the id of an EC2 credential: the fingerprint of its access key, as in Keystone.
func ec2ID(access string) string {
	sum := sha256.Sum256([]byte(access))
	return hex.EncodeToString(sum[:])
}

func (s *Service) open(cs []Credential) ([]Credential, error) {
	for i, c := range cs {
		raw, err := s.box.Open("credential "+c.ID, c.Blob)
		if err != nil {
			return nil, err
		}
		cs[i].Text = string(raw)
	}
	return cs, nil
}

// Credentials returns the credentials of a user and of a kind; "" does not select.
func (s *Service) Credentials(ctx context.Context, user, kind string) ([]Credential, error) {
	var cs []Credential
	q := s.db.Read().NewSelect().Model(&cs).OrderExpr("created_at, id")
	if user != "" {
		q = q.Where("account_id = ?", user)
	}
	if kind != "" {
		q = q.Where("kind = ?", kind)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fault.Wrap("listing credentials", err)
	}
	return s.open(cs)
}

// Credential returns a credential by id.
func (s *Service) Credential(ctx context.Context, id string) (Credential, error) {
	c, err := one[Credential](ctx, s.db.Read(), "credential", id)
	if err != nil {
		return c, err
	}
	cs, err := s.open([]Credential{c})
	if err != nil {
		return c, err
	}
	return cs[0], nil
}

// EC2Credential returns an EC2 credential of a user by its access key.
func (s *Service) EC2Credential(ctx context.Context, user, access string) (Credential, error) {
	c, err := s.Credential(ctx, ec2ID(access))
	if err == nil && (c.AccountID != user || c.Kind != kindEC2) {
		err = fault.Errorf(fault.NotFound, "no EC2 credential %q", access)
	}
	return c, err
}

// EC2 returns the key pair of an EC2 credential; empty for what is none.
func (c Credential) EC2() EC2Key {
	var k EC2Key
	_ = json.Unmarshal([]byte(c.Text), &k) // it was checked when it was kept
	return k
}

// NewEC2Credential makes an EC2 credential with a random key pair.
func (s *Service) NewEC2Credential(ctx context.Context, user, project string) (Credential, error) {
	raw, err := json.Marshal(EC2Key{Access: secret.Token(), Secret: secret.Token()})
	if err != nil {
		return Credential{}, err
	}
	return s.CreateCredential(ctx, Credential{AccountID: user, ProjectID: project, Kind: kindEC2, Text: string(raw)})
}

// CreateCredential keeps a credential. An EC2 one needs a project, and its access key must be new.
func (s *Service) CreateCredential(ctx context.Context, c Credential) (Credential, error) {
	c.ID, c.CreatedAt = secret.Token(), db.Now()
	if err := s.seal(ctx, &c); err != nil {
		return c, err
	}
	if _, err := s.User(ctx, c.AccountID); err != nil {
		return c, err
	}
	if err := s.room(ctx, (*Credential)(nil), "account_id", c.AccountID, "credentials"); err != nil {
		return c, err
	}
	return c, s.insert(ctx, &c, "credential")
}

// room is Denied when a user has as many rows of a model as it may have. column names whose they are.
func (s *Service) room(ctx context.Context, model any, column, user, what string) error {
	n, err := s.db.Read().NewSelect().Model(model).Where("? = ?", bun.Ident(column), user).Count(ctx)
	if err != nil {
		return fault.Wrap("counting "+what, err)
	}
	if n >= mostOfUser {
		return fault.Errorf(fault.Denied, "the user has %d %s already; delete some first", n, what)
	}
	return nil
}

// seal checks a credential and seals its blob under its id.
func (s *Service) seal(ctx context.Context, c *Credential) error {
	if c.Kind == "" || len(c.Kind) > 255 {
		return fault.Field("type", "must have 1 to 255 characters")
	}
	if c.Text == "" || len(c.Text) > mostBlob {
		return fault.Field("blob", "must have 1 to %d bytes", mostBlob)
	}
	if c.Kind == kindEC2 {
		k := c.EC2()
		if k.Access == "" || k.Secret == "" {
			return fault.Field("blob", "of an EC2 credential must be a JSON object with access and secret")
		}
		if k.TrustID != "" {
			return fault.Field("blob", "an EC2 credential of a trust is not possible here")
		}
		if c.ProjectID == "" {
			return fault.Field("project_id", "an EC2 credential needs a project")
		}
		c.ID = ec2ID(k.Access)
	}
	if c.ProjectID != "" {
		// Whoever has no role on a project does not learn whether there is one.
		held, err := s.held(ctx, c.AccountID, c.ProjectID)
		if err != nil {
			return err
		}
		if len(held) == 0 {
			return fault.Field("project_id", "no project %q that the user has a role on", c.ProjectID)
		}
	}
	c.Blob = s.box.Seal("credential "+c.ID, []byte(c.Text))
	return nil
}

// UpdateCredential writes a credential that the caller has read and changed. The access key of an EC2 one stays, and a credential stays its user's.
func (s *Service) UpdateCredential(ctx context.Context, c Credential) error {
	old, err := s.Credential(ctx, c.ID)
	if err != nil {
		return err
	}
	if err := s.seal(ctx, &c); err != nil {
		return err
	}
	if c.ID != old.ID || (old.Kind == kindEC2) != (c.Kind == kindEC2) {
		return fault.Field("blob", "an EC2 credential keeps its type and access key; make a new one")
	}
	if c.AccountID != old.AccountID {
		return fault.Field("user_id", "a credential stays its user's")
	}
	return s.update(ctx, &c, c.ID, "credential", "project_id", "kind", "blob")
}

// DeleteCredential forgets a credential.
func (s *Service) DeleteCredential(ctx context.Context, id string) error {
	return s.delete(ctx, (*Credential)(nil), "credential", id)
}
