package image

import (
	"bytes"

	"github.com/hagane-cloud/hagane/fault"
)

// headSize is how much of data tells what they are.
const headSize = 4 << 10

// marks are how formats begin. Data in them that are said to be raw would be written to disks as they are.
// Sources: QEMU's docs/interop/qcow2.txt; VMware's Virtual Disk Format 5.0 (sparse extents, embedded descriptor);
// MS-VHDX 2.2.1; the VHD format specification (a dynamic disk begins with a copy of its footer); VirtualBox's VDICore.h.
var marks = []struct {
	format string
	at     int
	mark   []byte
}{
	{"qcow2", 0, qcow2Magic},
	{"vmdk", 0, []byte("KDMV")},
	{"vmdk", 0, []byte("# Disk DescriptorFile")},
	{"vhdx", 0, []byte("vhdxfile")},
	{"vhd", 0, []byte("conectix")},
	{"vdi", 0x40, []byte{0x7f, 0x10, 0xda, 0xbe}},
}

// told is the format that a disk's data begin like: raw where nothing says another.
func told(head []byte) string {
	for _, m := range marks {
		if len(head) >= m.at && bytes.HasPrefix(head[m.at:], m.mark) {
			return m.format
		}
	}
	return "raw"
}

// agrees refuses data whose beginning says that they are in another format than the image.
func agrees(format string, head []byte) error {
	for _, m := range marks {
		if len(head) >= m.at && bytes.HasPrefix(head[m.at:], m.mark) && format != m.format {
			return fault.Field("disk_format", "the data are %s, but the image says %s", m.format, format)
		}
	}
	return nil
}
