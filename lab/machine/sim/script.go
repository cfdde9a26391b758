package sim

import (
	"strings"

	"github.com/hagane-cloud/hagane/fault"
)

// ending is how a boot script ends.
type ending int

// The endings.
const (
	endBoot ending = iota
	endExit        // on to the next boot device
	endReboot
	endPowerOff
)

// scriptEnd is where a script led: to a kernel with its arguments, or to another script.
type scriptEnd struct {
	end   ending
	args  []string
	chain string
}

const maxSteps = 1000 // a script that runs longer goes in circles

// script is the part of iPXE's language that boot servers use, one command a line.
type script struct {
	lines     []string
	labels    map[string]int
	variables map[string]string
	fetch     func(url string) error
	echo      func(line string)

	at   int
	args []string
	done *scriptEnd
}

func runScript(text string, variables map[string]string, fetch func(string) error, echo func(string)) (scriptEnd, error) {
	s := &script{lines: strings.Split(text, "\n"), labels: make(map[string]int), variables: variables, fetch: fetch, echo: echo}
	if !strings.HasPrefix(text, "#!ipxe") {
		return scriptEnd{}, fault.Errorf(fault.Invalid, "the boot file is no iPXE script")
	}
	for i, line := range s.lines {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), ":"); ok {
			s.labels[strings.TrimSpace(name)] = i
		}
	}
	for range maxSteps {
		if s.at >= len(s.lines) { // a script that ends without boot falls through to the next device
			return scriptEnd{end: endExit}, nil
		}
		line := strings.TrimSpace(s.lines[s.at])
		s.at++
		if line == "" || line[0] == '#' || line[0] == ':' {
			continue
		}
		if err := s.line(line); err != nil {
			return scriptEnd{}, err
		}
		if s.done != nil {
			return *s.done, nil
		}
	}
	return scriptEnd{}, fault.Errorf(fault.Invalid, "the boot script goes in circles")
}

// line runs the commands of a line: after && when the one before worked, after || when it failed.
func (s *script) line(line string) error {
	var words []string
	var last error
	skip := false
	for _, word := range append(strings.Fields(line), "&&") {
		if word != "&&" && word != "||" {
			words = append(words, word)
			continue
		}
		if !skip {
			last = s.command(words)
		}
		words = nil
		skip = (word == "&&") != (last == nil)
		if s.done != nil {
			return nil
		}
	}
	return last
}

func (s *script) command(words []string) error {
	if len(words) == 0 { // "command ||" at the end of a line: its failure does not matter
		return nil
	}
	for i := range words {
		words[i] = s.expand(words[i])
	}
	name, args := words[0], options(words[1:])
	switch name {
	case "kernel", "initrd", "module", "imgfetch":
		return s.image(name, args)
	case "imgargs":
		s.args = args[min(1, len(args)):]
	case "boot":
		if len(args) > 0 {
			if err := s.image("kernel", args); err != nil {
				return err
			}
		}
		s.done = &scriptEnd{end: endBoot, args: s.args}
	case "chain":
		if len(args) == 0 {
			return fault.Errorf(fault.Invalid, "chain names no script")
		}
		s.done = &scriptEnd{chain: args[0]}
	case "exit", "sanboot":
		s.done = &scriptEnd{end: endExit}
	case "reboot":
		s.done = &scriptEnd{end: endReboot}
	case "poweroff":
		s.done = &scriptEnd{end: endPowerOff}
	case "set":
		if len(args) > 0 {
			s.variables[args[0]] = strings.Join(args[1:], " ")
		}
	case "isset":
		if len(args) == 0 || args[0] == "" {
			return fault.Errorf(fault.NotFound, "nothing is set")
		}
	case "iseq":
		if len(args) != 2 || args[0] != args[1] {
			return fault.Errorf(fault.NotFound, "not equal")
		}
	case "goto":
		return s.jump(args)
	case "echo":
		s.echo(strings.Join(args, " "))
	case "dhcp", "ifopen", "ifconf", "imgfree", "imgstat", "sleep", "prompt", "clear", "config", "console", "sync":
	default:
		return fault.Errorf(fault.Invalid, "a simulated machine does not know the boot script's command %q", name)
	}
	return nil
}

func (s *script) image(name string, args []string) error {
	if len(args) == 0 {
		return fault.Errorf(fault.Invalid, "%s names no file", name)
	}
	if err := s.fetch(args[0]); err != nil {
		return err
	}
	if name == "kernel" {
		s.args = args[1:]
	}
	return nil
}

func (s *script) jump(args []string) error {
	if len(args) == 0 {
		return fault.Errorf(fault.Invalid, "goto names no label")
	}
	at, ok := s.labels[args[0]]
	if !ok {
		return fault.Errorf(fault.Invalid, "the boot script has no label %q", args[0])
	}
	s.at = at
	return nil
}

// expand replaces ${name} by the variable, or by nothing.
func (s *script) expand(word string) string {
	for {
		from := strings.Index(word, "${")
		if from < 0 {
			return word
		}
		size := strings.IndexByte(word[from:], '}')
		if size < 0 {
			return word
		}
		word = word[:from] + s.variables[word[from+2:from+size]] + word[from+size+1:]
	}
}

// options drops the leading options, such as --autofree; --name and --timeout take a value.
func options(args []string) []string {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		value := !strings.Contains(args[0], "=") && (args[0] == "--name" || args[0] == "-n" || args[0] == "--timeout" || args[0] == "-t")
		args = args[1:]
		if value && len(args) > 0 {
			args = args[1:]
		}
	}
	return args
}
