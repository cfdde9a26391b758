package redfish

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
)

type secureDoc struct {
	Enable  flag `json:"SecureBootEnable"`
	Current text `json:"SecureBootCurrentBoot"`
	Mode    text `json:"SecureBootMode"`
	Keys    link `json:"SecureBootDatabases"`
	Actions struct {
		Reset *action `json:"#SecureBoot.ResetKeys"`
	}
}

func (d *Driver) secure(ctx context.Context) (link, secureDoc, error) {
	var doc secureDoc
	s, _, err := d.read(ctx)
	if err != nil {
		return "", doc, err
	}
	if s.SecureBoot == "" {
		return "", doc, lacks("Secure Boot")
	}
	_, err = d.get(ctx, s.SecureBoot, &doc)
	return s.SecureBoot, doc, err
}

// SecureBoot reads the state of UEFI Secure Boot, with its keys where the BMC shows them.
func (d *Driver) SecureBoot(ctx context.Context) (bmc.SecureBoot, error) {
	_, doc, err := d.secure(ctx)
	if err != nil {
		return bmc.SecureBoot{}, err
	}
	s := bmc.SecureBoot{Enabled: doc.Enable.value, Active: doc.Current == "Enabled", Mode: string(doc.Mode)}
	if doc.Keys == "" {
		return s, nil
	}
	s.Keys, err = d.keys(ctx, doc.Keys)
	if err != nil && bmc.Passing(err) {
		return s, err
	}
	return s, nil
}

// trusting are the databases whose entries say what may boot, by the names of the UEFI variables. Those of the factory (PKDefault)
// and the lists of what may not (dbx), which grow with each update, are left out.
var trusting = []string{"PK", "KEK", "db"}

// keys returns how many entries the trusting databases have, and a fingerprint of them all; "" when there are none to be seen.
func (d *Driver) keys(ctx context.Context, at link) (string, error) {
	all, err := d.members(ctx, at)
	if err != nil {
		return "", err
	}
	var words, prints []string
	for _, name := range trusting {
		i := slices.IndexFunc(all, func(m link) bool { return m.last() == name })
		if i < 0 {
			continue
		}
		var db struct{ Certificates, Signatures link }
		if _, err := d.get(ctx, all[i], &db); err != nil {
			return "", err
		}
		entries := 0
		for _, list := range []link{db.Certificates, db.Signatures} {
			if list == "" {
				continue
			}
			err := whole(ctx, d, list, func(_ link, e struct{ Fingerprint, CertificateString, SignatureString text }) {
				entries++
				prints = append(prints, name+" "+string(e.Fingerprint+e.CertificateString+e.SignatureString))
			})
			if err != nil && !absent(err) {
				return "", err
			}
		}
		words = append(words, fmt.Sprintf("%s %d", name, entries))
	}
	if len(prints) == 0 {
		return "", nil
	}
	slices.Sort(prints)
	return fmt.Sprintf("%s, fingerprint %.8x", strings.Join(words, ", "), sha256.Sum256([]byte(strings.Join(prints, "\n")))), nil
}

// SetSecureBoot enables or disables UEFI Secure Boot for later boots.
func (d *Driver) SetSecureBoot(ctx context.Context, enabled bool) error {
	at, doc, err := d.secure(ctx)
	if err != nil || (doc.Enable.set && doc.Enable.value == enabled) {
		return err
	}
	if _, err := d.patch(ctx, "changing Secure Boot", at, "secure boot", map[string]any{"SecureBootEnable": enabled}); err != nil {
		return err
	}
	ok, err := d.settles(ctx, func() (bool, error) {
		_, doc, err := d.secure(ctx)
		return doc.Enable.value == enabled, err
	})
	if err == nil && !ok {
		return untrue("Secure Boot enabled:", enabled, !enabled)
	}
	return err
}

// ResetSecureBootKeys puts the factory's keys back.
func (d *Driver) ResetSecureBootKeys(ctx context.Context) error {
	at, doc, err := d.secure(ctx)
	if err != nil {
		return err
	}
	target := at.under("Actions/SecureBoot.ResetKeys")
	if doc.Actions.Reset != nil && doc.Actions.Reset.Target != "" {
		target = doc.Actions.Reset.Target
	}
	_, err = d.post(ctx, "resetting the Secure Boot keys", target, map[string]string{"ResetKeysType": "ResetAllKeysToDefault"})
	return err
}
