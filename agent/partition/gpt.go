package partition

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"
	"io"
	"unicode/utf16"

	"github.com/hagane-cloud/hagane/fault"
)

// The layout below is that of the UEFI specification, chapter 5 (GUID Partition Table).

const (
	entryBytes = 128 // the size that every tool writes; larger ones are carried along untouched
	maxEntries = 1024
)

var (
	gptSignature = []byte("EFI PART")
	// linuxData is the partition type of Linux file system data, 0FC63DAF-8483-4772-8E79-3D69D8477DE4.
	linuxData = []byte{0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4}
)

type gptHeader struct {
	Signature   [8]byte
	Revision    uint32
	HeaderBytes uint32
	HeaderCRC   uint32
	_           uint32
	Own         uint64
	Other       uint64
	FirstUsable uint64
	LastUsable  uint64
	DiskGUID    [16]byte
	Entries     uint64
	Count       uint32
	EntryBytes  uint32
	EntriesCRC  uint32
}

// headerBytes is the size of the header's fields above.
const headerBytes = 92

func (h gptHeader) encode(sector int64) []byte {
	h.HeaderCRC, h.HeaderBytes = 0, headerBytes
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, h) // a bytes.Buffer takes everything
	out := make([]byte, sector)
	copy(out, b.Bytes())
	binary.LittleEndian.PutUint32(out[16:], crc32.ChecksumIEEE(out[:headerBytes]))
	return out
}

// readGPT reads the primary table. The backup is not consulted: an image whose primary table is
// damaged is a damaged image.
func (t *Table) readGPT(disk io.ReaderAt, sector []byte) error {
	h := &t.header
	if _, err := binary.Decode(sector, binary.LittleEndian, h); err != nil {
		return fault.E(fault.Invalid, "reading the GPT header", err)
	}
	if h.HeaderBytes < headerBytes || int64(h.HeaderBytes) > t.sector {
		return fault.Errorf(fault.Invalid, "the GPT header has an impossible size of %d bytes", h.HeaderBytes)
	}
	plain := bytes.Clone(sector[:h.HeaderBytes])
	clear(plain[16:20])
	if crc32.ChecksumIEEE(plain) != h.HeaderCRC {
		return fault.Errorf(fault.Invalid, "the GPT header is damaged: its checksum is wrong")
	}
	if h.EntryBytes < entryBytes || h.EntryBytes > 4096 || h.Count == 0 || h.Count > maxEntries {
		return fault.Errorf(fault.Invalid, "the GPT has an impossible shape: %d entries of %d bytes", h.Count, h.EntryBytes)
	}
	t.array = make([]byte, int64(h.Count)*int64(h.EntryBytes))
	if _, err := disk.ReadAt(t.array, int64(h.Entries)*t.sector); err != nil {
		return fault.E(fault.Invalid, "reading the GPT entries", err)
	}
	if crc32.ChecksumIEEE(t.array) != h.EntriesCRC {
		return fault.Errorf(fault.Invalid, "the GPT entries are damaged: their checksum is wrong")
	}
	for i := range int(h.Count) {
		if p, used := t.partition(i); used {
			t.Partitions = append(t.Partitions, p)
		}
	}
	return nil
}

func (t *Table) entry(i int) []byte {
	n := int(t.header.EntryBytes)
	return t.array[i*n : (i+1)*n]
}

func (t *Table) partition(i int) (Partition, bool) {
	e := t.entry(i)
	if bytes.Equal(e[:16], make([]byte, 16)) {
		return Partition{}, false
	}
	first := int64(binary.LittleEndian.Uint64(e[32:]))
	last := int64(binary.LittleEndian.Uint64(e[40:]))
	if first < 0 || last < first || last >= t.size/t.sector {
		return Partition{}, false // it can not lie on this disk
	}
	var name []uint16
	for b := e[56:128]; len(b) > 0 && (b[0] != 0 || b[1] != 0); b = b[2:] {
		name = append(name, binary.LittleEndian.Uint16(b))
	}
	return Partition{
		Number: i + 1, Offset: first * t.sector, Bytes: (last - first + 1) * t.sector,
		Name: string(utf16.Decode(name)), Type: typeOf(e[:16]), slot: i,
	}, true
}

func (t *Table) freeGPT() int {
	for i := range int(t.header.Count) {
		if bytes.Equal(t.entry(i)[:16], make([]byte, 16)) {
			return i
		}
	}
	return -1
}

func (t *Table) setGPT(p Partition, kind Type) error {
	e := t.entry(p.slot)
	clear(e)
	copy(e, typeGUIDs[kind])
	if _, err := rand.Read(e[16:32]); err != nil {
		return fault.E(fault.Internal, "making a partition's GUID", err)
	}
	e[16+7] = e[16+7]&0x0f | 0x40 // a random UUID, version 4; the first three fields are little endian
	e[16+8] = e[16+8]&0x3f | 0x80
	binary.LittleEndian.PutUint64(e[32:], uint64(p.Offset/t.sector))
	binary.LittleEndian.PutUint64(e[40:], uint64((p.Offset+p.Bytes)/t.sector-1))
	for i, u := range utf16.Encode([]rune(p.Name)) {
		if i < 36 {
			binary.LittleEndian.PutUint16(e[56+2*i:], u)
		}
	}
	return nil
}

// arraySectors is the space of the entries.
func (t *Table) arraySectors() int64 {
	return (int64(len(t.array)) + t.sector - 1) / t.sector
}

// lastUsable is the last sector that a partition may occupy with the backup at the disk's end.
func (t *Table) lastUsable() int64 {
	return t.size/t.sector - 1 - t.arraySectors() - 1
}

// writeGPT writes the backup at the end of the disk first and the primary last, so that one of
// the two tables is whole at any moment.
func (t *Table) writeGPT(disk Disk) error {
	for _, p := range t.Partitions {
		if (p.Offset+p.Bytes)/t.sector-1 > t.lastUsable() {
			return fault.Errorf(fault.Invalid, "partition %d ends where the disk's backup table belongs: the disk of %d bytes is too small for the image", p.Number, t.size)
		}
	}
	h, last := t.header, t.size/t.sector-1
	stale := int64(h.Other)
	h.EntriesCRC, h.LastUsable = crc32.ChecksumIEEE(t.array), uint64(t.lastUsable())
	backup := h
	backup.Own, backup.Other, backup.Entries = uint64(last), 1, uint64(t.lastUsable()+1)
	h.Own, h.Other = 1, uint64(last)

	array := make([]byte, t.arraySectors()*t.sector)
	copy(array, t.array)
	t.fitProtective()
	for _, w := range []struct {
		b  []byte
		at int64
	}{
		{array, int64(backup.Entries)},
		{backup.encode(t.sector), last},
		{array, int64(h.Entries)},
		{h.encode(t.sector), 1},
		{t.first, 0},
	} {
		if err := write(disk, w.b, w.at*t.sector); err != nil {
			return err
		}
	}
	t.header = h
	return t.forgetStale(disk, stale, last)
}

// forgetStale blanks the backup header that the image brought along, lest a tool finds two.
func (t *Table) forgetStale(disk Disk, stale, last int64) error {
	if stale <= 1 || stale >= last || stale > t.lastUsable() {
		return nil
	}
	for _, p := range t.Partitions {
		if at := stale * t.sector; at >= p.Offset && at < p.Offset+p.Bytes {
			return nil
		}
	}
	b := make([]byte, t.sector)
	if _, err := disk.ReadAt(b, stale*t.sector); err != nil || !bytes.HasPrefix(b, gptSignature) {
		return nil // nothing to forget
	}
	return write(disk, make([]byte, t.sector), stale*t.sector)
}
