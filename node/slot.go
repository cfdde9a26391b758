package node

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// What bears only so many runs of nodes at once, and how many unless an operator says otherwise. A power change, an abort, and
// everything that gives something back take no slot and so never wait.
//
// Ironic lets one cloud deploy 250 and clean 50 nodes at once (max_concurrent_deploy and max_concurrent_clean of its conductor's
// configuration); a site here bears as many of both together.
var pools = []workflow.Pool{
	{Name: "site", Most: 250, Says: "a conductor group: nodes that are deployed, rebuilt, rescued, inspected, tended or cleaned at once"},
	{Name: "tenant", Most: 200, Says: "a tenant's part of all sites: its nodes that are deployed, rebuilt or rescued at once"},
	{Name: "image-store", Most: 128, Says: "the image store: nodes that an image is written to at once"},
	{Name: "switch", Most: 16, Says: "a switch: nodes whose ports it moves to other networks at once"},
	{Name: "bmc-network", Most: 64, Says: "a network of BMCs: nodes that are switched on at once"},
}

// takesSite is a run that occupies a node's site, and its tenant's part if it is for one.
func takesSite(ctx context.Context, j *Job) ([]workflow.Slot, error) {
	if j.imaginary() {
		return nil, nil
	}
	tenant, err := j.tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	slots := []workflow.Slot{{Pool: "site", Key: cmp.Or(j.Node.ConductorGroup, "default"), Tenant: tenant}}
	if tenant != "" {
		slots = append(slots, workflow.Slot{Pool: "tenant", Key: tenant, Tenant: tenant})
	}
	return slots, nil
}

func takesImageStore(ctx context.Context, j *Job) ([]workflow.Slot, error) {
	return j.takes(ctx, "image-store", "")
}

func takesSwitches(ctx context.Context, j *Job) ([]workflow.Slot, error) {
	var names []string
	for _, p := range j.Ports {
		if p.Switch != "" && !slices.Contains(names, p.Switch) {
			names = append(names, p.Switch)
		}
	}
	return j.takes(ctx, "switch", names...)
}

func takesBMCNetwork(ctx context.Context, j *Job) ([]workflow.Slot, error) {
	if j.imaginary() {
		return nil, nil
	}
	a, err := pathOf(j.Node.DriverInfo, j.Node.Driver)
	if err != nil {
		return nil, err
	}
	return j.takes(ctx, "bmc-network", bmcNetwork(a.Address))
}

// takes is slots of a pool on behalf of the node's tenant.
func (j *Job) takes(ctx context.Context, pool string, keys ...string) ([]workflow.Slot, error) {
	if j.imaginary() {
		return nil, nil
	}
	tenant, err := j.tenantOf(ctx)
	var slots []workflow.Slot
	for _, k := range keys {
		slots = append(slots, workflow.Slot{Pool: pool, Key: k, Tenant: tenant})
	}
	return slots, err
}

// tenantOf is the project that the node is deployed for; "" is none.
func (j *Job) tenantOf(ctx context.Context) (string, error) {
	if j.Node.Owner == "" {
		return "", nil
	}
	var tenant string
	err := j.DB.Read().NewSelect().Model((*Deployment)(nil)).Column("tenant").Where("node_id = ?", j.Node.ID).Scan(ctx, &tenant)
	if db.None(err) {
		return "", nil
	}
	return tenant, fault.Wrap("reading whom the node is deployed for", err)
}

// bmcNetwork is the network that a BMC is taken to be in: the /24 or /64 of its address, or the domain of its name.
func bmcNetwork(address string) string {
	host := address
	if _, rest, ok := strings.Cut(host, "://"); ok {
		host, _, _ = strings.Cut(rest, "/")
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		_, domain, _ := strings.Cut(host, ".")
		return strings.ToLower(domain)
	}
	bits := 64
	if ip = ip.Unmap(); ip.Is4() {
		bits = 24
	}
	return netip.PrefixFrom(ip.WithZone(""), bits).Masked().String()
}

// Limits tells how things stand at everything that bears only so many runs at once.
func (s *Service) Limits(ctx context.Context) ([]workflow.Crowd, error) { return s.Engine.Crowds(ctx) }

// Lines tells the places of runs that wait in line.
func (s *Service) Lines(ctx context.Context, runs ...workflow.RunID) (map[workflow.RunID][]workflow.Line, error) {
	return s.Engine.Lines(ctx, runs...)
}

// SetLimit sets how many runs something bears at once: one key of a pool, or, with the key "", each that has no limit of its own.
// nil takes back what was set.
func (s *Service) SetLimit(ctx context.Context, pool, key string, most *int) error {
	if most == nil {
		return s.Engine.ResetLimit(ctx, pool, key)
	}
	return s.Engine.SetLimit(ctx, pool, key, *most)
}
