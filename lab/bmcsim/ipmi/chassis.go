package ipmi

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// wrongState is the completion code for a command that can not be carried out in the present state (table 5-2).
const wrongState types.CompletionCode = 0xd5

// The actions of Chassis Control (table 28-4).
const (
	controlDown, controlUp, controlCycle, controlReset, controlNMI, controlSoft = 0, 1, 2, 3, 4, 5
)

func (b *BMC) chassisStatus(ctx context.Context, _ *handlers.HandlerContext, _ []byte) ([]byte, types.CompletionCode, error) {
	state := byte(0x60) // restore policy unknown
	on := b.machine.Status().On
	if lie := inject.From(ctx).Power; lie != "" {
		on = lie == "on"
	}
	if on {
		state |= 1
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	misc := byte(0x40) // the identify light is told: 0 off, 1 for a time, 2 for good
	switch {
	case b.light.forced:
		misc |= 2 << 4
	case b.light.on():
		misc |= 1 << 4
	}
	return []byte{state, 0, misc, 0}, types.CodeOK, nil
}

func (b *BMC) chassisControl(ctx context.Context, _ *handlers.HandlerContext, req []byte) ([]byte, types.CompletionCode, error) {
	if len(req) < 1 {
		return nil, types.CodeRequestDataTruncated, nil
	}
	on := b.machine.Status().On
	b.boot.expire()
	b.boot.used()
	var action machine.Action
	switch req[0] & 0x0f {
	case controlDown:
		action = machine.PowerOff
	case controlUp:
		action = machine.PowerOn
	case controlCycle, controlReset:
		if !on {
			return nil, wrongState, nil
		}
		action = machine.Reset
	case controlNMI:
		if !on {
			return nil, wrongState, nil
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.nmis++
		return nil, types.CodeOK, nil
	case controlSoft:
		if !on {
			return nil, wrongState, nil
		}
		action = machine.SoftOff
	default:
		return nil, types.CodeParameterOutOfRange, nil
	}
	if err := b.machine.Power(ctx, action); err != nil {
		b.config.Log.Warn("a BMC could not do as it was told", "action", action, "err", err)
		return nil, types.CodeUnspecifiedError, nil
	}
	return nil, types.CodeOK, nil
}

// light is the identify light.
type light struct {
	forced bool
	until  time.Time
}

func (l light) on() bool { return l.forced || time.Now().Before(l.until) }

func (b *BMC) identify(_ context.Context, _ *handlers.HandlerContext, req []byte) ([]byte, types.CompletionCode, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	interval := byte(15) // as the specification says for a request without one
	if len(req) > 0 {
		interval = req[0]
	}
	b.light = light{forced: len(req) > 1 && req[1]&1 != 0, until: time.Now().Add(time.Duration(interval) * time.Second)}
	return nil, types.CodeOK, nil
}

// usualAway is how long a restart takes when nobody says otherwise.
const usualAway = 300 * time.Millisecond

// resetBMC restarts the BMC, which is away for a while and forgets its sessions.
func (b *BMC) resetBMC(context.Context, *handlers.HandlerContext, []byte) ([]byte, types.CompletionCode, error) {
	long := b.config.Away
	if long == 0 {
		long = usualAway
	}
	// The answer is still sent: the BMC goes a moment later.
	const grace = 50 * time.Millisecond
	b.mu.Lock()
	defer b.mu.Unlock()
	b.back = time.Now().Add(grace + long)
	return nil, types.CodeOK, nil
}

// away reports whether the BMC is restarting.
func (b *BMC) away() bool {
	if b.config.Faults.Away() {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	long := b.config.Away
	if long == 0 {
		long = usualAway
	}
	now := time.Now()
	return now.Before(b.back) && now.After(b.back.Add(-long))
}

// Interrupts returns how many NMIs were raised.
func (b *BMC) Interrupts() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.nmis
}

// dcmiPower answers Get Power Reading of DCMI 1.5: the draw now, least, most and average, over a minute.
func (b *BMC) dcmiPower(_ context.Context, _ *handlers.HandlerContext, req []byte) ([]byte, types.CompletionCode, error) {
	const group, active = 0xdc, 0x40
	if len(req) < 4 || req[0] != group {
		return nil, types.CodeRequestDataTruncated, nil
	}
	out := make([]byte, 18)
	out[0], out[17] = group, active
	for _, s := range b.sensors {
		if v, ok := s.Value(b.machine.Status().On); ok && s.Kind == bmcsim.Power {
			for i := 1; i < 9; i += 2 {
				binary.LittleEndian.PutUint16(out[i:], uint16(v))
			}
			return out, types.CodeOK, nil
		}
	}
	return out[:1], types.CodeOK, nil // a BMC that has no reading answers with too little
}
