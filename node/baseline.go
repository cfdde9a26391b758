package node

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
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
// changed is compared with them where the resource class has no baseline. The firmware is that of the cleaning before.
const (
	firstSettings = "settings at first"
	firstUsers    = "users at first"
	firstOrder    = "boot order at first"
	firstSecure   = "secure boot at first"
	lastFirmware  = "firmware at the last cleaning"
)

// settle brings BIOS settings, secure boot and firmware to the baseline. They come into force when the agent is
// booted, with one boot for all.
func settle(ctx context.Context, j *Job) error {
	d, err := j.BMC(ctx)
	if err != nil || j.imaginary() {
		return err
	}
	return j.awaitOwn(ctx, j.settleAll(ctx, d))
}

func (j *Job) settleAll(ctx context.Context, d *bmc.Composed) error {
	want, err := j.baseline(ctx)
	if err != nil {
		return err
	}
	if err := j.settleSettings(ctx, d, want); err != nil && !lacking(err) {
		return err
	}
	if err := j.settleSecureBoot(ctx, d, want.SecureBoot); err != nil {
		return err
	}
	if err := j.compareFirmware(ctx, d, want.Firmware); err != nil && !lacking(err) {
		if len(want.Firmware) > 0 || j.Run.Attempt < compareTries {
			return err
		}
		if err := j.differs(ctx, Drift{Thing: "firmware", Want: "as before", Found: "unknown", Remedy: "it could not be compared: " + fault.Message(err)}); err != nil {
			return err
		}
	}
	return j.settleFirmware(ctx, d, want.Firmware)
}

// compareTries is how often firmware is read that is only to be told of: inventories take many requests, and nothing depends on this one.
const compareTries = 4

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
	// On record before it is asked for: asked for, it differs no more.
	for i := range drift {
		drift[i].Remedy = "put back with the next boot"
	}
	if err := j.differs(ctx, drift...); err != nil {
		return err
	}
	return d.SetSettings(ctx, change)
}

// difference returns the settings that have another value than aimed at, also where that is only pending.
func difference(now []bmc.Setting, aim map[string]any) (change map[string]any, drift []Drift) {
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
		drift = append(drift, Drift{Thing: "BIOS setting " + s.Name, Want: fmt.Sprint(v), Found: fmt.Sprint(value)})
	}
	return change, drift
}

// settleSecureBoot brings UEFI Secure Boot to the baseline, or to how the node was found at first, with its keys: a tenant who
// took them out, or put in his own, decides what the next one boots.
func (j *Job) settleSecureBoot(ctx context.Context, d *bmc.Composed, want string) error {
	now, err := d.SecureBoot(ctx)
	if err != nil {
		if lacking(err) && want != "" {
			return j.differs(ctx, Drift{Thing: "secure boot", Want: want, Remedy: "it can not be set: " + fault.Message(err)})
		}
		if lacking(err) {
			return nil
		}
		return err
	}
	first, _, err := atFirst(ctx, j, firstSecure, now)
	if err != nil {
		return err
	}
	if drift := keysDiffer(first, now, want); drift != nil {
		if err := j.differs(ctx, *drift); err != nil {
			return err
		}
		if err := d.ResetSecureBootKeys(ctx); err != nil && !lacking(err) {
			return err
		}
	}
	aim := first.Enabled
	if want != "" {
		aim = want == "on"
	}
	if now.Enabled == aim {
		return nil
	}
	if err := j.differs(ctx, Drift{Thing: "secure boot", Want: onOff(aim), Found: onOff(now.Enabled), Remedy: "put back with the next boot"}); err != nil {
		return err
	}
	return d.SetSecureBoot(ctx, aim)
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// keysDiffer compares the Secure Boot keys with those at first; nil says that they are the same as far as the BMC shows them.
func keysDiffer(first, now bmc.SecureBoot, want string) *Drift {
	const none, thing, remedy = "SetupMode", "secure boot keys", "the factory's are put back"
	gone := now.Mode == none && (first.Mode != none || want == "on")
	others := first.Keys != "" && now.Keys != "" && first.Keys != now.Keys
	switch {
	case gone:
		return &Drift{Thing: thing, Want: cmp.Or(first.Keys, "the factory's"), Found: "none", Remedy: remedy}
	case others:
		return &Drift{Thing: thing, Want: first.Keys, Found: now.Keys, Remedy: remedy}
	}
	return nil
}

// compareFirmware tells which components have other firmware than at the last cleaning: whoever has a server can write it. What the
// baseline names is brought to it; the rest is told alone, since nobody says where the old version is to be had.
func (j *Job) compareFirmware(ctx context.Context, d *bmc.Composed, want map[string]FirmwareAim) error {
	if up, err := j.updates(ctx); err != nil || len(up.Of) > 0 {
		return err // we are changing it
	}
	now, err := d.Firmware(ctx)
	if err != nil {
		return err
	}
	last, fresh, err := atFirst(ctx, j, lastFirmware, now)
	if err != nil || fresh {
		return err
	}
	if err := j.differs(ctx, firmwareDiffers(last, now, want)...); err != nil {
		return err
	}
	return j.found(ctx, lastFirmware, now, "read at a cleaning", Told) // what is told once is not told of the next tenant
}

func firmwareDiffers(last, now []bmc.Component, want map[string]FirmwareAim) []Drift {
	version := func(all []bmc.Component, id string) string {
		i := slices.IndexFunc(all, func(c bmc.Component) bool { return c.ID == id })
		if i < 0 {
			return ""
		}
		return cmp.Or(all[i].Version, "without a version")
	}
	var out []Drift
	for _, c := range slices.Concat(last, now) {
		d := Drift{Thing: "firmware of " + cmp.Or(c.Name, c.ID), Want: version(last, c.ID), Found: version(now, c.ID), Remedy: "left so: the baseline names no version of it"}
		if aim, ok := want[c.ID]; ok {
			d.Remedy = "brought to the baseline's " + aim.Version
		}
		if d.Want != d.Found && !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out
}

// provenAtBaseline reads settings, secure boot and firmware back after the boot that put them in force. What the baseline names must
// be so; what is only as it was at first is told when it is not.
func (j *Job) provenAtBaseline(ctx context.Context) error {
	if j.imaginary() {
		return nil
	}
	want, err := j.baseline(ctx)
	if err != nil {
		return err
	}
	d, err := j.BMC(ctx)
	if err != nil {
		return err
	}
	if len(want.Settings) > 0 {
		if err := j.proveSettings(ctx, d, want.Settings); err != nil {
			return err
		}
	}
	if err := j.proveSecureBoot(ctx, d, want.SecureBoot); err != nil && !lacking(err) {
		return err
	}
	return j.proveFirmware(ctx, d, want.Firmware)
}

func (j *Job) proveSettings(ctx context.Context, d *bmc.Composed, want map[string]any) error {
	now, err := d.Settings(ctx)
	if err != nil {
		return err
	}
	for i := range now {
		now[i].Pending = nil
	}
	if change, drift := difference(now, want); len(change) > 0 {
		return workflow.GiveUp(fault.Errorf(fault.Conflict, "BIOS settings did not come into force:\n%s", diffOf(drift)))
	}
	return j.found(ctx, "settings", now, "read back after a boot", Proven)
}

func (j *Job) proveSecureBoot(ctx context.Context, d *bmc.Composed, want string) error {
	now, err := d.SecureBoot(ctx)
	if err != nil {
		return err
	}
	first, _, err := atFirst(ctx, j, firstSecure, now)
	if err != nil {
		return err
	}
	if want != "" && now.Enabled != (want == "on") {
		return workflow.GiveUp(fault.Errorf(fault.Conflict, "secure boot is %s after a boot, not %s", onOff(now.Enabled), want))
	}
	if drift := keysDiffer(first, now, want); drift != nil {
		if want == "on" {
			return workflow.GiveUp(fault.Errorf(fault.Conflict, "the secure boot keys are not those of the first cleaning (%s, not %s); put them in at the server's set-up menu, or clean it anew if they are right",
				drift.Found, drift.Want))
		}
		drift.Remedy = "not as at first, also after the factory's were put back: look at the server's set-up menu"
		if err := j.differs(ctx, *drift); err != nil {
			return err
		}
	}
	return j.found(ctx, "secure boot", now, "read back after a boot", Proven)
}

func (j *Job) proveFirmware(ctx context.Context, d *bmc.Composed, want map[string]FirmwareAim) error {
	up, err := j.updates(ctx)
	if err != nil || (len(want) == 0 && len(up.Of) == 0) {
		return err
	}
	now, err := d.Firmware(ctx)
	if err != nil {
		return err
	}
	for _, c := range now {
		if aim, ok := want[c.ID]; ok && aim.Version != c.Version {
			return workflow.GiveUp(fault.Errorf(fault.Conflict, "the firmware of %s is %s after its update, not %s", c.Name, c.Version, aim.Version))
		}
	}
	if err := j.found(ctx, lastFirmware, now, "read after a boot", Told); err != nil {
		return err
	}
	return j.found(ctx, "firmware", now, "read back after a boot", Proven)
}
