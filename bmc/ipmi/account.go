package ipmi

import (
	"context"
	"strconv"
	"strings"

	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/bmc"
)

// The LAN channel is the present one; the first slot belongs to the nameless user.
const (
	thisChannel = 0x0e
	firstSlot   = 2
	mostSlots   = 63
	emptyRun    = 8 // so many empty places in a row are taken for the end: each costs two commands, and BMCs have up to 63
)

// privilege levels (IPMI 2.0, table 22-35).
var roles = map[byte]string{2: "ReadOnly", 3: "Operator", 4: "Administrator", 15: "None"}

// slot is a user's place.
type slot struct {
	id    byte
	name  string
	level byte
	on    bool
}

// slots reads the users, some empty places included.
func (d *driver) slots(ctx context.Context) ([]slot, error) {
	var out []slot
	most, empty := byte(firstSlot), 0
	for id := byte(firstSlot); id <= most && empty < emptyRun; id++ {
		access, err := d.ask(ctx, command{Command: types.CommandGetUserAccess}, thisChannel, id)
		if err != nil {
			return nil, err
		}
		if len(access) < 4 {
			return nil, bmc.Fail(bmc.Failure{Class: bmc.Garbled}, "the BMC's answer about user %d has %d bytes, not 4", id, len(access))
		}
		most = min(access[0]&0x3f, mostSlots)
		const disabled = 2
		s := slot{id: id, level: access[3] & 0x0f, on: access[1]>>6 != disabled}
		name, err := d.ask(ctx, command{Command: types.CommandGetUsername}, id)
		if err != nil && bmc.ClassOf(err) != bmc.Refused { // some BMCs call an empty name an error
			return nil, err
		}
		s.name = strings.TrimRight(string(name), " \x00\xff")
		if empty++; s.name != "" {
			empty = 0
		}
		out = append(out, s)
	}
	return out, nil
}

func (d *driver) Accounts(ctx context.Context) ([]bmc.Account, error) {
	all, err := d.slots(ctx)
	var out []bmc.Account
	for _, s := range all {
		if s.name == "" {
			continue
		}
		role, ok := roles[s.level]
		if !ok {
			role = "level " + strconv.Itoa(int(s.level))
		}
		out = append(out, bmc.Account{ID: strconv.Itoa(int(s.id)), Name: s.name, Role: role, Enabled: s.on && s.level != 15})
	}
	return out, err
}

func find(all []slot, name string) *slot {
	for i := range all {
		if all[i].name == name {
			return &all[i]
		}
	}
	return nil
}

// bounded checks what IPMI can send (sections 22.28 and 22.30).
func bounded(name, password string) error {
	if name == "" || len(name) > 16 || len(password) > 20 {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "IPMI knows user names of 1 to 16 and passwords of at most 20 bytes")
	}
	return nil
}

func (d *driver) AddAccount(ctx context.Context, name, password, role string) error {
	d.access.Recorder.Hide(password)
	if err := bounded(name, password); err != nil {
		return err
	}
	var level byte
	for l, r := range roles {
		if r == role {
			level = l
		}
	}
	if level == 0 {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "there is no role %q; take Administrator, Operator or ReadOnly", role)
	}
	all, err := d.slots(ctx)
	if err != nil {
		return err
	}
	if find(all, name) != nil {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the BMC has a user %q already", name)
	}
	free := find(all, "")
	if free == nil {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "all %d places for users of the BMC are taken", len(all))
	}
	if err := d.setName(ctx, free.id, name); err != nil {
		return err
	}
	if err := d.setPassword(ctx, free.id, password); err != nil {
		return err
	}
	const change, messaging, link = 0x80, 0x10, 0x20
	if _, err := d.ask(ctx, command{Command: types.CommandSetUserAccess, change: true}, change|link|messaging|thisChannel, free.id, level, 0); err != nil {
		return err
	}
	// SOL needs to be allowed to each user; BMCs without SOL do not know the command.
	if _, err := d.ask(ctx, command{Command: types.CommandSetUserPayloadAccess, change: true}, thisChannel, free.id, 0x02, 0, 0, 0); err != nil && bmc.ClassOf(err) != bmc.Unsupported && bmc.ClassOf(err) != bmc.Refused {
		return err
	}
	if err := d.password(ctx, free.id, 0x01, nil); err != nil { // enable
		return err
	}
	return d.settle(ctx, "the user "+name, func() (bool, error) {
		all, err := d.slots(ctx)
		s := find(all, name)
		return s != nil && s.level == level && s.on, err
	})
}

func (d *driver) setName(ctx context.Context, id byte, name string) error {
	data := make([]byte, 17)
	data[0] = id
	copy(data[1:], name)
	_, err := d.ask(ctx, command{Command: types.CommandSetUsername, change: true}, data...)
	return err
}

// password carries out Set User Password: 0 disable, 1 enable, 2 set, 3 test.
func (d *driver) password(ctx context.Context, id, operation byte, password []byte) error {
	data := []byte{id, operation}
	const size20 = 1 << 7
	if operation >= 2 {
		data[0] |= size20
		data = append(data, make([]byte, 20)...)
		copy(data[2:], password)
	}
	_, err := d.ask(ctx, command{Command: types.CommandSetUserPassword, change: operation != 3, secret: true}, data...)
	return err
}

// setPassword sets a password and has the BMC test it, which is the only way to read it back.
func (d *driver) setPassword(ctx context.Context, id byte, password string) error {
	if err := d.password(ctx, id, 2, []byte(password)); err != nil {
		return err
	}
	const mismatch, wrongSize = 0x80, 0x81
	err := d.password(ctx, id, 3, []byte(password))
	if c := codeOf(err); c == mismatch || c == wrongSize {
		return bmc.Fail(bmc.Failure{Class: bmc.Untrue, Err: err}, "the BMC accepted a new password, but does not take it")
	}
	if class := bmc.ClassOf(err); class == bmc.Unsupported || class == bmc.Refused {
		return nil // it can not test
	}
	return err
}

// SetPassword changes a password, and goes on with the new one when it is the one in use.
func (d *driver) SetPassword(ctx context.Context, name, password string) error {
	d.access.Recorder.Hide(password)
	if err := bounded(name, password); err != nil {
		return err
	}
	all, err := d.slots(ctx)
	if err != nil {
		return err
	}
	s := find(all, name)
	if s == nil {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the BMC has no user %q", name)
	}
	if err := d.setPassword(ctx, s.id, password); err != nil || name != d.access.Username {
		return err
	}
	d.access.Password = password
	_ = d.Close(ctx) // the next call proves the new password by opening a session
	_, err = d.Power(ctx)
	return err
}

// RemoveAccount disables a user and empties its place.
func (d *driver) RemoveAccount(ctx context.Context, name string) error {
	if name == d.access.Username {
		return bmc.Fail(bmc.Failure{Class: bmc.Refused}, "%s is the user that Hagane logs in as", name)
	}
	all, err := d.slots(ctx)
	if err != nil {
		return err
	}
	s := find(all, name)
	if s == nil {
		return nil
	}
	if err := d.password(ctx, s.id, 0, nil); err != nil {
		return err
	}
	if err := d.setName(ctx, s.id, ""); err != nil {
		return err
	}
	return d.settle(ctx, "that the user "+name+" is gone", func() (bool, error) {
		all, err := d.slots(ctx)
		return find(all, name) == nil, err
	})
}
