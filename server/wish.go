package server

import (
	"context"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
)

// onlyNetwork is what a request that names no network gets.
func (s *Service) onlyNetwork(ctx context.Context, project string, how Networking) ([]WantedNIC, error) {
	if how == NoNetwork {
		return nil, nil
	}
	all, err := s.networks.Networks(ctx, network.Owner(project), network.Query{Where: map[string][]string{"router:external": {"false"}}, Limit: 2})
	switch {
	case err != nil:
		return nil, err
	case len(all) > 1:
		return nil, fault.Errorf(fault.Conflict, "Multiple possible networks found, use a Network ID to be more specific.")
	case len(all) == 1:
		return []WantedNIC{{NetworkID: all[0].ID, Plane: network.Data}}, nil
	case how == OneMustExist:
		return nil, fault.Field("networks", "the project has no network; make one with a subnet, or ask for none")
	}
	return nil, nil
}

// securityGroups finds a project's security groups by names or ids.
func (s *Service) securityGroups(ctx context.Context, project string, names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	if err := s.networks.EnsureDefaultGroup(ctx, project); err != nil {
		return nil, err
	}
	var out []string
	for _, name := range names {
		g, err := s.SecurityGroup(ctx, project, name)
		if err != nil {
			return nil, fault.Field("security_groups", "%s", fault.Message(err))
		}
		out = append(out, g.ID)
	}
	return out, nil
}

// SecurityGroup finds a security group of a project by its name or id.
func (s *Service) SecurityGroup(ctx context.Context, project, name string) (network.Group, error) {
	for _, by := range []string{"id", "name"} {
		found, err := s.networks.Groups(ctx, network.Owner(project), network.Query{Where: map[string][]string{by: {name}}, Limit: 2})
		switch {
		case err != nil:
			return network.Group{}, err
		case len(found) > 1:
			return network.Group{}, fault.Errorf(fault.Conflict, "several security groups are named %q; use an id", name)
		case len(found) == 1:
			return found[0], nil
		}
	}
	return network.Group{}, fault.Errorf(fault.NotFound, "Security group %s not found.", name)
}

// Guard puts the ports of a server into a security group of its project, or takes them out of it.
func (s *Service) Guard(ctx context.Context, project string, id ID, name string, in bool) error {
	srv, err := unlocked(ctx, s.db.Read(), project, id)
	if err != nil {
		return err
	}
	g, err := s.SecurityGroup(ctx, srv.ProjectID, name)
	if err != nil {
		return err
	}
	found := false
	for _, nic := range srv.NICs {
		_, err := s.networks.EditPort(ctx, network.Owner(srv.ProjectID), nic.PortID, 0, func(p *network.Port) error {
			others := []string{}
			for _, one := range p.Groups {
				if found = found || one == g.ID; one != g.ID {
					others = append(others, one)
				}
			}
			if p.Groups = others; in {
				p.Groups = append(others, g.ID)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if !in && !found {
		return fault.Errorf(fault.NotFound, "the server %s is not in the security group %s", id, name)
	}
	return nil
}
