package ribcl

import (
	"context"
	"fmt"
	"html"
	"regexp"
	"strings"

	"github.com/hagane-cloud/hagane/bmc/markup"
)

// good is the document of a level that went well.
const good = "<RESPONSE\n    STATUS=\"0x0000\"\n    MESSAGE='No error'\n     />\n"

func refusal(status int, text string) string {
	return fmt.Sprintf("<RESPONSE\n    STATUS=\"0x%04X\"\n    MESSAGE='%s'\n     />\n", status, text)
}

func remark(text string) string { return refusal(0, text) }

// answer carries out a request: a document for each level that opens and closes, one with the data.
func (b *BMC) answer(ctx context.Context, text []byte) []byte {
	root, err := markup.Parse(text)
	if err != nil || !strings.EqualFold(root.Name, "RIBCL") {
		return b.documents([]string{refusal(0x0001, "syntax error: Line #1")})
	}
	login := root.Child("LOGIN")
	if login == nil {
		return b.documents([]string{good})
	}
	who := b.enter(login.Attr("USER_LOGIN"), string(text))
	if who == nil {
		return b.documents([]string{good, refusal(0x005f, "Login failed.")})
	}
	out := []string{good, good}
	for _, block := range login.Children {
		out = append(out, good)
		for _, c := range block.Children {
			out = append(out, b.carryOut(ctx, who, block, c))
		}
		out = append(out, good)
	}
	return b.documents(append(out, good))
}

// secret is the password as it stands in the request.
var secret = regexp.MustCompile(`PASSWORD="([^"]*)"`)

func (b *BMC) enter(login, text string) *account {
	m := secret.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	password := html.UnescapeString(m[1])
	if b.kind.PlainPassword {
		password = m[1]
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.users {
		if u.login == login && u.password == password {
			return u
		}
	}
	return nil
}

// documents writes an answer with the defects of the firmware.
func (b *BMC) documents(parts []string) []byte {
	var out strings.Builder
	for _, p := range parts {
		root := "<RIBCL VERSION=\"2.23\">\n"
		if b.kind.SelfClosed {
			root = "<RIBCL VERSION=\"2.22\"/>\n"
		}
		out.WriteString("<?xml version=\"1.0\"?>\n" + root + p + "</RIBCL>\n")
	}
	return []byte(out.String())
}

// attrs writes an element of attributes.
func attrs(name string, pairs ...string) string {
	var out strings.Builder
	out.WriteString("<" + name)
	for i := 0; i+1 < len(pairs); i += 2 {
		out.WriteString("\n    " + pairs[i] + `="` + markup.Escape(pairs[i+1]) + `"`)
	}
	return out.String() + "\n/>\n"
}

// value writes an element of one VALUE, spaced as iLOs do.
func value(name, v string, more ...string) string {
	tail := ""
	if len(more) > 0 {
		tail = ` UNIT="` + more[0] + `"`
	}
	return "<" + name + ` VALUE = "` + markup.Escape(v) + `"` + tail + "/>\n"
}

func wrap(name, inner string) string { return "<" + name + ">\n" + inner + "</" + name + ">\n" }
