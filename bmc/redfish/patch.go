package redfish

import (
	"context"
	"net/http"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/wire"
)

// The forms of ETag, in the order in which they are tried.
var etagForms = []string{"header", "strong", "body", "bare", "none"}

// form makes the If-Match of a form from the header's ETag and the document's own; ok is false when it
// is the same as an earlier form or there is nothing to make it from.
func form(name, header, body string) (value string, ok bool) {
	switch name {
	case "header":
		return header, header != "" && header != `""` // an empty one is echoed by nobody: it is answered 412
	case "strong":
		return strings.TrimPrefix(header, "W/"), strings.HasPrefix(header, "W/")
	case "body":
		return body, body != "" && body != header // Fujitsu's iRMC: a bare number, without quotes
	case "bare":
		v := strings.Trim(strings.TrimPrefix(header, "W/"), `"`)
		return v, v != "" && v != header
	}
	return "", true
}

// patch changes a resource. The ETag that the BMC wants is found by trying: as the header gave it, in its
// strong form, as the document gives it, without quotes, none at all; the form that worked is remembered
// for the kind of resource. Somebody else's change in between is met by reading again.
func (d *Driver) patch(ctx context.Context, doing string, path link, kind string, body any) (wire.Answer, error) {
	forms := etagForms
	if known := d.access.Memory.Get(etagFact + kind); known != "" {
		forms = append([]string{known}, etagForms...)
	}
	const races = 3
	var last error
	for _, name := range forms {
		for again := 0; again < races; again++ {
			header, inBody, err := d.etag(ctx, path)
			if err != nil {
				return wire.Answer{}, err
			}
			value, ok := form(name, header, inBody)
			if !ok {
				break
			}
			answer, err := d.fetch(ctx, request{method: http.MethodPatch, path: string(path), body: body, etag: value, doing: doing, patience: wire.Settings}, nil)
			if bmc.ClassOf(err) != bmc.Changed {
				if err == nil {
					d.access.Memory.Set(etagFact+kind, name)
				}
				return answer, err
			}
			last = err
			if now, nowBody, err := d.etag(ctx, path); err != nil || (now == header && nowBody == inBody) {
				break // nobody changed it: the BMC wants another form
			}
		}
	}
	return wire.Answer{}, last
}

// etag reads a resource's ETag from the header and from the document.
func (d *Driver) etag(ctx context.Context, path link) (header, body string, err error) {
	var doc struct {
		ETag text `json:"@odata.etag"`
	}
	header, err = d.get(ctx, path, &doc)
	return header, string(doc.ETag), err
}
