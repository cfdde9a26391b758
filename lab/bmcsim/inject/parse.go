package inject

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// protocols are what a rule may begin with.
var protocols = []string{"any", "http", "redfish", "ipmi", "ribcl", "wsman", "scci"}

// words is a line that is read word by word.
type words struct{ rest string }

// next returns the next word, without its quotes; a comma is a word of its own.
func (w *words) next() string {
	w.rest = strings.TrimLeft(w.rest, " \t")
	if w.rest == "" {
		return ""
	}
	if w.rest[0] == ',' {
		w.rest = w.rest[1:]
		return ","
	}
	if w.rest[0] == '"' {
		if text, err := strconv.QuotedPrefix(w.rest); err == nil {
			w.rest = w.rest[len(text):]
			plain, _ := strconv.Unquote(text)
			return plain
		}
	}
	end := strings.IndexAny(w.rest, " \t,")
	if end < 0 {
		end = len(w.rest)
	}
	word := w.rest[:end]
	w.rest = w.rest[end:]
	return word
}

// peek returns the next word and leaves it.
func (w *words) peek() string {
	ahead := *w
	return ahead.next()
}

// parseRule reads a line.
func parseRule(line string) (r rule, err error) {
	left, right, ok := strings.Cut(line, "=>")
	if !ok {
		return r, fault.Errorf(fault.Invalid, "a rule has => between what it is about and what happens")
	}
	w := &words{left}
	if r.protocol = strings.ToLower(w.next()); !slices.Contains(protocols, r.protocol) {
		return r, fault.Errorf(fault.Invalid, "a rule begins with one of %s", strings.Join(protocols, ", "))
	}
	target := w.next()
	if methods := strings.Split(target, "|"); isMethods(methods) {
		r.methods, target = methods, w.next()
	}
	if target == "" {
		return r, fault.Errorf(fault.Invalid, "the path or command is missing; * is any")
	}
	r.targets = strings.Split(strings.ToLower(target), "|")
	for word := w.next(); word != ""; word = w.next() {
		if err := r.condition(word, w.next()); err != nil {
			return r, err
		}
	}
	e := &words{right}
	for {
		if err := r.effect.parse(e.next(), e); err != nil {
			return r, err
		}
		switch more := e.next(); more {
		case "":
			return r, nil
		case ",":
		default:
			return r, fault.Errorf(fault.Invalid, "%q is too much: effects have a comma between them", more)
		}
	}
}

func isMethods(methods []string) bool {
	for _, m := range methods {
		switch m {
		case "read", "write", http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		default:
			return false
		}
	}
	return true
}

func (r *rule) condition(word, value string) (err error) {
	switch word {
	case "after":
		r.after, err = number(word, value)
	case "times":
		r.times, err = number(word, value)
	case "every":
		r.every, err = number(word, value)
	case "chance":
		of, ok := strings.CutPrefix(value, "1/")
		if !ok {
			return fault.Errorf(fault.Invalid, "chance wants 1/N")
		}
		r.chance, err = number(word, of)
	case "while", "during":
		s := state(strings.ToLower(value))
		switch s {
		case whileOn, whileOff, whilePOST, whileBooting:
			r.during = append(r.during, s)
		default:
			return fault.Errorf(fault.Invalid, "while wants on, off, post or booting")
		}
	default:
		return fault.Errorf(fault.Invalid, "there is no condition %q: after, times, every, chance and while are", word)
	}
	return err
}

func number(word, value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return 0, fault.Errorf(fault.Invalid, "%s wants a number from 1", word)
	}
	return n, nil
}

func duration(word, value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return 0, fault.Errorf(fault.Invalid, "%s wants a duration such as 500ms, 3s or 1m", word)
	}
	return d, nil
}

// parse reads one effect.
func (d *Decision) parse(word string, w *words) (err error) {
	switch word {
	case "slow":
		d.Slow, err = duration(word, w.next())
	case "stale":
		d.Stale, err = duration(word, w.next())
	case "revert":
		d.Revert, err = duration(word, w.next())
	case "restart":
		d.Restart, err = duration(word, w.next())
	case "hang":
		d.Hang = true
	case "drop":
		d.Drop = true
	case "die":
		d.Die = true
	case "done":
		d.Done = true
	case "nothing":
		d.Nothing = true
	case "sessions":
		d.Sessions = true
	case "status":
		err = d.parseStatus(w)
	case "code":
		if d.Code = w.next(); d.Code == "" || d.Code == "," {
			err = fault.Errorf(fault.Invalid, "code wants the protocol's error code")
		}
	case "power":
		if d.Power = w.next(); d.Power != "on" && d.Power != "off" {
			err = fault.Errorf(fault.Invalid, "power wants on or off")
		}
	case "health":
		if d.Health = w.next(); d.Health == "" || d.Health == "," {
			err = fault.Errorf(fault.Invalid, "health wants a word such as Critical")
		}
	case "lose":
		switch what := w.next(); what {
		case "events":
			d.LoseEvents = true
		case "task":
			d.LoseTask = true
		default:
			err = fault.Errorf(fault.Invalid, "lose wants events or task")
		}
	case "garble":
		d.Garble = Damage(w.next())
		if !slices.Contains([]Damage{Comma, Truncate, HTML, Null, Strings, Control}, d.Garble) {
			err = fault.Errorf(fault.Invalid, "garble wants comma, truncate, html, null, strings or control")
		}
	case "merge":
		d.Merge = json.RawMessage(strings.TrimSpace(w.rest))
		w.rest = ""
		if !json.Valid(d.Merge) {
			err = fault.Errorf(fault.Invalid, "merge wants JSON to the end of the line")
		}
	default:
		err = fault.Errorf(fault.Invalid, "there is no effect %q", word)
	}
	return err
}

func (d *Decision) parseStatus(w *words) error {
	n, err := strconv.Atoi(w.next())
	if err != nil || n < 200 || n > 599 {
		return fault.Errorf(fault.Invalid, "status wants an HTTP status from 200 to 599")
	}
	d.Status = n
	switch what := w.peek(); what {
	case "", ",":
		d.Type, d.Body = "application/json", redfishError("Base.1.8.GeneralError", "A general error has occurred.")
		return nil
	case "empty":
		d.Type = "text/plain"
	case "html":
		d.Type, d.Body = "text/html", htmlPage(n)
	case "xhtml":
		d.Type, d.Body = "application/xhtml+xml", xhtmlPage(n)
	case "message", "body":
		w.next()
		text := w.peek()
		if text == "" || text == "," {
			return fault.Errorf(fault.Invalid, "%s wants a word, or text in quotes", what)
		}
		if d.Type, d.Body = "text/plain", text; what == "message" {
			d.Type, d.Body = "application/json", messageError(text)
		}
	default:
		return fault.Errorf(fault.Invalid, "after a status comes empty, html, xhtml, message ID or body \"TEXT\"")
	}
	w.next()
	return nil
}
