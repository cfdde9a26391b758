package machinetest

import (
	"encoding/binary"
	"slices"
	"strings"
)

const sector = 2048

// ISO makes a small ISO 9660 image of files in the root directory. With boot code, which must fit into a sector,
// BIOS firmware starts that (El Torito, no emulation).
func ISO(files map[string][]byte, boot []byte) []byte {
	const first = 21 // sector of the first file; before it: volume descriptors, catalogue, boot code, root directory
	const catalogue, code, root = 18, 19, 20
	image := make([]byte, first*sector)
	dir := append(record("\x00", root, sector, 2), record("\x01", root, sector, 2)...)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		at := len(image) / sector
		image = append(image, files[name]...)
		image = append(image, make([]byte, -len(image)&(sector-1))...)
		dir = append(dir, record(strings.ToUpper(name)+";1", at, len(files[name]), 0)...)
	}
	copy(image[root*sector:], dir)
	volume := image[16*sector:]
	copy(volume, "\x01CD001\x01")
	copy(volume[40:], "HAGANE")
	both32(volume[80:], len(image)/sector)
	binary.LittleEndian.PutUint16(volume[128:], sector)
	binary.BigEndian.PutUint16(volume[130:], sector)
	copy(volume[156:], record("\x00", root, sector, 2))
	end := 17
	if boot != nil {
		copy(image[17*sector:], "\x00CD001\x01EL TORITO SPECIFICATION")
		binary.LittleEndian.PutUint32(image[17*sector+71:], catalogue)
		entry := image[catalogue*sector:]
		copy(entry, "\x01\x00")
		entry[30], entry[31] = 0x55, 0xaa
		var sum uint16
		for i := 0; i < 32; i += 2 {
			sum -= binary.LittleEndian.Uint16(entry[i:])
		}
		binary.LittleEndian.PutUint16(entry[28:], sum)
		entry[32], entry[38] = 0x88, 4
		binary.LittleEndian.PutUint32(entry[40:], code)
		copy(image[code*sector:], boot)
		return image // the descriptors end where the catalogue begins
	}
	copy(image[end*sector:], "\xffCD001\x01")
	return image
}

// record is a directory record.
func record(name string, at, size int, flags byte) []byte {
	r := make([]byte, 33+len(name)+(len(name)+1)%2)
	r[0], r[25], r[32] = byte(len(r)), flags, byte(len(name))
	both32(r[2:], at)
	both32(r[10:], size)
	binary.LittleEndian.PutUint16(r[28:], 1)
	binary.BigEndian.PutUint16(r[30:], 1)
	copy(r[33:], name)
	return r
}

// both32 writes a number in both byte orders, as the format wants it.
func both32(b []byte, n int) {
	binary.LittleEndian.PutUint32(b, uint32(n))
	binary.BigEndian.PutUint32(b[4:], uint32(n))
}

// BootCode is a program of 16-bit x86 that writes text to the first serial port and halts.
func BootCode(text string) []byte {
	return append([]byte{
		0xfa,             // cli
		0xe8, 0, 0, 0x5e, // call next; next: pop si
		0x0e, 0x1f, // push cs; pop ds
		0x83, 0xc6, 20, // add si, the text's distance from next
		0xba, 0xf8, 0x03, // mov dx, 3f8h
		0xac, 0x84, 0xc0, 0x74, 3, // again: lodsb; test al, al; jz halt
		0xee, 0xeb, 0xf8, // out dx, al; jmp again
		0xf4, 0xeb, 0xfd, // halt: hlt; jmp halt
	}, append([]byte(text), 0)...)
}
