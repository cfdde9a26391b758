// Package iso reads all files of a small ISO 9660 image, such as a config drive that a client made with genisoimage or
// xorriso. The images come from outside: whatever is in them, little is read and nothing is believed. The server noun calls it.
//
// Source: ECMA-119 for the image, IEEE P1281 and P1282 (SUSP and Rock Ridge) and Microsoft's Joliet specification for longer names.
package iso

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"

	"github.com/hagane-cloud/hagane/fault"
)

const (
	sector    = 2048
	firstAt   = 16 // sectors: the first volume descriptor
	primary   = 1
	joliet    = 2
	lastOne   = 255
	rootAt    = 156 // in a volume descriptor
	recordMin = 33
	isFolder  = 0x02
	unfolded  = 0x80 // more of the file lies in another record
	deepest   = 8
	mostFiles = 1000
)

// Read returns the files of an image by their paths, such as openstack/latest/meta_data.json. Together they have at most so many bytes.
// Its faults are Invalid and TooLarge.
func Read(image []byte, most int) (map[string][]byte, error) {
	r := &reader{image: image, left: most, files: map[string][]byte{}}
	root, err := r.root()
	if err != nil {
		return nil, err
	}
	return r.files, r.walk("", root, 0)
}

type reader struct {
	image  []byte
	joliet bool // names are of Joliet's tree
	skip   int  // bytes before each record's fields of SUSP; -1 is no Rock Ridge
	left   int  // bytes that files may still have
	seen   int  // records
	files  map[string][]byte
}

// root finds the tree with the best names: Rock Ridge's, Joliet's, or the plain one.
func (r *reader) root() (record, error) {
	var plain, wide record
	for i := firstAt; ; i++ {
		d, err := r.part(uint64(i)*sector, sector)
		if err != nil || string(d[1:6]) != "CD001" {
			return nil, fault.Errorf(fault.Invalid, "it is no image of ISO 9660")
		}
		if d[0] == lastOne {
			break
		}
		if d[0] == primary && plain == nil {
			plain = record(d[rootAt : rootAt+recordMin+1])
		}
		if escape := string(d[88:91]); d[0] == joliet && (escape == "%/@" || escape == "%/C" || escape == "%/E") {
			wide = record(d[rootAt : rootAt+recordMin+1])
		}
	}
	if plain == nil {
		return nil, fault.Errorf(fault.Invalid, "the ISO image has no primary volume")
	}
	r.skip = -1
	if dir, err := r.part(plain.at(), sector); err == nil && len(dir) > recordMin+8 && int(dir[0]) > recordMin+8 {
		if sp := dir[recordMin+1:]; string(sp[:2]) == "SP" { // of the folder itself, which is the first record
			r.skip = int(sp[6])
			return plain, nil
		}
	}
	if wide != nil {
		r.joliet = true
		return wide, nil
	}
	return plain, nil
}

// part returns bytes of the image.
func (r *reader) part(at, size uint64) ([]byte, error) {
	if at > uint64(len(r.image)) || size > uint64(len(r.image))-at {
		return nil, fault.Errorf(fault.Invalid, "the ISO image ends before something that it is said to hold")
	}
	return r.image[at : at+size], nil
}

// record is a file or folder as its folder tells of it.
type record []byte

func (d record) at() uint64   { return uint64(binary.LittleEndian.Uint32(d[2:])) * sector }
func (d record) size() uint64 { return uint64(binary.LittleEndian.Uint32(d[10:])) }

// walk reads all files below a folder.
func (r *reader) walk(path string, folder record, depth int) error {
	if depth > deepest {
		return fault.Errorf(fault.Invalid, "the folders of the ISO image are deeper than %d", deepest)
	}
	dir, err := r.part(folder.at(), folder.size())
	if err != nil {
		return err
	}
	for i := 0; i < len(dir); {
		length := int(dir[i])
		if length == 0 { // records do not cross sectors
			i = (i/sector + 1) * sector
			continue
		}
		if length < recordMin+1 || length > len(dir)-i || recordMin+int(dir[i+32]) > length {
			return fault.Errorf(fault.Invalid, "a folder of the ISO image is damaged")
		}
		d := record(dir[i : i+length])
		i += length
		if d[32] == 1 && d[33] <= 1 { // the folder itself, and the one that it is in
			continue
		}
		if err := r.take(path, d, depth); err != nil {
			return err
		}
	}
	return nil
}

// take reads a file, or all that is in a folder.
func (r *reader) take(path string, d record, depth int) error {
	if r.seen++; r.seen > mostFiles {
		return fault.Errorf(fault.TooLarge, "the ISO image has more than %d files and folders", mostFiles)
	}
	name, err := r.name(d)
	if err != nil {
		return err
	}
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fault.Errorf(fault.Invalid, "%.40q is no name of a file", name)
	}
	if path += name; d[25]&isFolder != 0 {
		return r.walk(path+"/", d, depth+1)
	}
	if d[25]&unfolded != 0 || d.size() > uint64(r.left) {
		return fault.Errorf(fault.TooLarge, "the files of the ISO image are larger than is taken")
	}
	data, err := r.part(d.at(), d.size())
	if err != nil {
		return err
	}
	r.left -= len(data)
	r.files[path] = data
	return nil
}

// name is that of a record: its longest form.
func (r *reader) name(d record) (string, error) {
	id := d[recordMin : recordMin+int(d[32])]
	if r.joliet {
		var wide []uint16
		for i := 0; i+1 < len(id); i += 2 {
			wide = append(wide, binary.BigEndian.Uint16(id[i:]))
		}
		return unversioned(string(utf16.Decode(wide))), nil
	}
	if r.skip >= 0 {
		from := recordMin + len(id)
		from += 1 - len(id)%2 + r.skip // padded to an even length
		name, err := r.posix(d[min(from, len(d)):])
		if err != nil || name != "" {
			return name, err
		}
	}
	return strings.ToLower(unversioned(string(id))), nil
}

// unversioned leaves out the version behind a name's semicolon, and a dot with nothing behind it.
func unversioned(name string) string {
	name, _, _ = strings.Cut(name, ";")
	return strings.TrimSuffix(name, ".")
}

// posix reads the name of Rock Ridge, of which a part may lie elsewhere in the image.
func (r *reader) posix(fields []byte) (string, error) {
	name := ""
	for range 8 { // continuations
		var next []byte
		for len(fields) >= 4 && fields[2] >= 4 && int(fields[2]) <= len(fields) {
			f := fields[:fields[2]]
			fields = fields[fields[2]:]
			switch {
			case string(f[:2]) == "NM" && len(f) > 5:
				name += string(f[5:])
			case string(f[:2]) == "CE" && len(f) >= 28:
				var err error
				at := uint64(binary.LittleEndian.Uint32(f[4:]))*sector + uint64(binary.LittleEndian.Uint32(f[12:]))
				if next, err = r.part(at, uint64(binary.LittleEndian.Uint32(f[20:]))); err != nil {
					return "", err
				}
			}
		}
		if next == nil {
			return name, nil
		}
		fields = next
	}
	return "", fault.Errorf(fault.Invalid, "a name in the ISO image has no end")
}
