package ramdisk

import (
	"bytes"
	"context"
	"debug/elf"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/ramdisk/deb"
)

// tools are the programs with which the agent lays disks out: the package of each, and the name that it has there.
var tools = []struct{ name, pack, file string }{
	{"mdadm", "mdadm", "mdadm"},
	{"lvm", "lvm2", "lvm"},
	{"mkfs.ext4", "e2fsprogs", "mke2fs"}, // which kind it makes is told by its name
	{"mkfs.xfs", "xfsprogs", "mkfs.xfs"},
	{"mkswap", "util-linux", "mkswap"},
	{"blkid", "util-linux", "blkid"},
}

// toolModules are the kernel's part of software RAID and LVM.
var toolModules = []string{"md_mod", "raid0", "raid1", "raid10", "raid456", "dm_mod"}

// library packages are fetched as far as the tools need them. ICU, the largest, is needed by a program of xfsprogs that is
// not taken.
var (
	libraryPackage = regexp.MustCompile(`^lib`)
	noLibrary      = regexp.MustCompile(`^libicu`)
)

// libraries is where Debian's and Ubuntu's loader looks, and where it is itself named to be.
const (
	libraries = "lib/x86_64-linux-gnu"
	loader    = "ld-linux-x86-64.so.2"
	loaderDir = "lib64"
)

// maxDepth bounds how far dependencies of packages are followed.
const maxDepth = 6

// ToolPackages finds and downloads the packages of the tools, and of the libraries that they are linked with.
func ToolPackages(ctx context.Context, store deb.Store, dir string) ([]deb.Package, Archive, error) {
	var level []string
	for _, t := range tools {
		level = append(level, t.pack)
	}
	seen := map[string]bool{}
	var packages []deb.Package
	for range maxDepth {
		level = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(level))), func(name string) bool { return seen[name] })
		if len(level) == 0 {
			break
		}
		fetched, err := store.Fetch(ctx, level...)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range fetched {
			seen[p.Name] = true
			if err := deb.Unpack(ctx, p, dir); err != nil {
				return nil, nil, err
			}
		}
		packages = append(packages, fetched...)
		archive, missing, err := collect(dir)
		if err != nil || len(missing) == 0 {
			return packages, archive, err
		}
		needs, err := deb.Depends(ctx, level...)
		if err != nil {
			return nil, nil, err
		}
		level = slices.DeleteFunc(needs, func(name string) bool { return !libraryPackage.MatchString(name) || noLibrary.MatchString(name) })
	}
	_, missing, err := collect(dir)
	if err == nil && len(missing) > 0 {
		err = fault.Errorf(fault.Internal, "no package was found with %s, which the tools of the ramdisk need", strings.Join(missing, ", "))
	}
	return nil, nil, err
}

// collect takes the tools and the libraries that they need from unpacked packages, and names those that are not there.
func collect(dir string) (archive Archive, missing []string, err error) {
	archive = Archive{}
	var pending []string
	take := func(as, found string) error {
		content, err := os.ReadFile(found)
		if err != nil {
			return fault.E(fault.Internal, "reading a tool of the ramdisk", err)
		}
		archive[as] = File{Mode: 0o755, Content: content}
		f, err := elf.NewFile(bytes.NewReader(content))
		if err != nil {
			return fault.E(fault.Internal, "reading "+found, err)
		}
		needs, err := f.ImportedLibraries()
		pending = append(pending, needs...)
		return err
	}
	for _, t := range tools {
		found := locate(dir, t.file, "sbin", "usr/sbin", "bin", "usr/bin")
		if found == "" {
			return nil, nil, fault.Errorf(fault.Internal, "the package %s holds no %s", t.pack, t.file)
		}
		if err := take("sbin/"+t.name, found); err != nil {
			return nil, nil, err
		}
	}
	for pending = append(pending, loader); len(pending) > 0; {
		name := pending[0]
		pending = pending[1:]
		as := filepath.Join(libraries, name)
		if name == loader {
			as = filepath.Join(loaderDir, name)
		}
		if _, have := archive[as]; have {
			continue
		}
		found := locate(dir, name, libraries, filepath.Join("usr", libraries), loaderDir, filepath.Join("usr", loaderDir))
		if found == "" {
			missing = append(missing, name)
			continue
		}
		if err := take(as, found); err != nil {
			return nil, nil, err
		}
	}
	return archive, slices.Compact(slices.Sorted(slices.Values(missing))), nil
}

// locate finds a file in one of some folders below dir; "" when it is in none.
func locate(dir, name string, folders ...string) string {
	for _, folder := range folders {
		path := filepath.Join(dir, folder, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}
