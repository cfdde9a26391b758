package server

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"regexp"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Bootstrap makes the first flavor when there is none.
func (s *Service) Bootstrap(ctx context.Context) error {
	n, err := s.db.Read().NewSelect().Model((*Flavor)(nil)).Count(ctx)
	if err != nil || n > 0 {
		return fault.Wrap("counting flavors", err)
	}
	_, err = s.CreateFlavor(ctx, Flavor{Name: "General Purpose 1", ResourceClass: "baremetal", VCPUs: 1, RAM: 1024, Disk: 4})
	return err
}

// CreateFlavor makes a flavor known. Its name must be new.
func (s *Service) CreateFlavor(ctx context.Context, f Flavor) (Flavor, error) {
	if f.Name == "" || len(f.Name) > 255 {
		return f, fault.Field("name", "must have 1 to 255 characters")
	}
	if f.ResourceClass == "" {
		return f, fault.Field("resource_class", "is missing: it says which nodes fit")
	}
	f.ID, f.CreatedAt = uuid.NewString(), db.Now()
	return f, s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&f).Exec(ctx)
		if db.Duplicate(err) {
			return fault.Errorf(fault.Conflict, "a flavor named %q exists already", f.Name)
		}
		return err
	})
}

// Flavors returns all flavors.
func (s *Service) Flavors(ctx context.Context) ([]Flavor, error) {
	var fs []Flavor
	return fs, fault.Wrap("listing flavors", s.db.Read().NewSelect().Model(&fs).OrderExpr("created_at, id").Scan(ctx))
}

// Flavor returns one flavor.
func (s *Service) Flavor(ctx context.Context, id string) (Flavor, error) {
	return flavor(ctx, s.db.Read(), id)
}

func flavor(ctx context.Context, q bun.IDB, id string) (Flavor, error) {
	var f Flavor
	err := q.NewSelect().Model(&f).Where("id = ?", id).Scan(ctx)
	if db.None(err) {
		return f, fault.Errorf(fault.NotFound, "no flavor %q", id)
	}
	return f, fault.Wrap("reading flavor "+id, err)
}

var keyName = regexp.MustCompile(`^[a-zA-Z0-9 ._-]{1,255}$`)

// CreateKeyPair keeps a public key; without one it makes a key and returns the private half, which is kept nowhere.
func (s *Service) CreateKeyPair(ctx context.Context, k KeyPair) (KeyPair, string, error) {
	if !keyName.MatchString(k.Name) {
		return k, "", fault.Field("name", "must have 1 to 255 letters, digits and hyphens")
	}
	private := ""
	if k.PublicKey == "" {
		var err error
		if k.PublicKey, private, err = newKey(); err != nil {
			return k, "", err
		}
	}
	pub, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(k.PublicKey))
	if err != nil || len(rest) > 0 {
		return k, "", fault.Field("public_key", "is not one public key in OpenSSH's form")
	}
	k.Fingerprint, k.CreatedAt = ssh.FingerprintLegacyMD5(pub), db.Now()
	return k, private, s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&k).Exec(ctx)
		if db.Duplicate(err) {
			return fault.Errorf(fault.Conflict, "a key pair named %q exists already", k.Name)
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

// KeyPair returns a key pair of a project by its name.
func (s *Service) KeyPair(ctx context.Context, project, name string) (KeyPair, error) {
	var k KeyPair
	err := s.db.Read().NewSelect().Model(&k).Where("project_id = ? AND name = ?", project, name).Scan(ctx)
	if db.None(err) {
		return k, fault.Errorf(fault.NotFound, "no key pair %q", name)
	}
	return k, fault.Wrap("reading key pair "+name, err)
}

// KeyPairs returns the key pairs of a project.
func (s *Service) KeyPairs(ctx context.Context, project string) ([]KeyPair, error) {
	var ks []KeyPair
	return ks, fault.Wrap("listing key pairs", s.db.Read().NewSelect().Model(&ks).Where("project_id = ?", project).Order("name").Scan(ctx))
}

// DeleteKeyPair forgets a key pair. Servers that were made with it keep the key.
func (s *Service) DeleteKeyPair(ctx context.Context, project, name string) error {
	if _, err := s.KeyPair(ctx, project, name); err != nil {
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewDelete().Model((*KeyPair)(nil)).Where("project_id = ? AND name = ?", project, name).Exec(ctx)
		return err
	})
}
