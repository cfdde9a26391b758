// Package media serves the images that BMCs show to their servers as CDs. A BMC can not log in: the URL
// that it was given holds a token, which is the permission and ends with the attachment.
package media

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// Prefix is where the service lives.
const Prefix = "/media"

// Opener opens the image that a token is good for.
type Opener func(ctx context.Context, token string) (io.ReadSeekCloser, error)

// Dialect makes the dialect: agent opens the CD that boots the agent on a node, images a tenant's.
func Dialect(agent, images Opener) api.Dialect {
	return api.Dialect{Prefix: Prefix, Error: Error, Routes: []api.Route{
		{"GET", "/{token}/" + node.AgentISO, api.Anyone, agent.serve},
		{"GET", "/{token}/{name}", api.Anyone, images.serve},
	}}
}

func (o Opener) serve(w http.ResponseWriter, r *api.Request) error {
	data, err := o(r.Context(), r.PathValue("token"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-iso9660-image")
	http.ServeContent(w, r.Request, "", time.Time{}, data) // BMCs read in ranges, as the server reads blocks
	return data.Close()
}

// Error answers in plain words.
func Error(w http.ResponseWriter, status int, err error) { http.Error(w, fault.Message(err), status) }
