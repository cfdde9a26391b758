package osimage

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/ramdisk/deb"
)

// The places in GRUB's boot sectors that its installer fills in (GRUB 2, grub-core/boot/i386/pc:
// boot.S and diskboot.S). They have been the same since 2009.
const (
	grubFolder     = "/usr/lib/grub"
	bootCode       = 440  // of the MBR; the disk's signature and table follow
	kernelSectorAt = 0x5c // in boot.img: 8 bytes, first sector of the core image
	driveCheckAt   = 0x66 // in boot.img: a jump that distrusts the BIOS's drive number
	blockListAt    = 500  // in the core image's first sector: 8 bytes first sector, 2 length, 2 segment
)

// biosModules and efiModules are what GRUB needs to start a kernel from a boot partition.
var (
	biosModules = []string{"biosdisk", "part_gpt", "fat", "linux", "boot", "echo", "serial", "terminal"}
	efiModules  = []string{"part_gpt", "fat", "linux", "boot", "echo", "serial", "terminal"}
)

// bootloader is GRUB in both forms, with its commands built in.
type bootloader struct {
	boot []byte // the MBR's code
	core []byte // for the BIOS boot partition
	efi  []byte // for EFI/BOOT/BOOTX64.EFI
}

// makeBootloader builds GRUB with a script built in, so that no configuration has to be found. In the
// script $root is the boot partition, which must be partition number espNumber and FAT. extra are
// further modules.
func makeBootloader(ctx context.Context, work, script string, espNumber string, extra ...string) (bootloader, error) {
	var b bootloader
	file := filepath.Join(work, "grub.script")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		return b, fault.E(fault.Internal, "writing GRUB's script", err)
	}
	for _, format := range []struct {
		name, prefix string
		modules      []string
		to           *[]byte
	}{
		{"i386-pc", "(,gpt" + espNumber + ")/", biosModules, &b.core},
		{"x86_64-efi", "/", efiModules, &b.efi},
	} {
		out := filepath.Join(work, "grub."+format.name)
		arguments := append([]string{"-O", format.name, "-p", format.prefix, "-c", file, "-o", out}, format.modules...)
		if _, err := deb.Run(ctx, "", "grub-mkimage", append(arguments, extra...)...); err != nil {
			return b, fault.Wrap("building GRUB (packages grub-common, grub-pc-bin, grub-efi-amd64-bin)", err)
		}
		var err error
		if *format.to, err = os.ReadFile(out); err != nil {
			return b, fault.E(fault.Internal, "reading GRUB", err)
		}
	}
	var err error
	if b.boot, err = os.ReadFile(filepath.Join(grubFolder, "i386-pc/boot.img")); err != nil {
		return b, fault.E(fault.Unavailable, "reading GRUB's boot sector (package grub-pc-bin)", err)
	}
	return b, nil
}

// installBIOS writes GRUB for BIOS machines to an image whose BIOS boot partition lies at offset.
func (b bootloader) installBIOS(image *os.File, offset, length int64) error {
	const sector = 512
	core := bytes.Clone(b.core)
	if pad := len(core) % sector; pad != 0 {
		core = append(core, make([]byte, sector-pad)...)
	}
	if int64(len(core)) > length {
		return fault.Errorf(fault.Internal, "GRUB with %d bytes does not fit into its partition", len(core))
	}
	boot := bytes.Clone(b.boot)
	le := binary.LittleEndian
	if len(boot) != sector || le.Uint64(boot[kernelSectorAt:]) != 1 || le.Uint64(core[blockListAt:]) != 2 {
		return fault.Errorf(fault.Internal, "this GRUB's boot sector is not laid out as expected")
	}
	le.PutUint64(boot[kernelSectorAt:], uint64(offset/sector))
	copy(boot[driveCheckAt:], []byte{0x90, 0x90}) // no jump: it is a hard disk for sure
	le.PutUint64(core[blockListAt:], uint64(offset/sector+1))
	le.PutUint16(core[blockListAt+8:], uint16(len(core)/sector-1))
	if _, err := image.WriteAt(core, offset); err != nil {
		return fault.E(fault.Internal, "writing GRUB", err)
	}
	if _, err := image.WriteAt(boot[:bootCode], 0); err != nil {
		return fault.E(fault.Internal, "writing the boot sector", err)
	}
	return nil
}
