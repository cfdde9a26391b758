// Package partition reads the partition tables that images bring with them (GPT and MBR), fits
// them to the disk that they were written to, and adds a partition at the end of the disk. It
// exists so that the agent needs no partitioning tool in its ramdisk; only the agent and the lab's
// machines use it.
package partition

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/hagane-cloud/hagane/fault"
)

// Kind is the kind of a partition table.
type Kind string

// The kinds of tables.
const (
	None Kind = ""
	GPT  Kind = "gpt"
	MBR  Kind = "mbr"
)

// align is where partitions begin: a multiple of this many bytes suits every disk and RAID.
const align = 1 << 20

// Partition is one entry of a table.
type Partition struct {
	Number int   // from 1, as the operating system counts
	Offset int64 // in bytes
	Bytes  int64
	Name   string // GPT only
	Type   Type   // GPT only; "" for one that is not known here
	slot   int    // index of the entry; -1 where it can not be changed (MBR logical partitions)
}

// Table is a partition table as read from a disk.
type Table struct {
	Kind       Kind
	Partitions []Partition // in the order of their entries

	size   int64
	sector int64
	first  []byte // sector 0
	header gptHeader
	array  []byte // GPT entries
}

// Disk is what a table is written to.
type Disk interface {
	io.ReaderAt
	io.WriterAt
}

// Read reads the table of a disk of size bytes with sectors of the given size (0 means 512). A
// disk without a table yields a Table of kind None; a damaged table is an Invalid fault.
func Read(disk io.ReaderAt, size int64, sector int) (*Table, error) {
	if sector == 0 {
		sector = 512
	}
	t := &Table{size: size, sector: int64(sector)}
	t.first = make([]byte, sector)
	if size < 4*t.sector {
		return t, nil
	}
	if _, err := disk.ReadAt(t.first, 0); err != nil {
		return nil, fault.E(fault.Unavailable, "reading the partition table", err)
	}
	second := make([]byte, sector)
	if _, err := disk.ReadAt(second, t.sector); err != nil {
		return nil, fault.E(fault.Unavailable, "reading the partition table", err)
	}
	switch {
	case bytes.HasPrefix(second, gptSignature):
		t.Kind = GPT
		return t, t.readGPT(disk, second)
	case hasProtective(t.first):
		return nil, t.misplacedGPT(disk)
	case isMBR(t.first, size/t.sector):
		t.Kind = MBR
		return t, t.readMBR(disk)
	}
	return t, nil
}

// misplacedGPT says why a disk that promises a GPT has none where it belongs.
func (t *Table) misplacedGPT(disk io.ReaderAt) error {
	for _, sector := range []int64{512, 4096} {
		b := make([]byte, len(gptSignature))
		if _, err := disk.ReadAt(b, sector); err == nil && bytes.Equal(b, gptSignature) {
			return fault.Errorf(fault.Invalid,
				"the image's partition table is made for %d-byte sectors, and the disk has %d-byte sectors: use an image made for them", sector, t.sector)
		}
	}
	return fault.Errorf(fault.Invalid, "the partition table is damaged: it promises a GPT and has none")
}

// Settle fits the table to the disk: a GPT's backup moves to the end of the disk, so that the
// space behind the image can be used. Other tables stay as they are.
func (t *Table) Settle(disk Disk) error {
	if t.Kind != GPT {
		return nil
	}
	return t.writeGPT(disk)
}

// Room returns where a new partition of at least the given size would lie: aligned, and as close
// to the end of the disk as possible, so that the last partition of the image can still grow.
func (t *Table) Room(length int64) (Partition, error) {
	length = (length + t.sector - 1) / t.sector * t.sector
	offset := (t.end() - length) / align * align
	for _, p := range t.Partitions {
		if p.Offset+p.Bytes > offset {
			return Partition{}, fault.Errorf(fault.Invalid,
				"no room for %d bytes behind partition %d: the disk of %d bytes is too small for the image and a config drive", length, p.Number, t.size)
		}
	}
	return t.At(offset, length)
}

// end is where the last partition must end.
func (t *Table) end() int64 {
	if t.Kind == GPT {
		return (t.lastUsable() + 1) * t.sector
	}
	return min(t.size, mbrLimit*t.sector)
}

// Remove takes a partition out of the table in memory; the next Add writes it.
func (t *Table) Remove(p Partition) error {
	if p.slot < 0 {
		return fault.Errorf(fault.Invalid, "partition %d is a logical one and can not be replaced", p.Number)
	}
	switch t.Kind {
	case GPT:
		clear(t.entry(p.slot))
	case MBR:
		clear(mbrEntry(t.first, p.slot))
	case None:
	}
	kept := t.Partitions[:0]
	for _, q := range t.Partitions {
		if q.Number != p.Number {
			kept = append(kept, q)
		}
	}
	t.Partitions = kept
	return nil
}

// Behind returns the partition that ends last (its Number is 0 when there is none), and where behind it new ones can begin
// and must end, aligned.
func (t *Table) Behind() (last Partition, begin, end int64) {
	for _, p := range t.Partitions {
		if p.Offset+p.Bytes > last.Offset+last.Bytes {
			last = p
		}
	}
	return last, max((last.Offset+last.Bytes+align-1)/align*align, align), t.end() / align * align
}

// Free returns how many more partitions the table can have.
func (t *Table) Free() int {
	n := 0
	switch t.Kind {
	case GPT:
		n = int(t.header.Count)
	case MBR:
		n = 4
	case None:
	}
	for _, p := range t.Partitions {
		if p.slot >= 0 {
			n--
		}
	}
	return max(n, 0)
}

// At returns a new partition at a place that Behind showed to be free.
func (t *Table) At(offset, length int64) (Partition, error) {
	slot := -1
	switch t.Kind {
	case GPT:
		slot = t.freeGPT()
	case MBR:
		slot = t.freeMBR()
	case None:
		return Partition{}, fault.Errorf(fault.Invalid, "the image has no partition table, so nothing can be put behind it: use a partitioned image")
	}
	if slot < 0 {
		return Partition{}, fault.Errorf(fault.Invalid, "the %s partition table has no free entry", t.Kind)
	}
	return Partition{Number: slot + 1, Offset: offset, Bytes: length, slot: slot}, nil
}

// Grow changes the length of a partition in memory; the next Write or Add writes it.
func (t *Table) Grow(p Partition, length int64) error {
	if p.slot < 0 {
		return fault.Errorf(fault.Invalid, "partition %d is a logical one and can not be changed", p.Number)
	}
	switch t.Kind {
	case GPT:
		binary.LittleEndian.PutUint64(t.entry(p.slot)[40:], uint64((p.Offset+length)/t.sector-1))
	case MBR:
		binary.LittleEndian.PutUint32(mbrEntry(t.first, p.slot)[12:], uint32(length/t.sector))
	case None:
	}
	for i := range t.Partitions {
		if t.Partitions[i].Number == p.Number {
			t.Partitions[i].Bytes = length
		}
	}
	return nil
}

// Put enters a partition that Room or At returned in memory; the next Write or Add writes it.
func (t *Table) Put(p Partition, name string, kind Type) error {
	p.Name, p.Type = name, kind
	t.Partitions = append(t.Partitions, p)
	switch t.Kind {
	case GPT:
		return t.setGPT(p, kind)
	case MBR:
		t.setMBR(p, kind)
		return nil
	case None:
	}
	return fault.Errorf(fault.Invalid, "there is no partition table to add to")
}

// Write writes the table.
func (t *Table) Write(disk Disk) error {
	switch t.Kind {
	case GPT:
		return t.writeGPT(disk)
	case MBR:
		return write(disk, t.first, 0)
	case None:
	}
	return nil
}

// Add is Put, and writes the table.
func (t *Table) Add(disk Disk, p Partition, name string, kind Type) error {
	if err := t.Put(p, name, kind); err != nil {
		return err
	}
	return t.Write(disk)
}

func write(disk io.WriterAt, b []byte, offset int64) error {
	if _, err := disk.WriteAt(b, offset); err != nil {
		return fault.E(fault.Unavailable, fmt.Sprintf("writing the partition table at byte %d", offset), err)
	}
	return nil
}
