package ribcl

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/markup"
	"github.com/hagane-cloud/hagane/bmc/wire"
)

// header begins every request. iLO 2 wants it in a write of its own (seen by python-hpilo).
const header = "<?xml version=\"1.0\"?>\r\n"

// do carries out a command. A refusal that passes by itself, before anything was begun, is tried again.
func (d *driver) do(ctx context.Context, c command) (reply, error) {
	for again := 0; ; again++ {
		r, err := d.login(ctx, c)
		if bmc.ClassOf(err) != bmc.Busy || again >= d.pace.Again || code(err) == codeSigning {
			return r, err
		}
		if err := wait(ctx, d.pace.Every); err != nil {
			return r, err
		}
	}
}

// login carries out a command with the password escaped as XML wants it, and where that fails and could matter,
// once with the password as it is: some iLOs do not undo the escapes. Another failed login would slow
// the iLO down for everybody, so what worked is remembered.
func (d *driver) login(ctx context.Context, c command) (reply, error) {
	escaped := markup.Escape(d.access.Password)
	plain := d.access.Password != escaped && !strings.ContainsAny(d.access.Password, `"<`)
	if plain && d.memory.Get(quoteFact) == "plain" {
		return d.send(ctx, c, d.access.Password)
	}
	r, err := d.send(ctx, c, escaped)
	if bmc.ClassOf(err) != bmc.Credentials || !plain {
		return r, err
	}
	if r, again := d.send(ctx, c, d.access.Password); again == nil || bmc.ClassOf(again) != bmc.Credentials {
		d.memory.Set(quoteFact, "plain")
		return r, again
	}
	return r, err
}

func (d *driver) send(ctx context.Context, c command, password string) (reply, error) {
	form, err := d.form(ctx)
	if err != nil {
		return reply{}, err
	}
	body, err := d.exchange(ctx, form, c.name, !c.write, c.text(d.access.Username, password))
	if err != nil {
		return reply{}, err
	}
	return read(c, body)
}

// text writes a command with its login. Lines end in CR LF.
func (c command) text(username, password string) string {
	mode := "read"
	if c.write {
		mode = "write"
	}
	var b strings.Builder
	b.WriteString("<RIBCL VERSION=\"2.0\">\r\n<LOGIN USER_LOGIN=\"" + markup.Escape(username) + "\" PASSWORD=\"" + password + "\">\r\n")
	b.WriteString("<" + c.block + " MODE=\"" + mode + "\">\r\n<" + c.name)
	for i := 0; i+1 < len(c.attrs); i += 2 {
		b.WriteString(" " + c.attrs[i] + `="` + markup.Escape(c.attrs[i+1]) + `"`)
	}
	if c.body == "" {
		b.WriteString("/>\r\n")
	} else {
		b.WriteString(">\r\n" + c.body + "\r\n</" + c.name + ">\r\n")
	}
	b.WriteString("</" + c.block + ">\r\n</LOGIN>\r\n</RIBCL>\r\n")
	return b.String()
}

// exchange sends a text in one of the two forms.
func (d *driver) exchange(ctx context.Context, form, name string, read bool, text string) ([]byte, error) {
	if form == formRaw {
		return d.client.Exchange(ctx, wire.Raw{Name: name, Parts: [][]byte{[]byte(header), []byte(text)}, Read: read})
	}
	a, err := d.client.Do(ctx, wire.Request{Method: http.MethodPost, Path: "/ribcl", Read: read, Body: []byte(header + text),
		Header: http.Header{"Content-Type": {"text/xml"}}})
	if err != nil {
		return nil, err
	}
	switch {
	case a.Status == http.StatusOK:
		return a.Body, nil
	case a.Status == http.StatusNotFound:
		return nil, gone(a.Status)
	case a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden:
		return nil, bmc.Fail(bmc.Failure{Class: bmc.Privilege, Code: http.StatusText(a.Status)}, "the iLO refuses RIBCL over HTTPS with status %d; look whether XML scripting is enabled in its access settings", a.Status)
	case a.Status >= http.StatusInternalServerError:
		return nil, bmc.Fail(bmc.Failure{Class: bmc.NotReady, Code: http.StatusText(a.Status)}, "the iLO answers %s with status %d; it may be restarting", name, a.Status)
	}
	return nil, bmc.Fail(bmc.Failure{Class: bmc.Garbled, Code: http.StatusText(a.Status)}, "the iLO answers %s with the unexpected status %d", name, a.Status)
}

func gone(status int) error {
	return bmc.Fail(bmc.Failure{Class: bmc.Unsupported, Code: http.StatusText(status)}, "there is no RIBCL at this address; iLO 6 and later speak Redfish only: use the driver redfish")
}

// form finds out once whether the iLO speaks HTTP: it is sent an empty request by HTTP over a bare connection, as nobody knows
// what the answer will be. iLO 2 answers with naked XML, or with a 404 although it does speak RIBCL.
func (d *driver) form(ctx context.Context) (string, error) {
	if form := d.memory.Get(formFact); form != "" {
		return form, nil
	}
	if strings.HasPrefix(d.client.Base, "http://") {
		return formHTTP, nil
	}
	const empty = "<RIBCL VERSION=\"2.0\"></RIBCL>\r\n"
	host := strings.TrimPrefix(d.client.Base, "https://")
	question := fmt.Sprintf("POST /ribcl HTTP/1.1\r\nHost: %s\r\nContent-Type: text/xml\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s%s", host, len(header)+len(empty), header, empty)
	body, err := d.client.Exchange(ctx, wire.Raw{Name: "which protocol", Parts: [][]byte{[]byte(question)}, Read: true})
	if err != nil {
		return "", err
	}
	form := formHTTP
	switch text := string(body); {
	case strings.HasPrefix(text, "HTTP/1.1 404"), strings.HasPrefix(text, "HTTP/1.0 404"):
		body, err := d.exchange(ctx, formRaw, "an empty request", true, empty)
		if err != nil {
			return "", err
		}
		if !strings.Contains(string(body), "<RIBCL") {
			return "", gone(http.StatusNotFound)
		}
		form = formRaw
	case strings.HasPrefix(text, "HTTP/"):
	case strings.Contains(text, "<RIBCL"):
		form = formRaw
	default:
		return "", bmc.Fail(bmc.Failure{Class: bmc.Garbled}, "what answers at %s speaks neither HTTP nor RIBCL", d.client.Base)
	}
	d.memory.Set(formFact, form)
	return form, nil
}
