package ipmi

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
)

// selRoom is how many records the log holds.
const selRoom = 16

// reservationLost is the completion code of a reservation that another one, or a new record, has cancelled (table 5-2).
const reservationLost types.CompletionCode = 0xc5

// eventLog is the System Event Log.
type eventLog struct {
	mu          sync.Mutex
	records     [][]byte // 16 bytes each
	next        uint16   // id of the next record
	dropped     bool
	reservation uint16
}

func newEventLog() *eventLog {
	l := &eventLog{next: 1}
	l.add(0x02, []byte{0x05, 0, 0, 0, 0x20, 0, 0x04, 0x10, 0x09, 0x6f, 0x02, 0xff, 0xff})          // log cleared, before the clock was set
	l.add(0x02, []byte{0x00, 0x10, 0xd6, 0x6a, 0x20, 0, 0x04, 0x01, 0x01, 0x01, 0x59, 0x60, 0x5f}) // a temperature critically high
	return l
}

// Log adds a record of a sensor's event, for tests; a full log drops it.
func (b *BMC) Log(sensorType, sensor, eventType, offset byte) {
	b.log.mu.Lock()
	defer b.log.mu.Unlock()
	b.log.add(0x02, []byte{0x00, 0x20, 0xd6, 0x6a, 0x20, 0, 0x04, sensorType, sensor, eventType, offset, 0xff, 0xff})
}

// add adds a record: its type and the 13 bytes behind it.
func (l *eventLog) add(kind byte, rest []byte) {
	if len(l.records) >= selRoom {
		l.dropped = true
		return
	}
	rec := make([]byte, 3, 16)
	binary.LittleEndian.PutUint16(rec, l.next)
	rec[2] = kind
	l.records = append(l.records, append(rec, rest...))
	l.next++
	l.reservation++ // whoever had reserved the log must look again
}

func (b *BMC) selInfo(context.Context, *handlers.HandlerContext, []byte) ([]byte, types.CompletionCode, error) {
	b.log.mu.Lock()
	defer b.log.mu.Unlock()
	out := make([]byte, 14)
	out[0] = 0x51
	binary.LittleEndian.PutUint16(out[1:], uint16(len(b.log.records)))
	binary.LittleEndian.PutUint16(out[3:], uint16((selRoom-len(b.log.records))*16))
	out[13] = 0x02 // reservation is supported
	if b.log.dropped {
		out[13] |= 0x80
	}
	return out, types.CodeOK, nil
}

func (b *BMC) reserveSEL(context.Context, *handlers.HandlerContext, []byte) ([]byte, types.CompletionCode, error) {
	b.log.mu.Lock()
	defer b.log.mu.Unlock()
	b.log.reservation++
	return binary.LittleEndian.AppendUint16(nil, b.log.reservation), types.CodeOK, nil
}

func (b *BMC) selEntry(ctx context.Context, _ *handlers.HandlerContext, req []byte) ([]byte, types.CompletionCode, error) {
	if len(req) < 6 {
		return nil, types.CodeRequestDataTruncated, nil
	}
	b.log.mu.Lock()
	defer b.log.mu.Unlock()
	id := binary.LittleEndian.Uint16(req[2:])
	if inject.From(ctx).LoseEvents {
		return nil, noSuchSensor, nil
	}
	for i, rec := range b.log.records {
		if binary.LittleEndian.Uint16(rec) != id && !(id == 0 && i == 0) && !(id == 0xffff && i == len(b.log.records)-1) {
			continue
		}
		next := uint16(0xffff)
		if i+1 < len(b.log.records) {
			next = binary.LittleEndian.Uint16(b.log.records[i+1])
		}
		return append(binary.LittleEndian.AppendUint16(nil, next), rec...), types.CodeOK, nil
	}
	return nil, noSuchSensor, nil
}

func (b *BMC) clearSEL(_ context.Context, _ *handlers.HandlerContext, req []byte) ([]byte, types.CompletionCode, error) {
	if len(req) < 6 || string(req[2:5]) != "CLR" {
		return nil, types.CodeRequestDataTruncated, nil
	}
	b.log.mu.Lock()
	defer b.log.mu.Unlock()
	if binary.LittleEndian.Uint16(req) != b.log.reservation {
		return nil, reservationLost, nil
	}
	const erase, done = 0xaa, 1
	if req[5] == erase {
		b.log.records, b.log.dropped = nil, false
	}
	return []byte{done}, types.CodeOK, nil
}
