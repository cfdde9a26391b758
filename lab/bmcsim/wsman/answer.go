package wsman

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/bmc/markup"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
)

// pair is a property of an instance.
type pair struct{ name, value string }

// nilValue is written as an element that says that it is nil.
const nilValue = "\x00"

// pull is an enumeration that goes on.
type pull struct {
	class string
	rest  [][]pair
}

// envelope writes an answer.
func envelope(body string) string {
	return `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing" ` +
		`xmlns:wsen="http://schemas.xmlsoap.org/ws/2004/09/enumeration" xmlns:wsman="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" ` +
		`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><s:Header><wsa:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</wsa:To></s:Header><s:Body>` +
		body + "</s:Body></s:Envelope>"
}

func soap(subcode, text string) string {
	return envelope("<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>" + subcode + "</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang=\"en\">" +
		markup.Escape(text) + "</s:Text></s:Reason></s:Fault>")
}

func (b *BMC) answer(ctx context.Context, r request) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.catchUp(ctx)
	d := inject.From(ctx)
	switch {
	case d.Sessions:
		return soap("wsman:QuotaLimit", "The service is busy servicing other requests.")
	case d.Code != "" && r.method != "":
		return b.output(r, "2", "The operation failed.", d.Code)
	case d.Code != "":
		return soap("wsman:InternalError", "The service can not carry out the request: "+d.Code)
	}
	switch r.action {
	case enumerate:
		instances, ok := b.instances(ctx, r.class)
		if !ok {
			return soap("wsa:DestinationUnreachable", "No route can be determined to reach the destination role defined by the WS-Addressing To.")
		}
		return b.page("EnumerateResponse", &pull{r.class, instances}, r)
	case pullAction:
		id := r.input.Value("EnumerationContext")
		p := b.pulls[id]
		delete(b.pulls, id)
		if p == nil {
			return soap("wsen:InvalidEnumerationContext", "The supplied enumeration context is invalid.")
		}
		return b.page("PullResponse", p, r)
	}
	if d.Nothing {
		return b.output(r, "0", "The command was successful.", "SYS001")
	}
	if out := b.invoke(ctx, r); out != "" {
		return out
	}
	return soap("wsa:ActionNotSupported", "The action is not supported by the service.")
}

// page writes a part of an enumeration. The items of the first part have another namespace than the later ones'.
func (b *BMC) page(name string, p *pull, r request) string {
	size := b.kind.PageSize
	if n, err := strconv.Atoi(r.input.Value("MaxElements")); err == nil && n < size {
		size = n
	}
	size = min(size, len(p.rest))
	var items strings.Builder
	for _, instance := range p.rest[:size] {
		items.WriteString("<n1:" + p.class + ">")
		for _, f := range instance {
			if f.value == nilValue {
				items.WriteString("<n1:" + f.name + ` xsi:nil="true"/>`)
				continue
			}
			items.WriteString("<n1:" + f.name + ">" + b.text(f.value) + "</n1:" + f.name + ">")
		}
		items.WriteString("</n1:" + p.class + ">")
	}
	p.rest = p.rest[size:]
	prefix := map[bool]string{true: "wsman", false: "wsen"}[name == "EnumerateResponse"]
	end := "<wsen:EnumerationContext/><" + prefix + ":EndOfSequence/>"
	if len(p.rest) > 0 {
		b.made++
		id := fmt.Sprintf("uuid:context-%d", b.made)
		b.pulls[id] = p
		end = "<wsen:EnumerationContext>" + id + "</wsen:EnumerationContext>"
	}
	return envelope(`<wsen:` + name + ` xmlns:n1="` + classes + p.class + `"><` + prefix + ":Items>" + items.String() + "</" + prefix + ":Items>" + end + "</wsen:" + name + ">")
}

func (b *BMC) text(s string) string {
	s = markup.Escape(s)
	if b.kind.Unprintable && strings.Contains(s, "Log cleared") {
		s += "\x01\x1f"
	}
	return s
}

// output writes a method's answer.
func (b *BMC) output(r request, value, message, id string, more ...string) string {
	return envelope(`<n1:` + r.method + `_OUTPUT xmlns:n1="` + classes + r.class + `">` + strings.Join(more, "") + "<n1:Message>" + message + "</n1:Message><n1:MessageID>" + id +
		"</n1:MessageID><n1:ReturnValue>" + value + "</n1:ReturnValue></n1:" + r.method + "_OUTPUT>")
}

// created writes the answer of a method that made a job.
func (b *BMC) created(r request, id string) string {
	return envelope(`<n1:` + r.method + `_OUTPUT xmlns:n1="` + classes + r.class + `"><n1:Job><wsa:EndpointReference><wsa:ReferenceParameters><wsman:ResourceURI>` + classes +
		`DCIM_LifecycleJob</wsman:ResourceURI><wsman:SelectorSet><wsman:Selector Name="InstanceID">` + id + `</wsman:Selector><wsman:Selector Name="__cimnamespace">root/dcim</wsman:Selector>` +
		"</wsman:SelectorSet></wsa:ReferenceParameters></wsa:EndpointReference></n1:Job><n1:ReturnValue>4096</n1:ReturnValue></n1:" + r.method + "_OUTPUT>")
}
