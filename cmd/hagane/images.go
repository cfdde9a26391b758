package main

import (
	"context"
	"net/netip"
	"path/filepath"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/identity"
	"github.com/hagane-cloud/hagane/image"
)

// imageService is the image service's id in the catalog.
const imageService = "image"

// imageOptions are what the image registry works with.
func (c *cloud) imageOptions() (image.Options, error) {
	o := image.Options{DB: c.db, Dir: filepath.Join(c.o.data, "images"), Certificates: filepath.Join(c.o.data, "certificates"), Limits: c.imageLimits, Audit: c.audit, Log: c.log}
	var err error
	if o.From, err = prefixes("--import-from", c.o.importFrom); err != nil {
		return o, err
	}
	o.DeployFrom, err = prefixes("--deploy-from", c.o.deployFrom)
	return o, err
}

// prefixes reads the prefixes of a flag.
func prefixes(flag string, texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fault.Errorf(fault.Invalid, "%s: %q is no prefix such as 10.20.0.0/16", flag, text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// imageLimits are the limits that the operator has registered for the image service at the identity service, as Glance has
// it, and those of the project instead where it has its own. Those for the region go before those for all regions.
func (c *cloud) imageLimits(ctx context.Context, project string) (map[string]int64, error) {
	registered, err := c.identity.RegisteredLimits(ctx, identity.Query{}.And("service_id", imageService))
	if err != nil {
		return nil, err
	}
	own, err := c.identity.Limits(ctx, identity.LimitQuery{Service: imageService, Project: project})
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for _, region := range []string{"", c.o.region} {
		for _, l := range registered {
			if l.RegionID == region {
				out[l.ResourceName] = l.DefaultLimit
			}
		}
		for _, l := range own {
			if l.RegionID == region {
				out[l.ResourceName] = l.ResourceLimit
			}
		}
	}
	return out, nil
}
