package machine

import (
	"encoding/binary"
	"io"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
)

const (
	isoSector   = 2048
	isoFirst    = 16 // sector of the first volume descriptor
	maxRootDir  = 256 << 10
	rootRecord  = 156 // of the root directory in the primary volume descriptor
	isoFileFlag = 0x02
)

// ReadISO reads a file in the root directory of an ISO 9660 image, of at most limit bytes. Upper and lower case, and the
// version behind a semicolon, make no difference. It returns Invalid faults for what is no such image, and NotFound ones.
func ReadISO(r io.ReaderAt, name string, limit int) ([]byte, error) {
	var descriptor [isoSector]byte
	if _, err := r.ReadAt(descriptor[:], isoFirst*isoSector); err != nil && err != io.EOF {
		return nil, fault.E(fault.Unavailable, "read an ISO image", err)
	}
	if descriptor[0] != 1 || string(descriptor[1:6]) != "CD001" {
		return nil, fault.Errorf(fault.Invalid, "the image is no ISO 9660 image")
	}
	at, size := extent(descriptor[rootRecord:])
	if size > maxRootDir {
		return nil, fault.Errorf(fault.Invalid, "the ISO image's root directory is too large")
	}
	dir := make([]byte, size)
	if _, err := r.ReadAt(dir, at); err != nil && err != io.EOF {
		return nil, fault.E(fault.Unavailable, "read an ISO image", err)
	}
	for i := 0; i+33 < len(dir); {
		length := int(dir[i])
		if length == 0 { // records do not cross sectors
			i = (i/isoSector + 1) * isoSector
			continue
		}
		record := dir[i:min(i+length, len(dir))]
		i += length
		if len(record) < 34 || len(record) < 33+int(record[32]) || record[25]&isoFileFlag != 0 {
			continue
		}
		found, _, _ := strings.Cut(string(record[33:33+int(record[32])]), ";")
		if !strings.EqualFold(strings.TrimSuffix(found, "."), name) {
			continue
		}
		from, bytes := extent(record)
		if bytes > int64(limit) {
			return nil, fault.Errorf(fault.TooLarge, "%s in the ISO image has more than %d bytes", name, limit)
		}
		text := make([]byte, bytes)
		if _, err := r.ReadAt(text, from); err != nil && err != io.EOF {
			return nil, fault.E(fault.Unavailable, "read an ISO image", err)
		}
		return text, nil
	}
	return nil, fault.Errorf(fault.NotFound, "the ISO image has no file %s", name)
}

// extent returns where a directory record's data lie, in bytes.
func extent(record []byte) (at, size int64) {
	return int64(binary.LittleEndian.Uint32(record[2:])) * isoSector, int64(binary.LittleEndian.Uint32(record[10:]))
}
