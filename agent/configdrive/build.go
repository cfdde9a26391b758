package configdrive

import (
	"encoding/binary"
	"hash/crc32"
	"path"
	"strings"
	"unicode/utf16"

	"github.com/hagane-cloud/hagane/fault"
)

// The layout is that of Microsoft's FAT specification (fatgen103), FAT16 with long names.

const (
	minClusters = 4200  // below 4085 a volume counts as FAT12; some readers round a little
	maxClusters = 65000 // above 65524 it counts as FAT32
	rootEntries = 512
	dirEntry    = 32
	attrLabel   = 0x08
	attrDir     = 0x10
	attrLong    = 0x0f
	endOfChain  = 0xffff
	fixedDate   = 0x0021 // 1 January 1980: the same content gives the same bytes
)

// volume is a file system being laid out.
type volume struct {
	sector, cluster int // bytes
	fat             []uint16
	data            []byte // of the clusters, from cluster 2
	root            []byte
}

// folder is a directory being laid out.
type folder struct {
	files   []string // names
	folders []string
}

// Build returns the file system for a disk with sectors of the given size in bytes (0 means 512).
// The same content gives the same bytes. Its faults are Invalid (a bad path) and TooLarge.
func Build(d Drive, sectorBytes int) ([]byte, error) {
	if sectorBytes == 0 {
		sectorBytes = 512
	}
	if err := d.check(); err != nil {
		return nil, fault.E(fault.Invalid, "making a config drive", err)
	}
	v := &volume{sector: sectorBytes, cluster: sectorBytes, fat: []uint16{0xfff8, endOfChain}}
	var total int
	for _, b := range d {
		total += len(b)
	}
	if total > MaxBytes {
		return nil, fault.Errorf(fault.TooLarge, "a config drive of %d bytes is more than the %d that the format allows", total, MaxBytes)
	}
	for total/v.cluster+2*len(d)+64 > maxClusters {
		v.cluster *= 2
	}
	tree := d.tree()
	root, err := v.layOut(d, tree, ".", 0)
	if err != nil {
		return nil, err
	}
	label := make([]byte, dirEntry)
	copy(label, padded(Label))
	label[11] = attrLabel
	binary.LittleEndian.PutUint16(label[24:], fixedDate)
	v.root = append(label, root...)
	if len(v.root) > rootEntries*dirEntry {
		return nil, fault.Errorf(fault.TooLarge, "a config drive's top folder holds too many files")
	}
	image := v.assemble(crc32.ChecksumIEEE(v.data))
	if len(image) > MaxBytes {
		return nil, fault.Errorf(fault.TooLarge, "a config drive of %d bytes is more than the %d that the format allows", len(image), MaxBytes)
	}
	return image, nil
}

// tree lists the content of each folder; the top one is ".".
func (d Drive) tree() map[string]*folder {
	t := map[string]*folder{".": {}}
	for _, p := range d.Paths() {
		dir := path.Dir(p)
		for at := dir; t[at] == nil; at = path.Dir(at) {
			t[at] = &folder{}
		}
		t[dir].files = append(t[dir].files, path.Base(p))
	}
	for _, p := range sortedKeys(t) {
		if p != "." {
			up := t[path.Dir(p)]
			up.folders = append(up.folders, path.Base(p))
		}
	}
	return t
}

// layOut stores a folder's files and folders and returns the folder's entries.
func (v *volume) layOut(d Drive, tree map[string]*folder, dir string, self uint16) ([]byte, error) {
	var entries []byte
	f := tree[dir]
	n := 0
	for _, name := range f.files {
		content := d[path.Join(dir, name)]
		n++
		e, err := entry(name, n, 0, v.store(content), len(content))
		if err != nil {
			return nil, err
		}
		entries = append(entries, e...)
	}
	for _, name := range f.folders {
		child := path.Join(dir, name)
		start := v.reserve()
		inner, err := v.layOut(d, tree, child, start)
		if err != nil {
			return nil, err
		}
		v.storeAt(start, append(dots(start, self), inner...))
		n++
		e, err := entry(name, n, attrDir, start, 0)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e...)
	}
	return entries, nil
}

// dots are the entries of a folder that lead to itself and to its parent (0 is the top).
func dots(self, parent uint16) []byte {
	b := make([]byte, 2*dirEntry)
	copy(b, padded("."))
	copy(b[dirEntry:], padded(".."))
	for i, cluster := range []uint16{self, parent} {
		e := b[i*dirEntry:]
		e[11] = attrDir
		binary.LittleEndian.PutUint16(e[24:], fixedDate)
		binary.LittleEndian.PutUint16(e[26:], cluster)
	}
	return b
}

// reserve takes one cluster and returns its number.
func (v *volume) reserve() uint16 {
	v.fat = append(v.fat, endOfChain)
	v.data = append(v.data, make([]byte, v.cluster)...)
	return uint16(len(v.fat) - 1)
}

// store puts content into fresh clusters and returns the first; an empty file has none.
func (v *volume) store(content []byte) uint16 {
	if len(content) == 0 {
		return 0
	}
	start := v.reserve()
	v.storeAt(start, content)
	return start
}

// storeAt puts content into the cluster at and, where it does not fit, into fresh ones.
func (v *volume) storeAt(at uint16, content []byte) {
	for {
		n := copy(v.data[int(at-2)*v.cluster:int(at-1)*v.cluster], content)
		content = content[n:]
		if len(content) == 0 {
			return
		}
		next := v.reserve()
		v.fat[at] = next
		at = next
	}
}

// assemble puts boot sector, both FATs, root folder and data together.
func (v *volume) assemble(serial uint32) []byte {
	clusters := max(len(v.fat)-2, minClusters)
	fatSectors := ((clusters+2)*2 + v.sector - 1) / v.sector
	rootSectors := rootEntries * dirEntry / v.sector
	sectors := 1 + 2*fatSectors + rootSectors + clusters*(v.cluster/v.sector)
	image := make([]byte, sectors*v.sector)

	le := binary.LittleEndian
	copy(image, []byte{0xeb, 0x3c, 0x90})
	copy(image[3:], "HAGANE  ")
	le.PutUint16(image[11:], uint16(v.sector))
	image[13] = byte(v.cluster / v.sector)
	le.PutUint16(image[14:], 1) // reserved: this sector
	image[16] = 2               // FATs
	le.PutUint16(image[17:], rootEntries)
	if sectors < 1<<16 {
		le.PutUint16(image[19:], uint16(sectors))
	} else {
		le.PutUint32(image[32:], uint32(sectors))
	}
	image[21] = 0xf8 // a fixed disk
	le.PutUint16(image[22:], uint16(fatSectors))
	le.PutUint16(image[24:], 32) // sectors a track and heads, for show
	le.PutUint16(image[26:], 64)
	image[36], image[38] = 0x80, 0x29
	le.PutUint32(image[39:], serial)
	copy(image[43:], padded(Label))
	copy(image[54:], "FAT16   ")
	image[510], image[511] = 0x55, 0xaa

	for i, next := range v.fat {
		for copyNumber := range 2 {
			le.PutUint16(image[(1+copyNumber*fatSectors)*v.sector+2*i:], next)
		}
	}
	at := (1 + 2*fatSectors) * v.sector
	copy(image[at:], v.root)
	copy(image[at+rootSectors*v.sector:], v.data)
	return image
}

// entry returns a name's long entries followed by its short one. number is unique in the folder.
func entry(name string, number int, attributes byte, start uint16, size int) ([]byte, error) {
	units := utf16.Encode([]rune(name))
	if len(units) > 255 || strings.ContainsAny(name, `\:*?"<>|`) {
		return nil, fault.Errorf(fault.Invalid, "%q can not be a file name in a config drive", name)
	}
	short := shortName(name, number)
	pieces := (len(units) + 12) / 13
	out := make([]byte, 0, (pieces+1)*dirEntry)
	for i := pieces; i > 0; i-- {
		e := make([]byte, dirEntry)
		e[0] = byte(i)
		if i == pieces {
			e[0] |= 0x40
		}
		e[11], e[13] = attrLong, checksum(short)
		for j, at := range longOffsets {
			unit := uint16(0xffff)
			switch k := (i-1)*13 + j; {
			case k < len(units):
				unit = units[k]
			case k == len(units):
				unit = 0
			}
			binary.LittleEndian.PutUint16(e[at:], unit)
		}
		out = append(out, e...)
	}
	e := make([]byte, dirEntry)
	copy(e, short)
	e[11] = attributes
	binary.LittleEndian.PutUint16(e[24:], fixedDate)
	binary.LittleEndian.PutUint16(e[26:], start)
	binary.LittleEndian.PutUint32(e[28:], uint32(size))
	return append(out, e...), nil
}
