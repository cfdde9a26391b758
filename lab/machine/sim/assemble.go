package sim

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/hagane-cloud/hagane/agent"
	"github.com/hagane-cloud/hagane/agent/layout"
	"github.com/hagane-cloud/hagane/agent/partition"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

var _ agent.Assembler = (*body)(nil)

// What is played of arrays, groups and file systems: partition tables are real; each member, physical volume and file
// system has its signature and UUID where Linux looks for them. Behind the signatures of members and physical volumes is
// what was asked for, as JSON and not in their formats; RAID 0, 5, 6 and 10 keep their data one disk after the other.
const (
	memberAt    = 4096 // version 1.2 of md's superblock
	volumeAt    = 512  // LVM's label
	recordBytes = 64 << 10
	dataAt      = 1 << 20
	extentBytes = 4 << 20
)

var (
	memberMagic = []byte{0xfc, 0x4e, 0x2b, 0xa9}
	volumeMagic = []byte("LABELONE")
)

// signatures of file systems: where, what, and where the UUID is.
var signatures = []struct {
	kind     string
	at       int64
	magic    []byte
	uuidAt   int64
	smallest int64
}{
	{layout.Ext4, 1024 + 0x38, []byte{0x53, 0xef}, 1024 + 0x68, 1 << 20},
	{layout.XFS, 0, []byte("XFSB"), 32, 300 << 20},
	{layout.Swap, 4096 - 10, []byte("SWAPSPACE2"), 1024 + 12, 40 << 10},
}

// inUse is what the agent has made and not released yet.
type inUse struct {
	arrays  []*array
	volumes map[string]linear // by device
	groups  map[string]string // a device of each, by label
}

// find returns what is behind a device's name.
func (b *body) find(device string) (linear, error) {
	if l, ok := b.inUse.volumes[device]; ok {
		return l, nil
	}
	var disks []agent.Disk
	for _, d := range b.disks {
		disks = append(disks, d)
	}
	for _, a := range b.inUse.arrays {
		disks = append(disks, a)
	}
	for _, d := range disks {
		info := d.Info()
		rest, ok := strings.CutPrefix(device, info.Name)
		number, err := strconv.Atoi(strings.TrimPrefix(rest, "p"))
		if !ok || err != nil {
			continue
		}
		table, err := partition.Read(d, info.Bytes, info.SectorBytes)
		if err != nil {
			return nil, err
		}
		for _, p := range table.Partitions {
			if p.Number == number {
				return linear{{d, p.Offset, p.Bytes}}, nil
			}
		}
	}
	return nil, fault.Errorf(fault.NotFound, "there is no device %s", device)
}

// superblock is what is written on each member of an array.
type superblock struct {
	UUID, Name     string
	Level, Devices int
}

// Array makes a software RAID.
func (b *body) Array(_ context.Context, name string, level int, members []string) (agent.Disk, error) {
	s := superblock{UUID: uuid.NewString(), Name: name, Level: level, Devices: len(members)}
	var sides []linear
	var size int64
	for i, m := range members {
		l, err := b.find(m)
		if err != nil {
			return nil, err
		}
		if err := inscribe(l, memberAt, memberMagic, s); err != nil {
			return nil, err
		}
		sides = append(sides, l.part(dataAt, l.length()-dataAt))
		if n := sides[i].length(); i == 0 || n < size {
			size = n
		}
	}
	a := &array{info: protocol.Disk{Name: fmt.Sprintf("/dev/md%d", len(b.inUse.arrays)), Bytes: size}}
	var whole linear
	var all mirror
	for _, side := range sides {
		whole, all = append(whole, side.part(0, size)...), append(all, side.part(0, size))
	}
	a.block = all
	if level != 1 {
		data := map[int]int{0: len(members), 5: len(members) - 1, 6: len(members) - 2, 10: len(members) / 2}[level]
		a.block, a.info.Bytes = whole, int64(data)*size
	}
	b.inUse.arrays = append(b.inUse.arrays, a)
	return a, nil
}

// group is what is written on each physical volume.
type group struct {
	protocol.VolumeGroup
	Devices []string
}

// Group makes a volume group.
func (b *body) Group(_ context.Context, g protocol.VolumeGroup, members []string) (map[string]string, error) {
	var room linear
	var places []linear
	for _, m := range members {
		l, err := b.find(m)
		if err != nil {
			return nil, err
		}
		places = append(places, l)
		room = append(room, l.part(dataAt, (l.length()-dataAt)/extentBytes*extentBytes)...)
	}
	free, rest := room.length(), -1
	for i := range g.Volumes {
		g.Volumes[i].Bytes = (g.Volumes[i].Bytes + extentBytes - 1) / extentBytes * extentBytes
		free -= g.Volumes[i].Bytes
		if g.Volumes[i].Bytes == 0 {
			rest = i
		}
	}
	if free < 0 || rest >= 0 && free == 0 {
		return nil, fault.Errorf(fault.Invalid, "the volume group %s has insufficient free space", g.Label)
	}
	if rest >= 0 {
		g.Volumes[rest].Bytes = free
	}
	devices, at := map[string]string{}, int64(0)
	for _, v := range g.Volumes {
		devices[v.Label] = "/dev/" + g.Label + "/" + v.Label
		b.inUse.volumes[devices[v.Label]] = room.part(at, v.Bytes)
		at += v.Bytes
	}
	for _, l := range places {
		if err := inscribe(l, volumeAt, volumeMagic, group{g, members}); err != nil {
			return nil, err
		}
	}
	b.inUse.groups[g.Label] = members[0]
	return devices, nil
}

// ReadGroup reads a volume group from the first of its devices.
func (b *body) ReadGroup(_ context.Context, label string) (protocol.VolumeGroup, error) {
	var g group
	err := b.decipher(b.inUse.groups[label], volumeAt, volumeMagic, &g)
	g.Partitions = g.Devices
	return g.VolumeGroup, err
}

// ReadMember reads a member of an array.
func (b *body) ReadMember(_ context.Context, device string) (agent.Member, error) {
	var s superblock
	err := b.decipher(device, memberAt, memberMagic, &s)
	return agent.Member{Array: s.UUID, Level: s.Level, Devices: s.Devices}, err
}

// Format writes a file system's signature and UUID.
func (b *body) Format(_ context.Context, device string, f protocol.Filesystem) error {
	l, err := b.find(device)
	if err != nil {
		return err
	}
	id, err := uuid.Parse(f.UUID)
	if err != nil {
		return fault.E(fault.Invalid, "reading the file system's UUID", err)
	}
	for _, s := range signatures {
		if s.kind != f.Type {
			continue
		}
		if l.length() < s.smallest {
			return fault.Errorf(fault.Invalid, "%s has %d bytes, which are too few for %s", device, l.length(), f.Type)
		}
		if _, err := l.WriteAt(id[:], s.uuidAt); err != nil {
			return fault.E(fault.Internal, "writing the file system", err)
		}
		_, err := l.WriteAt(s.magic, s.at)
		return err
	}
	return fault.Errorf(fault.Invalid, "there is no program to make %s", f.Type)
}

// ReadFilesystem looks for the signatures of file systems.
func (b *body) ReadFilesystem(_ context.Context, device string) (protocol.Filesystem, error) {
	l, err := b.find(device)
	if err != nil {
		return protocol.Filesystem{}, err
	}
	for _, s := range signatures {
		magic := make([]byte, len(s.magic))
		var id uuid.UUID
		if _, err := l.ReadAt(magic, s.at); err != nil || !bytes.Equal(magic, s.magic) {
			continue
		}
		_, err := l.ReadAt(id[:], s.uuidAt)
		return protocol.Filesystem{Type: s.kind, UUID: id.String()}, err
	}
	return protocol.Filesystem{}, nil
}

// Release forgets devices that are not there after a restart.
func (b *body) Release(context.Context) error {
	b.inUse = inUse{volumes: map[string]linear{}, groups: map[string]string{}}
	return nil
}

// inscribe writes a signature, and behind it the length of what follows and v.
func inscribe(l linear, at int64, magic []byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil || len(text) > recordBytes {
		return fault.E(fault.Internal, "describing the array", err)
	}
	record := binary.LittleEndian.AppendUint32(bytes.Clone(magic), uint32(len(text)))
	_, err = l.WriteAt(append(record, text...), at)
	return err
}

// decipher reads what inscribe wrote to a device.
func (b *body) decipher(device string, at int64, magic []byte, v any) error {
	l, err := b.find(device)
	if err != nil {
		return err
	}
	head := make([]byte, len(magic)+4)
	if _, err := l.ReadAt(head, at); err != nil {
		return fault.E(fault.Internal, "reading "+device, err)
	}
	length := binary.LittleEndian.Uint32(head[len(magic):])
	if !bytes.HasPrefix(head, magic) || length > recordBytes {
		return fault.Errorf(fault.NotFound, "%s is no part of such a thing", device)
	}
	text := make([]byte, length)
	if _, err := l.ReadAt(text, at+int64(len(head))); err != nil {
		return fault.E(fault.Internal, "reading "+device, err)
	}
	return json.Unmarshal(text, v)
}
