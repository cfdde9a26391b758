package disc

import (
	"encoding/binary"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
)

// The layout is ECMA-119 (ISO 9660) with the folders /, /boot and /boot/grub, and El Torito 1.0 with two boot images: the catalogue's
// first is for BIOS, and the section behind it for UEFI (UEFI 2.10, section 13.3.2).
const (
	sector     = 2048
	atVolume   = 16  // sectors: the primary volume descriptor,
	atBoot     = 17  // the boot record,
	atEnd      = 18  // the last of the descriptors,
	atPathsLE  = 19  // the table of folders, low byte first,
	atPathsBE  = 20  // and high byte first,
	atRoot     = 21  // the folders: the top one,
	atBootDir  = 22  // boot in it
	atGrubDir  = 23  // and grub in that,
	atCatalog  = 24  // the boot catalogue,
	atFiles    = 25  // and the first file
	padding    = 150 // sectors behind the last file: readers ask for more than they need, and some firmware fails beyond the end
	ownUseAt   = 883
	ownUseSize = 512
)

// file is a file of the image.
type file struct {
	name string // as the standard wants it: capitals and one dot
	grub bool   // in /boot/grub; others are in the top folder
	size int64
	data io.Reader
}

// image is an ISO 9660 image about to be written.
type image struct {
	label      string
	note       string // for ourselves, in the part of the volume descriptor that is free for it
	files      []file
	bios, uefi int // which of the files the firmware starts
}

// sectors returns how many sectors a file takes.
func sectors(size int64) int64 { return (size + sector - 1) / sector }

// places returns the first sector of each file, and the image's size in sectors.
func (i *image) places() (at []int64, total int64) {
	total = atFiles
	for _, f := range i.files {
		at = append(at, total)
		total += sectors(f.size)
	}
	return at, total + padding
}

// writeTo writes the image.
func (i *image) writeTo(w io.Writer) error {
	at, total := i.places()
	head := make([]byte, atFiles*sector)
	if err := i.folders(head, at); err != nil {
		return err
	}
	if len(i.note) > ownUseSize {
		return fault.Errorf(fault.Internal, "the CD says too much about itself")
	}
	i.describe(head[atVolume*sector:][:sector], total)
	copy(head[atBoot*sector:], "\x00CD001\x01EL TORITO SPECIFICATION")
	binary.LittleEndian.PutUint32(head[atBoot*sector+71:], atCatalog)
	copy(head[atEnd*sector:], "\xffCD001\x01")
	copy(head[atPathsLE*sector:], paths(binary.LittleEndian))
	copy(head[atPathsBE*sector:], paths(binary.BigEndian))
	catalog(head[atCatalog*sector:][:sector], at[i.bios], at[i.uefi], i.files[i.uefi].size)
	if _, err := w.Write(head); err != nil {
		return fault.E(fault.Internal, "writing the CD", err)
	}
	for _, f := range i.files {
		n, err := io.Copy(w, f.data)
		if err == nil && n != f.size {
			err = io.ErrUnexpectedEOF
		}
		if err == nil {
			_, err = w.Write(make([]byte, sectors(f.size)*sector-f.size))
		}
		if err != nil {
			return fault.E(fault.Internal, "writing "+f.name+" to the CD", err)
		}
	}
	if _, err := w.Write(make([]byte, padding*sector)); err != nil {
		return fault.E(fault.Internal, "writing the CD", err)
	}
	return nil
}

// folders writes the three folders, each in the order of names.
func (i *image) folders(head []byte, at []int64) error {
	root := map[string][]byte{"BOOT": record("BOOT", atBootDir, sector, true)}
	boot := map[string][]byte{"GRUB": record("GRUB", atGrubDir, sector, true)}
	grub := map[string][]byte{}
	for k, f := range i.files {
		in := root
		if f.grub {
			in = grub
		}
		in[f.name] = record(f.name+";1", at[k], f.size, false)
	}
	for _, f := range []struct {
		at, up  int64
		entries map[string][]byte
	}{{atRoot, atRoot, root}, {atBootDir, atRoot, boot}, {atGrubDir, atBootDir, grub}} {
		folder := append(record("\x00", f.at, sector, true), record("\x01", f.up, sector, true)...)
		for _, name := range slices.Sorted(maps.Keys(f.entries)) {
			folder = append(folder, f.entries[name]...)
		}
		if len(folder) > sector {
			return fault.Errorf(fault.Internal, "the CD holds too many files")
		}
		copy(head[f.at*sector:], folder)
	}
	return nil
}

// pathsSize is the length of a table of folders.
const pathsSize = 10 + 12 + 12

// paths returns the table of folders: each with its place and the number of the folder that it is in.
func paths(order binary.AppendByteOrder) (table []byte) {
	for _, f := range []struct {
		name string
		at   uint32
		in   uint16
	}{{"\x00\x00", atRoot, 1}, {"BOOT", atBootDir, 1}, {"GRUB", atGrubDir, 2}} {
		length := byte(len(f.name))
		if f.in == 1 && f.at == atRoot {
			length = 1 // its name is one zero, and a second fills up
		}
		table = append(table, length, 0)
		table = order.AppendUint32(table, f.at)
		table = order.AppendUint16(table, f.in)
		table = append(table, f.name...)
	}
	return table
}

// describe fills the primary volume descriptor. Its dates stay empty: the same files give the same bytes.
func (i *image) describe(v []byte, total int64) {
	for _, text := range []struct{ from, to int }{{8, 72}, {190, 813}} {
		copy(v[text.from:text.to], strings.Repeat(" ", text.to-text.from))
	}
	copy(v, "\x01CD001\x01")
	copy(v[40:], i.label)
	both32(v[80:], total)
	both16(v[120:], 1)
	both16(v[124:], 1)
	both16(v[128:], sector)
	both32(v[132:], pathsSize)
	binary.LittleEndian.PutUint32(v[140:], atPathsLE)
	binary.BigEndian.PutUint32(v[148:], atPathsBE)
	copy(v[156:], record("\x00", atRoot, sector, true))
	for _, date := range []int{813, 830, 847, 864} {
		copy(v[date:], "0000000000000000\x00")
	}
	v[881] = 1
	copy(v[ownUseAt:], i.note)
}

// catalog fills the boot catalogue.
func catalog(c []byte, bios, uefi, uefiSize int64) {
	const bootable, noEmulation, last, efi = 0x88, 0, 0x91, 0xef
	c[0], c[30], c[31] = 1, 0x55, 0xaa
	var sum uint16
	for i := 0; i < 32; i += 2 {
		sum -= binary.LittleEndian.Uint16(c[i:])
	}
	binary.LittleEndian.PutUint16(c[28:], sum)
	c[32], c[33] = bootable, noEmulation
	binary.LittleEndian.PutUint16(c[38:], 4) // sectors of 512 bytes that the BIOS loads; the loader fetches the rest
	binary.LittleEndian.PutUint32(c[40:], uint32(bios))
	c[64], c[65] = last, efi
	binary.LittleEndian.PutUint16(c[66:], 1)
	c[96], c[97] = bootable, noEmulation
	binary.LittleEndian.PutUint16(c[102:], uint16(uefiSize/512))
	binary.LittleEndian.PutUint32(c[104:], uint32(uefi))
}

// record returns a directory record.
func record(name string, at, size int64, folder bool) []byte {
	r := make([]byte, 33+len(name)+(len(name)+1)%2)
	r[0], r[32] = byte(len(r)), byte(len(name))
	if folder {
		r[25] = 2
	}
	both32(r[2:], at)
	both32(r[10:], size)
	copy(r[18:], []byte{80, 1, 1}) // 1 January 1980, as in the boot partition
	both16(r[28:], 1)
	copy(r[33:], name)
	return r
}

// both16 and both32 write a number in both byte orders, as the standard wants it.
func both16(b []byte, n uint16) {
	binary.LittleEndian.PutUint16(b, n)
	binary.BigEndian.PutUint16(b[2:], n)
}

func both32(b []byte, n int64) {
	binary.LittleEndian.PutUint32(b, uint32(n))
	binary.BigEndian.PutUint32(b[4:], uint32(n))
}
