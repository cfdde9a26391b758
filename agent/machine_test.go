package agent

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/hagane-cloud/hagane/agent/protocol"
)

// disk is a disk in memory.
type disk struct {
	mu      sync.Mutex
	info    DiskInfo
	data    []byte
	written int64
	rereads int
}

func newDisk(name string, size int64) *disk {
	return &disk{
		info: DiskInfo{Disk: protocol.Disk{Name: name, Bytes: size, Serial: "S-" + name, Bus: "sim"}, SectorBytes: 512},
		data: make([]byte, size),
	}
}

func (d *disk) Info() DiskInfo             { return d.info }
func (d *disk) Sync(context.Context) error { return nil }
func (d *disk) Close() error               { return nil }
func (d *disk) Reread(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rereads++
	return nil
}

func (d *disk) ReadAt(b []byte, at int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at < 0 || at+int64(len(b)) > int64(len(d.data)) {
		return 0, errors.New("read beyond the end")
	}
	return copy(b, d.data[at:]), nil
}

func (d *disk) WriteAt(b []byte, at int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at < 0 || at+int64(len(b)) > int64(len(d.data)) {
		return 0, errors.New("write beyond the end")
	}
	d.written += int64(len(b))
	return copy(d.data[at:], b), nil
}

func (d *disk) dirty() *disk {
	n := copy(d.data, "whatever was here before")
	for ; n < len(d.data); n *= 2 {
		copy(d.data[n:], d.data[:n])
	}
	return d
}

func (d *disk) blank() bool { return bytes.Equal(d.data, make([]byte, len(d.data))) }

// thin is a disk that discards: honestly, or only half of what it is asked to.
type thin struct {
	*disk
	lies bool
}

func (d thin) Discard(_ context.Context, at, n int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lies {
		n /= 2
	}
	clear(d.data[at : at+n])
	return nil
}

// clever is a disk with erase methods of its own.
type clever struct {
	thin
	erase []EraseMethod
}

func (d clever) EraseMethods(context.Context) []EraseMethod { return d.erase }

// machine is a machine in memory that notes how it ended.
type machine struct {
	disks     []Disk
	inventory protocol.Inventory
	ended     chan string
}

func newMachine(disks ...Disk) *machine {
	m := &machine{disks: disks, ended: make(chan string, 1)}
	m.inventory = protocol.Inventory{
		Serial: "M1", Architecture: "x86_64", BootMode: "uefi",
		NICs: []protocol.NIC{{Name: "eth0", MAC: "02:00:00:00:00:01", Link: true}},
	}
	return m
}

func (m *machine) Inventory(context.Context) (protocol.Inventory, error) { return m.inventory, nil }
func (m *machine) Disks(context.Context) ([]Disk, error)                 { return m.disks, nil }
func (m *machine) KernelLog(context.Context) []byte                      { return []byte("kernel words") }
func (m *machine) Restart(context.Context) error                         { m.ended <- "restarted"; return nil }
func (m *machine) PowerOff(context.Context) error                        { m.ended <- "off"; return nil }

func (m *machine) Neighbours(context.Context) (map[string]*protocol.LLDP, error) {
	return map[string]*protocol.LLDP{"eth0": {Chassis: "lab", Port: "r1p01"}}, nil
}

func (m *machine) end(t *testing.T) string {
	t.Helper()
	select {
	case how := <-m.ended:
		return how
	default:
		return "running"
	}
}
