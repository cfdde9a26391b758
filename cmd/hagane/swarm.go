package main

import (
	"github.com/hagane-cloud/hagane/agent/manifest"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// swarm says how agents take an image from each other; nil when the operator wants none of that.
func (c *cloud) swarm(box *secret.Box) func(image string) (*protocol.Swarm, error) {
	if c.o.noPeers {
		return nil
	}
	return func(image string) (*protocol.Swarm, error) {
		encoded, err := c.images.Manifest(image)
		if fault.Is(err, fault.NotFound) {
			return nil, nil // it is sent as a stream
		}
		if err != nil {
			return nil, err
		}
		// One key for all who are ever given these data: it opens nothing else, so who keeps it gains nothing by it.
		key, err := box.Derive("image " + image)
		if err != nil {
			return nil, err
		}
		return &protocol.Swarm{Manifest: manifest.Digest(encoded), Key: key}, nil
	}
}
