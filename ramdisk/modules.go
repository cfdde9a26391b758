package ramdisk

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/hagane-cloud/hagane/agent/module"
	"github.com/hagane-cloud/hagane/fault"
)

// Modules are the kernel modules of one kernel version that were chosen for an archive.
type Modules struct {
	Version string            // of the kernel, such as 6.1.0-56-cloud-amd64
	Files   map[string][]byte // path below lib/modules/VERSION → content, not compressed
}

// chosen is a module on its way into an archive.
type chosen struct {
	path    string // below lib/modules/VERSION, ending in .ko
	content []byte
	needs   []string
	aliases []string
}

// Choose reads the modules of the kernel that was unpacked at root: those that wanted (a module's
// name, or a folder such as drivers/net/ethernet/) names, and what they depend on, with tables as
// depmod writes them. Wanted modules that the kernel does not have (or has built in) are left out.
func Choose(root string, wanted []string) (*Modules, error) {
	version, dir, err := findModules(root)
	if err != nil {
		return nil, err
	}
	files := map[string]string{} // name → path below dir
	err = filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.Contains(e.Name(), ".ko") {
			files[module.Name(p)], err = filepath.Rel(dir, p)
		}
		return err
	})
	if err != nil {
		return nil, fault.E(fault.Internal, "listing the modules", err)
	}
	all := map[string]*chosen{}
	for _, name := range expand(files, wanted) {
		if err := choose(dir, files, name, all); err != nil {
			return nil, err
		}
	}
	return &Modules{Version: version, Files: tables(all)}, nil
}

// findModules finds the one kernel below root, in /lib or /usr/lib.
func findModules(root string) (version, dir string, err error) {
	for _, lib := range []string{"lib/modules", "usr/lib/modules"} {
		entries, err := os.ReadDir(filepath.Join(root, lib))
		if err == nil && len(entries) == 1 {
			return entries[0].Name(), filepath.Join(root, lib, entries[0].Name()), nil
		}
	}
	return "", "", fault.Errorf(fault.Internal, "%s does not hold the modules of one kernel", root)
}

// expand turns folders into the names of the modules in them.
func expand(files map[string]string, wanted []string) []string {
	var names []string
	for _, want := range wanted {
		if !strings.HasSuffix(want, "/") {
			names = append(names, strings.ReplaceAll(want, "-", "_"))
			continue
		}
		for name, file := range files {
			if strings.HasPrefix(file, "kernel/"+want) {
				names = append(names, name)
			}
		}
	}
	sort.Strings(names)
	return slices.Compact(names)
}

func choose(dir string, files map[string]string, name string, all map[string]*chosen) error {
	file := files[name]
	if file == "" || all[name] != nil {
		return nil
	}
	content, err := readModule(filepath.Join(dir, file))
	if err != nil {
		return fault.E(fault.Internal, "reading the module "+name, err)
	}
	before, _, _ := strings.Cut(file, ".ko")
	c := &chosen{path: before + ".ko", content: content}
	all[name] = c
	for field, value := range information(content) {
		switch field {
		case "alias":
			c.aliases = value
		case "depends":
			for _, need := range strings.FieldsFunc(strings.Join(value, ","), func(r rune) bool { return r == ',' }) {
				c.needs = append(c.needs, strings.ReplaceAll(need, "-", "_"))
			}
		}
	}
	for _, need := range c.needs {
		if err := choose(dir, files, need, all); err != nil {
			return err
		}
	}
	return nil
}

// readModule reads a module file in any of the compressions that distributions use.
func readModule(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var r io.Reader
	switch filepath.Ext(file) {
	case ".xz":
		r, err = xz.NewReader(bytes.NewReader(b))
	case ".zst":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(bytes.NewReader(b)); err == nil {
			defer d.Close()
			r = d
		}
	case ".gz":
		r, err = gzip.NewReader(bytes.NewReader(b))
	default:
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// information reads a module's own description: the fields of its .modinfo section.
func information(content []byte) map[string][]string {
	fields := map[string][]string{}
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return fields
	}
	section := f.Section(".modinfo")
	if section == nil {
		return fields
	}
	data, err := section.Data()
	if err != nil {
		return fields
	}
	for _, item := range bytes.Split(data, []byte{0}) {
		if key, value, ok := strings.Cut(string(item), "="); ok {
			fields[key] = append(fields[key], value)
		}
	}
	return fields
}

// tables returns the modules' files with modules.dep and modules.alias.
func tables(all map[string]*chosen) map[string][]byte {
	files := map[string][]byte{}
	names := make([]string, 0, len(all))
	for name, c := range all {
		names = append(names, name)
		files[c.path] = c.content
	}
	sort.Strings(names)
	var dep, alias bytes.Buffer
	for _, name := range names {
		fmt.Fprintf(&dep, "%s:", all[name].path)
		var order []string
		follow(all, name, map[string]bool{}, &order)
		// Nearest first: a module is loaded after all that stand behind it.
		for i := len(order) - 2; i >= 0; i-- {
			fmt.Fprintf(&dep, " %s", all[order[i]].path)
		}
		dep.WriteByte('\n')
		for _, a := range all[name].aliases {
			fmt.Fprintf(&alias, "alias %s %s\n", a, name)
		}
	}
	files["modules.dep"], files["modules.alias"] = dep.Bytes(), alias.Bytes()
	return files
}

// follow lists a module and what it depends on, each after its own dependencies.
func follow(all map[string]*chosen, name string, seen map[string]bool, order *[]string) {
	if all[name] == nil || seen[name] {
		return
	}
	seen[name] = true
	for _, need := range all[name].needs {
		follow(all, need, seen, order)
	}
	*order = append(*order, name)
}
