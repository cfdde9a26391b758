package ipmi

import (
	"context"

	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/lab/machine"
)

// wrongState is the completion code for a command that can not be carried out in the present state (table 5-2).
const wrongState types.CompletionCode = 0xd5

// The actions of Chassis Control (table 28-4).
const (
	controlDown, controlUp, controlCycle, controlReset, controlSoft = 0, 1, 2, 3, 5
)

func (b *BMC) chassisStatus(context.Context, *handlers.HandlerContext, []byte) ([]byte, types.CompletionCode, error) {
	state := byte(0x60) // restore policy unknown
	if b.machine.Status().On {
		state |= 1
	}
	return []byte{state, 0, 0x40, 0}, types.CodeOK, nil // identify is supported, off
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

func (b *BMC) identify(context.Context, *handlers.HandlerContext, []byte) ([]byte, types.CompletionCode, error) {
	return nil, types.CodeOK, nil
}

func (b *BMC) resetBMC(context.Context, *handlers.HandlerContext, []byte) ([]byte, types.CompletionCode, error) {
	return nil, types.CodeOK, nil
}
