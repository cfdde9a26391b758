package fat

import (
	"encoding/binary"
	"io"
	"io/fs"
	"path"
	"strings"
	"unicode/utf16"

	"github.com/hagane-cloud/hagane/fault"
)

// reader is a FAT file system being read.
type reader struct {
	from     io.ReaderAt
	cluster  int64
	clusters int64
	data     int64 // offset of cluster 2
	fat      []byte
	narrow   bool  // FAT12
	left     int64 // bytes that may still be read: a bound against damaged chains
	out      map[string][]byte
}

// Read returns all files of the FAT12 or FAT16 volume with the given label (in whatever case) that
// from begins with. It returns fs.ErrNotExist when there is no such volume, and an Invalid fault when
// there is one and it is damaged or holds more than limit bytes.
func Read(from io.ReaderAt, label string, limit int64) (map[string][]byte, error) {
	boot := make([]byte, 512)
	if _, err := from.ReadAt(boot, 0); err != nil {
		return nil, fs.ErrNotExist
	}
	le := binary.LittleEndian
	sector, perCluster := int64(le.Uint16(boot[11:])), int64(boot[13])
	if boot[510] != 0x55 || boot[511] != 0xaa || boot[38] != 0x29 || sector < 512 || sector > 4096 || perCluster == 0 ||
		!strings.EqualFold(strings.TrimRight(string(boot[43:54]), " "), label) {
		return nil, fs.ErrNotExist
	}
	reserved, fats, rootBytes := int64(le.Uint16(boot[14:])), int64(boot[16]), int64(le.Uint16(boot[17:]))*dirEntry
	sectors, fatSectors := int64(le.Uint16(boot[19:])), int64(le.Uint16(boot[22:]))
	if sectors == 0 {
		sectors = int64(le.Uint32(boot[32:]))
	}
	rootAt := (reserved + fats*fatSectors) * sector
	r := &reader{from: from, cluster: sector * perCluster, data: rootAt + rootBytes, left: limit, out: map[string][]byte{}}
	r.clusters = (sectors*sector - r.data) / r.cluster
	r.narrow = r.clusters < 4085
	if r.clusters <= 0 || fatSectors*sector > 1<<20 {
		return nil, damaged("its boot sector makes no sense")
	}
	r.fat = make([]byte, fatSectors*sector)
	if _, err := from.ReadAt(r.fat, reserved*sector); err != nil {
		return nil, fault.E(fault.Unavailable, "reading the volume", err)
	}
	root := make([]byte, rootBytes)
	if _, err := from.ReadAt(root, rootAt); err != nil {
		return nil, fault.E(fault.Unavailable, "reading the volume", err)
	}
	return r.out, r.folder(root, ".", 0)
}

func damaged(why string) error {
	return fault.Errorf(fault.Invalid, "the volume is damaged: %s", why)
}

// folder reads all that a folder's entries lead to.
func (r *reader) folder(entries []byte, dir string, depth int) error {
	if depth > 16 {
		return damaged("its folders are nested too deeply")
	}
	var long []uint16
	for ; len(entries) >= dirEntry && entries[0] != 0; entries = entries[dirEntry:] {
		e := entries[:dirEntry]
		if e[0] == 0xe5 { // deleted
			long = nil
			continue
		}
		if e[11] == attrLong {
			long = append(longPiece(e), long...)
			continue
		}
		name := shortString(e)
		if len(long) > 0 {
			name = string(utf16.Decode(long))
		}
		long = nil
		if e[11]&attrLabel != 0 || name == "." || name == ".." {
			continue
		}
		if err := r.thing(e, path.Join(dir, name), depth); err != nil {
			return err
		}
	}
	return nil
}

// thing reads the file or folder of an entry.
func (r *reader) thing(e []byte, name string, depth int) error {
	size := int64(binary.LittleEndian.Uint32(e[28:]))
	content, err := r.chain(int64(binary.LittleEndian.Uint16(e[26:])))
	if err != nil {
		return err
	}
	if e[11]&attrDir != 0 {
		return r.folder(content, name, depth+1)
	}
	if size > int64(len(content)) {
		return damaged("a file is shorter than its size says")
	}
	r.out[name] = content[:size]
	return nil
}

// chain reads the clusters from start to the end of their chain.
func (r *reader) chain(start int64) ([]byte, error) {
	var content []byte
	for at := start; at >= 2 && at < r.clusters+2; at = r.next(at) {
		if r.left -= r.cluster; r.left < 0 {
			return nil, damaged("a chain of clusters does not end, or it holds too much")
		}
		b := make([]byte, r.cluster)
		if _, err := r.from.ReadAt(b, r.data+(at-2)*r.cluster); err != nil {
			return nil, fault.E(fault.Unavailable, "reading the volume", err)
		}
		content = append(content, b...)
	}
	return content, nil
}

func (r *reader) next(at int64) int64 {
	if !r.narrow {
		if int(2*at+2) > len(r.fat) {
			return 0
		}
		return int64(binary.LittleEndian.Uint16(r.fat[2*at:]))
	}
	i := at + at/2
	if int(i+2) > len(r.fat) {
		return 0
	}
	v := int64(binary.LittleEndian.Uint16(r.fat[i:]))
	if at%2 == 1 {
		return v >> 4
	}
	return v & 0xfff
}

func longPiece(e []byte) []uint16 {
	var units []uint16
	for _, at := range longOffsets {
		u := binary.LittleEndian.Uint16(e[at:])
		if u == 0 || u == 0xffff {
			break
		}
		units = append(units, u)
	}
	return units
}

func shortString(e []byte) string {
	stem, extension := strings.TrimRight(string(e[:8]), " "), strings.TrimRight(string(e[8:11]), " ")
	if extension != "" {
		stem += "." + extension
	}
	return strings.ToLower(stem)
}
