// Package ramdisk builds what a server boots over the network to be inspected, erased and written: a
// distribution's kernel, and an initramfs with the agent, the drivers and tools that it needs, and busybox for those who log in when
// it is the rescue system. It runs
// without root on Debian and Ubuntu and keeps its results in a folder; the build commands call it,
// and the cloud reads the manifest.
package ramdisk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/ramdisk/deb"
)

// recipe changes when the same inputs would give another result.
const recipe = "2"

// ManifestFile is the name of the manifest in the output folder.
const ManifestFile = "manifest.json"

// Options say what to build.
type Options struct {
	Out    string // folder of the results; made when missing
	Cache  string // folder of downloaded packages; "" is Out/../packages
	Kernel Flavor // "" is Cloud
	// Agent is the static hagane-agent binary; "" builds it from Source.
	Agent string
	// Source is the project's source tree; "" is the present folder or the nearest above with a go.mod.
	Source string
	// Version is built into the agent, which tells it in its claim; "" is "dev". It has no effect on a given Agent.
	Version string
	Log     *slog.Logger // nil: nowhere
}

// Manifest describes a built ramdisk. The paths are file names in its folder.
type Manifest struct {
	Kernel          Flavor   `json:"kernel"`
	KernelVersion   string   `json:"kernel_version"`
	Vmlinuz         string   `json:"vmlinuz"`
	VmlinuzSHA256   string   `json:"vmlinuz_sha256"`
	Initramfs       string   `json:"initramfs"`
	InitramfsSHA256 string   `json:"initramfs_sha256"`
	Compression     string   `json:"compression"` // of the initramfs: zstd or gzip
	AgentSHA256     string   `json:"agent_sha256"`
	Packages        []string `json:"packages"`
	Modules         []string `json:"modules"`
	Inputs          string   `json:"inputs"` // hash of all that the result was made from
}

// Read reads the manifest of a built ramdisk and checks that its files are there. It returns a
// NotFound fault when there is none.
func Read(dir string) (Manifest, error) {
	var m Manifest
	b, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, fault.Errorf(fault.NotFound, "there is no ramdisk in %s: build one with 'hagane ramdisk build'", dir)
	}
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return m, fault.E(fault.Internal, "reading the ramdisk's manifest", err)
	}
	for _, name := range []string{m.Vmlinuz, m.Initramfs} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return m, fault.E(fault.NotFound, "the ramdisk in "+dir+" is not whole: build it anew", err)
		}
	}
	return m, nil
}

// Build builds a ramdisk, or returns the one in the output folder when it was made from the same
// packages and agent. The same inputs give the same bytes.
func Build(ctx context.Context, o Options) (Manifest, error) {
	if o.Kernel == "" {
		o.Kernel = Cloud
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Cache == "" {
		o.Cache = filepath.Join(o.Out, "..", "packages")
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return Manifest{}, fault.E(fault.Internal, "making the output folder", err)
	}
	work, err := os.MkdirTemp(o.Out, ".build-")
	if err != nil {
		return Manifest{}, fault.E(fault.Internal, "making a folder to work in", err)
	}
	defer func() { _ = os.RemoveAll(work) }() // leftovers begin with a dot
	if o.Agent == "" {
		o.Agent = filepath.Join(work, "hagane-agent")
		if o.Version == "" {
			o.Version = "dev"
		}
		if err := Compile(ctx, o.Source, "./cmd/hagane-agent", o.Agent, o.Version); err != nil {
			return Manifest{}, err
		}
	}
	binary, err := os.ReadFile(o.Agent)
	if err != nil {
		return Manifest{}, fault.E(fault.Invalid, "reading the agent", err)
	}
	store := deb.Store{Dir: o.Cache}
	packages, err := KernelPackages(ctx, store, o.Kernel)
	if err != nil {
		return Manifest{}, err
	}
	more, files, err := ToolPackages(ctx, store, filepath.Join(work, "tools"))
	if err != nil {
		return Manifest{}, err
	}
	packages = append(packages, more...)
	shell, err := store.Fetch(ctx, BusyboxPackage)
	if err != nil {
		return Manifest{}, err
	}
	packages = append(packages, shell...)
	inputs := digest(o.Kernel, binary, packages)
	if have, err := Read(o.Out); err == nil && have.Inputs == inputs {
		o.Log.Info("the ramdisk is up to date", "kernel", have.KernelVersion, "folder", o.Out)
		return have, nil
	}
	busybox, err := Busybox(ctx, shell[0], filepath.Join(work, "busybox"))
	if err != nil {
		return Manifest{}, err
	}
	for name, f := range busybox {
		if _, ok := files[name]; !ok { // a tool of its own is better than busybox's
			files[name] = f
		}
	}
	files["init"] = File{Mode: 0o755, Content: binary}
	return build(ctx, o, store, work, files, packages, inputs)
}

// build packs an archive of files with the kernel's modules.
func build(ctx context.Context, o Options, store deb.Store, work string, archive Archive, packages []deb.Package, inputs string) (Manifest, error) {
	root := filepath.Join(work, "kernel")
	_, vmlinuz, err := Kernel(ctx, store, o.Kernel, root)
	if err != nil {
		return Manifest{}, err
	}
	modules, err := Choose(root, o.Kernel.Modules())
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{
		Kernel: o.Kernel, KernelVersion: modules.Version, Vmlinuz: "vmlinuz", Initramfs: "initramfs",
		Compression: "gzip", AgentSHA256: hex.EncodeToString(sum(archive["init"].Content)), Inputs: inputs,
	}
	if supports(root, "CONFIG_RD_ZSTD") {
		m.Compression = "zstd"
	}
	for _, p := range packages {
		m.Packages = append(m.Packages, filepath.Base(p.File))
	}
	for name, content := range modules.Files {
		archive[filepath.Join("lib/modules", modules.Version, name)] = File{Mode: 0o644, Content: content}
		if strings.HasSuffix(name, ".ko") {
			m.Modules = append(m.Modules, name)
		}
	}
	sort.Strings(m.Modules)
	packed, err := archive.Pack(m.Compression)
	if err != nil {
		return Manifest{}, err
	}
	kernel, err := os.ReadFile(vmlinuz)
	if err != nil {
		return Manifest{}, fault.E(fault.Internal, "reading the kernel", err)
	}
	m.InitramfsSHA256, m.VmlinuzSHA256 = hex.EncodeToString(sum(packed)), hex.EncodeToString(sum(kernel))
	if err := m.publish(o.Out, work, kernel, packed); err != nil {
		return Manifest{}, err
	}
	o.Log.Info("built the ramdisk", "kernel", m.KernelVersion, "modules", len(m.Modules), "bytes", len(packed), "folder", o.Out)
	return m, nil
}

// publish puts the files in their places, the manifest last.
func (m Manifest) publish(out, work string, kernel, initramfs []byte) error {
	b, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return fault.E(fault.Internal, "writing the manifest", err)
	}
	_ = os.Remove(filepath.Join(out, ManifestFile)) // half replaced files shall not be taken for whole ones
	for _, f := range []struct {
		name    string
		content []byte
	}{{m.Vmlinuz, kernel}, {m.Initramfs, initramfs}, {ManifestFile, append(b, '\n')}} {
		draft := filepath.Join(work, f.name)
		err := os.WriteFile(draft, f.content, 0o644)
		if err == nil {
			err = os.Rename(draft, filepath.Join(out, f.name))
		}
		if err != nil {
			return fault.E(fault.Internal, "writing "+f.name, err)
		}
	}
	return nil
}

func digest(flavor Flavor, binary []byte, packages []deb.Package) string {
	words := []string{recipe, string(flavor), hex.EncodeToString(sum(binary))}
	for _, p := range packages {
		words = append(words, p.SHA256)
	}
	words = append(words, slices.Sorted(slices.Values(flavor.Modules()))...)
	return hex.EncodeToString(sum([]byte(strings.Join(words, "\n"))))
}

func sum(b []byte) []byte {
	s := sha256.Sum256(b)
	return s[:]
}

// Compile builds a static program of the project, the same bytes from the same sources. source is the
// source tree ("" is the nearest one), program its package such as ./cmd/hagane-agent; version goes into
// the program's variable main.version, where it has one.
func Compile(ctx context.Context, source, program, out, version string) error {
	if source == "" {
		gomod, err := deb.Run(ctx, "", "go", "env", "GOMOD")
		if err != nil {
			return err
		}
		if gomod = strings.TrimSpace(gomod); gomod == "" || gomod == os.DevNull {
			return fault.Errorf(fault.Invalid, "not within the project's source tree: name it, or name a built agent")
		}
		source = filepath.Dir(gomod)
	}
	absolute, err := filepath.Abs(out)
	if err != nil {
		return fault.E(fault.Invalid, "finding the output folder", err)
	}
	_, err = deb.Run(ctx, source, "env", "CGO_ENABLED=0", "GOOS=linux", "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid= -X main.version="+version, "-o", absolute, program)
	return fault.Wrap("building "+program, err)
}
