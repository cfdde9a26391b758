package ribcl

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/markup"
)

// reply is what an iLO answered: of its many documents those parts that say something.
type reply struct {
	parts []*markup.Element // children of the documents' roots that are no RESPONSE
	notes []string          // messages of responses that are no errors
}

// find returns the first element of one of the names in any document.
func (r reply) find(names ...string) *markup.Element {
	for _, name := range names {
		for _, p := range r.parts {
			if e := p.Find(name); e != nil {
				return e
			}
		}
	}
	return nil
}

// need is find for what has to be there.
func (r reply) need(c command, names ...string) (*markup.Element, error) {
	if e := r.find(names...); e != nil {
		return e, nil
	}
	return nil, bmc.Fail(bmc.Failure{Class: bmc.Garbled}, "the iLO's answer to %s lacks the element %s", c.name, names[0])
}

// read takes an answer apart: a document for each level of the request, each with a RESPONSE that tells whether it
// went well, over an HTTP status of 200 in any case.
func read(c command, body []byte) (reply, error) {
	var r reply
	documents := split(body)
	if len(documents) == 0 {
		return r, bmc.Fail(bmc.Failure{Class: bmc.Garbled}, "the iLO's answer to %s is no RIBCL", c.name)
	}
	for _, text := range documents {
		root, err := parse(text)
		if err != nil {
			return r, bmc.Fail(bmc.Failure{Class: bmc.Garbled, Err: err}, "the iLO's answer to %s can not be read, even repaired", c.name)
		}
		for _, e := range root.Children {
			switch strings.ToUpper(e.Name) {
			case "RESPONSE":
				if err := check(c, e, &r); err != nil {
					return r, err
				}
			case "INFORM":
				r.notes = append(r.notes, e.Text)
			default:
				r.parts = append(r.parts, e)
			}
		}
	}
	return r, nil
}

// split cuts an answer into its documents.
func split(body []byte) [][]byte {
	const start = "<?xml"
	var out [][]byte
	for {
		i := bytes.Index(body, []byte(start))
		if i < 0 {
			return out
		}
		body = body[i:]
		end := bytes.Index(body[len(start):], []byte(start))
		if end < 0 {
			return append(out, bytes.TrimSpace(body))
		}
		out = append(out, bytes.TrimSpace(body[:end+len(start)]))
		body = body[end+len(start):]
	}
}

// parse reads a document, as it is or repaired.
func parse(text []byte) (*markup.Element, error) {
	clean := control(text)
	// A root that closes itself and goes on all the same is not seen as an error by a reader of one element.
	clean = selfClosed.ReplaceAll(clean, []byte("$1>"))
	if !bytes.Contains(clean, []byte("</RIBCL>")) {
		clean = append(append([]byte(nil), clean...), "</RIBCL>"...)
	}
	root, err := markup.Parse(clean)
	if err == nil {
		return root, nil
	}
	if again, repaired := markup.Parse(quotes(clean)); repaired == nil {
		return again, nil
	}
	return nil, err
}

// selfClosed is a root that closes itself although its content follows (iLO 2's 2.22 does).
var selfClosed = regexp.MustCompile(`(?i)(<RIBCL\s+VERSION\s*=\s*["'][^"']*["']\s*)/>`)

// control removes what no XML document may hold, such as the \x01 that iLOs put into names that are not set.
func control(text []byte) []byte {
	return bytes.Map(func(c rune) rune {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return -1
		}
		return c
	}, text)
}

// attribute is an attribute up to where its value can only end: before the next attribute or the tag's end.
var attribute = regexp.MustCompile(`(?s)([A-Za-z_][\w.-]*\s*=\s*)(["'])(.*?)(["'])(\s+[A-Za-z_][\w.-]*\s*=\s*["']|\s*[/?]?>)`)

// quotes escapes quotation marks inside of attribute values, and ampersands that begin no entity.
func quotes(text []byte) []byte {
	text = loose.ReplaceAll(text, []byte("&amp;$1"))
	var out []byte
	for {
		m := attribute.FindSubmatchIndex(text)
		if m == nil {
			return append(out, text...)
		}
		out = append(out, text[:m[3]]...)
		inner := strings.NewReplacer(`"`, "&quot;", `'`, "&apos;", "<", "&lt;").Replace(string(text[m[6]:m[7]]))
		out = append(out, '"')
		out = append(out, inner...)
		out = append(out, '"')
		text = text[m[9]:] // the next attribute is looked at by itself
	}
}

// loose is an ampersand that begins no entity; Go's expressions can not look ahead, so one character is kept.
var loose = regexp.MustCompile(`&([^a-zA-Z#]|$)`)

// codeSigning is the status while a certificate signing request is being made, which takes 10 minutes.
const codeSigning = "0x0088"

// classes are the failures of status codes (collected by python-hpilo and proliantutils).
var classes = map[uint64]bmc.Class{
	0x0001: bmc.Unsupported, // syntax error: the firmware does not know the command
	0x0004: bmc.Refused,     // the password is too short
	0x000a: bmc.Credentials, // the user was not found; of a login
	0x0023: bmc.Privilege,
	0x002a: bmc.Unsupported, // no rack server
	0x002e: bmc.Licence,
	0x003c: bmc.Unsupported, // the server does not have the feature
	0x005f: bmc.Credentials,
	0x006d: bmc.Unsupported, // not configured
	0x0088: bmc.Busy,        // a certificate signing request is being made
}

// words are parts of messages that tell more than their status code, which is often a general one.
var words = []struct {
	part  string
	class bmc.Class
}{
	{"syntax error", bmc.Unsupported},
	{"login failed", bmc.Credentials}, {"login credentials rejected", bmc.Credentials},
	{"licen", bmc.Licence},
	{"problem manipulating ev", bmc.Busy}, // the firmware's variables are locked for a while, as during POST
	{"during post", bmc.Busy},
	{"not supported", bmc.Unsupported},
}

// check looks at a RESPONSE. Status 0 with another message than the usual one is a remark.
func check(c command, e *markup.Element, r *reply) error {
	text := e.Attr("MESSAGE")
	status, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(e.Attr("STATUS")), "0x"), 16, 32)
	if err != nil {
		return bmc.Fail(bmc.Failure{Class: bmc.Garbled, Err: err}, "the iLO's answer to %s has the status %q", c.name, e.Attr("STATUS"))
	}
	if status == 0 {
		if text != "" && !strings.EqualFold(text, "No error") {
			r.notes = append(r.notes, text)
		}
		return nil
	}
	class, known := classes[status]
	if !known {
		class = bmc.Refused
	}
	if status == 0x000a && c.block == "USER_INFO" {
		class = bmc.Refused // it is the user that the command is about
	}
	for _, w := range words {
		if strings.Contains(strings.ToLower(text), w.part) {
			class = w.class
			break
		}
	}
	f := bmc.Failure{Class: class, Code: "0x" + leftPad(strconv.FormatUint(status, 16))}
	return bmc.Fail(f, "the iLO does not carry out %s: %s%s", c.name, strings.TrimSuffix(text, "."), advice[class])
}

// advice says what to do about a failure.
var advice = map[bmc.Class]string{
	bmc.Unsupported: "; this iLO or its firmware does not have it",
	bmc.Credentials: "; check user name and password, and wait before trying again: iLO slows logins down after failures",
	bmc.Privilege:   "; give the iLO user the privilege in its account",
	bmc.Licence:     "; it needs an iLO Advanced licence",
	bmc.Busy:        "; it may work in a while",
}

func leftPad(hex string) string {
	for len(hex) < 4 {
		hex = "0" + hex
	}
	return hex
}
