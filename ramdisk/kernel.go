package ramdisk

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/ramdisk/deb"
)

// Flavor is the kind of kernel package.
type Flavor string

// The flavors. Cloud is small and starts quickly in emulators; it has the drivers of virtual machines
// only. Generic has those of real servers.
const (
	Cloud   Flavor = "cloud"
	Generic Flavor = "generic"
)

// metaPackages are the packages that lead to the newest kernel of a flavor.
var metaPackages = map[string]map[Flavor][]string{
	"debian": {Cloud: {"linux-image-cloud-amd64"}, Generic: {"linux-image-amd64"}},
	// Ubuntu has the rarer drivers in a package of their own.
	"ubuntu": {Cloud: {"linux-image-virtual"}, Generic: {"linux-image-generic"}},
}

// parts are the packages that a kernel consists of.
var parts = regexp.MustCompile(`^linux-(image|modules|modules-extra)-(unsigned-)?[0-9]`)

// cloudModules are what a virtual machine boots, is networked and is switched off with.
var cloudModules = slices.Concat(rescueModules, []string{
	"virtio_pci", "virtio_mmio", "virtio_blk", "virtio_scsi", "virtio_net", "virtio_rng", "nvme", "sd_mod",
	"ata_piix", "ata_generic", "ahci", "button", "af_packet", "e1000", "e1000e", "vmxnet3", "vmw_pvscsi",
	"hv_storvsc", "hv_netvsc", "xen_blkfront", "xen_netfront",
})

// rescueModules are those by which what is on a tenant's disks can be mounted.
var rescueModules = []string{
	"ext4", "xfs", "btrfs", "vfat", "isofs", "nls_ascii", "nls_cp437", "nls_utf8", "nls_iso8859_1",
	"crc32c_generic", "crc32c_intel", "xxhash_generic", "dm_mod", "md_mod", "raid0", "raid1", "raid10", "raid456",
}

// genericModules are the drivers of servers: network, storage, and USB for consoles and media.
var genericModules = slices.Concat(cloudModules, []string{
	"drivers/net/ethernet/", "drivers/net/phy/", "drivers/net/mdio/", "drivers/scsi/", "drivers/ata/", "drivers/nvme/host/",
	"drivers/virtio/", "drivers/message/fusion/", "drivers/mmc/", "vmd", "drivers/block/mtip32xx/", "drivers/block/virtio_blk",
	"xhci_pci", "ehci_pci", "uhci_hcd", "ohci_pci", "usb_storage", "uas", "usbhid", "hid_generic",
	"cdc_ether", "cdc_ncm", "cdc_eem", "rndis_host", "ax88179_178a", "asix", "r8152", "smsc75xx", "smsc95xx",
	"ipmi_si", "ipmi_devintf", "nd_pmem", "nfit", "mlx5_core", "bnxt_en",
})

// Modules returns the names of the modules that a flavor's ramdisk takes along, where the kernel has
// them.
func (f Flavor) Modules() []string {
	if f == Generic {
		return slices.Concat(genericModules, toolModules)
	}
	return slices.Concat(cloudModules, toolModules)
}

// Kernel fetches and unpacks the newest kernel of a flavor into a folder and returns the kernel's
// packages, and the path of its image.
func Kernel(ctx context.Context, store deb.Store, flavor Flavor, dir string) ([]deb.Package, string, error) {
	packages, err := KernelPackages(ctx, store, flavor)
	if err != nil {
		return nil, "", err
	}
	for _, p := range packages {
		if err := deb.Unpack(ctx, p, dir); err != nil {
			return nil, "", err
		}
	}
	images, err := filepath.Glob(filepath.Join(dir, "boot/vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return nil, "", fault.Errorf(fault.Internal, "the packages of the %s kernel hold %d kernels", flavor, len(images))
	}
	return packages, images[0], nil
}

// KernelPackages finds and downloads the packages of the newest kernel of a flavor.
func KernelPackages(ctx context.Context, store deb.Store, flavor Flavor) ([]deb.Package, error) {
	if runtime.GOARCH != "amd64" {
		return nil, fault.Errorf(fault.Invalid, "ramdisks are built on amd64 only, this is %s", runtime.GOARCH)
	}
	id, _, err := deb.Release()
	if err != nil {
		return nil, err
	}
	pending := slices.Clone(metaPackages[id][flavor])
	if pending == nil {
		return nil, fault.Errorf(fault.Invalid, "no %q kernel is known for the distribution %q: use Debian or Ubuntu", flavor, id)
	}
	var names []string
	for seen := map[string]bool{}; len(pending) > 0; pending = pending[1:] {
		name := pending[0]
		if seen[name] {
			continue
		}
		seen[name] = true
		if parts.MatchString(name) {
			names = append(names, name)
		}
		needs, err := deb.Depends(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, need := range needs {
			if parts.MatchString(need) && !seen[need] {
				pending = append(pending, need)
			}
		}
	}
	if len(names) == 0 {
		return nil, fault.Errorf(fault.Unavailable, "no kernel was found behind %v", metaPackages[id][flavor])
	}
	slices.Sort(names)
	return store.Fetch(ctx, names...)
}

// supports tells whether the unpacked kernel was built with an option.
func supports(dir, option string) bool {
	configs, err := filepath.Glob(filepath.Join(dir, "boot/config-*"))
	if err != nil || len(configs) == 0 {
		return false
	}
	b, err := os.ReadFile(configs[0])
	return err == nil && regexp.MustCompile(`(?m)^`+option+`=y$`).Match(b)
}
