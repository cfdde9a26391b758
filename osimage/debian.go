package osimage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hagane-cloud/hagane/agent/fat"
	"github.com/hagane-cloud/hagane/agent/partition"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/ramdisk/deb"
)

// debianRecipe changes when the same inputs would give another image.
const debianRecipe = "2"

// debianFallback is the release that is built where the host is not a Debian itself.
const debianFallback = "bookworm"

// debianPackages are what a server needs to be handed over and logged in to.
var debianPackages = []string{
	"linux-image-cloud-amd64", "initramfs-tools", "logsave", "zstd", "systemd-sysv", "udev", "dbus", "libpam-systemd", "kmod",
	"cloud-init", "cloud-guest-utils", "gdisk", "e2fsprogs", "dosfstools", "openssh-server", "sudo", "iproute2", "netbase",
	"procps", "ca-certificates",
}

// debianLine is the kernel's command line. The predictable name of the first NIC differs from machine
// to machine, eth0 does not; mitigations cost a third of the speed in an emulator and guard a
// throw-away test system against nobody.
const debianLine = "root=LABEL=hagane-root ro console=tty0 console=ttyS0,115200 net.ifnames=0 mitigations=off"

const debianCloudConfig = `# A config drive is what Hagane's agent writes.
datasource_list: [ ConfigDrive, NoCloud, None ]
system_info:
  network:
    renderers: [ networkd ]
ssh_genkeytypes: [ ed25519 ]
locale: C.UTF-8
apt:
  preserve_sources_list: true
`

// debianMasked are units that only take time from a machine that lives for minutes.
var debianMasked = []string{
	"apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer", "dpkg-db-backup.timer",
	"systemd-networkd-wait-online.service",
}

// BuildDebian builds Debian with cloud-init, or returns the image in the output folder when it was made by
// the same recipe for the same release. It takes some minutes. Without root it needs user namespaces
// with ranges of user numbers (packages uidmap and util-linux).
func BuildDebian(ctx context.Context, o Options) (Manifest, error) {
	o = o.filled()
	id, release, err := deb.Release()
	if err != nil {
		return Manifest{}, err
	}
	if id != "debian" || release == "" {
		release = debianFallback
	}
	words := append([]string{"debian", debianRecipe, release, debianLine, debianCloudConfig}, debianPackages...)
	inputs := digest(append(words, debianMasked...)...)
	if have, err := Read(o.Out); err == nil && have.Inputs == inputs {
		o.Log.Info("the Debian image is up to date", "folder", o.Out)
		return have, nil
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return Manifest{}, fault.E(fault.Internal, "making the output folder", err)
	}
	work, err := os.MkdirTemp(o.Out, ".build-")
	if err != nil {
		return Manifest{}, fault.E(fault.Internal, "making a folder to work in", err)
	}
	defer func() { _ = os.RemoveAll(work) }() // leftovers begin with a dot
	o.Log.Info("building the root file system of Debian, which takes some minutes", "release", release)
	tree := filepath.Join(work, "root.tar")
	if err := debianTree(ctx, release, tree); err != nil {
		return Manifest{}, err
	}
	o.Log.Info("building the image")
	if err := debianImage(ctx, work, tree, release); err != nil {
		return Manifest{}, err
	}
	m := Manifest{Name: "debian", Version: release, User: "debian", Packages: debianPackages, Inputs: inputs}
	if m, err = m.publish(ctx, o.Out, work); err == nil {
		o.Log.Info("built the Debian image", "bytes", m.Bytes, "folder", o.Out)
	}
	return m, err
}

// debianTree has mmdebstrap put the root file system together as a tar archive.
func debianTree(ctx context.Context, release, out string) error {
	files := map[string]string{
		"etc/cloud/cloud.cfg.d/90_hagane.cfg": debianCloudConfig,
		"etc/fstab":                           "LABEL=hagane-root / ext4 defaults,noatime 0 1\n",
		"etc/hostname":                        "debian\n",
		"etc/machine-id":                      "", // made at first boot
	}
	arguments := []string{
		"--mode=auto", "--variant=minbase", "--format=tar", "--include=" + strings.Join(debianPackages, ","),
		`--aptopt=Acquire::Languages "none"`, `--aptopt=APT::Install-Recommends "false"`,
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright",
		"--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/info/*",
	}
	staged, err := os.MkdirTemp(filepath.Dir(out), "files-")
	if err != nil {
		return fault.E(fault.Internal, "making a folder", err)
	}
	if err := os.Chmod(staged, 0o755); err != nil { // mmdebstrap may read as another user
		return fault.E(fault.Internal, "opening the folder", err)
	}
	for name, content := range files {
		source := filepath.Join(staged, strings.ReplaceAll(name, "/", "-"))
		if err := os.WriteFile(source, []byte(content), 0o644); err != nil {
			return fault.E(fault.Internal, "staging "+name, err)
		}
		source, err := filepath.Abs(source)
		if err != nil {
			return fault.E(fault.Internal, "staging "+name, err)
		}
		arguments = append(arguments, "--customize-hook=upload '"+source+"' /"+name)
	}
	arguments = append(arguments,
		`--customize-hook=for unit in `+strings.Join(debianMasked, " ")+`; do ln -sf /dev/null "$1/etc/systemd/system/$unit"; done`,
		`--customize-hook=chroot "$1" systemctl enable systemd-networkd.service`,
		`--customize-hook=rm -f "$1"/etc/ssh/ssh_host_*`,
		release, out,
	)
	_, err = deb.Run(ctx, "", "mmdebstrap", arguments...)
	return fault.Wrap("putting Debian's packages together (package mmdebstrap)", err)
}

// debianImage makes work/debian.raw from the tree.
func debianImage(ctx context.Context, work, tree, release string) error {
	info, err := os.Stat(tree)
	if err != nil {
		return fault.E(fault.Internal, "reading the tree", err)
	}
	// A quarter more than the files, and room for a first boot; growpart takes the rest of the disk.
	size := (info.Size()*5/4 + 200<<20) >> 20 << 20
	file := filepath.Join(work, "root.ext4")
	if err := debianFileSystem(ctx, work, tree, file, size); err != nil {
		return err
	}
	script := fmt.Sprintf("search --no-floppy --label hagane-root --set=root\nlinux ($root)/vmlinuz %s\ninitrd ($root)/initrd.img\nboot\n", debianLine)
	loader, err := makeBootloader(ctx, work, script, "2", "ext2", "search", "search_label")
	if err != nil {
		return err
	}
	system, err := fat.Build(fat.Options{Label: "HAGANE"}, map[string][]byte{"EFI/BOOT/BOOTX64.EFI": loader.efi})
	if err != nil {
		return err
	}
	specs := []partition.Spec{
		{Type: partition.BIOSBoot, Name: "bios", Bytes: 1 << 20},
		{Type: partition.EFI, Name: "efi", Bytes: int64(len(system))},
		{Type: partition.Linux, Name: "root", Bytes: size},
	}
	image, err := os.Create(filepath.Join(work, "debian.raw"))
	if err != nil {
		return fault.E(fault.Internal, "making the image", err)
	}
	defer func() { _ = image.Close() }() // closed below where it matters
	total := partition.SpaceFor(specs...)
	if err := image.Truncate(total); err != nil {
		return fault.E(fault.Internal, "making the image", err)
	}
	places, err := partition.Create(image, total, 512, "debian "+release, specs...)
	if err != nil {
		return err
	}
	if err := loader.installBIOS(image, places[0].Offset, places[0].Bytes); err != nil {
		return err
	}
	if _, err := image.WriteAt(system, places[1].Offset); err != nil {
		return fault.E(fault.Internal, "writing the image", err)
	}
	if err := copySparse(image, places[2].Offset, file); err != nil {
		return fault.E(fault.Internal, "writing the root file system", err)
	}
	if err := image.Close(); err != nil {
		return fault.E(fault.Internal, "writing the image", err)
	}
	return os.Remove(file)
}

// debianFileSystem makes an ext4 file system of a tree. Unpacking it needs to give files away: as root,
// or in a user namespace that has our range of user numbers. The features that are turned off are
// newer than what GRUB reads.
func debianFileSystem(ctx context.Context, work, tree, file string, size int64) error {
	script := `set -e
mkdir "$1/root"
tar -C "$1/root" --numeric-owner --xattrs --xattrs-include='*' --exclude='./dev/*' -xpf "$2"
mke2fs -q -t ext4 -L hagane-root -m 1 -O ^metadata_csum_seed,^orphan_file -E lazy_itable_init=1,root_owner=0:0 -d "$1/root" "$3" "$4"
rm -rf "$1/root" "$2"`
	arguments := []string{"sh", "-c", script, "sh", work, tree, file, fmt.Sprintf("%dk", size>>10)}
	if os.Geteuid() != 0 {
		arguments = append([]string{"unshare", "--map-root-user", "--map-auto"}, arguments...)
	}
	_, err := deb.Run(ctx, "", arguments[0], arguments[1:]...)
	return fault.Wrap("making the root file system (package e2fsprogs)", err)
}
