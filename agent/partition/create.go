package partition

import (
	"bytes"
	"crypto/sha256"

	"github.com/hagane-cloud/hagane/fault"
)

// Type is what a new partition is for.
type Type string

// The types.
const (
	Linux    Type = "linux"     // file systems, and anything without a type of its own
	EFI      Type = "efi"       // the firmware's system partition
	BIOSBoot Type = "bios boot" // the second stage of a boot loader
	RAID     Type = "raid"      // a member of a software RAID
	LVM      Type = "lvm"       // a physical volume
	Swap     Type = "swap"
	FAT      Type = "fat" // in an MBR, where a file system of that kind has a type of its own
)

var typeGUIDs = map[Type][]byte{
	Linux: linuxData,
	FAT:   linuxData,
	// C12A7328-F81F-11D2-BA4B-00A0C93EC93B and 21686148-6449-6E6F-744E-656564454649
	EFI:      {0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b},
	BIOSBoot: {0x48, 0x61, 0x68, 0x21, 0x49, 0x64, 0x6f, 0x6e, 0x74, 0x4e, 0x65, 0x65, 0x64, 0x45, 0x46, 0x49},
	// A19D880F-05FC-4D3B-A006-743F0F84911E, E6D6D379-F507-44C2-A23C-238F2A3DF928 and 0657FD6D-A4AB-43C4-84E5-0933C84B4F4F
	RAID: {0x0f, 0x88, 0x9d, 0xa1, 0xfc, 0x05, 0x3b, 0x4d, 0xa0, 0x06, 0x74, 0x3f, 0x0f, 0x84, 0x91, 0x1e},
	LVM:  {0x79, 0xd3, 0xd6, 0xe6, 0x07, 0xf5, 0xc2, 0x44, 0xa2, 0x3c, 0x23, 0x8f, 0x2a, 0x3d, 0xf9, 0x28},
	Swap: {0x6d, 0xfd, 0x57, 0x06, 0xab, 0xa4, 0xc4, 0x43, 0x84, 0xe5, 0x09, 0x33, 0xc8, 0x4b, 0x4f, 0x4f},
}

// typeOf returns the type that a GUID stands for.
func typeOf(guid []byte) Type {
	for _, t := range []Type{Linux, EFI, BIOSBoot, RAID, LVM, Swap} {
		if bytes.Equal(guid, typeGUIDs[t]) {
			return t
		}
	}
	return ""
}

// typeBytes are the types of an MBR; what has none there is Linux.
var typeBytes = map[Type]byte{FAT: fat16LBA, LVM: 0x8e, Swap: 0x82}

// Spec is a partition to create.
type Spec struct {
	Type  Type
	Name  string
	Bytes int64
}

// SpaceFor returns how large a disk has to be to hold the given partitions, in bytes.
func SpaceFor(specs ...Spec) int64 {
	total := int64(align)
	for _, s := range specs {
		total += (s.Bytes + align - 1) / align * align
	}
	return total + align // the backup table
}

// Create writes a GPT with the given partitions, one after the other and aligned, to a disk of size
// bytes and returns them. GUIDs are derived from seed, so that the same image comes out twice.
func Create(disk Disk, size int64, sector int, seed string, specs ...Spec) ([]Partition, error) {
	if sector == 0 {
		sector = 512
	}
	t := &Table{Kind: GPT, size: size, sector: int64(sector), first: make([]byte, sector), array: make([]byte, 128*entryBytes)}
	copy(t.header.Signature[:], gptSignature)
	t.header.Revision, t.header.Count, t.header.EntryBytes = 1<<16, 128, entryBytes
	t.header.Entries = 2
	t.header.FirstUsable = uint64(2 + t.arraySectors())
	t.header.DiskGUID = guid(seed)
	e := mbrEntry(t.first, 0)
	e[4] = protective
	copy(e[1:4], []byte{0, 2, 0})
	copy(e[5:8], []byte{0xff, 0xff, 0xff})
	e[8] = 1
	t.first[510], t.first[511] = 0x55, 0xaa
	at := int64(align)
	for i, s := range specs {
		p := Partition{Number: i + 1, Offset: at, Bytes: (s.Bytes + t.sector - 1) / t.sector * t.sector, Name: s.Name, Type: s.Type, slot: i}
		if err := t.setGPT(p, s.Type); err != nil {
			return nil, err
		}
		unique := guid(seed + "/" + s.Name)
		copy(t.entry(i)[16:], unique[:])
		t.Partitions = append(t.Partitions, p)
		at += (s.Bytes + align - 1) / align * align
	}
	if at > size {
		return nil, fault.Errorf(fault.Invalid, "the partitions need %d bytes and the disk has %d", at, size)
	}
	return t.Partitions, t.writeGPT(disk)
}

// guid derives a GUID (version 4 in form) from a seed.
func guid(seed string) (g [16]byte) {
	sum := sha256.Sum256([]byte("hagane partition " + seed))
	copy(g[:], sum[:])
	g[7], g[8] = g[7]&0x0f|0x40, g[8]&0x3f|0x80
	return g
}
