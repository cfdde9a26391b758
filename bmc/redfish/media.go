package redfish

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/wire"
)

// slotFact remembers the slot that worked.
const slotFact = "redfish media slot "

// mediaDoc is what we read of a VirtualMedia resource.
type mediaDoc struct {
	ID           text `json:"Id"`
	Name         text
	MediaTypes   many[text]
	Image        text
	ImageName    text
	Inserted     flag
	ConnectedVia text
	Actions      struct {
		Insert *action `json:"#VirtualMedia.InsertMedia"`
		Eject  *action `json:"#VirtualMedia.EjectMedia"`
	}
	// Fujitsu's own resource, which older iRMCs have alone.
	CDStatus text
	CDImage  struct{ ImageName text }

	at link
}

// taken reports whether something is in the slot. A name of an image says nothing: Supermicro leaves it behind.
func (m mediaDoc) taken() bool {
	if m.CDStatus != "" {
		return strings.EqualFold(string(m.CDStatus), "Connected")
	}
	if strings.EqualFold(string(m.ConnectedVia), "NotConnected") {
		return false
	}
	if m.Inserted.set {
		return m.Inserted.value
	}
	return m.Image != ""
}

// holds reports whether the slot takes a kind of medium. BMCs that list none are judged by the slot's name.
func (m mediaDoc) holds(kind bmc.Medium) bool {
	words := map[bmc.Medium][]string{bmc.CD: {"CD", "DVD"}, bmc.USB: {"USBStick", "Floppy", "USB"}}[kind]
	for _, w := range words {
		if slices.Contains(m.MediaTypes, text(w)) {
			return true
		}
		if len(m.MediaTypes) == 0 && strings.Contains(strings.ToLower(string(m.ID+" "+m.Name)), strings.ToLower(w)) {
			return true
		}
	}
	return false
}

func (m mediaDoc) slot() bmc.Slot {
	s := bmc.Slot{ID: m.at.last(), Inserted: m.taken()}
	for _, kind := range []bmc.Medium{bmc.CD, bmc.USB} {
		if m.holds(kind) {
			s.Media = append(s.Media, kind)
		}
	}
	if s.Inserted {
		s.Image = string(m.Image)
	}
	return s
}

// slots reads the virtual drives: below the manager, the system or both, each once.
func (d *Driver) slots(ctx context.Context) ([]mediaDoc, error) {
	s, _, err := d.read(ctx)
	if err != nil {
		return nil, err
	}
	p, err := d.know(ctx)
	if err != nil {
		return nil, err
	}
	m, err := d.bmcOf(ctx, s)
	if err != nil && !absent(err) {
		return nil, err
	}
	var usable *regexp.Regexp
	if p != nil && p.Media.Slots != "" {
		usable = regexp.MustCompile("(?i)" + p.Media.Slots)
	}
	var all []mediaDoc
	seen := map[string]bool{}
	for _, place := range []link{s.VirtualMedia, m.VirtualMedia} {
		if place == "" || seen[place.key()] {
			continue
		}
		seen[place.key()] = true
		err := whole(ctx, d, place, func(at link, doc mediaDoc) {
			doc.at = at
			name := at.last()
			if seen[name] || (usable != nil && !usable.MatchString(name)) {
				return
			}
			seen[name] = true
			all = append(all, doc)
		})
		if err != nil && !absent(err) {
			return nil, err
		}
	}
	if key, _ := irmcOem(s); len(all) == 0 && key != "" {
		doc := mediaDoc{at: link(d.system).under("Oem/" + key + "/VirtualMedia")}
		_, err := d.get(ctx, doc.at, &doc)
		if err == nil && doc.CDStatus != "" {
			doc.MediaTypes, doc.Image = many[text]{"CD"}, doc.CDImage.ImageName
			all = append(all, doc)
		} else if err != nil && !absent(err) {
			return nil, err
		}
	}
	return all, nil
}

// Media reads the slots.
func (d *Driver) Media(ctx context.Context) ([]bmc.Slot, error) {
	all, err := d.slots(ctx)
	if err != nil {
		return nil, err
	}
	var out []bmc.Slot
	for _, m := range all {
		out = append(out, m.slot())
	}
	return out, nil
}

// Insert inserts an image into the first slot that takes it: some slots are for the vendor's own console only.
func (d *Driver) Insert(ctx context.Context, kind bmc.Medium, image string) (string, error) {
	u, err := url.Parse(image)
	if err != nil || u.Host == "" {
		return "", wrong("%q is no URL of an image", image)
	}
	all, err := d.slots(ctx)
	if err != nil {
		return "", err
	}
	known := d.access.Memory.Get(slotFact + string(kind))
	slices.SortStableFunc(all, func(a, b mediaDoc) int {
		return rank(a.at.last() == known) - rank(b.at.last() == known)
	})
	last := lacks("virtual drive for a " + string(kind))
	for _, m := range all {
		if !m.holds(kind) {
			continue
		}
		if m.taken() {
			if string(m.Image) == image {
				return m.at.last(), nil
			}
			if err := d.empty(ctx, m); err != nil {
				return "", err
			}
		}
		last = d.insertInto(ctx, m, u)
		if last == nil {
			last = d.mediaShows(ctx, m.at, true)
		}
		switch bmc.ClassOf(last) {
		case "":
			d.access.Memory.Set(slotFact+string(kind), m.at.last())
			return m.at.last(), nil
		case bmc.Unsupported, bmc.Refused, bmc.Untrue:
			d.access.Journal.Note("redfish: the slot %s does not take the image (%s); the next one is tried", m.at.last(), bmc.ClassOf(last))
			continue
		case bmc.Unreachable, bmc.Uncertain, bmc.SessionsFull, bmc.NotReady, bmc.Busy, bmc.Credentials, bmc.Privilege, bmc.NewPassword, bmc.Licence, bmc.Certificate, bmc.Changed, bmc.Garbled, bmc.Broken:
		}
		return "", last
	}
	return "", last
}

func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}

// extras are the parameters that some BMCs need along with the image, in the order in which they are added.
var extras = []string{"", "TransferProtocolType", "TransferMethod", "Inserted", "UserName"}

// insertInto sends the image. The smallest request goes first, since some refuse Inserted and WriteProtected;
// then what others need is added step by step.
func (d *Driver) insertInto(ctx context.Context, m mediaDoc, u *url.URL) error {
	if m.Actions.Insert == nil {
		return d.insertByPatch(ctx, m, u)
	}
	body := map[string]any{"Image": u.String()}
	var last error
	for _, extra := range extras {
		switch extra {
		case "TransferProtocolType":
			body[extra] = strings.ToUpper(u.Scheme)
		case "TransferMethod":
			body[extra] = "Stream"
		case "Inserted":
			body[extra], body["WriteProtected"] = true, true
		case "UserName":
			body[extra], body["Password"] = "none", "none"
		}
		var answer wire.Answer
		answer, last = d.post(ctx, "inserting "+u.Redacted(), m.Actions.Insert.Target, body)
		if last == nil {
			return d.finish(ctx, answer)
		}
		if c := bmc.ClassOf(last); c != bmc.Refused && (c != bmc.Broken || statusOf(last) != http.StatusInternalServerError) {
			return last
		}
		if says(last, "ActionParameterUnknown", "ActionParameterNotSupported") && extra != "" && blames(last, extra) {
			delete(body, extra)
		}
	}
	return last
}

// insertByPatch is for BMCs without the action: Lenovo's XCC.
func (d *Driver) insertByPatch(ctx context.Context, m mediaDoc, u *url.URL) error {
	if d.profile != nil && d.profile.Media.Style == "irmc" {
		s, _, err := d.read(ctx)
		if err != nil {
			return err
		}
		return d.irmcMedia(ctx, s, u.String())
	}
	body := map[string]any{"Image": u.String(), "Inserted": true, "WriteProtected": true}
	if d.profile == nil || d.profile.Media.Style != "patch" {
		return lacks("way to insert media into slot " + m.at.last())
	}
	_, err := d.patch(ctx, "inserting "+u.Redacted(), m.at, "media", body)
	return err
}

// Eject empties a slot, or all.
func (d *Driver) Eject(ctx context.Context, slot string) error {
	all, err := d.slots(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return lacks("virtual drives")
	}
	found := slot == ""
	for _, m := range all {
		if slot != "" && !strings.EqualFold(m.at.last(), slot) {
			continue
		}
		found = true
		if !m.taken() {
			continue // ejecting nothing is an error for HPE
		}
		if err := d.empty(ctx, m); err != nil {
			return err
		}
	}
	if !found {
		return wrong("the BMC has no slot %q", slot)
	}
	return nil
}

// empty ejects what is in a slot and waits until that shows: iDRAC9 says Inserted for a while after its 204,
// and an insertion meanwhile is passed over or fails.
func (d *Driver) empty(ctx context.Context, m mediaDoc) error {
	var err error
	switch {
	case m.Actions.Eject != nil, m.Actions.Insert != nil:
		target := m.at.under("Actions/VirtualMedia.EjectMedia") // Supermicro lists it only while something is inserted
		if m.Actions.Eject != nil && m.Actions.Eject.Target != "" {
			target = m.Actions.Eject.Target
		}
		var answer wire.Answer
		if answer, err = d.post(ctx, "ejecting "+m.at.last(), target, struct{}{}); err == nil {
			err = d.finish(ctx, answer)
		}
	case d.profile != nil && d.profile.Media.Style == "irmc":
		var s system
		if s, _, err = d.read(ctx); err == nil {
			err = d.irmcMedia(ctx, s, "")
		}
	default:
		_, err = d.patch(ctx, "ejecting "+m.at.last(), m.at, "media", map[string]any{"Image": nil, "Inserted": false})
	}
	if err != nil {
		if c := bmc.ClassOf(err); c != bmc.Refused && c != bmc.Busy && c != bmc.Broken {
			return err
		}
		if shown := d.mediaShows(ctx, m.at, false); shown == nil {
			return nil
		}
		return err
	}
	return d.mediaShows(ctx, m.at, false)
}

// mediaShows waits until reading a slot shows it taken or free.
func (d *Driver) mediaShows(ctx context.Context, at link, taken bool) error {
	var m mediaDoc
	ok, err := d.settles(ctx, func() (bool, error) {
		m = mediaDoc{}
		_, err := d.get(ctx, at, &m)
		return err == nil && m.taken() == taken, err
	})
	if err == nil && !ok {
		words := map[bool]string{true: "with a medium", false: "empty"}
		return untrue("the slot "+at.last(), words[taken], words[!taken])
	}
	return err
}
