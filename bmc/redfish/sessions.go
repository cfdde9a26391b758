package redfish

import (
	"context"
	"net/http"

	"github.com/hagane-cloud/hagane/bmc"
)

// sessionPlaces lists where sessions may be: where the root says, or one of the two places that BMCs use. iDRAC7 and 8
// know the older one only.
func (d *Driver) sessionPlaces(ctx context.Context) ([]string, error) {
	places := []string{"/redfish/v1/SessionService/Sessions", "/redfish/v1/Sessions"}
	r, err := d.service(ctx)
	if err == nil && r.Links.Sessions != "" {
		places = append([]string{string(r.Links.Sessions)}, places...)
	}
	return places, err
}

// Sessions lists the sessions that are not the driver's own.
func (d *Driver) Sessions(ctx context.Context) ([]bmc.Session, error) {
	places, err := d.sessionPlaces(ctx)
	if err != nil {
		return nil, err
	}
	var out []bmc.Session
	for _, place := range places {
		out = nil
		err = each(ctx, d, link(place), func(at link, doc struct{ UserName text }) {
			if at.key() != link(d.session).key() {
				out = append(out, bmc.Session{ID: string(at), User: string(doc.UserName)})
			}
		})
		if !absent(err) {
			break
		}
	}
	return out, err
}

// EndSession ends a session.
func (d *Driver) EndSession(ctx context.Context, id string) error {
	if link(id).key() == link(d.session).key() {
		return wrong("the session %s is the one that Hagane works with", id)
	}
	_, err := d.fetch(ctx, request{method: http.MethodDelete, path: id, doing: "ending the session " + id}, nil)
	if absent(err) {
		return nil
	}
	return err
}
