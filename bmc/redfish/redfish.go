// Package redfish drives BMCs by Redfish over HTTPS. It reads documents leniently into small types of its
// own, because real BMCs' documents break strict ones; it keeps one session, takes the forms that a
// device accepts one after the other and remembers which worked, and reads back whatever it sets.
package redfish

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/profile"
	"github.com/hagane-cloud/hagane/bmc/wire"
)

const (
	rootPath = "/redfish/v1/"
	endTime  = 10 * time.Second // for ending a session when the work is over
)

// Driver operates one system behind a BMC. It connects at the first call.
type Driver struct {
	access  bmc.Access
	book    *profile.Book
	wire    *wire.Client
	pace    bmc.Pace
	root    *serviceRoot // nil until read
	system  string       // path of the ComputerSystem; "" until found
	manager string       // path of the BMC's Manager; "" until found
	profile *profile.Profile

	token   string   // of the session
	session string   // its path, to end it
	lost    []string // paths of sessions that the BMC said it had forgotten
	proven  bool     // the BMC took the password before
	basic   bool     // no session is to be had: each request carries the password
}

// Opener returns a bmc.Opener of drivers that find their BMC's profile in a book; the nil book knows none.
func Opener(book *profile.Book) bmc.Opener {
	return func(_ context.Context, a bmc.Access) (bmc.Driver, error) {
		w, err := wire.New(a, "redfish")
		if err != nil {
			return nil, err
		}
		return &Driver{access: a, book: book, wire: w, pace: a.Pace.OrDefault(), system: a.System, profile: a.Profile}, nil
	}
}

// Open makes a driver without profiles. It is a bmc.Opener.
func Open(ctx context.Context, a bmc.Access) (bmc.Driver, error) { return Opener(nil)(ctx, a) }

// serviceRoot is what we read of the service root.
type serviceRoot struct {
	Vendor, Product, RedfishVersion text
	Oem                             map[string]any
	Systems, Managers, Chassis      link
	UpdateService, AccountService   link
	Registries, TaskService         link
	Links                           struct{ Sessions link }
	SessionService                  link
}

// service reads the root once. It needs no login by the standard. Where a BMC asks for one, or a 401 is false, what every
// root holds is assumed until there is a session: a login tells whether the password is right, not the root.
func (d *Driver) service(ctx context.Context) (*serviceRoot, error) {
	if d.root != nil {
		return d.root, nil
	}
	r, open := &serviceRoot{}, d.token == "" && !d.basic
	_, err := d.fetch(ctx, request{path: rootPath, open: open}, r)
	if assumed := open && bmc.ClassOf(err) == bmc.Credentials; assumed {
		return wellKnown(&serviceRoot{}), nil
	}
	if err != nil {
		return nil, err
	}
	d.root = wellKnown(r)
	return d.root, nil
}

// wellKnown fills in what a root lacks.
func wellKnown(r *serviceRoot) *serviceRoot {
	// AMI's root lacks links now and then until the BMC is restarted: the well-known paths exist all the same.
	for _, known := range []struct {
		l    *link
		path string
	}{{&r.Systems, "Systems"}, {&r.Managers, "Managers"}, {&r.Chassis, "Chassis"}, {&r.UpdateService, "UpdateService"},
		{&r.AccountService, "AccountService"}, {&r.Registries, "Registries"}, {&r.TaskService, "TaskService"}} {
		if *known.l == "" {
			*known.l = link(rootPath + known.path)
		}
	}
	return r
}

// login opens a session, or finds another way, and ends the one that the BMC said it had forgotten: it may have
// said so by mistake, and it has few.
func (d *Driver) login(ctx context.Context) error {
	if d.token != "" || d.basic {
		return nil
	}
	err := d.enter(ctx)
	if err == nil {
		d.giveBack(ctx)
	}
	return err
}

// giveBack ends the sessions that the BMC said it had forgotten: most often they are gone, but a false 401 would cost a
// place for good. A BMC that restarted numbers from the beginning: the path may be the new session's, or another
// user's. What can not be found out now is tried again with the next login, and at the end.
func (d *Driver) giveBack(ctx context.Context) {
	lost := d.lost
	d.lost = nil
	for _, path := range lost {
		if link(path).key() == link(d.session).key() {
			continue
		}
		var doc struct{ UserName text }
		_, err := d.fetch(ctx, request{path: path, once: true}, &doc)
		if err == nil && string(doc.UserName) == d.access.Username {
			_, err = d.fetch(ctx, request{method: http.MethodDelete, path: path, once: true}, nil)
		}
		if err != nil && !absent(err) && len(d.lost) < mostLost {
			d.lost = append(d.lost, path)
		}
	}
}

// sessionFact remembers the session that is open, for whoever comes next.
const sessionFact = "redfish session"

// inherit takes over from a process that worked with this BMC before and did not end its session: it died, or it was paused or cut
// off and may come back. Its session is ended, so that what it still sends is refused; and ours is remembered in its place.
func (d *Driver) inherit(ctx context.Context) {
	if before := d.access.Memory.Get(sessionFact); before != "" && len(d.lost) < mostLost && !slices.Contains(d.lost, before) {
		d.lost = append(d.lost, before)
	}
	d.access.Memory.Set(sessionFact, d.session)
	d.access.Memory.Save(ctx)
}

// mostLost bounds the sessions that are remembered to be given back.
const mostLost = 4

// enter opens a session, at the place that the root names or one of the two that BMCs use. Without a free
// one the requests carry the password.
func (d *Driver) enter(ctx context.Context) error {
	places, err := d.sessionPlaces(ctx)
	if bmc.ClassOf(err) == bmc.Unreachable || bmc.ClassOf(err) == bmc.Certificate {
		return err
	}
	who := map[string]string{"UserName": d.access.Username, "Password": d.access.Password}
	for i, place := range places {
		if i > 0 && strings.EqualFold(place, places[0]) {
			continue
		}
		var answer wire.Answer
		var doc struct {
			ID link `json:"@odata.id"`
		}
		answer, err = d.fetch(ctx, request{method: http.MethodPost, path: place, body: who, open: true}, &doc)
		if err == nil {
			if d.token = answer.Header.Get("X-Auth-Token"); d.token != "" {
				d.wire.Hide(d.token)
				if d.session = local(answer.Header.Get("Location")); d.session == "" {
					d.session = string(doc.ID) // iLO 4's body lacks it, others lack the header
				}
				d.inherit(ctx)
				return nil
			}
			d.basic = true // it took the password and gives no token
			return nil
		}
		if c := bmc.ClassOf(err); c != bmc.Unsupported {
			break
		}
	}
	switch bmc.ClassOf(err) {
	case bmc.SessionsFull, bmc.NotReady, bmc.Busy, bmc.Refused, bmc.Unsupported, bmc.Broken:
		// All sessions are taken, maybe by a predecessor of ours that died: go on without one.
		d.basic = true
		d.access.Journal.Note("redfish: no session is free; each request carries the password")
		return nil
	case bmc.Unreachable, bmc.Uncertain, bmc.Credentials, bmc.Privilege, bmc.NewPassword, bmc.Licence, bmc.Certificate, bmc.Changed, bmc.Garbled, bmc.Untrue:
	}
	return err
}

// Close ends the session at the BMC: it has few.
func (d *Driver) Close(ctx context.Context) error {
	if len(d.lost) > 0 && (d.token != "" || d.basic) {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		d.giveBack(end)
	}
	if d.token != "" && d.session != "" {
		// Whatever ended the caller's work must not keep the session open.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		_, _ = d.fetch(end, request{method: http.MethodDelete, path: d.session, once: true}, nil) // it ends by itself after a while
	}
	d.token, d.session, d.basic, d.lost = "", "", false, nil
	d.wire.Close()
	return nil
}

// local returns the path of a URL or path, exactly as the BMC wrote it.
func local(uri string) string {
	if _, after, ok := strings.Cut(uri, "://"); ok {
		_, path, _ := strings.Cut(after, "/")
		return "/" + path
	}
	return uri
}
