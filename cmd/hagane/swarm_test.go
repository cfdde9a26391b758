package main

import (
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// TestImagePeers deploys an image to two nodes at once, in a cloud as it is and in one whose operator wants no peers. With these both
// take chunks; without, the agents are told of none and take the stream. The metric counts what came from where.
func TestImagePeers(t *testing.T) {
	for _, none := range []bool{false, true} {
		t.Run(fmt.Sprint("no-image-peers=", none), func(t *testing.T) {
			wired := make(chan *cloud, 1)
			c := &testCloud{T: t, data: filepath.Join(t.TempDir(), "data")}
			c.serveWith(serveOptions{roles: allRoles, noPeers: none, wired: func(c *cloud) { wired <- c }})
			c.reconnect()
			metrics := httptest.NewServer((<-wired).metrics.Handler())
			defer metrics.Close()
			var ids []string
			for _, n := range c.runLab(2).Nodes {
				ids = append(ids, c.node(n.Name).UUID)
			}
			for _, id := range ids {
				c.ready(id, "manage", "inspect", "provide")
			}
			tenant := c.tenant("tenant")
			g := c.ground(tenant)
			var servers []string
			for _, name := range []string{"a", "b"} {
				servers = append(servers, must[serverDoc](c, tenant, "POST", "baremetal-server", "/servers", g.body(name)).Server.ID)
			}
			for _, s := range servers {
				c.serverUntil(tenant, s, "ACTIVE")
			}
			for _, id := range ids {
				if told := c.history(id, "image written"); strings.Contains(told, "as a stream") != none {
					t.Errorf("the history tells %q", told)
				}
			}
			told, _ := got(t, metrics.URL)
			var peers, store float64
			for _, line := range strings.Split(told, "\n") {
				_, _ = fmt.Sscanf(line, `hagane_image_bytes_total{source="peers"} %g`, &peers) // other lines are others' figures
				_, _ = fmt.Sscanf(line, `hagane_image_bytes_total{source="store"} %g`, &store)
			}
			const image = 8 << 20 // of which all but two chunks are holes
			if none && (store != 2*image || peers != 0) || !none && (store < 2*16<<10 || peers+store != 4*16<<10) {
				t.Errorf("%.0f bytes came from the store and %.0f from peers", store, peers)
			}
		})
	}
}
