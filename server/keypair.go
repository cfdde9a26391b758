package server

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"regexp"

	"github.com/uptrace/bun"
	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

var keyName = regexp.MustCompile(`^[a-zA-Z0-9 @._-]{1,255}$`)

// CreateKeyPair keeps a public key; without one it makes a key and returns the private half, which is kept nowhere.
func (s *Service) CreateKeyPair(ctx context.Context, k KeyPair) (KeyPair, string, error) {
	if !keyName.MatchString(k.Name) {
		return k, "", fault.Field("name", "must have 1 to 255 letters, digits, spaces and . _ @ -")
	}
	private := ""
	if k.PublicKey == "" {
		var err error
		if k.PublicKey, private, err = newKey(); err != nil {
			return k, "", err
		}
	}
	pub, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(k.PublicKey))
	if err != nil || len(rest) > 0 || len(k.PublicKey) > 16<<10 {
		return k, "", fault.Field("public_key", "is not one public key in OpenSSH's form")
	}
	k.Fingerprint, k.CreatedAt = ssh.FingerprintLegacyMD5(pub), db.Now()
	return k, private, s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := s.spend(ctx, tx, k.ProjectID, need{resource: "key_pairs", n: 1}); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&k).Exec(ctx)
		if db.Duplicate(err) {
			return fault.Errorf(fault.Conflict, "Key pair '%s' already exists.", k.Name)
		}
		return err
	})
}

// newKey makes an RSA key of 2048 bits, as ECL2.0 documents.
func newKey() (public, private string, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", "", err
	}
	pub, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		return "", "", err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return string(ssh.MarshalAuthorizedKey(pub)), string(pem.EncodeToMemory(block)), nil
}

// keysOf selects from the key pairs of a user in a project, or of all its users.
func (s *Service) keysOf(into any, project, user string) *bun.SelectQuery {
	q := s.db.Read().NewSelect().Model(into).Where("project_id = ?", project)
	if user != "" {
		q = q.Where("user_id = ?", user)
	}
	return q
}

// KeyPair returns a key pair of a user in a project by its name; user "" is the first of any user of the project.
func (s *Service) KeyPair(ctx context.Context, project, user, name string) (KeyPair, error) {
	var k KeyPair
	err := s.keysOf(&k, project, user).Where("name = ?", name).OrderExpr("created_at").Limit(1).Scan(ctx)
	if db.None(err) {
		return k, fault.Errorf(fault.NotFound, "no key pair %q", name)
	}
	return k, fault.Wrap("reading key pair "+name, err)
}

// KeyPairFor returns a user's key pair, or else another's of the same project.
func (s *Service) KeyPairFor(ctx context.Context, project, user, name string) (KeyPair, error) {
	k, err := s.KeyPair(ctx, project, user, name)
	if fault.Is(err, fault.NotFound) {
		return s.KeyPair(ctx, project, "", name)
	}
	return k, err
}

// KeyPairs returns the key pairs of a user in a project, or of all its users, by name: those behind the name after, at
// most limit; 0 is no limit.
func (s *Service) KeyPairs(ctx context.Context, project, user, after string, limit int) ([]KeyPair, error) {
	ks := []KeyPair{}
	q := s.keysOf(&ks, project, user).Where("name > ?", after).OrderExpr("name, user_id")
	if limit > 0 {
		q = q.Limit(int64(limit))
	}
	return ks, fault.Wrap("listing key pairs", q.Scan(ctx))
}

// DeleteKeyPair forgets a key pair; see KeyPair. Servers that were made with it keep the key.
func (s *Service) DeleteKeyPair(ctx context.Context, project, user, name string) error {
	k, err := s.KeyPair(ctx, project, user, name)
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewDelete().Model((*KeyPair)(nil)).Where("project_id = ? AND user_id = ? AND name = ?", project, k.UserID, name).Exec(ctx)
		return err
	})
}
