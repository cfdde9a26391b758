package wsman

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/markup"
	"github.com/hagane-cloud/hagane/bmc/wire"
)

// The names of SOAP 1.2, WS-Addressing, WS-Enumeration and WS-Management, and of Dell's classes.
const (
	nsSOAP        = "http://www.w3.org/2003/05/soap-envelope"
	nsAddressing  = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
	nsEnumeration = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
	nsManagement  = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
	classes       = "http://schemas.dell.com/wbem/wscim/1/cim-schema/2/"
)

// Bounds of an enumeration.
const (
	perPull  = 100
	maxPulls = 500
)

// pair is a name with a value: a selector, or a parameter of a method.
type pair struct{ name, value string }

// envelope writes a request.
func (d *driver) envelope(class, action string, selectors []pair, body string) []byte {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="` + nsSOAP + `" xmlns:wsa="` + nsAddressing + `" xmlns:wsen="` + nsEnumeration +
		`" xmlns:wsman="` + nsManagement + `"><s:Header><wsa:To s:mustUnderstand="true">` + d.client.Base + `/wsman</wsa:To><wsman:ResourceURI s:mustUnderstand="true">` + classes + class +
		`</wsman:ResourceURI><wsa:MessageID s:mustUnderstand="true">uuid:` + uuid.NewString() + `</wsa:MessageID><wsa:ReplyTo><wsa:Address>` + nsAddressing +
		`/role/anonymous</wsa:Address></wsa:ReplyTo><wsa:Action s:mustUnderstand="true">` + action + `</wsa:Action>`)
	if len(selectors) > 0 {
		b.WriteString("<wsman:SelectorSet>")
		for _, s := range selectors {
			b.WriteString(`<wsman:Selector Name="` + s.name + `">` + markup.Escape(s.value) + "</wsman:Selector>")
		}
		b.WriteString("</wsman:SelectorSet>")
	}
	b.WriteString("</s:Header><s:Body>" + body + "</s:Body></s:Envelope>")
	return []byte(b.String())
}

// send sends a request and returns the body's content.
func (d *driver) send(ctx context.Context, what string, read bool, patience wire.Patience, envelope []byte) (*markup.Element, error) {
	basic := base64.StdEncoding.EncodeToString([]byte(d.access.Username + ":" + d.access.Password))
	a, err := d.client.Do(ctx, wire.Request{Method: http.MethodPost, Path: "/wsman", Read: read, Patience: patience, Body: envelope,
		Header: http.Header{"Content-Type": {"application/soap+xml;charset=UTF-8"}, "Authorization": {"Basic " + basic}}})
	if err != nil {
		return nil, err
	}
	root, garbled := parse(a.Body)
	if fault := root.Find("Fault"); fault != nil {
		return nil, soapFault(what, fault)
	}
	if err := status(what, a.Status); err != nil {
		return nil, err
	}
	body := root.Child("Body")
	if garbled != nil || body == nil || root.Name != "Envelope" { // a web page has a body, too
		return nil, bmc.Fail(bmc.Failure{Class: bmc.Garbled, Err: garbled}, "the iDRAC's answer to %s is no SOAP message", what)
	}
	return body, nil
}

// parse reads a message. iDRACs put bytes into texts that XML does not allow; they are taken out where they hinder.
func parse(text []byte) (*markup.Element, error) {
	root, err := markup.Parse(text)
	if err == nil {
		return root, nil
	}
	return markup.Parse(bytes.Map(func(c rune) rune {
		if (c < ' ' && c != '\t' && c != '\n') || c > '~' {
			return -1
		}
		return c
	}, text))
}

func status(what string, status int) error {
	f := bmc.Failure{Code: fmt.Sprintf("HTTP %d", status)}
	switch status {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized:
		f.Class = bmc.Credentials
		return bmc.Fail(f, "the iDRAC refuses the user name or password")
	case http.StatusForbidden:
		f.Class = bmc.Privilege
		return bmc.Fail(f, "the iDRAC's user may not do %s", what)
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone:
		f.Class = bmc.Unsupported
		return bmc.Fail(f, "there is no WS-MAN at this address; iDRACs of later generations speak Redfish only: use the driver redfish")
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		f.Class = bmc.NotReady
		return bmc.Fail(f, "the iDRAC's web server answers %s with status %d; it may be restarting, or have no session left", what, status)
	}
	f.Class = bmc.Broken
	return bmc.Fail(f, "the iDRAC answers %s with the unexpected status %d", what, status)
}

// faults are the classes of SOAP faults by their subcode (DSP0226, annex on faults).
var faults = map[string]bmc.Class{
	"AccessDenied": bmc.Privilege, "DestinationUnreachable": bmc.Unsupported, "ActionNotSupported": bmc.Unsupported, "InvalidResourceURI": bmc.Unsupported,
	"UnsupportedFeature": bmc.Unsupported, "TimedOut": bmc.NotReady, "EndpointUnavailable": bmc.NotReady, "QuotaLimit": bmc.SessionsFull, "Concurrency": bmc.Busy,
	"InternalError": bmc.Broken, "InvalidEnumerationContext": bmc.Changed,
}

func soapFault(what string, fault *markup.Element) error {
	sub := fault.Child("Code").Child("Subcode").Value("Value")
	name := sub[strings.LastIndexByte(sub, ':')+1:]
	class, ok := faults[name]
	if !ok {
		class = bmc.Refused
	}
	return bmc.Fail(bmc.Failure{Class: class, Code: name}, "the iDRAC does not carry out %s: %s", what, fault.Child("Reason").Value("Text"))
}

// patience is how long an iDRAC may take for a class: BIOS settings and jobs take minutes, logs and inventories long.
func patience(class string) wire.Patience {
	switch {
	case class == "DCIM_SystemView": // the proof that address and credentials are right must not take long
		return wire.Normal
	case strings.HasPrefix(class, "DCIM_BIOS"), strings.HasPrefix(class, "DCIM_Boot"), class == "DCIM_iDRACCardService", class == "DCIM_SoftwareInstallationService":
		return wire.Settings
	case strings.HasPrefix(class, "DCIM_SEL"), strings.HasPrefix(class, "DCIM_Software"), strings.HasPrefix(class, "DCIM_iDRACCard"), strings.HasSuffix(class, "View"):
		return wire.Logs
	}
	return wire.Normal
}

// enumerate reads all instances of a class, in as many pulls as it takes.
func (d *driver) enumerate(ctx context.Context, class string) ([]*markup.Element, error) {
	body := fmt.Sprintf("<wsen:Enumerate><wsman:OptimizeEnumeration/><wsman:MaxElements>%d</wsman:MaxElements></wsen:Enumerate>", perPull)
	action := "Enumerate"
	var all []*markup.Element
	for range maxPulls {
		answer, err := d.send(ctx, class, true, patience(class), d.envelope(class, nsEnumeration+"/"+action, nil, body))
		if err != nil {
			return nil, err
		}
		if answer.Find(action+"Response") == nil {
			return nil, bmc.Fail(bmc.Failure{Class: bmc.Garbled}, "the iDRAC's answer about %s is no %s", class, strings.ToLower(action))
		}
		all = append(all, answer.Find("Items").Kids()...)
		context := answer.Find("EnumerationContext")
		if context == nil || context.Text == "" || answer.Find("EndOfSequence") != nil {
			return all, nil
		}
		action = "Pull"
		body = fmt.Sprintf("<wsen:Pull><wsen:EnumerationContext>%s</wsen:EnumerationContext><wsman:MaxElements>%d</wsman:MaxElements></wsen:Pull>", markup.Escape(context.Text), perPull)
	}
	return nil, bmc.Fail(bmc.Failure{Class: bmc.Garbled}, "the iDRAC's list of %s does not end after %d parts", class, maxPulls)
}

// one reads a class of which there is one instance.
func (d *driver) one(ctx context.Context, class string) (*markup.Element, error) {
	all, err := d.enumerate(ctx, class)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, bmc.Fail(bmc.Failure{Class: bmc.Unsupported}, "the iDRAC has no %s", class)
	}
	return all[0], nil
}

// service addresses a service of the usual naming.
func service(class, system, name string) []pair {
	return []pair{{"SystemCreationClassName", "DCIM_ComputerSystem"}, {"SystemName", system}, {"CreationClassName", class}, {"Name", name}}
}

// serviceOf addresses a service that is named after its class.
func serviceOf(class string) []pair {
	return service(class, "DCIM:ComputerSystem", "DCIM:"+strings.TrimPrefix(class, "DCIM_"))
}

// invoke carries out a method. read marks one that changes nothing. The answer's ReturnValue is 0 when it is done, 4096 when a job does it.
func (d *driver) invoke(ctx context.Context, class, method string, read bool, selectors []pair, input ...pair) (*markup.Element, error) {
	var body strings.Builder
	body.WriteString(`<n:` + method + `_INPUT xmlns:n="` + classes + class + `">`)
	for _, p := range input {
		value := markup.Escape(p.value)
		if strings.HasPrefix(p.value, "<wsa:") {
			value = p.value // a reference, which is XML itself
		}
		body.WriteString("<n:" + p.name + ">" + value + "</n:" + p.name + ">")
	}
	body.WriteString("</n:" + method + "_INPUT>")
	what := class + "." + method
	answer, err := d.send(ctx, what, read, patience(class), d.envelope(class, classes+class+"/"+method, selectors, body.String()))
	if err != nil {
		return nil, err
	}
	out := answer.Child(method + "_OUTPUT")
	switch out.Value("ReturnValue") {
	case "0", "4096":
		return out, nil
	case "":
		return nil, bmc.Fail(bmc.Failure{Class: bmc.Garbled}, "the iDRAC's answer to %s has no return value", what)
	}
	id := out.Value("MessageID")
	class2, known := messages[id]
	if !known {
		class2 = bmc.Refused
	}
	if strings.Contains(strings.ToLower(out.Value("Message")), "licen") {
		class2 = bmc.Licence
	}
	return nil, bmc.Fail(bmc.Failure{Class: class2, Code: id}, "the iDRAC does not carry out %s: %s", what, out.Value("Message"))
}

// messages are the classes of failures by their message id.
var messages = map[string]bmc.Class{
	"BIOS007": bmc.Busy, "BIOS011": bmc.Busy, "BOOT011": bmc.Busy, "RAC011": bmc.Busy, // a job for it exists already
	"LC060": bmc.NotReady, "LC062": bmc.NotReady, "SYS518": bmc.NotReady, "SWC0700": bmc.NotReady, "RAC0508": bmc.NotReady,
	"RAC0218": bmc.SessionsFull,
}

// jobOf returns the id of the job that an answer names; "" when it names none.
func jobOf(out *markup.Element) string {
	for _, s := range out.All("Selector") {
		if s.Attr("Name") == "InstanceID" {
			return s.Text
		}
	}
	return ""
}

// pick returns the instance whose property is one of the values.
func pick(all []*markup.Element, property string, values ...string) *markup.Element {
	for _, e := range all {
		if slices.Contains(values, e.Value(property)) {
			return e
		}
	}
	return nil
}
