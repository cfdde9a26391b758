package inject

import (
	"embed"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
)

// Script is a list of rules.
type Script struct {
	Name  string
	About string // the first comment
	rules []rule
}

//go:embed scripts/*.faults
var embedded embed.FS

const ending = ".faults"

// Names lists the scripts that are known by name.
func Names() []string {
	var names []string
	entries, err := fs.ReadDir(embedded, "scripts")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ending))
	}
	slices.Sort(names)
	return names
}

// Load reads a script by its name or from a file; several with commas between them are put together. "" is the
// script without rules.
func Load(names string) (*Script, error) {
	all := &Script{Name: names}
	for name := range strings.SplitSeq(names, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		text, err := embedded.ReadFile("scripts/" + name + ending)
		if err != nil {
			if text, err = os.ReadFile(name); err != nil {
				return nil, fault.Errorf(fault.NotFound, "there is no fault script or file %q; the scripts are: %s", name, strings.Join(Names(), ", "))
			}
		}
		s, err := Parse(name, string(text))
		if err != nil {
			return nil, err
		}
		if all.About == "" {
			all.About = s.About
		}
		all.rules = append(all.rules, s.rules...)
	}
	return all, nil
}

// Parse reads a script's text. Its faults name the line.
func Parse(name, text string) (*Script, error) {
	s := &Script{Name: name}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if comment, ok := strings.CutPrefix(line, "#"); ok {
			if s.About == "" && len(s.rules) == 0 {
				s.About = strings.TrimSpace(comment)
			}
			continue
		}
		if line == "" {
			continue
		}
		r, err := parseRule(line)
		if err != nil {
			return nil, fault.Errorf(fault.Invalid, "%s, line %d: %s: %s", name, i+1, fault.Message(err), line)
		}
		r.line, r.text = i+1, line
		s.rules = append(s.rules, r)
	}
	return s, nil
}

// Rules returns the number of rules.
func (s *Script) Rules() int { return len(s.rules) }
