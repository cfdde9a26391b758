package redfish

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
)

// show answers with a resource as the BMC's kind shapes it, and its ETag.
func (c *call) show(doc document) {
	if c.answered {
		return
	}
	if c.expands() {
		c.expand(doc)
	}
	doc = c.shape(doc)
	c.page(doc)
	if tag, ok := c.tag(doc); ok {
		c.w.Header().Set("ETag", tag)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		c.refuse(http.StatusInternalServerError, "InternalError", "The document could not be made.")
		return
	}
	for _, pattern := range c.kind.Tree.Comma {
		if like(pattern, c.path) {
			text = inject.Comma.Apply(text)
		}
	}
	c.write(cmp.Or(c.status, http.StatusOK), append(text, '\n'))
}

// shape applies the kind's changes to a document.
func (c *call) shape(doc document) document {
	for _, change := range c.kind.Changes {
		if !like(change.Path, c.path) {
			continue
		}
		text, err := json.Marshal(doc)
		if err != nil {
			continue
		}
		var changed document
		if json.Unmarshal(inject.Merge(text, change.JSON), &changed) == nil {
			doc = changed
		}
	}
	if c.kind.Tree.NoCount {
		delete(doc, "Members@odata.count")
	}
	if list, ok := doc["Members"].([]any); ok && len(list) == 0 && c.kind.Tree.NullMembers {
		doc["Members"] = nil
	}
	if form := c.kind.Tags.Form; form == InBody || form == Number || c.kind.Tags.Needed {
		if tag := c.bodyTag(doc); tag != "" {
			doc["@odata.etag"] = tag
		}
	}
	return doc
}

// core is the text of an ETag without what is around it.
func core(doc document) string {
	plain := make(document, len(doc))
	for k, v := range doc {
		if k != "@odata.etag" {
			plain[k] = v
		}
	}
	text, err := json.Marshal(plain)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return fmt.Sprintf("%x", sum[:8])
}

func number(doc document) string {
	sum := sha256.Sum256([]byte(core(doc)))
	return strconv.FormatUint(uint64(binary.BigEndian.Uint32(sum[:])), 10)
}

// tag returns the ETag header.
func (c *call) tag(doc document) (string, bool) {
	switch c.kind.Tags.Form {
	case NoTag, InBody, Number:
		return "", false
	case Empty:
		return `""`, true
	case Weak:
		return `W/"` + core(doc) + `"`, true
	case Twice:
		return `""` + core(doc) + `""`, true
	case Strong:
	}
	return `"` + core(doc) + `"`, true
}

func (c *call) bodyTag(doc document) string {
	switch c.kind.Tags.Form {
	case Number:
		return number(doc)
	case Strong, InBody:
		return `"` + core(doc) + `"`
	case Weak, NoTag, Empty, Twice:
	}
	return ""
}

// precondition compares If-Match with the resource as it is now; doc is nil for a POST.
func (c *call) precondition(doc document) bool {
	match, tags := c.r.Header.Get("If-Match"), c.kind.Tags
	if doc == nil {
		if match != "" && tags.RefusePOST {
			c.refuse(http.StatusPreconditionFailed, "PreconditionFailed", "The ETag does not match the resource.")
			return false
		}
		return true
	}
	if match == "" {
		if tags.Needed {
			c.refuse(http.StatusPreconditionRequired, "PreconditionRequired", "The request needs an If-Match header.")
			return false
		}
		return true
	}
	good := match == "*" || match == `"`+core(doc)+`"`
	switch tags.Form {
	case Number:
		good = match == number(doc)
	case Twice:
		good = match == core(doc)
	case Empty:
		good = false
	case NoTag, Strong, Weak, InBody:
	}
	if good && tags.Racy {
		c.state.raced = !c.state.raced
		good = !c.state.raced
	}
	if !good || tags.RefuseAll {
		c.refuse(http.StatusPreconditionFailed, "PreconditionFailed", "The ETag does not match the resource.")
		return false
	}
	return true
}

// expands reports whether a query asks for the members' documents.
func (c *call) expands() bool { return strings.Contains(c.r.URL.RawQuery, "expand") }

// expand puts the members' documents in place of the links.
func (c *call) expand(doc document) {
	list, ok := doc["Members"].([]any)
	if !ok {
		return
	}
	for i, m := range list {
		at, _ := m.(document)
		inner := *c
		inner.path = strings.Trim(strings.TrimPrefix(at.text("@odata.id"), root), "/")
		found, ok := c.find(&inner)
		if !ok || found.get == nil {
			continue
		}
		inner.get = found.get
		full := found.get(&inner)
		if full == nil {
			continue
		}
		full = inner.shape(full)
		if c.kind.Tree.ExpandDrops {
			delete(full, "Id")
			delete(full, "Name")
			delete(full, "ChassisType")
			delete(full, "@odata.etag")
		}
		list[i] = full
	}
}

// page cuts a long collection into pages.
func (c *call) page(doc document) {
	list, ok := doc["Members"].([]any)
	if !ok {
		return
	}
	skip := 0
	for pair := range strings.SplitSeq(c.r.URL.RawQuery, "&") {
		if value, ok := strings.CutPrefix(strings.TrimPrefix(strings.TrimPrefix(pair, "%24"), "$"), "skip="); ok {
			skip, _ = strconv.Atoi(value)
		}
	}
	size := c.kind.Tree.Page
	skip = min(max(skip, 0), len(list))
	list = list[skip:]
	if size > 0 && len(list) > size {
		list = list[:size]
		doc["Members@odata.nextLink"] = fmt.Sprintf("%s/%s?$skip=%d", root, c.path, skip+size)
	}
	if skip > 0 || size > 0 {
		doc["Members"] = list
	}
}
