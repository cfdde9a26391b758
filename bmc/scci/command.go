package scci

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/markup"
	"github.com/hagane-cloud/hagane/bmc/wire"
)

// The operation codes of the configuration space.
const (
	readSpace  = "E001"
	writeSpace = "E002"
)

// command is one command of a sequence.
type command struct {
	code  string // OC: a name, or hex
	value string // OE: number of a value, hex; "0" for actions
	index int    // OI
	set   bool
	data  string
	kind  string // of the data: string, integer; "" sends none
}

func action(code string) command { return command{code: code, value: "0", set: true} }

func get(value string, index int) command {
	return command{code: readSpace, value: value, index: index}
}

func put(value string, index int, data string) command {
	kind := "string"
	if _, err := strconv.Atoi(data); err == nil {
		kind = "integer"
	}
	return command{code: writeSpace, value: value, index: index, set: true, data: data, kind: kind}
}

// text writes a sequence.
func text(all []command) []byte {
	var b strings.Builder
	b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\" ?>\n<CMDSEQ>\n")
	for _, c := range all {
		verb, more := "GET", ""
		if c.set {
			verb = "SET"
		}
		if c.code == readSpace || c.code == writeSpace {
			more = ` CA="-1"`
		}
		fmt.Fprintf(&b, `<CMD Context="SCCI" OC="%s" OE="%s" OI="%X"%s Type="%s">`, c.code, c.value, c.index, more, verb)
		if c.kind != "" {
			fmt.Fprintf(&b, `<DATA Type="xsd::%s"%s>%s</DATA>`, c.kind, clear(c.value), quote(c.data))
		}
		b.WriteString("</CMD>\n")
	}
	b.WriteString("</CMDSEQ>\n")
	return []byte(b.String())
}

// clear marks passwords as not encrypted, without which an iRMC takes them for encrypted ones.
func clear(value string) string {
	if value == cdPassword || value == userPassword {
		return ` Encrypted="0"`
	}
	return ""
}

// quote wraps what XML would misread in CDATA: iRMCs do not undo escapes.
func quote(s string) string {
	if !strings.ContainsAny(s, "&<>\"'") {
		return s
	}
	return "<![CDATA[" + strings.ReplaceAll(s, "]]>", "]]]]><![CDATA[>") + "]]>"
}

// result is the answer to one command of a sequence.
type result struct {
	data   string
	status int
	why    string
}

// exec carries out a sequence and returns the results by the commands' values and indexes (key).
func (d *driver) exec(ctx context.Context, what string, all ...command) (map[string]result, error) {
	read := true
	for _, c := range all {
		read = read && !c.set
	}
	a, err := d.do(ctx, wire.Request{Method: http.MethodPost, Path: "/config", Read: read, Body: text(all), Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}})
	if err != nil {
		return nil, err
	}
	if err := status(what, a.Status); err != nil {
		return nil, err
	}
	return understand(what, a.Body)
}

func status(what string, status int) error {
	f := bmc.Failure{Code: fmt.Sprintf("HTTP %d", status)}
	switch status {
	case http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent:
		return nil
	case http.StatusForbidden:
		f.Class = bmc.Privilege
		return bmc.Fail(f, "the iRMC's user may not do this: %s", what)
	case http.StatusNotFound:
		f.Class = bmc.Unsupported
		return bmc.Fail(f, "the iRMC has no interface for this: %s", what)
	case http.StatusConflict:
		f.Class = bmc.Busy
		return bmc.Fail(f, "the iRMC is at another session of the kind already: %s", what)
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		f.Class = bmc.NotReady
		return bmc.Fail(f, "the iRMC's web server is not ready (status %d): %s", status, what)
	}
	f.Class = bmc.Broken
	return bmc.Fail(f, "the iRMC answers with the unexpected status %d: %s", status, what)
}

func key(value string, index int) string { return strings.ToUpper(value) + "/" + strconv.Itoa(index) }

// The values of which status 1 only says that they are empty: SSH keys and certificates.
var mayBeEmpty = map[string]bool{"19A1": true, "19A2": true, "19A3": true}

// understand reads an answer: HTTP status 200 says nothing. There is a Value for the whole, and with newer firmware a
// STATUS for each command; the body is not always well-formed.
func understand(what string, body []byte) (map[string]result, error) {
	if bytes.Contains(body, []byte("Login required to continue")) {
		return nil, bmc.Fail(bmc.Failure{Class: bmc.Credentials}, "the iRMC refuses the user name or password")
	}
	root, err := parse(body)
	if err != nil {
		return nil, bmc.Fail(bmc.Failure{Class: bmc.Garbled, Err: err}, "the iRMC's answer can not be read: %s", what)
	}
	out := map[string]result{}
	for _, e := range root.Children {
		if !strings.EqualFold(e.Name, "CMD") && !strings.EqualFold(e.Name, "ERROR") && !strings.EqualFold(e.Name, "WARNING") {
			continue
		}
		index, err := strconv.ParseInt(e.Attr("OI"), 16, 32)
		if err != nil {
			continue
		}
		r := result{data: e.Value("DATA"), why: e.Value("ERROR", "WARNING")}
		if n, err := strconv.Atoi(e.Value("STATUS", "VALUE")); err == nil {
			r.status = n
		}
		if !strings.EqualFold(e.Name, "CMD") {
			r.why = e.Text
		}
		if r.status == 1 && mayBeEmpty[strings.ToUpper(e.Attr("OE"))] {
			r.status = 0
		}
		out[key(e.Attr("OE"), int(index))] = r
	}
	overall := root.Value("Value")
	if overall == "" && len(out) == 0 {
		return nil, bmc.Fail(bmc.Failure{Class: bmc.Garbled}, "the iRMC's answer is no SCCI: %s", what)
	}
	if overall != "" && overall != "0" {
		return out, refusal(what, overall, root.Value("Error")+" "+root.Value("Message"))
	}
	return out, nil
}

// refusal is the failure of a status. Their meanings are told by words, of which few are known.
func refusal(what, status, words string) error {
	class := bmc.Refused
	lower := strings.ToLower(words)
	switch {
	case strings.Contains(lower, "licen"):
		class = bmc.Licence
	case strings.Contains(lower, "input/output"):
		class = bmc.Busy // so it answers power commands that follow each other too closely
	case strings.Contains(lower, "not supported"), strings.Contains(lower, "unknown"):
		class = bmc.Unsupported
	case strings.Contains(lower, "privilege"), strings.Contains(lower, "permission"):
		class = bmc.Privilege
	}
	return bmc.Fail(bmc.Failure{Class: class, Code: status}, "the iRMC does not carry it out: %s: %s", what, strings.TrimSpace(words))
}

// parse reads a body, and where it is cut off or holds loose signs, what there is.
func parse(body []byte) (*markup.Element, error) {
	root, err := markup.Parse(body)
	if err == nil {
		return root, nil
	}
	clean := bytes.Map(func(c rune) rune {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return -1
		}
		return c
	}, body)
	if i := bytes.LastIndexByte(clean, '>'); i >= 0 {
		clean = clean[:i+1]
	}
	for _, end := range []string{"", "</Status>", "</CMDSEQ>", "</Root>"} {
		if root, repaired := markup.Parse(append(bytes.Clone(clean), end...)); repaired == nil {
			return root, nil
		}
	}
	return nil, err
}

// values reads values of the configuration space at an index. Those that the firmware does not know, or that are empty, are "".
func (d *driver) values(ctx context.Context, what string, index int, numbers ...string) (map[string]string, error) {
	var all []command
	for _, n := range numbers {
		all = append(all, get(n, index))
	}
	results, err := d.exec(ctx, what, all...)
	if err != nil && len(results) == 0 {
		return nil, err
	}
	out := map[string]string{}
	for _, n := range numbers {
		if r := results[key(n, index)]; r.status == 0 {
			out[n] = r.data
		}
	}
	return out, nil
}

// write sets values and looks at the status of each.
func (d *driver) write(ctx context.Context, what string, all ...command) error {
	results, err := d.exec(ctx, what, all...)
	if err != nil {
		return err
	}
	for _, c := range all {
		if r := results[key(c.value, c.index)]; r.status != 0 {
			return refusal(what, strconv.Itoa(r.status), "value "+c.value+": "+r.why)
		}
	}
	return nil
}
