// Package deb fetches and unpacks packages of the distribution that it runs on (Debian or Ubuntu)
// with apt's own tools and without root: files to build the ramdisk and the test systems from. It
// installs nothing. Packages ramdisk and osimage use it.
package deb

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
)

// Store is a folder of downloaded packages.
type Store struct{ Dir string }

// Package is a downloaded package.
type Package struct {
	Name   string
	File   string // path of the .deb
	SHA256 string // hex, as apt's signed index has it
}

// Fetch downloads packages that are not in the store yet and returns them in the order of names.
func (s Store) Fetch(ctx context.Context, names ...string) ([]Package, error) {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, fault.E(fault.Internal, "making the package store", err)
	}
	// In an empty folder, because apt-get does not print what is there already.
	empty, err := os.MkdirTemp("", "hagane-deb-")
	if err != nil {
		return nil, fault.E(fault.Internal, "making a folder", err)
	}
	defer func() { _ = os.RemoveAll(empty) }() // it is in the temporary folder
	out, err := Run(ctx, empty, "apt-get", append([]string{"download", "--print-uris"}, names...)...)
	if err != nil {
		return nil, fault.Wrap("asking apt for "+strings.Join(names, ", ")+" (does it know the package lists? otherwise run: apt-get update)", err)
	}
	offered := map[string]Package{}
	for _, match := range line.FindAllStringSubmatch(out, -1) {
		name, _, _ := strings.Cut(match[1], "_")
		offered[name] = Package{Name: name, File: filepath.Join(s.Dir, match[1]), SHA256: match[2]}
	}
	var packages []Package
	for _, name := range names {
		p, ok := offered[name]
		if !ok {
			return nil, fault.Errorf(fault.Unavailable, "apt said something unexpected of the package %s: %q", name, out)
		}
		if err := p.download(ctx, empty); err != nil {
			return nil, fault.Wrap("fetching the package "+name, err)
		}
		packages = append(packages, p)
	}
	return packages, nil
}

// line is what apt-get prints of a package that it would download: 'URL' file size SHA256:sum.
var line = regexp.MustCompile(`(?m)^'[^']+' (\S+) \d+ SHA256:([0-9a-f]{64})`)

// download brings a package into its place, unless it is there already.
func (p Package) download(ctx context.Context, empty string) error {
	if sum, err := Sum(p.File); err == nil && sum == p.SHA256 {
		return nil
	}
	if _, err := Run(ctx, empty, "apt-get", "download", p.Name); err != nil {
		return err
	}
	got := filepath.Join(empty, filepath.Base(p.File))
	if sum, err := Sum(got); err != nil || sum != p.SHA256 {
		return fault.E(fault.Unavailable, "the downloaded file is not what apt promised", err)
	}
	return move(got, p.File)
}

// move puts a file in its place at once, also across file systems.
func move(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fault.E(fault.Internal, "reading the download", err)
	}
	defer func() { _ = in.Close() }() // only read
	out, err := os.CreateTemp(filepath.Dir(to), ".download-")
	if err != nil {
		return fault.E(fault.Internal, "keeping the download", err)
	}
	_, err = io.Copy(out, in)
	if closed := out.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(out.Name(), to)
	}
	if err != nil {
		_ = os.Remove(out.Name()) // a part of a file is of no use
		return fault.E(fault.Internal, "keeping the download", err)
	}
	return nil
}

// Depends returns the packages that some packages depend on directly.
func Depends(ctx context.Context, of ...string) ([]string, error) {
	out, err := Run(ctx, "", "apt-cache", append([]string{"depends", "--important"}, of...)...)
	if err != nil {
		return nil, fault.Wrap("asking apt for "+strings.Join(of, ", ")+" (does it know the package lists? otherwise run: apt-get update)", err)
	}
	var names []string
	for s := bufio.NewScanner(strings.NewReader(out)); s.Scan(); {
		if _, dependency, ok := strings.Cut(s.Text(), "Depends: "); ok {
			names = append(names, strings.Trim(dependency, "<> "))
		}
	}
	return names, nil
}

// Unpack unpacks a package into a folder.
func Unpack(ctx context.Context, p Package, dir string) error {
	_, err := Run(ctx, "", "dpkg", "-x", p.File, dir)
	return fault.Wrap("unpacking "+p.Name, err)
}

// Release returns the distribution's ID and code name (debian and bookworm, ubuntu and noble).
func Release() (id, codename string, err error) {
	b, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", "", fault.E(fault.Unavailable, "telling which distribution this is", err)
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "ID":
			id = strings.Trim(value, `"`)
		case "VERSION_CODENAME":
			codename = strings.Trim(value, `"`)
		}
	}
	return id, codename, nil
}

// Sum returns a file's SHA-256 in hex.
func Sum(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Run runs a program in a folder ("" is the present one) and returns what it printed. A failure
// carries the end of what the program complained about.
func Run(ctx context.Context, dir, program string, arguments ...string) (string, error) {
	return RunInput(ctx, dir, nil, program, arguments...)
}

// RunInput is Run with something on the program's standard input.
func RunInput(ctx context.Context, dir string, input io.Reader, program string, arguments ...string) (string, error) {
	if _, err := exec.LookPath(program); err != nil {
		return "", fault.E(fault.Unavailable, "the program "+program+" is missing: install it", err)
	}
	command := exec.CommandContext(ctx, program, arguments...)
	command.Dir, command.Stdin = dir, input
	command.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	if err := command.Run(); err != nil {
		words := strings.TrimSpace(complaints.String())
		if len(words) > 2000 {
			words = "…" + words[len(words)-2000:]
		}
		return "", fault.E(fault.Unavailable, program+" "+strings.Join(arguments, " ")+": "+words, err)
	}
	return out.String(), nil
}
