package bmc

import (
	"context"
	"io"
)

// The methods of a composed driver: each goes by the paths, with the effect that it has.

// Power reads the power state.
func (c *Composed) Power(ctx context.Context) (Power, error) {
	p, err := by(ctx, c, CanPower, reading, func(d PowerControl) (Power, error) { return d.Power(ctx) })
	if err != nil {
		p = Unknown
	}
	return p, err
}

// SetPower carries out an action.
func (c *Composed) SetPower(ctx context.Context, a Action) error {
	e := setting
	if a == Reset {
		e = pulsing
	}
	return do(ctx, c, CanPower, e, func(d PowerControl) error { return d.SetPower(ctx, a) })
}

// Boot reads the override in force.
func (c *Composed) Boot(ctx context.Context) (Boot, error) {
	return by(ctx, c, CanBoot, reading, func(d BootControl) (Boot, error) { return d.Boot(ctx) })
}

// SetBoot sets the override.
func (c *Composed) SetBoot(ctx context.Context, b Boot) error {
	return do(ctx, c, CanBoot, setting, func(d BootControl) error { return d.SetBoot(ctx, b) })
}

// Sensors reads all sensors.
func (c *Composed) Sensors(ctx context.Context) ([]Sensor, error) {
	return by(ctx, c, CanSensors, reading, func(d SensorReader) ([]Sensor, error) { return d.Sensors(ctx) })
}

// BootMode reads the mode of the next boot.
func (c *Composed) BootMode(ctx context.Context) (Mode, error) {
	return by(ctx, c, CanBootMode, reading, func(d ModeControl) (Mode, error) { return d.BootMode(ctx) })
}

// SetBootMode sets the mode of later boots.
func (c *Composed) SetBootMode(ctx context.Context, m Mode) error {
	return do(ctx, c, CanBootMode, setting, func(d ModeControl) error { return d.SetBootMode(ctx, m) })
}

// BootOrder reads the firmware's boot order.
func (c *Composed) BootOrder(ctx context.Context) ([]string, error) {
	return by(ctx, c, CanOrder, reading, func(d OrderControl) ([]string, error) { return d.BootOrder(ctx) })
}

// SetBootOrder changes the firmware's boot order. Another protocol names the options otherwise: it is not tried.
func (c *Composed) SetBootOrder(ctx context.Context, order []string) error {
	return do(ctx, c, CanOrder, pulsing, func(d OrderControl) error { return d.SetBootOrder(ctx, order) })
}

// Media reads the virtual drives.
func (c *Composed) Media(ctx context.Context) ([]Slot, error) {
	return by(ctx, c, CanMedia, reading, func(d MediaControl) ([]Slot, error) { return d.Media(ctx) })
}

// Insert inserts an image.
func (c *Composed) Insert(ctx context.Context, m Medium, url string) (string, error) {
	return by(ctx, c, CanMedia, setting, func(d MediaControl) (string, error) { return d.Insert(ctx, m, url) })
}

// Eject empties a slot, or all.
func (c *Composed) Eject(ctx context.Context, slot string) error {
	return do(ctx, c, CanMedia, setting, func(d MediaControl) error { return d.Eject(ctx, slot) })
}

// Settings reads the BIOS settings.
func (c *Composed) Settings(ctx context.Context) ([]Setting, error) {
	return by(ctx, c, CanSettings, reading, func(d SettingsControl) ([]Setting, error) { return d.Settings(ctx) })
}

// SetSettings asks for BIOS settings.
func (c *Composed) SetSettings(ctx context.Context, values map[string]any) error {
	return do(ctx, c, CanSettings, setting, func(d SettingsControl) error { return d.SetSettings(ctx, values) })
}

// ResetSettings asks for the factory's BIOS settings.
func (c *Composed) ResetSettings(ctx context.Context) error {
	return do(ctx, c, CanSettings, setting, func(d SettingsControl) error { return d.ResetSettings(ctx) })
}

// DropPending gives up pending BIOS settings.
func (c *Composed) DropPending(ctx context.Context) error {
	return do(ctx, c, CanSettings, setting, func(d SettingsControl) error { return d.DropPending(ctx) })
}

// SecureBoot reads the state of UEFI Secure Boot.
func (c *Composed) SecureBoot(ctx context.Context) (SecureBoot, error) {
	return by(ctx, c, CanSecureBoot, reading, func(d SecureBootControl) (SecureBoot, error) { return d.SecureBoot(ctx) })
}

// SetSecureBoot changes UEFI Secure Boot.
func (c *Composed) SetSecureBoot(ctx context.Context, enabled bool) error {
	return do(ctx, c, CanSecureBoot, setting, func(d SecureBootControl) error { return d.SetSecureBoot(ctx, enabled) })
}

// ResetSecureBootKeys puts the factory's keys back.
func (c *Composed) ResetSecureBootKeys(ctx context.Context) error {
	return do(ctx, c, CanSecureBoot, setting, func(d SecureBootControl) error { return d.ResetSecureBootKeys(ctx) })
}

// Firmware reads the firmware inventory.
func (c *Composed) Firmware(ctx context.Context) ([]Component, error) {
	return by(ctx, c, CanFirmware, reading, func(d FirmwareControl) ([]Component, error) { return d.Firmware(ctx) })
}

// Update begins a firmware update.
func (c *Composed) Update(ctx context.Context, url, component string) (Task, error) {
	return by(ctx, c, CanFirmware, pulsing, func(d FirmwareControl) (Task, error) { return d.Update(ctx, url, component) })
}

// Follow reads how a task is doing.
func (c *Composed) Follow(ctx context.Context, id string) (Task, error) {
	return by(ctx, c, CanFirmware, reading, func(d FirmwareControl) (Task, error) { return d.Follow(ctx, id) })
}

// Health reads the health.
func (c *Composed) Health(ctx context.Context) (Health, error) {
	return by(ctx, c, CanHealth, reading, func(d HealthReader) (Health, error) { return d.Health(ctx) })
}

// Events reads the event log.
func (c *Composed) Events(ctx context.Context, limit int) ([]Event, error) {
	return by(ctx, c, CanEvents, reading, func(d EventLog) ([]Event, error) { return d.Events(ctx, limit) })
}

// ClearEvents empties the event log.
func (c *Composed) ClearEvents(ctx context.Context) error {
	return do(ctx, c, CanEvents, setting, func(d EventLog) error { return d.ClearEvents(ctx) })
}

// Light reads the identify LED.
func (c *Composed) Light(ctx context.Context) (Light, error) {
	return by(ctx, c, CanLight, reading, func(d LightControl) (Light, error) { return d.Light(ctx) })
}

// SetLight changes the identify LED.
func (c *Composed) SetLight(ctx context.Context, l Light) error {
	return do(ctx, c, CanLight, setting, func(d LightControl) error { return d.SetLight(ctx, l) })
}

// Interrupt raises an NMI.
func (c *Composed) Interrupt(ctx context.Context) error {
	return do(ctx, c, CanInterrupt, pulsing, func(d Interrupter) error { return d.Interrupt(ctx) })
}

// Console opens the serial console.
func (c *Composed) Console(ctx context.Context) (io.ReadWriteCloser, error) {
	return by(ctx, c, CanConsole, reading, func(d Console) (io.ReadWriteCloser, error) { return d.Console(ctx) })
}

// Accounts lists the BMC's users.
func (c *Composed) Accounts(ctx context.Context) ([]Account, error) {
	return by(ctx, c, CanAccounts, reading, func(d AccountControl) ([]Account, error) { return d.Accounts(ctx) })
}

// AddAccount adds a user.
func (c *Composed) AddAccount(ctx context.Context, name, password, role string) error {
	return do(ctx, c, CanAccounts, setting, func(d AccountControl) error { return d.AddAccount(ctx, name, password, role) })
}

// SetPassword changes a user's password.
func (c *Composed) SetPassword(ctx context.Context, name, password string) error {
	return do(ctx, c, CanAccounts, pulsing, func(d AccountControl) error { return d.SetPassword(ctx, name, password) })
}

// RemoveAccount removes a user.
func (c *Composed) RemoveAccount(ctx context.Context, name string) error {
	return do(ctx, c, CanAccounts, setting, func(d AccountControl) error { return d.RemoveAccount(ctx, name) })
}

// Sessions lists the sessions of others.
func (c *Composed) Sessions(ctx context.Context) ([]Session, error) {
	return by(ctx, c, CanSessions, reading, func(d SessionControl) ([]Session, error) { return d.Sessions(ctx) })
}

// EndSession ends a session.
func (c *Composed) EndSession(ctx context.Context, id string) error {
	return do(ctx, c, CanSessions, pulsing, func(d SessionControl) error { return d.EndSession(ctx, id) })
}

// RestartBMC restarts the BMC itself.
func (c *Composed) RestartBMC(ctx context.Context, k RestartKind) error {
	return do(ctx, c, CanRestart, pulsing, func(d Restarter) error { return d.RestartBMC(ctx, k) })
}

// NICs reads the network interfaces.
func (c *Composed) NICs(ctx context.Context) ([]NIC, error) {
	return by(ctx, c, CanNICs, reading, func(d NICReader) ([]NIC, error) { return d.NICs(ctx) })
}
