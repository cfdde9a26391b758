package image

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"

	"github.com/hagane-cloud/hagane/fault"
)

// Tags are words by which people find images.
type Tags []string

// Properties are what people and programs say of an image.
type Properties map[string]string

// Both are kept as compact JSON, with keys in order, in which findTag and findProperty look for one of them as it is written.

// Value encodes tags.
func (t Tags) Value() (driver.Value, error) {
	if t == nil {
		t = Tags{}
	}
	return written([]string(t)), nil
}

// Scan reads what Value wrote.
func (t *Tags) Scan(src any) error { return read(src, (*[]string)(t)) }

// Value encodes properties.
func (p Properties) Value() (driver.Value, error) {
	if p == nil {
		p = Properties{}
	}
	return written(map[string]string(p)), nil
}

// Scan reads what Value wrote.
func (p *Properties) Scan(src any) error {
	err := read(src, (*map[string]string)(p))
	if *p == nil {
		*p = Properties{}
	}
	return err
}

// written encodes texts, which never fails.
func written(v any) string {
	raw, _ := json.Marshal(v)
	return string(raw)
}

func read(src, dst any) error {
	switch v := src.(type) {
	case string:
		return json.Unmarshal([]byte(v), dst)
	case []byte:
		return json.Unmarshal(bytes.Clone(v), dst)
	}
	return fault.Errorf(fault.Internal, "a column of words holds %T", src)
}

// found is the condition that a column of words holds one that is written as word. In JSON an inner quotation mark has a
// backslash before it, so that a mark behind the opening bracket or a comma begins a text. REPLACE compares exactly on
// both engines; LIKE would not.
func found(column, open, word string) (string, []any) {
	return "(REPLACE(" + column + ", ?, '') <> " + column + " OR REPLACE(" + column + ", ?, '') <> " + column + ")", []any{open + word, "," + word}
}

func findTag(tag string) (string, []any) { return found("tags", "[", written(tag)) }

func findProperty(name, value string) (string, []any) {
	return found("properties", "{", written(name)+":"+written(value))
}
