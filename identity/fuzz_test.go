package identity_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
	"github.com/hagane-cloud/hagane/secret"
)

// FuzzToken presents whatever text as a token, to be validated, revived or changed into another: it speaks for nobody.
func FuzzToken(f *testing.F) {
	for _, seed := range []string{"", "x", secret.Token(), "gAAAAABl\x00", "' OR 1=1 --", "\xff\xfe"} {
		f.Add(seed)
	}
	box, err := secret.Open(filepath.Join(f.TempDir(), "secret.key"))
	if err != nil {
		f.Fatal(err)
	}
	s := identity.NewService(dbtest.SQLite(f), box, identity.Policy{})
	f.Fuzz(func(t *testing.T, text string) {
		ctx := context.Background()
		_, err := s.Validate(ctx, text)
		_, expired := s.ValidateExpired(ctx, text)
		_, _, again := s.Authenticate(ctx, identity.Login{Token: text})
		for _, err := range []error{err, expired, again} {
			if !fault.Is(err, fault.Unauthentic) && !fault.Is(err, fault.Invalid) {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}
