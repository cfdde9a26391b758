package api

import (
	"bytes"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/hagane-cloud/hagane/fault"
)

// legible refuses paths and queries with what is part of no text. Neither database takes NUL in a query, and PostgreSQL takes no
// bytes that are not UTF-8: asked for such, a cloud would answer with a defect.
func legible(u *url.URL) error {
	if !isText(u.Path) {
		return fault.Errorf(fault.Invalid, "the path has bytes that are no text in UTF-8")
	}
	if u.RawQuery == "" {
		return nil
	}
	for name, values := range u.Query() {
		for _, v := range append(values, name) {
			if !isText(v) {
				return fault.Errorf(fault.Invalid, "the query has bytes that are no text in UTF-8")
			}
		}
	}
	return nil
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// hasNUL reports whether a text in a JSON document has NUL, which JSON can only write as an escape. Other bytes that are no
// text are replaced when the document is read.
func hasNUL(doc []byte) bool {
	for i := 0; i < len(doc); i++ {
		if doc[i] != '\\' {
			continue
		}
		if i++; bytes.HasPrefix(doc[i:], []byte("u0000")) {
			return true
		}
	}
	return false
}
