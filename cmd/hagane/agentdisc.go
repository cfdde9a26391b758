package main

import (
	"context"
	"io"

	"github.com/hagane-cloud/hagane/fault"
)

// agentDisc opens the CD that boots the agent: one image for all nodes, in which each finds its own command line.
func (c *cloud) agentDisc(ctx context.Context, token string) (io.ReadSeekCloser, error) {
	line, err := c.nodes.AgentMedium(ctx, token)
	if err != nil {
		return nil, err
	}
	return c.shelf.Open(ctx, line)
}

// mediaBase is the URL by which BMCs reach the API. Where this process is the API, the CD is made ahead of that: a BMC would
// say only that it got none.
func (c *cloud) mediaBase(ctx context.Context) (string, error) {
	if c.media == "" {
		return "", fault.Errorf(fault.Unavailable, "this process does not know by which URL BMCs reach the API; start it with --media-url")
	}
	if !c.o.has("api") {
		return c.media, nil
	}
	return c.media, c.shelf.Ready(ctx)
}
