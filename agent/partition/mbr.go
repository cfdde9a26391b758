package partition

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"io"

	"github.com/hagane-cloud/hagane/fault"
)

const (
	mbrLimit   = 1 << 32 // sectors that an MBR can address
	protective = 0xee    // partition type of a GPT's protective entry
	fat16LBA   = 0x0e
)

func mbrEntry(sector []byte, i int) []byte { return sector[446+16*i : 462+16*i] }

func signed(sector []byte) bool { return sector[510] == 0x55 && sector[511] == 0xaa }

func hasProtective(sector []byte) bool {
	if !signed(sector) {
		return false
	}
	for i := range 4 {
		if mbrEntry(sector, i)[4] == protective {
			return true
		}
	}
	return false
}

// isMBR tells a partition table from the boot sector of a file system, which carries the same
// signature.
func isMBR(sector []byte, sectors int64) bool {
	if !signed(sector) || bytes.HasPrefix(sector[54:], []byte("FAT")) || bytes.HasPrefix(sector[82:], []byte("FAT")) ||
		bytes.HasPrefix(sector[3:], []byte("NTFS")) {
		return false
	}
	used := 0
	for i := range 4 {
		e := mbrEntry(sector, i)
		if e[0]&0x7f != 0 {
			return false
		}
		if e[4] == 0 {
			continue
		}
		first, length := mbrRange(e)
		if first == 0 || first+length > sectors {
			return false
		}
		used++
	}
	return used > 0
}

func mbrRange(e []byte) (first, length int64) {
	return int64(binary.LittleEndian.Uint32(e[8:])), int64(binary.LittleEndian.Uint32(e[12:]))
}

func extended(kind byte) bool { return kind == 0x05 || kind == 0x0f || kind == 0x85 }

func (t *Table) readMBR(disk io.ReaderAt) error {
	for i := range 4 {
		e := mbrEntry(t.first, i)
		if e[4] == 0 {
			continue
		}
		first, length := mbrRange(e)
		t.Partitions = append(t.Partitions, Partition{Number: i + 1, Offset: first * t.sector, Bytes: length * t.sector, slot: i})
		if extended(e[4]) {
			if err := t.readLogical(disk, first); err != nil {
				return err
			}
		}
	}
	return nil
}

// readLogical follows the chain of logical partitions within an extended one.
func (t *Table) readLogical(disk io.ReaderAt, base int64) error {
	at := base
	for number := 5; number < 64; number++ {
		sector := make([]byte, t.sector)
		if _, err := disk.ReadAt(sector, at*t.sector); err != nil {
			return fault.E(fault.Invalid, "reading a logical partition", err)
		}
		if !signed(sector) {
			return nil
		}
		e, next := mbrEntry(sector, 0), mbrEntry(sector, 1)
		if first, length := mbrRange(e); e[4] != 0 && at+first+length <= t.size/t.sector {
			t.Partitions = append(t.Partitions, Partition{Number: number, Offset: (at + first) * t.sector, Bytes: length * t.sector, slot: -1})
		}
		step, _ := mbrRange(next)
		if next[4] == 0 || base+step <= at || base+step >= t.size/t.sector {
			return nil
		}
		at = base + step
	}
	return nil
}

func (t *Table) freeMBR() int {
	for i := range 4 {
		if mbrEntry(t.first, i)[4] == 0 {
			return i
		}
	}
	return -1
}

func (t *Table) setMBR(p Partition, kind Type) {
	const linux = 0x83
	e := mbrEntry(t.first, p.slot)
	clear(e)
	e[4] = cmp.Or(typeBytes[kind], linux)
	// Cylinders, heads and sectors at their greatest: "see the sector numbers".
	copy(e[1:4], []byte{0xfe, 0xff, 0xff})
	copy(e[5:8], []byte{0xfe, 0xff, 0xff})
	binary.LittleEndian.PutUint32(e[8:], uint32(p.Offset/t.sector))
	binary.LittleEndian.PutUint32(e[12:], uint32(p.Bytes/t.sector))
}

// fitProtective makes a lone protective entry span the whole disk. A hybrid table is somebody's
// deliberate work and is left alone.
func (t *Table) fitProtective() {
	if !hasProtective(t.first) {
		return
	}
	for i := 1; i < 4; i++ {
		if mbrEntry(t.first, i)[4] != 0 {
			return
		}
	}
	e := mbrEntry(t.first, 0)
	if first, _ := mbrRange(e); first == 1 {
		binary.LittleEndian.PutUint32(e[12:], uint32(min(t.size/t.sector-1, mbrLimit-1)))
	}
}
