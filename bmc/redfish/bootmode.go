package redfish

import (
	"context"
	"fmt"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
)

// BootMode reads the firmware mode of the next boot: from the override where it shows one, and else from the BIOS.
func (d *Driver) BootMode(ctx context.Context) (bmc.Mode, error) {
	attribute, words, err := d.modeSetting(ctx)
	if err != nil {
		return "", err
	}
	if attribute != "" {
		_, doc, pending, err := d.bios(ctx)
		if err == nil {
			v, ok := pending[attribute]
			if !ok {
				v = doc.Attributes[attribute]
			}
			for mode, word := range words {
				if strings.EqualFold(fmt.Sprint(v), word) {
					return mode, nil
				}
			}
		} else if !absent(err) {
			return "", err
		}
	}
	s, _, err := d.read(ctx)
	if err != nil {
		return "", err
	}
	if b := s.Boot.boot(); b.Mode != "" {
		return b.Mode, nil
	}
	return "", lacks("boot mode")
}

// modeSetting returns the BIOS setting of the boot mode and its words; "" where the override carries the mode.
func (d *Driver) modeSetting(ctx context.Context) (string, map[bmc.Mode]string, error) {
	p, err := d.know(ctx)
	if err != nil || p == nil || p.Boot.Mode["attribute"] == "" {
		return "", nil, err
	}
	return p.Boot.Mode["attribute"], map[bmc.Mode]string{bmc.UEFI: p.Boot.Mode["uefi"], bmc.BIOS: p.Boot.Mode["bios"]}, nil
}

// SetBootMode sets the firmware mode of later boots.
func (d *Driver) SetBootMode(ctx context.Context, m bmc.Mode) error {
	if modes[m] == "" {
		return wrong("there is no boot mode %q; there are uefi and bios", m)
	}
	now, err := d.BootMode(ctx)
	if err != nil || now == m {
		return err
	}
	attribute, words, err := d.modeSetting(ctx)
	if err != nil {
		return err
	}
	if attribute != "" {
		return d.SetSettings(ctx, map[string]any{attribute: words[m]})
	}
	b, err := d.Boot(ctx)
	if err != nil {
		return err
	}
	b.Mode = m
	if err := d.SetBoot(ctx, b); err != nil {
		return err
	}
	if got, err := d.BootMode(ctx); err != nil || got != m {
		if err == nil {
			err = untrue("the boot mode", m, got)
		}
		return err
	}
	return nil
}
