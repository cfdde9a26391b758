package inject

import "strings"

// rule is a line of a script.
type rule struct {
	text string
	line int

	protocol string
	methods  []string // in capitals, or "read", "write"; none: all
	targets  []string // globs in lower case

	after, times, every, chance int
	during                      []state
	effect                      Decision
}

// state is a condition on the machine or its BMC.
type state string

const (
	whileOn      state = "on"
	whileOff     state = "off"
	whilePOST    state = "post"
	whileBooting state = "booting"
)

// matches reports whether a rule is about an exchange in the state that things are in. While the BMC boots, only
// rules that say so apply.
func (r rule) matches(x Exchange, booting bool) bool {
	if !r.speaks(x.Protocol) || !r.asks(x) {
		return false
	}
	saysBooting := false
	for _, s := range r.during {
		holds := false
		switch s {
		case whileOn:
			holds = x.On
		case whileOff:
			holds = !x.On
		case whilePOST:
			holds = x.POST
		case whileBooting:
			holds, saysBooting = booting, true
		}
		if !holds {
			return false
		}
	}
	if booting && !saysBooting {
		return false
	}
	target := strings.ToLower(x.Target)
	for _, g := range r.targets {
		if glob(g, target) {
			return true
		}
	}
	return false
}

func (r rule) speaks(protocol string) bool {
	switch r.protocol {
	case "any":
		return true
	case "http":
		return protocol != "ipmi"
	}
	return r.protocol == protocol
}

func (r rule) asks(x Exchange) bool {
	if len(r.methods) == 0 {
		return true
	}
	write := x.Write
	if x.Method != "" {
		write = x.Method != "GET" && x.Method != "HEAD"
	}
	for _, m := range r.methods {
		if m == "*" || m == x.Method || m == "write" && write || m == "read" && !write {
			return true
		}
	}
	return false
}

// glob reports whether text matches a pattern in which * stands for any characters.
func glob(pattern, text string) bool {
	head, rest, more := strings.Cut(pattern, "*")
	if !more {
		return pattern == text
	}
	if !strings.HasPrefix(text, head) {
		return false
	}
	text = text[len(head):]
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(text, part)
		}
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text, rest = text[at+len(part):], after
	}
}
