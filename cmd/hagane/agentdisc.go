package main

import (
	"context"
	"io"

	"github.com/hagane-cloud/hagane/api/media"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/ramdisk/disc"
)

// agentDisc opens the CDs that boot the agent: one image for all nodes, in which each finds its own command line.
func agentDisc(nodes *node.Service, shelf *disc.Shelf) media.Opener {
	return func(ctx context.Context, token string) (io.ReadSeekCloser, error) {
		line, err := nodes.AgentMedium(ctx, token)
		if err != nil {
			return nil, err
		}
		return shelf.Open(ctx, line)
	}
}
