package redfish

import (
	"context"

	"github.com/hagane-cloud/hagane/bmc"
)

type secureDoc struct {
	Enable  flag `json:"SecureBootEnable"`
	Current text `json:"SecureBootCurrentBoot"`
	Mode    text `json:"SecureBootMode"`
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

// SecureBoot reads the state of UEFI Secure Boot.
func (d *Driver) SecureBoot(ctx context.Context) (bmc.SecureBoot, error) {
	_, doc, err := d.secure(ctx)
	return bmc.SecureBoot{Enabled: doc.Enable.value, Active: doc.Current == "Enabled", Mode: string(doc.Mode)}, err
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
