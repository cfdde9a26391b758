package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// MaxBody is the largest JSON body that is read: bodies with user data and personality files fit.
const MaxBody = 1 << 20

// Decode reads a JSON body into v. A field that v does not have, a wrong type or more than one document is
// Invalid and names the field; a body over MaxBody is TooLarge.
func Decode(w http.ResponseWriter, r *Request, v any) error {
	return decode(http.MaxBytesReader(w, r.Body, MaxBody), v, true)
}

// DecodeLoose is Decode for dialects whose clients send fields that mean nothing to us.
func DecodeLoose(w http.ResponseWriter, r *Request, v any) error {
	return decode(http.MaxBytesReader(w, r.Body, MaxBody), v, false)
}

func decode(body io.Reader, v any, strict bool) error {
	raw, err := io.ReadAll(body)
	if err != nil {
		return explain(err)
	}
	if hasNUL(raw) {
		return fault.Errorf(fault.Invalid, "the body has the character NUL (\\u0000), which is part of no text")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(v); err != nil {
		return explain(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fault.Errorf(fault.Invalid, "the body has something behind its JSON document")
	}
	return nil
}

// explain turns an error of the decoder into a fault that names the field.
func explain(err error) error {
	var f *fault.Error
	var large *http.MaxBytesError
	var typ *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &f):
		return err
	case errors.As(err, &large):
		return fault.Errorf(fault.TooLarge, "the body is larger than %d bytes", large.Limit)
	case errors.As(err, &typ):
		return fault.Field(typ.Field, "the field %q must be %s, not %s", typ.Field, jsonType(typ.Type.String()), typ.Value)
	case errors.As(err, &syntax):
		return fault.Errorf(fault.Invalid, "the body is not JSON: %s at byte %d", syntax, syntax.Offset)
	case errors.Is(err, io.EOF):
		return fault.Errorf(fault.Invalid, "the body is empty; a JSON document is needed")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Errorf(fault.Invalid, "the body ends in the middle of its JSON document")
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name = strings.Trim(name, `"`)
		return fault.Field(name, "the field %q is unknown here", name)
	}
	return fault.E(fault.Invalid, "the body could not be read", err)
}

func jsonType(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case strings.Contains(goType, "int"), strings.Contains(goType, "float"):
		return "a number"
	case goType == "bool":
		return "true or false"
	case strings.HasSuffix(goType, "string"):
		return "a string"
	}
	return "an object"
}

// JSON answers with a status and a document.
func JSON(w http.ResponseWriter, status int, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fault.E(fault.Internal, "encoding the answer", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(raw)))
	w.WriteHeader(status)
	_, err = w.Write(raw)
	return err
}

// Text answers with a document that is written already. of is the function that makes such documents: the API's
// description is read from it.
func Text(w http.ResponseWriter, status int, text []byte, of any) error {
	_ = of
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	w.WriteHeader(status)
	_, err := w.Write(text)
	return err
}

// List answers with a document that holds, under a name, documents that are written already, and more beside them. of is
// the function that makes such documents.
func List(w http.ResponseWriter, status int, name string, texts [][]byte, more Object, of any) error {
	rest, err := json.Marshal(more)
	if err != nil {
		return fault.E(fault.Internal, "encoding the answer", err)
	}
	size := len(name) + len(rest) + 8
	for _, t := range texts {
		size += len(t) + 1
	}
	out := make([]byte, 0, size)
	out = append(append(append(out, '{', '"'), name...), '"', ':', '[')
	for i, t := range texts {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, t...)
	}
	out = append(out, ']')
	if len(more) > 0 {
		out = append(append(out, ','), rest[1:]...)
	} else {
		out = append(out, '}')
	}
	return Text(w, status, out, of)
}

// Object is a JSON object of a foreign dialect's form.
type Object = map[string]any

// Time writes a time as OpenStack's services do; nil when it is zero.
func Time(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// BaseURL is how the client reached us: scheme and host.
func BaseURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// Redecode decodes a document that was taken apart, as strictly as Decode.
func Redecode(doc any, v any) error {
	raw, err := json.Marshal(doc)
	if err != nil {
		return fault.E(fault.Internal, "encoding a document again", err)
	}
	return decode(bytes.NewReader(raw), v, true)
}

// Set overwrites dst with what a request gave, if it gave anything.
func Set[T any](dst *T, given *T) {
	if given != nil {
		*dst = *given
	}
}

// Gone answers 204 when err is nil; otherwise it passes err on.
func Gone(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
