package osimage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/hagane-cloud/hagane/agent/fat"
	"github.com/hagane-cloud/hagane/agent/partition"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/ramdisk"
	"github.com/hagane-cloud/hagane/ramdisk/deb"
)

// tinyRecipe changes when the same inputs would give another image.
const tinyRecipe = "2"

// tinyModules are the drivers of the tiny system beside those of the ramdisk.
var tinyModules = []string{"evdev", "8021q"}

// tinyLine is the kernel's command line. The last console is where /dev/console leads.
const tinyLine = "console=tty0 console=ttyS0,115200 quiet panic=60"

// BuildTiny builds the tiny test system, or returns the one in the output folder when it was made from
// the same packages and sources.
func BuildTiny(ctx context.Context, o Options) (Manifest, error) {
	o = o.filled()
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return Manifest{}, fault.E(fault.Internal, "making the output folder", err)
	}
	work, err := os.MkdirTemp(o.Out, ".build-")
	if err != nil {
		return Manifest{}, fault.E(fault.Internal, "making a folder to work in", err)
	}
	defer func() { _ = os.RemoveAll(work) }() // leftovers begin with a dot
	program := filepath.Join(work, "init")
	if err := ramdisk.Compile(ctx, o.Source, "./osimage/tiny/init", program, ""); err != nil {
		return Manifest{}, err
	}
	sum, err := deb.Sum(program)
	if err != nil {
		return Manifest{}, fault.E(fault.Internal, "reading the built program", err)
	}
	store := deb.Store{Dir: o.Cache}
	packages, err := ramdisk.KernelPackages(ctx, store, ramdisk.Cloud)
	if err != nil {
		return Manifest{}, err
	}
	more, err := store.Fetch(ctx, ramdisk.BusyboxPackage)
	if err != nil {
		return Manifest{}, err
	}
	packages = append(packages, more...)
	words := []string{"tiny", tinyRecipe, sum, tinyLine}
	for _, p := range packages {
		words = append(words, p.SHA256)
	}
	inputs := digest(words...)
	if have, err := Read(o.Out); err == nil && have.Inputs == inputs {
		o.Log.Info("the tiny image is up to date", "folder", o.Out)
		return have, nil
	}
	m := Manifest{Name: "tiny", User: "hagane", Inputs: inputs}
	for _, p := range packages {
		m.Packages = append(m.Packages, filepath.Base(p.File))
	}
	if m.Version, err = tinyImage(ctx, store, work, program, more[0]); err != nil {
		return Manifest{}, err
	}
	if m, err = m.publish(ctx, o.Out, work); err == nil {
		o.Log.Info("built the tiny image", "kernel", m.Version, "bytes", m.Bytes, "folder", o.Out)
	}
	return m, err
}

// tinyImage writes work/tiny.raw and returns the kernel's version.
func tinyImage(ctx context.Context, store deb.Store, work, program string, busybox deb.Package) (string, error) {
	root := filepath.Join(work, "kernel")
	_, vmlinuz, err := ramdisk.Kernel(ctx, store, ramdisk.Cloud, root)
	if err != nil {
		return "", err
	}
	kernel, err := os.ReadFile(vmlinuz)
	if err != nil {
		return "", fault.E(fault.Internal, "reading the kernel", err)
	}
	modules, err := ramdisk.Choose(root, slices.Concat(ramdisk.Cloud.Modules(), tinyModules))
	if err != nil {
		return "", err
	}
	archive, err := tinyArchive(ctx, work, program, busybox)
	if err != nil {
		return "", err
	}
	for name, content := range modules.Files {
		archive[filepath.Join("lib/modules", modules.Version, name)] = ramdisk.File{Mode: 0o644, Content: content}
	}
	initramfs, err := archive.Pack("gzip")
	if err != nil {
		return "", err
	}
	script := fmt.Sprintf("linux ($root)/vmlinuz %s\ninitrd ($root)/initramfs\nboot\n", tinyLine)
	loader, err := makeBootloader(ctx, work, script, "2")
	if err != nil {
		return "", err
	}
	system, err := fat.Build(fat.Options{Label: "HAGANE"}, map[string][]byte{
		"EFI/BOOT/BOOTX64.EFI": loader.efi, "vmlinuz": kernel, "initramfs": initramfs,
	})
	if err != nil {
		return "", err
	}
	return modules.Version, writeTiny(filepath.Join(work, "tiny.raw"), loader, system, modules.Version)
}

func writeTiny(file string, loader bootloader, system []byte, version string) error {
	specs := []partition.Spec{
		{Type: partition.BIOSBoot, Name: "bios", Bytes: 1 << 20},
		{Type: partition.EFI, Name: "efi", Bytes: int64(len(system))},
	}
	image, err := os.Create(file)
	if err != nil {
		return fault.E(fault.Internal, "making the image", err)
	}
	defer func() { _ = image.Close() }() // closed below where it matters
	size := partition.SpaceFor(specs...)
	if err := image.Truncate(size); err != nil {
		return fault.E(fault.Internal, "making the image", err)
	}
	places, err := partition.Create(image, size, 512, "tiny "+version, specs...)
	if err != nil {
		return err
	}
	if err := loader.installBIOS(image, places[0].Offset, places[0].Bytes); err != nil {
		return err
	}
	if _, err := image.WriteAt(system, places[1].Offset); err != nil {
		return fault.E(fault.Internal, "writing the image", err)
	}
	if err := image.Close(); err != nil {
		return fault.E(fault.Internal, "writing the image", err)
	}
	return nil
}

// tinyArchive is the system itself: our init, busybox, and the few files that programs look for.
func tinyArchive(ctx context.Context, work, program string, busybox deb.Package) (ramdisk.Archive, error) {
	archive, err := ramdisk.Busybox(ctx, busybox, filepath.Join(work, "busybox"))
	if err != nil {
		return nil, err
	}
	self, err := os.ReadFile(program)
	if err != nil {
		return nil, fault.E(fault.Internal, "reading the built program", err)
	}
	archive["init"] = ramdisk.File{Mode: 0o755, Content: self}
	archive["etc/passwd"] = ramdisk.File{Mode: 0o644, Content: []byte("root:x:0:0:root:/root:/bin/sh\nhagane:x:0:0:hagane:/root:/bin/sh\n")}
	archive["etc/os-release"] = ramdisk.File{Mode: 0o644, Content: []byte("ID=hagane-tiny\nNAME=\"Hagane tiny\"\nPRETTY_NAME=\"Hagane tiny test system\"\n")}
	return archive, nil
}
