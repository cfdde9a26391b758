package node

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// Baseline is what the nodes of a resource class are brought back to between tenants.
type Baseline struct {
	bun.BaseModel `bun:"table:baseline"`

	ResourceClass string                 `bun:",pk" json:"resource_class"`
	Settings      map[string]any         `json:"settings"`    // BIOS settings, by name
	Firmware      map[string]FirmwareAim `json:"firmware"`    // by component id
	SecureBoot    string                 `json:"secure_boot"` // on, off, or "" for as it is
	UpdatedAt     time.Time              `json:"updated_at"`
}

// FirmwareAim is the version of a component and where the BMC gets it.
type FirmwareAim struct {
	Version string `json:"version"`
	URL     string `json:"url"`
}

// SetBaseline keeps the baseline of a resource class.
func (s *Service) SetBaseline(ctx context.Context, b Baseline) error {
	if b.ResourceClass == "" {
		return fault.Field("resource_class", "is missing")
	}
	if !slices.Contains([]string{"", "on", "off"}, b.SecureBoot) {
		return fault.Field("secure_boot", "must be on, off or empty")
	}
	for id, f := range b.Firmware {
		if u, err := url.Parse(f.URL); f.Version == "" || err != nil || u.Host == "" {
			return fault.Field("firmware", "%s needs a version and the URL of its image", id)
		}
	}
	b.UpdatedAt = db.Now()
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&b).On("CONFLICT (resource_class) DO UPDATE").Set("settings = EXCLUDED.settings").Set("firmware = EXCLUDED.firmware").
			Set("secure_boot = EXCLUDED.secure_boot").Set("updated_at = EXCLUDED.updated_at").Exec(ctx)
		return err
	})
}

// Baselines lists the baselines.
func (s *Service) Baselines(ctx context.Context) ([]Baseline, error) {
	out := []Baseline{}
	err := s.DB.Read().NewSelect().Model(&out).OrderExpr("resource_class").Scan(ctx)
	return out, fault.Wrap("listing baselines", err)
}

func (j *Job) baseline(ctx context.Context) (Baseline, error) {
	var b Baseline
	err := j.DB.Read().NewSelect().Model(&b).Where("resource_class = ?", j.Node.ResourceClass).Scan(ctx)
	if db.None(err) {
		return b, nil
	}
	return b, fault.Wrap("reading the baseline", err)
}

// The kinds of truth that the node itself was found with when nobody had used it yet: what a tenant may have
// changed is compared with them where the resource class has no baseline.
const (
	firstSettings = "settings at first"
	firstUsers    = "users at first"
	firstOrder    = "boot order at first"
)

// settle brings BIOS settings, secure boot and firmware to the baseline. They come into force when the agent is
// booted, with one boot for all.
func settle(ctx context.Context, j *Job) error {
	d, err := j.BMC(ctx)
	if err != nil || j.imaginary() {
		return err
	}
	want, err := j.baseline(ctx)
	if err != nil {
		return err
	}
	if err := j.settleSettings(ctx, d, want); err != nil && !lacking(err) {
		return err
	}
	if want.SecureBoot != "" {
		if err := j.settleSecureBoot(ctx, d, want.SecureBoot == "on"); err != nil {
			return err
		}
	}
	return j.settleFirmware(ctx, d, want.Firmware)
}

// settleSettings asks for the settings that differ from the baseline, or from how the node was found at first.
func (j *Job) settleSettings(ctx context.Context, d *bmc.Composed, want Baseline) error {
	now, err := d.Settings(ctx)
	if err != nil {
		return err
	}
	first, fresh, err := atFirst(ctx, j, firstSettings, now)
	if err != nil {
		return err
	}
	aim := map[string]any{}
	for _, s := range first {
		if !fresh && s.Value != nil && s.Type != "password" {
			aim[s.Name] = s.Value
		}
	}
	maps.Copy(aim, want.Settings)
	change, drift := difference(now, aim)
	if len(change) == 0 {
		return j.found(ctx, "settings", now, "read from the BMC", Proven)
	}
	if j.Run.Attempt == 0 {
		if err := j.tell(ctx, "drift", "BIOS settings that differ from the baseline: "+strings.Join(drift, "; ")); err != nil {
			return err
		}
	}
	return d.SetSettings(ctx, change)
}

// difference returns the settings that have another value than aimed at, also where that is only pending.
func difference(now []bmc.Setting, aim map[string]any) (change map[string]any, words []string) {
	change = map[string]any{}
	for _, s := range now {
		v, ok := aim[s.Name]
		value := s.Value
		if s.Pending != nil {
			value = s.Pending
		}
		if !ok || s.ReadOnly || fmt.Sprint(v) == fmt.Sprint(value) {
			continue
		}
		change[s.Name] = v
		words = append(words, fmt.Sprintf("%s is %v, not %v", s.Name, value, v))
	}
	return change, words
}

func (j *Job) settleSecureBoot(ctx context.Context, d *bmc.Composed, want bool) error {
	now, err := d.SecureBoot(ctx)
	if err != nil {
		if lacking(err) {
			return j.tell(ctx, "drift", "the baseline's secure boot can not be set: "+err.Error())
		}
		return err
	}
	if want && now.Mode == "SetupMode" {
		// The tenant took the keys out: without them nothing is checked.
		if err := d.ResetSecureBootKeys(ctx); err != nil {
			return err
		}
		if err := j.tell(ctx, "drift", "the secure boot keys were gone; the factory's are back"); err != nil {
			return err
		}
	}
	if now.Enabled == want {
		return nil
	}
	if err := d.SetSecureBoot(ctx, want); err != nil {
		return err
	}
	return j.tell(ctx, "drift", fmt.Sprintf("secure boot was %v, and is set to %v", now.Enabled, want))
}

// provenAtBaseline reads settings and firmware back after the boot that put them in force.
func (j *Job) provenAtBaseline(ctx context.Context) error {
	if j.imaginary() {
		return nil
	}
	want, err := j.baseline(ctx)
	if err != nil || (len(want.Settings) == 0 && len(want.Firmware) == 0) {
		return err
	}
	d, err := j.BMC(ctx)
	if err != nil {
		return err
	}
	if len(want.Settings) > 0 {
		now, err := d.Settings(ctx)
		if err != nil {
			return err
		}
		for i := range now {
			now[i].Pending = nil
		}
		if change, words := difference(now, want.Settings); len(change) > 0 {
			return workflow.GiveUp(fault.Errorf(fault.Conflict, "BIOS settings did not come into force: %s", strings.Join(words, "; ")))
		}
		if err := j.found(ctx, "settings", now, "read back after a boot", Proven); err != nil {
			return err
		}
	}
	if len(want.Firmware) == 0 {
		return nil
	}
	now, err := d.Firmware(ctx)
	if err != nil {
		return err
	}
	for _, c := range now {
		if aim, ok := want.Firmware[c.ID]; ok && aim.Version != c.Version {
			return workflow.GiveUp(fault.Errorf(fault.Conflict, "the firmware of %s is %s after its update, not %s", c.Name, c.Version, aim.Version))
		}
	}
	return j.found(ctx, "firmware", now, "read back after a boot", Proven)
}
