// Package module loads the kernel modules that a machine's devices need, by matching what sysfs says
// about each device against the kernel's alias table, as udev and modprobe do elsewhere. It reads
// modules.dep and modules.alias as depmod writes them; the modules themselves are not compressed,
// since the ramdisk as a whole is. The inits of the ramdisk and of the tiny test system use it.
package module

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hagane-cloud/hagane/fault"
)

// Loader knows the modules of one kernel.
type Loader struct {
	dir     string
	log     *slog.Logger
	paths   map[string]string   // name → file below dir
	needs   map[string][]string // name → files that it depends on, nearest first
	aliases []alias
	settled map[string]bool // modules and aliases that need no further look
}

type alias struct{ pattern, name string }

// Open reads the tables in /lib/modules of the running kernel.
func Open(log *slog.Logger) (*Loader, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, fault.E(fault.Internal, "asking for the kernel's version", err)
	}
	return OpenDir(filepath.Join("/lib/modules", unix.ByteSliceToString(u.Release[:])), log)
}

// OpenDir reads the tables in a folder.
func OpenDir(dir string, log *slog.Logger) (*Loader, error) {
	l := &Loader{dir: dir, log: log, paths: map[string]string{}, needs: map[string][]string{}, settled: map[string]bool{}}
	err := lines(filepath.Join(dir, "modules.dep"), func(line string) {
		file, needs, _ := strings.Cut(line, ":")
		name := Name(file)
		l.paths[name], l.needs[name] = file, strings.Fields(needs)
	})
	if err != nil {
		return nil, fault.E(fault.Internal, "reading the modules", err)
	}
	err = lines(filepath.Join(dir, "modules.alias"), func(line string) {
		if word := strings.Fields(line); len(word) == 3 && word[0] == "alias" {
			l.aliases = append(l.aliases, alias{word[1], Name(word[2])})
		}
	})
	if err != nil {
		return nil, fault.E(fault.Internal, "reading the modules' aliases", err)
	}
	return l, nil
}

// Name returns the kernel's name for a module file: without folder and ending, with underscores.
func Name(file string) string {
	base, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(base, "-", "_")
}

// Match returns the modules for a device's modalias.
func (l *Loader) Match(modalias string) []string {
	var names []string
	for _, a := range l.aliases {
		if ok, err := path.Match(a.pattern, modalias); err == nil && ok {
			names = append(names, a.name)
		}
	}
	return names
}

// Load loads a module and before it what it depends on. A module that the kernel has already, or that
// is not in the ramdisk, is no error.
func (l *Loader) Load(name string) error {
	name = strings.ReplaceAll(name, "-", "_")
	if l.settled[name] || l.paths[name] == "" {
		return nil
	}
	l.settled[name] = true
	needs := l.needs[name]
	for i := len(needs) - 1; i >= 0; i-- {
		if err := l.insert(needs[i]); err != nil {
			return fault.Wrap("loading "+name, err)
		}
	}
	return fault.Wrap("loading "+name, l.insert(l.paths[name]))
}

func (l *Loader) insert(file string) error {
	f, err := os.Open(filepath.Join(l.dir, file))
	if err != nil {
		return fault.E(fault.Internal, "opening a module", err)
	}
	defer func() { _ = f.Close() }() // only read
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fault.E(fault.Unavailable, "inserting "+path.Base(file), err)
	}
	l.settled[Name(file)] = true
	return nil
}

// LoadForDevices loads what all present devices ask for, again and again until no new
// device appears, since a bus's driver brings the devices behind it. It returns how many modules were
// loaded. Modules that fail to load are logged and not tried again.
func (l *Loader) LoadForDevices() int {
	loaded := 0
	for {
		before := loaded
		for modalias := range devices() {
			if l.settled[modalias] {
				continue
			}
			l.settled[modalias] = true
			for _, name := range l.Match(modalias) {
				if l.settled[name] {
					continue
				}
				if err := l.Load(name); err != nil {
					l.log.Warn("a driver could not be loaded", "error", err)
					continue
				}
				loaded++
			}
		}
		if loaded == before {
			return loaded
		}
	}
}

// devices reads the modalias of every device in sysfs.
func devices() map[string]bool {
	found := map[string]bool{}
	err := filepath.WalkDir("/sys/devices", func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // a device that went away meanwhile
		}
		if !e.IsDir() && e.Name() == "modalias" {
			if b, err := os.ReadFile(p); err == nil {
				found[strings.TrimSpace(string(b))] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil
	}
	return found
}

func lines(file string, each func(string)) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if line := strings.TrimSpace(s.Text()); line != "" && line[0] != '#' {
			each(line)
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
