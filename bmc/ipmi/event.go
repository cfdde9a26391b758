package ipmi

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/bmc"
)

// Record ids that stand for the ends of the log, and how often reading starts over when somebody else changes the log.
const (
	firstRecord = 0x0000
	lastRecord  = 0xffff
	restarts    = 3
)

// selFull is the flag of Get SEL Info that events were dropped since there was no room.
const selFull = 1 << 7

// Events reads the System Event Log. A full log drops what happens, which is told as an event of its own.
func (d *driver) Events(ctx context.Context, limit int) ([]bmc.Event, error) {
	info, err := d.ask(ctx, command{Command: types.CommandGetSELInfo})
	if err != nil {
		return nil, err
	}
	if len(info) < 14 {
		return nil, bmc.Fail(bmc.Failure{Class: bmc.Garbled}, "the BMC's answer about its event log has %d bytes, not 14", len(info))
	}
	var out []bmc.Event
	if binary.LittleEndian.Uint16(info[1:]) > 0 {
		for try := 1; ; try++ {
			out, err = d.entries(ctx)
			if codeOf(err) != codeReservation || try == restarts {
				break
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if limit > 0 && len(out) > limit {
		out = out[len(out)-limit:]
	}
	if info[13]&selFull != 0 {
		out = append(out, bmc.Event{ID: "overflow", Severity: "warning", Message: "the event log is full: events are being dropped; save and clear it"})
	}
	return out, nil
}

// entries reads all records in the log's own order, which is that of their ids: clocks lie.
func (d *driver) entries(ctx context.Context) ([]bmc.Event, error) {
	var out []bmc.Event
	next := uint16(firstRecord)
	for seen := map[uint16]bool{}; next != lastRecord && !seen[next]; {
		seen[next] = true
		req := []byte{0, 0, 0, 0, 0, 0xff} // whole records need no reservation
		binary.LittleEndian.PutUint16(req[2:], next)
		b, err := d.ask(ctx, command{Command: types.CommandGetSELEntry}, req...)
		if codeOf(err) == codeNotPresent {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(b) < 18 {
			return nil, bmc.Fail(bmc.Failure{Class: bmc.Garbled}, "a record of the event log has %d bytes, not 16", len(b)-2)
		}
		next = binary.LittleEndian.Uint16(b)
		out = append(out, event(b[2:18]))
	}
	return out, nil
}

// sensorKinds names the types of sensors that events are about (IPMI 2.0, table 42-3).
var sensorKinds = map[byte]string{0x01: "temperature", 0x02: "voltage", 0x03: "current", 0x04: "fan", 0x05: "physical security", 0x07: "processor", 0x08: "power supply",
	0x09: "power unit", 0x0b: "other units", 0x0c: "memory", 0x0d: "drive bay", 0x0f: "system firmware", 0x10: "event log", 0x12: "system event", 0x13: "critical interrupt",
	0x14: "button", 0x19: "chip set", 0x1b: "cable", 0x1d: "system boot", 0x1e: "boot error", 0x1f: "operating system boot", 0x20: "operating system stop", 0x22: "power state",
	0x23: "watchdog", 0x28: "management subsystem", 0x29: "battery"}

// thresholds are the severities and words of threshold events (table 42-2).
var thresholds = []struct{ severity, text string }{
	{"warning", "low"}, {"ok", "low, rising"}, {"critical", "critically low"}, {"ok", "critically low, rising"}, {"critical", "too low to go on"}, {"ok", "too low to go on, rising"},
	{"ok", "high, falling"}, {"warning", "high"}, {"ok", "critically high, falling"}, {"critical", "critically high"}, {"ok", "too high to go on, falling"}, {"critical", "too high to go on"},
}

// event reads a record of 16 bytes (section 32.1).
func event(b []byte) bmc.Event {
	e := bmc.Event{ID: strconv.Itoa(int(binary.LittleEndian.Uint16(b))), Severity: "ok"}
	const system, timeless, uninitialised = 0x02, 0xe0, 0x20000000
	kind := b[2]
	if stamp := binary.LittleEndian.Uint32(b[3:]); kind < timeless && stamp > uninitialised && stamp != 0xffffffff {
		e.At = time.Unix(int64(stamp), 0).UTC() // smaller ones count from when the BMC started
	}
	if kind != system {
		e.Message = fmt.Sprintf("record of type %#02x: % x", kind, b[3:])
		return e
	}
	name, ok := sensorKinds[b[10]]
	if !ok {
		name = fmt.Sprintf("type %#02x", b[10])
	}
	e.Sensor = fmt.Sprintf("%s %#02x", name, b[11])
	asserted := "asserted"
	const deassertion, threshold = 1 << 7, 0x01
	if b[12]&deassertion != 0 {
		asserted = "over"
	}
	offset := b[13] & 0x0f
	if b[12]&0x7f == threshold && int(offset) < len(thresholds) {
		t := thresholds[offset]
		e.Message = name + " " + t.text + ", " + asserted
		if asserted == "asserted" {
			e.Severity = t.severity
		}
		return e
	}
	e.Message = fmt.Sprintf("%s: event type %#02x, state %d, %s, data % x", name, b[12]&0x7f, offset, asserted, b[13:16])
	return e
}

// ClearEvents clears the log under a reservation. One that somebody else's change cancelled is made anew.
func (d *driver) ClearEvents(ctx context.Context) error {
	const initiate, status, done = 0xaa, 0x00, 1
	for try := 1; ; try++ {
		r, err := d.ask(ctx, command{Command: types.CommandReserveSEL})
		if err != nil {
			return err
		}
		if len(r) < 2 {
			return bmc.Fail(bmc.Failure{Class: bmc.Garbled}, "the BMC's reservation of its event log has %d bytes, not 2", len(r))
		}
		_, err = d.ask(ctx, command{Command: types.CommandClearSEL, change: true}, r[0], r[1], 'C', 'L', 'R', initiate)
		if codeOf(err) == codeReservation && try < restarts {
			continue
		}
		if err != nil {
			return err
		}
		return d.settle(ctx, "the event log cleared", func() (bool, error) {
			b, err := d.ask(ctx, command{Command: types.CommandClearSEL}, r[0], r[1], 'C', 'L', 'R', status)
			if codeOf(err) == codeReservation {
				return true, nil // what cancelled it came after the erasure
			}
			return err == nil && len(b) > 0 && b[0]&0x0f == done, err
		})
	}
}
