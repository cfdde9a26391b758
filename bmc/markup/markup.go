// Package markup reads the XML of BMCs: a tree of elements that is asked by name, whatever the case and the
// namespace, because BMCs agree on neither. The drivers ribcl, wsman and scci and their simulators use
// it; what their BMCs do to XML is repaired in the drivers before it comes here.
package markup

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// depth bounds how deeply elements nest; the reports of BMCs stay below 20.
const depth = 100

// Element is an element of a document. The nil Element has nothing in it.
type Element struct {
	Name     string // without its namespace
	Attrs    []xml.Attr
	Text     string // its own character data, trimmed
	Children []*Element
}

// Parse reads one document and returns its root. It takes Latin-1 for what it is and forgives missing quotes
// round attributes.
func Parse(text []byte) (*Element, error) {
	d := xml.NewDecoder(bytes.NewReader(text))
	d.Strict = false
	d.CharsetReader = charset
	var open []*Element
	var root *Element
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			if root == nil || len(open) > 0 {
				return nil, fmt.Errorf("the document ends before its root element does")
			}
			return root, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			e := &Element{Name: t.Name.Local, Attrs: t.Copy().Attr}
			if len(open) == 0 {
				if root != nil {
					return nil, fmt.Errorf("there is a second root element %s", e.Name)
				}
				root = e
			} else {
				top := open[len(open)-1]
				top.Children = append(top.Children, e)
			}
			if open = append(open, e); len(open) > depth {
				return nil, fmt.Errorf("elements nest more than %d deep", depth)
			}
		case xml.EndElement:
			top := open[len(open)-1]
			top.Text = strings.TrimSpace(top.Text)
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].Text += string(t)
			}
		}
	}
}

// charset reads the encodings that BMCs name: UTF-8 under other names, and Latin-1.
func charset(name string, r io.Reader) (io.Reader, error) {
	switch strings.ToLower(name) {
	case "iso-8859-1", "latin1", "latin-1", "windows-1252":
	default:
		return r, nil
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	runes := make([]rune, len(raw))
	for i, b := range raw {
		runes[i] = rune(b)
	}
	return strings.NewReader(string(runes)), nil
}

// Attr returns the first attribute that is there under one of the names.
func (e *Element) Attr(names ...string) string {
	v, _ := e.Has(names...)
	return v
}

// Has returns the first attribute that is there under one of the names, and whether there is one.
func (e *Element) Has(names ...string) (string, bool) {
	if e == nil {
		return "", false
	}
	for _, name := range names {
		for _, a := range e.Attrs {
			if strings.EqualFold(a.Name.Local, name) {
				return a.Value, true
			}
		}
	}
	return "", false
}

// Child returns the first child of one of the names.
func (e *Element) Child(names ...string) *Element {
	if e == nil {
		return nil
	}
	for _, name := range names {
		for _, c := range e.Children {
			if strings.EqualFold(c.Name, name) {
				return c
			}
		}
	}
	return nil
}

// Find returns the first element of one of the names, itself or below.
func (e *Element) Find(names ...string) *Element {
	if e == nil {
		return nil
	}
	for _, name := range names {
		if strings.EqualFold(e.Name, name) {
			return e
		}
	}
	for _, c := range e.Children {
		if found := c.Find(names...); found != nil {
			return found
		}
	}
	return nil
}

// All returns the elements of a name, itself and below, in their order.
func (e *Element) All(name string) []*Element {
	if e == nil {
		return nil
	}
	var all []*Element
	if strings.EqualFold(e.Name, name) {
		all = append(all, e)
	}
	for _, c := range e.Children {
		all = append(all, c.All(name)...)
	}
	return all
}

// Value returns the text of the first child of one of the names.
func (e *Element) Value(names ...string) string {
	if c := e.Child(names...); c != nil {
		return c.Text
	}
	return ""
}

// Escape writes text so that it can stand in an attribute or between tags.
func Escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}

// Kids returns the children.
func (e *Element) Kids() []*Element {
	if e == nil {
		return nil
	}
	return e.Children
}
