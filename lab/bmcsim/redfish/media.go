package redfish

import (
	"cmp"
	"context"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// medium is what is, or was, in a slot.
type medium struct {
	image   string
	ejected time.Time // zero: it is in
}

func (c *call) mediaOwner() string {
	if c.kind.Media.Under == "Systems" {
		return c.system()
	}
	return c.manager()
}

func (c *call) hasMedia() bool {
	return c.kind.Media.Slots != nil && strings.HasPrefix(c.path, c.mediaOwner()+"/")
}

func (c *call) mediaList() document {
	if !c.hasMedia() || c.kind.Media.Style == "irmc" && c.kind.OEM == "ts_fujitsu" {
		return nil
	}
	var paths []string
	for _, s := range c.kind.Media.Slots {
		paths = append(paths, c.path+"/"+s.ID)
	}
	return c.members("VirtualMedia", paths...)
}

// slotNamed returns the slot that is asked for; ok is false when there is none.
func (c *call) slotNamed() (s Slot, ok bool) {
	i := slices.IndexFunc(c.kind.Media.Slots, func(s Slot) bool { return s.ID == c.args[0] })
	if i < 0 || !c.hasMedia() {
		return s, false
	}
	return c.kind.Media.Slots[i], true
}

// inserted reports whether a slot shows a medium.
func (c *call) inserted(id string) bool {
	m, there := c.state.media[id]
	return there && (m.ejected.IsZero() || time.Since(m.ejected) < c.kind.Media.Lingers)
}

func (c *call) slot() document {
	s, ok := c.slotNamed()
	if !ok {
		return nil
	}
	rules, m, in := c.kind.Media, c.state.media[s.ID], c.inserted(s.ID)
	d := c.resource("VirtualMedia.v1_3_0.VirtualMedia", "VirtualMedia "+s.ID)
	d["MediaTypes"], d["Inserted"], d["WriteProtected"], d["ConnectedVia"] = s.Types, in, true, "NotConnected"
	d["Image"], d["ImageName"] = nil, nil
	if rules.NullTypes {
		d["MediaTypes"] = nil
	}
	if in {
		d["ConnectedVia"], d["Image"], d["ImageName"] = "URI", m.image, path.Base(m.image)
	} else if rules.KeepsName && m.image != "" {
		d["ImageName"] = path.Base(m.image)
	}
	if rules.Style != "patch" && (s.Unable == 0 || s.Unable == http.StatusBadRequest) {
		at := root + "/" + c.path + "/Actions/VirtualMedia."
		d["Actions"] = document{"#VirtualMedia.InsertMedia": document{"target": at + "InsertMedia"}, "#VirtualMedia.EjectMedia": document{"target": at + "EjectMedia"}}
	}
	return d
}

func (c *call) insert() {
	s, ok := c.slotNamed()
	if !ok || c.kind.Media.Style == "patch" {
		c.missing()
		return
	}
	for _, name := range c.kind.Media.Refused {
		if _, given := c.body[name]; given {
			c.refuse(http.StatusBadRequest, "ActionParameterUnknown", "The action InsertMedia has no parameter "+name+".", "InsertMedia", name)
			return
		}
	}
	for _, name := range c.kind.Media.Needed {
		if c.body.text(name) == "" {
			c.refuse(http.StatusBadRequest, c.kind.Media.NeededID, "The action InsertMedia needs the parameter "+name+".", "InsertMedia", name)
			return
		}
	}
	if c.put(s, c.body.text("Image")) {
		c.done(c.kind.Media.Status)
	}
}

// put inserts an image into a slot; it answers when it can not.
func (c *call) put(s Slot, image string) bool {
	isCD := len(s.Types) == 0 || slices.Contains(s.Types, "CD") || slices.Contains(s.Types, "DVD")
	switch {
	case s.Unable != 0:
		c.refuse(s.Unable, "ActionNotSupported", "The slot is for the virtual console alone.", "InsertMedia")
	case image == "":
		c.refuse(http.StatusBadRequest, "ActionParameterMissing", "The action InsertMedia needs the parameter Image.", "InsertMedia", "Image")
	case c.inserted(s.ID):
		c.refuse(map[bool]int{true: 500, false: 409}[c.kind.Media.Lingers > 0], "ResourceInUse", "The slot holds a medium.")
	case c.kind.Media.Style == "irmc" && isCD == strings.HasSuffix(image, ".img"):
		c.refuse(http.StatusBadRequest, "ActionParameterValueFormatError", "The slot takes no image of that kind.", image, "Image")
	default:
		if isCD && !s.Silent {
			if err := c.machine.SetMedium(c.r.Context(), image); err != nil {
				c.config.Log.Info("a medium could not be inserted", "image", image, "err", err)
				c.refuse(http.StatusBadRequest, "CouldNotEstablishConnection", "The image can not be reached.", image)
				return false
			}
		}
		if c.state.media == nil {
			c.state.media = map[string]medium{}
		}
		c.state.media[s.ID] = medium{image: image}
		c.undo(func() { c.take(s) })
		return true
	}
	return false
}

// take empties a slot.
func (c *call) take(s Slot) {
	m := c.state.media[s.ID]
	if m.image == "" || !m.ejected.IsZero() {
		return
	}
	m.ejected = time.Now()
	c.state.media[s.ID] = m
	for id, other := range c.state.media {
		if id != s.ID && other.ejected.IsZero() {
			_ = c.machine.SetMedium(context.Background(), other.image)
			return
		}
	}
	_ = c.machine.SetMedium(context.Background(), "")
}

func (c *call) eject() {
	s, ok := c.slotNamed()
	switch m := c.state.media[s.ID]; {
	case !ok || c.kind.Media.Style == "patch":
		c.missing()
	case c.kind.Media.EjectBody && c.body == nil:
		c.refuse(http.StatusUnsupportedMediaType, "MissingOrMalformedPart", "The action needs a body.")
	case m.image == "" || !m.ejected.IsZero():
		if status := c.kind.Media.EjectEmpty; status != 0 {
			c.refuse(status, "ResourceNotInUse", "There is no medium in the slot.")
			return
		}
		c.done(0)
	default:
		c.take(s)
		c.done(c.kind.Media.Status)
	}
}

// changeSlot is how Lenovo's XCC takes media.
func (c *call) changeSlot() {
	s, _ := c.slotNamed()
	if c.kind.Media.Style != "patch" {
		c.refuse(http.StatusMethodNotAllowed, "OperationNotAllowed", "The resource does not support the method.")
		return
	}
	image, given := c.body["Image"]
	in, said := c.body["Inserted"].(bool)
	if said && !in || given && image == nil {
		c.take(s)
		c.changed()
		return
	}
	if c.inserted(s.ID) {
		c.take(s)
	}
	if c.put(s, cmp.Or(c.body.text("Image"))) {
		c.changed()
	}
}
