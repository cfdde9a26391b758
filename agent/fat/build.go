package fat

import (
	"encoding/binary"
	"hash/crc32"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/hagane-cloud/hagane/fault"
)

// The layout is that of Microsoft's FAT specification (fatgen103), FAT16 with long names.

const (
	minClusters = 4200 // below 4085 a volume counts as FAT12; some readers round a little
	// wantClusters bounds the clusters from above: 65524 are possible, but long chains are slow to follow for boot loaders.
	wantClusters = 16000
	rootEntries  = 512
	dirEntry     = 32
	attrLabel    = 0x08
	attrDir      = 0x10
	attrLong     = 0x0f
	endOfChain   = 0xffff
	fixedDate    = 0x0021 // 1 January 1980: the same content gives the same bytes
)

// Options say what volume to make.
type Options struct {
	Label       string // at most 11 characters
	SectorBytes int    // of the disk; 0 means 512
	MaxBytes    int    // of the whole volume; 0 means 512 MiB
}

// volume is a file system being laid out.
type volume struct {
	sector, cluster int // bytes
	fat             []uint16
	data            []byte // of the clusters, from cluster 2
	root            []byte
	label           string
}

// folder is a directory being laid out.
type folder struct {
	files   []string // names
	folders []string
}

// Build returns a FAT16 volume that holds files: path → content. The same files give the same bytes.
// Its faults are Invalid (a bad path) and TooLarge.
func Build(o Options, files map[string][]byte) ([]byte, error) {
	if o.SectorBytes == 0 {
		o.SectorBytes = 512
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 512 << 20
	}
	if err := check(files); err != nil {
		return nil, err
	}
	v := &volume{sector: o.SectorBytes, cluster: o.SectorBytes, fat: []uint16{0xfff8, endOfChain}, label: o.Label}
	var total int
	for _, b := range files {
		total += len(b)
	}
	if total > o.MaxBytes {
		return nil, fault.Errorf(fault.TooLarge, "%d bytes are more than the %d that the volume may have", total, o.MaxBytes)
	}
	for total/v.cluster+2*len(files)+64 > wantClusters {
		v.cluster *= 2
	}
	root, err := v.layOut(files, tree(files), ".", 0)
	if err != nil {
		return nil, err
	}
	label := make([]byte, dirEntry)
	copy(label, padded(o.Label))
	label[11] = attrLabel
	binary.LittleEndian.PutUint16(label[24:], fixedDate)
	v.root = append(label, root...)
	if len(v.root) > rootEntries*dirEntry {
		return nil, fault.Errorf(fault.TooLarge, "the volume's top folder holds too many files")
	}
	image := v.assemble(crc32.ChecksumIEEE(v.data))
	if len(image) > o.MaxBytes {
		return nil, fault.Errorf(fault.TooLarge, "a volume of %d bytes is more than the %d that it may have", len(image), o.MaxBytes)
	}
	return image, nil
}

// check refuses paths that a file system can not carry.
func check(files map[string][]byte) error {
	for p := range files {
		if !fs.ValidPath(p) || p == "." {
			return fault.Errorf(fault.Invalid, "%q is not a path within a volume", p)
		}
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
			if _, is := files[dir]; is {
				return fault.Errorf(fault.Invalid, "%q is both a file and a folder", dir)
			}
		}
	}
	return nil
}

// tree lists the content of each folder; the top one is ".".
func tree(files map[string][]byte) map[string]*folder {
	t := map[string]*folder{".": {}}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		dir := path.Dir(p)
		for at := dir; t[at] == nil; at = path.Dir(at) {
			t[at] = &folder{}
		}
		t[dir].files = append(t[dir].files, path.Base(p))
	}
	for _, p := range slices.Sorted(maps.Keys(t)) {
		if p != "." {
			up := t[path.Dir(p)]
			up.folders = append(up.folders, path.Base(p))
		}
	}
	return t
}

// layOut stores a folder's files and folders and returns the folder's entries.
func (v *volume) layOut(files map[string][]byte, tree map[string]*folder, dir string, self uint16) ([]byte, error) {
	var entries []byte
	f := tree[dir]
	n := 0
	for _, name := range f.files {
		content := files[path.Join(dir, name)]
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
		inner, err := v.layOut(files, tree, child, start)
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
	copy(image[43:], padded(v.label))
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
		return nil, fault.Errorf(fault.Invalid, "%q can not be a file name on a FAT volume", name)
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
