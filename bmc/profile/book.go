package profile

import (
	"bytes"
	"embed"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/hagane-cloud/hagane/fault"
)

//go:embed data/*.yaml
var embedded embed.FS

// Book is a set of profiles.
type Book struct {
	all []*Profile // sorted by name
}

// Embedded returns the profiles that come with the program.
func Embedded() (*Book, error) { return load(embedded, nil) }

// Load returns the embedded profiles together with the YAML files of an operator's folder, which win by
// name. An empty or missing folder adds nothing.
func Load(folder string) (*Book, error) {
	b, err := Embedded()
	if err != nil || folder == "" {
		return b, err
	}
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	return load(os.DirFS(folder), b.raw())
}

// raw returns the profiles by name, to be added to.
func (b *Book) raw() map[string]*Profile {
	out := map[string]*Profile{}
	for _, p := range b.all {
		out[p.Name] = p
	}
	return out
}

// load reads all YAML files of a file system. A file may hold several documents.
func load(from fs.FS, known map[string]*Profile) (*Book, error) {
	all := map[string]*Profile{}
	for name, p := range known {
		all[name] = p
	}
	written := map[string]*yaml.Node{} // as they stand in the files
	err := fs.WalkDir(from, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		text, err := fs.ReadFile(from, path)
		if err != nil {
			return err
		}
		decoder, plain := yaml.NewDecoder(bytes.NewReader(text)), yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		for {
			var p Profile
			var node yaml.Node
			if err := errors.Join(decoder.Decode(&p), plain.Decode(&node)); err != nil {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return fault.E(fault.Invalid, "the profile file "+path, err)
			}
			if err := p.check(); err != nil {
				return fault.Wrap("the profile "+p.Name+" in "+path, err)
			}
			all[p.Name], written[p.Name] = &p, &node
		}
	})
	if err != nil {
		return nil, fault.E(fault.Invalid, "reading BMC profiles", err)
	}
	b := &Book{}
	for name := range all {
		p, err := resolve(all, name, written, nil)
		if err != nil {
			return nil, err
		}
		b.all = append(b.all, p)
	}
	slices.SortFunc(b.all, func(x, y *Profile) int { return strings.Compare(x.Name, y.Name) })
	return b, nil
}

// resolve returns a profile with the knowledge of those that it is like.
func resolve(all map[string]*Profile, name string, written map[string]*yaml.Node, path []string) (*Profile, error) {
	p := all[name]
	if p == nil || slices.Contains(path, name) {
		return nil, fault.Errorf(fault.Invalid, "the profiles %s: like: %q leads nowhere", strings.Join(path, ", "), name)
	}
	if p.Like == "" || written[name] == nil {
		return p, nil
	}
	base, err := resolve(all, p.Like, written, append(path, name))
	if err != nil {
		return nil, err
	}
	// What the profile itself says lies over a copy of its base, also where it says no.
	lower, err := yaml.Marshal(base)
	if err != nil {
		return nil, fault.E(fault.Internal, "copying a profile", err)
	}
	out := &Profile{}
	if err := errors.Join(yaml.Unmarshal(lower, out), written[name].Decode(out)); err != nil {
		return nil, fault.E(fault.Internal, "copying a profile", err)
	}
	out.Match = p.Match
	out.Deviations = append(slices.Clone(p.Deviations), base.Deviations...)
	return out, nil
}

// All returns the profiles, sorted by name.
func (b *Book) All() []*Profile { return b.all }

// Named returns a profile by its name; nil when there is none.
func (b *Book) Named(name string) *Profile {
	if b == nil {
		return nil
	}
	for _, p := range b.all {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Find returns the profile that fits a BMC best: the one with the most conditions that hold. It returns
// nil for the nil Book and when none fits.
func (b *Book) Find(f Facts) *Profile {
	if b == nil {
		return nil
	}
	var best *Profile
	most := -1
	for _, p := range b.all {
		if exact, ok := p.Match.fits(f); ok && exact > most {
			best, most = p, exact
		}
	}
	return best
}
