package ipmi

import (
	"context"
	"sync"
	"time"

	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/lab/machine"
)

// The boot option parameters that matter (table 28-14).
const (
	paramSetInProgress = 0
	paramValidClear    = 3
	paramFlags         = 5

	keepOnTimeout = 0x08 // of parameter 3: do not clear the flags when no reset follows
	flagsLife     = 60 * time.Second
	notSupported  = types.CompletionCode(0x80) // of Get and Set System Boot Options
)

// The bits and device selectors of parameter 5.
const (
	flagsValid, flagsPersistent, flagsEFI                   = 0x80, 0x40, 0x20
	selectPXE, selectDisk, selectCD, selectSetup, selectNot = 1, 2, 5, 6, 0
)

// bootOptions keeps the boot options as a BMC does: as bytes, of which it understands some. Flags that nobody
// used within a minute are cleared, unless parameter 3 says otherwise; drivers that forget this lose them.
type bootOptions struct {
	machine machine.Machine
	now     func() time.Time

	mu     sync.Mutex
	params map[byte][]byte
	set    time.Time // of the flags; zero when nothing is left to expire
}

func (b *BMC) setBootOptions(ctx context.Context, _ *handlers.HandlerContext, req []byte) ([]byte, types.CompletionCode, error) {
	if len(req) < 1 {
		return nil, types.CodeRequestDataTruncated, nil
	}
	return nil, b.boot.write(ctx, req[0]&0x7f, req[1:]), nil
}

func (b *BMC) getBootOptions(_ context.Context, _ *handlers.HandlerContext, req []byte) ([]byte, types.CompletionCode, error) {
	if len(req) < 1 {
		return nil, types.CodeRequestDataTruncated, nil
	}
	selector := req[0] & 0x7f
	b.boot.expire()
	value, ok := b.boot.read(selector)
	if !ok {
		return nil, notSupported, nil
	}
	return append([]byte{1, selector}, value...), types.CodeOK, nil
}

func (o *bootOptions) write(ctx context.Context, selector byte, value []byte) types.CompletionCode {
	size, ok := map[byte]int{paramSetInProgress: 1, 1: 1, 2: 1, paramValidClear: 1, 4: 2, paramFlags: 5}[selector]
	if !ok {
		return notSupported
	}
	if len(value) == 0 { // only the lock bit, which this BMC does not have
		return types.CodeOK
	}
	if len(value) < size {
		return types.CodeRequestDataTruncated
	}
	o.mu.Lock()
	if o.params == nil {
		o.params = make(map[byte][]byte)
	}
	o.params[selector] = append([]byte(nil), value[:size]...)
	if selector == paramFlags {
		o.set = o.now()
	}
	o.mu.Unlock()
	if selector != paramFlags {
		return types.CodeOK
	}
	if err := o.machine.SetBoot(ctx, decode(value)); err != nil {
		return types.CodeParameterOutOfRange
	}
	return types.CodeOK
}

func (o *bootOptions) read(selector byte) ([]byte, bool) {
	if selector == paramFlags {
		return o.encode(), true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch value, ok := o.params[selector]; {
	case ok:
		return value, true
	case selector < paramFlags && selector != 4:
		return []byte{0}, true
	case selector == 4:
		return []byte{0, 0}, true
	}
	return nil, false
}

// expire clears flags that stayed unused for a minute.
func (o *bootOptions) expire() {
	o.mu.Lock()
	defer o.mu.Unlock()
	keep := len(o.params[paramValidClear]) > 0 && o.params[paramValidClear][0]&keepOnTimeout != 0
	if o.set.IsZero() || keep || o.now().Sub(o.set) < flagsLife {
		return
	}
	o.set = time.Time{}
	delete(o.params, paramFlags)
	_ = o.machine.SetBoot(context.Background(), machine.Boot{Device: machine.None})
}

// used notes that a chassis control came in time: the flags stay until a boot has used them.
func (o *bootOptions) used() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.set = time.Time{}
}

// decode turns flags into a boot override.
func decode(flags []byte) machine.Boot {
	if flags[0]&flagsValid == 0 {
		return machine.Boot{Device: machine.None}
	}
	b := machine.Boot{Device: machine.None, Persistent: flags[0]&flagsPersistent != 0, Mode: machine.BIOS}
	if flags[0]&flagsEFI != 0 {
		b.Mode = machine.UEFI
	}
	switch flags[1] >> 2 & 0x0f {
	case selectPXE:
		b.Device = machine.Network
	case selectDisk:
		b.Device = machine.Disk
	case selectCD:
		b.Device = machine.CDROM
	case selectSetup:
		b.Device = machine.Setup
	case selectNot:
		b.Mode = "" // an override of nothing moves no mode
	}
	return b
}

// encode returns the flags in force: those that were written, without the valid bit once a boot has used them.
func (o *bootOptions) encode() []byte {
	now := o.machine.Status().Boot
	o.mu.Lock()
	defer o.mu.Unlock()
	written, ok := o.params[paramFlags]
	if !ok {
		return make([]byte, 5)
	}
	flags := append([]byte(nil), written...)
	if was := decode(written); was.Device != now.Device {
		flags[0] &^= flagsValid
		flags[1] &^= 0x3c
	}
	return flags
}
