package main

import (
	"context"

	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/workflow"
)

// plugs tells the networks what a conductor's nodes have plugged into them.
func (c *cloud) plugs(h workflow.Holder) func(ctx context.Context) ([]network.Plug, error) {
	return func(ctx context.Context) ([]network.Plug, error) {
		all, err := c.nodes.Plugs(ctx, h)
		out := make([]network.Plug, len(all))
		for i, p := range all {
			out[i] = network.Plug(p)
		}
		return out, err
	}
}
