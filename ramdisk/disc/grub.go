package disc

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"

	"github.com/hagane-cloud/hagane/agent/fat"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/ramdisk/deb"
)

// script is what GRUB does in both of its forms; the command line of the node stands behind before. The
// menu's wait is over before it begins. On BIOS the serial port shows what the screen shows; UEFI does that by itself.
const (
	before = `set timeout=0
if [ x$grub_platform = xpc ]; then
	serial --unit=0 --speed=115200
	terminal_output console serial
fi
echo "Hagane: loading the agent from the CD"
linux /kernel.img `
	after = `
initrd /initrd.img
boot
`
)

// modules are the parts that are built into our GRUB. It can read no file system but a CD's: what a tenant left on
// the disks of the machine is none of its business.
var modules = []string{"iso9660", "normal", "linux", "boot", "echo", "test", "terminal"}

// The two forms of GRUB. $root is what the firmware started it from: the CD.
var forms = []struct {
	format string
	more   []string
}{
	{"i386-pc-eltorito", []string{"biosdisk", "serial"}},
	{"x86_64-efi", nil},
}

// loaders builds GRUB as the boot images for BIOS and for UEFI.
func loaders(ctx context.Context, work string) (bios, uefi []byte, err error) {
	var built [2][]byte
	for i, f := range forms {
		out := filepath.Join(work, f.format)
		arguments := append([]string{"-O", f.format, "-p", "/boot/grub", "-o", out}, modules...)
		if _, err := deb.Run(ctx, "", "grub-mkimage", append(arguments, f.more...)...); err != nil {
			return nil, nil, fault.Wrap("building GRUB for the agent's CD (packages grub-common, grub-pc-bin, grub-efi-amd64-bin)", err)
		}
		if built[i], err = os.ReadFile(out); err != nil {
			return nil, nil, fault.E(fault.Internal, "reading GRUB", err)
		}
	}
	efi := map[string][]byte{firstEFI: built[1]}
	if signed() {
		if efi, err = signedLoaders(); err != nil {
			return nil, nil, err
		}
	}
	uefi, err = fat.Build(fat.Options{Label: "HAGANE"}, efi)
	return built[0], uefi, err
}

// firstEFI is what UEFI starts from a removable medium (UEFI 2.10, section 3.5.1.1).
const firstEFI = "EFI/BOOT/BOOTX64.EFI"

// signedFiles are the distribution's own boot loaders, which Secure Boot lets pass together with its kernel: shim, and the
// GRUB for CDs, which looks for /boot/grub/grub.cfg on what it was started from.
var signedFiles = map[string]string{
	firstEFI:               "/usr/lib/shim/shimx64.efi.signed",
	"EFI/BOOT/grubx64.efi": "/usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed",
}

// signed reports whether they are installed (packages shim-signed and grub-efi-amd64-signed).
func signed() bool {
	for _, path := range signedFiles {
		if _, err := os.Stat(path); err != nil {
			return false
		}
	}
	return true
}

func signedLoaders() (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, path := range signedFiles {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fault.E(fault.Internal, "reading a signed boot loader", err)
		}
		files[name] = content
	}
	return files, nil
}

// tellPlace writes into the boot image for BIOS where it lies and how long it is: the boot information table
// that GRUB's first sector finds the rest of itself by.
func tellPlace(bios []byte, at int64) error {
	const from, end, summed = 8, 64, 64
	if len(bios) < sector {
		return fault.Errorf(fault.Internal, "GRUB is too short for a boot image")
	}
	le := binary.LittleEndian
	le.PutUint32(bios[from:], atVolume)
	le.PutUint32(bios[from+4:], uint32(at))
	le.PutUint32(bios[from+8:], uint32(len(bios)))
	clear(bios[from+16 : end])
	var sum uint32
	for i := summed; i < len(bios); i += 4 {
		var word [4]byte
		copy(word[:], bios[i:])
		sum += le.Uint32(word[:])
	}
	le.PutUint32(bios[from+12:], sum)
	return nil
}
