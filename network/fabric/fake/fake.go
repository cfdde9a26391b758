// Package fake is a switch in memory behind the driver interface of package fabric, for tests of the
// packages that use switches. It forwards nothing, and so its filters are kept only.
package fake

import (
	"context"
	"maps"
	"slices"
	"sort"
	"sync"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network/fabric"
)

// Switch is a switch in memory. It is its own driver; closing it changes nothing.
type Switch struct {
	mu    sync.Mutex
	ports map[string]fabric.Port
	err   error
}

var (
	_ fabric.Driver   = (*Switch)(nil)
	_ fabric.Filterer = (*Switch)(nil)
)

// New returns a switch with isolated ports of the given names, all with link.
func New(ports ...string) *Switch {
	s := &Switch{ports: make(map[string]fabric.Port)}
	for _, name := range ports {
		s.ports[name] = fabric.Port{Name: name, Link: true}
	}
	return s
}

// Fail makes every call return err until Fail(nil).
func (s *Switch) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Ports returns all ports by name.
func (s *Switch) Ports(ctx context.Context) ([]fabric.Port, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refuse(ctx); err != nil {
		return nil, err
	}
	all := make([]fabric.Port, 0, len(s.ports))
	for _, p := range s.ports {
		all = append(all, p)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, nil
}

// Port returns one port.
func (s *Switch) Port(ctx context.Context, name string) (fabric.Port, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refuse(ctx); err != nil {
		return fabric.Port{}, err
	}
	return s.port(name)
}

// SetPort changes what a port carries.
func (s *Switch) SetPort(ctx context.Context, name string, c fabric.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refuse(ctx); err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return err
	}
	p, err := s.port(name)
	if err != nil {
		return err
	}
	p.Config = fabric.Config{Access: c.Access, Tagged: slices.Sorted(slices.Values(c.Tagged))}
	s.ports[name] = p
	return nil
}

// SetFilter changes a filter of a port.
func (s *Switch) SetFilter(ctx context.Context, name string, vlan int, f *fabric.Filter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refuse(ctx); err != nil {
		return err
	}
	if err := fabric.CheckFilter(vlan, f); err != nil {
		return err
	}
	p, err := s.port(name)
	if err != nil {
		return err
	}
	if p.Filters == nil {
		p.Filters = map[int]string{}
	}
	delete(p.Filters, vlan)
	if f != nil {
		p.Filters[vlan] = f.Sum()
	}
	s.ports[name] = p
	return nil
}

// Close does nothing.
func (s *Switch) Close() error { return nil }

func (s *Switch) refuse(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fault.E(fault.Unavailable, "reach the switch", err)
	}
	return s.err
}

func (s *Switch) port(name string) (fabric.Port, error) {
	p, ok := s.ports[name]
	if !ok {
		return fabric.Port{}, fault.Errorf(fault.NotFound, "the switch has no port %s", name)
	}
	p.Tagged, p.Filters = slices.Clone(p.Tagged), maps.Clone(p.Filters)
	return p, nil
}
