package ramdisk

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/ramdisk/deb"
)

// BusyboxPackage is the package of the tools that people who log in work with.
const BusyboxPackage = "busybox-static"

// Busybox returns busybox under all its names in /bin, and what programs look for: a root user, and /sbin/modprobe, by
// which the kernel loads the drivers of file systems. The package is unpacked in dir.
func Busybox(ctx context.Context, p deb.Package, dir string) (Archive, error) {
	if err := deb.Unpack(ctx, p, dir); err != nil {
		return nil, err
	}
	var binary []byte
	var path string
	for _, place := range []string{"bin/busybox", "usr/bin/busybox"} {
		path = filepath.Join(dir, place)
		b, err := os.ReadFile(path)
		if err == nil {
			binary = b
			break
		}
	}
	if binary == nil {
		return nil, fault.Errorf(fault.Internal, "the package %s holds no busybox", BusyboxPackage)
	}
	names, err := deb.Run(ctx, "", path, "--list")
	if err != nil {
		return nil, err
	}
	archive := Archive{
		"bin/busybox":   {Mode: 0o755, Content: binary},
		"sbin/modprobe": {Link: "../bin/busybox"},
		"root/.profile": {Mode: 0o644, Content: []byte("PS1='\\h:\\w# '\n")},
		"etc/passwd":    {Mode: 0o644, Content: []byte("root:x:0:0:root:/root:/bin/sh\n")},
		"etc/group":     {Mode: 0o644, Content: []byte("root:x:0:\n")},
	}
	for _, name := range strings.Fields(names) {
		if name != "busybox" && name != "init" && name != "linuxrc" {
			archive["bin/"+name] = File{Link: "busybox"}
		}
	}
	return archive, nil
}
