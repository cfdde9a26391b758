package qemu

import (
	"os"
	"os/exec"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// Firmware is where the programs are that machines consist of.
type Firmware struct {
	QEMU string // qemu-system-x86_64; it brings SeaBIOS and iPXE along
	Code string // OVMF, the UEFI firmware; "": none
	Vars string // OVMF's empty variables
}

// ovmf lists where Debian, Ubuntu and Fedora keep OVMF, newest first.
var ovmf = [][2]string{
	{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
	{"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
	{"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},
}

// FindFirmware looks for QEMU and OVMF. Without OVMF there is no UEFI; without QEMU it returns an
// Unavailable fault that names the packages.
func FindFirmware() (Firmware, error) {
	path, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return Firmware{}, fault.E(fault.Unavailable, "find qemu-system-x86_64; apt-get install qemu-system-x86 ovmf ipxe-qemu", err)
	}
	f := Firmware{QEMU: path}
	for _, pair := range ovmf {
		if exists(pair[0]) && exists(pair[1]) {
			f.Code, f.Vars = pair[0], pair[1]
			break
		}
	}
	return f, nil
}

// Has reports whether machines can start in a mode.
func (f Firmware) Has(mode machine.Mode) bool {
	return mode == machine.BIOS || mode == machine.UEFI && f.Code != ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
