package image

import (
	"io"
	"os"

	"github.com/hagane-cloud/hagane/agent/partition"
	"github.com/hagane-cloud/hagane/fault"
)

// onDisks are the formats that a server's disk can be written from.
func onDisks(format string) bool { return format == "raw" || format == "qcow2" }

// Usable reports with a fault whether an image can be deployed now: its data are there in full.
func (s *Service) Usable(i Image) error {
	switch {
	case i.Status == Deactivated:
		return fault.Errorf(fault.Conflict, "the image %s is deactivated; reactivate it first", i.ID)
	case i.Status != Active:
		return fault.Errorf(fault.Conflict, "the image %s is %s; upload its data first", i.ID, i.Status)
	case i.Size == 0:
		return fault.Errorf(fault.Conflict, "the image %s has no data in it; upload some to a new one", i.ID)
	case i.DiskFormat == "iso":
		return fault.Field("imageRef", "the image %s is an ISO, which can not be written to a disk", i.ID)
	case !onDisks(i.DiskFormat):
		return fault.Field("imageRef", "the image %s is %s, which is kept but can not be written to a disk: convert it (qemu-img convert -O qcow2) and upload that", i.ID, i.DiskFormat)
	case i.ContainerFormat != "bare":
		return fault.Field("imageRef", "the image %s is in a container of the format %s: only bare disks can be written", i.ID, i.ContainerFormat)
	}
	f, err := os.Open(s.path(i.RawSHA512))
	if err != nil {
		return lost(i, err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || info.Size() != i.RawSize {
		return lost(i, err)
	}
	return partitioned(i, f)
}

// Ending says how an active image's partition table ends: how many bytes its last partition has, and how many more it can
// have.
func (s *Service) Ending(i Image) (last int64, free int, err error) {
	f, err := os.Open(s.path(i.RawSHA512))
	if err != nil {
		return 0, 0, lost(i, err)
	}
	defer func() { _ = f.Close() }()
	for _, sector := range []int{512, 4096} {
		var t *partition.Table
		if t, err = partition.Read(f, i.RawSize, sector); err == nil {
			end, _, _ := t.Behind()
			return end.Bytes, t.Free(), nil
		}
	}
	return 0, 0, fault.Field("imageRef", "the image %s has a partition table that nothing can be added to: %s", i.ID, fault.Message(err))
}

// Fits reports with a fault whether a server with so much disk (GB) and memory (MB) is what an image asks for; 0 is not known.
func (i *Image) Fits(disk, ram int64) error {
	switch {
	case disk > 0 && i.MinDisk > disk:
		return fault.Field("flavorRef", "the image needs a disk of %d GB, and the flavor has %d", i.MinDisk, disk)
	case ram > 0 && i.MinRAM > ram:
		return fault.Field("flavorRef", "the image needs %d MB of memory, and the flavor has %d", i.MinRAM, ram)
	}
	return nil
}

func lost(i Image, err error) error {
	return fault.E(fault.Conflict, "the data of the image "+i.ID+" are lost; upload it anew as another image", err)
}

// partitioned refuses a disk without the signature that ends the first sector of both kinds of partition table, MBR
// and GPT: it could not be booted, and there would be no place for the config drive.
func partitioned(i Image, f io.ReaderAt) error {
	const at = 510
	var sig [2]byte
	if _, err := f.ReadAt(sig[:], at); err != nil || sig != [2]byte{0x55, 0xaa} {
		return fault.Field("imageRef", "the image %s has no partition table (MBR or GPT): it is no disk that could be booted", i.ID)
	}
	return nil
}
