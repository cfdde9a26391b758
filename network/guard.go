package network

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/fence"
	"github.com/hagane-cloud/hagane/network/fabric"
)

// Place makes a switch port an access port of a VLAN, for the NIC with the given MAC; 0 isolates it. It acts only on a difference
// and reads back. Where the switch has filters, the port has the one of the NIC's network port before the VLAN is opened.
func (s *Service) Place(ctx context.Context, sw, port, mac string, vlan int) error {
	d, err := s.Driver(ctx, sw)
	if err != nil {
		return err
	}
	have, err := d.Port(ctx, port)
	if err != nil {
		return fault.Wrap(fmt.Sprintf("reading %s/%s", sw, port), err)
	}
	want := fabric.Config{Access: vlan}
	f, ok := d.(fabric.Filterer)
	if !ok {
		if have.Equal(want) {
			return nil
		}
		return s.setPort(ctx, d, sw, port, want)
	}
	plug, bare := Plug{sw, port, mac, vlan}, len(have.Filters) == 0 && !s.filtered(vlan)
	if err := s.guard(ctx, f, plug, have); err != nil {
		return err
	}
	if !have.Equal(want) {
		if err := s.setPort(ctx, d, sw, port, want); err != nil {
			return err
		}
	}
	if bare {
		return nil
	}
	return s.settle(ctx, d, f, plug)
}

func (s *Service) setPort(ctx context.Context, d fabric.Driver, sw, port string, want fabric.Config) error {
	if err := fence.Check(ctx); err != nil {
		return fault.Wrap(fmt.Sprintf("changing %s/%s", sw, port), err)
	}
	return d.SetPort(ctx, port, want)
}

// guard gives a port the filter that is due for a plug, unless the port, as it was read, has it.
func (s *Service) guard(ctx context.Context, f fabric.Filterer, plug Plug, have fabric.Port) error {
	due, err := s.filters(ctx, []Plug{plug})
	if err != nil || plug.VLAN == 0 || keeps(have, plug.VLAN, due[plug]) {
		return err
	}
	if err := fence.Check(ctx); err != nil {
		return fault.Wrap(fmt.Sprintf("filtering %s/%s", plug.Switch, plug.Port), err)
	}
	return f.SetFilter(ctx, plug.Port, plug.VLAN, due[plug])
}

// keeps reports whether a port has a filter for a VLAN; nil is none.
func keeps(have fabric.Port, vlan int, want *fabric.Filter) bool {
	sum, ok := have.Filters[vlan]
	if want == nil {
		return !ok
	}
	return sum == want.Sum()
}

// settle looks at a port after it was placed: what was changed meanwhile is in its filter too, and filters for VLANs in which it is no
// more are gone.
func (s *Service) settle(ctx context.Context, d fabric.Driver, f fabric.Filterer, plug Plug) error {
	have, err := d.Port(ctx, plug.Port)
	if err != nil {
		return fault.Wrap(fmt.Sprintf("reading %s/%s", plug.Switch, plug.Port), err)
	}
	for vlan := range have.Filters {
		if vlan == plug.VLAN {
			continue
		}
		if err := fence.Check(ctx); err != nil {
			return fault.Wrap(fmt.Sprintf("filtering %s/%s", plug.Switch, plug.Port), err)
		}
		if err := f.SetFilter(ctx, plug.Port, vlan, nil); err != nil {
			return err
		}
	}
	return s.guard(ctx, f, plug, have)
}

// How often filters are compared though nothing has changed in the database, and how long comparing them may take.
const (
	compareEvery = 10 * time.Second
	compareTime  = 30 * time.Second
)

// guarding is what is known of the filters of running servers since the last comparison.
type guarding struct {
	mu     sync.Mutex
	stamp  string // of the database's records that filters are made of
	at     time.Time
	behind map[Plug]time.Time // whose filter is due since then
}

// Behind returns at how many plugs the filter is not the one that is due, and for how long that has been so where it is longest.
func (s *Service) Behind() (plugs int, longest time.Duration) {
	s.guarding.mu.Lock()
	defer s.guarding.mu.Unlock()
	for _, since := range s.guarding.behind {
		longest = max(longest, time.Since(since))
	}
	return len(s.guarding.behind), longest
}

// KeepFilters brings the filters of plugged NICs up to date: after changes in the database, and otherwise now and then, as a switch
// may have lost them. It is a reconciler: call it every second or so. What it finds to be behind and can not change is tried again.
func (s *Service) KeepFilters(ctx context.Context, plugged func(ctx context.Context) ([]Plug, error)) error {
	ctx, cancel := context.WithTimeout(ctx, compareTime)
	defer cancel()
	stamp, err := s.filterStamp(ctx)
	if err != nil {
		return err
	}
	s.guarding.mu.Lock()
	same := stamp == s.guarding.stamp && time.Since(s.guarding.at) < compareEvery && len(s.guarding.behind) == 0
	s.guarding.mu.Unlock()
	if same {
		return nil
	}
	plugs, err := plugged(ctx)
	if err != nil {
		return err
	}
	due, err := s.filters(ctx, plugs)
	if err != nil {
		return err
	}
	behind, err := s.compare(ctx, plugs, due)
	s.guarding.mu.Lock()
	defer s.guarding.mu.Unlock()
	for plug := range behind {
		if since, ok := s.guarding.behind[plug]; ok {
			behind[plug] = since
		}
	}
	s.guarding.behind, s.guarding.stamp, s.guarding.at = behind, stamp, time.Now()
	return err
}

// filterStamp changes with the records that filters are made of. What it misses is found by the next comparison.
func (s *Service) filterStamp(ctx context.Context) (string, error) {
	var stamp string
	err := s.DB.Read().NewRaw(`SELECT
		(SELECT CAST(COUNT(*) AS TEXT) || '/' || COALESCE(CAST(SUM(revision) AS TEXT), '') || '/' || COALESCE(CAST(MAX(updated_at) AS TEXT), '') FROM port) || ' ' ||
		(SELECT CAST(COUNT(*) AS TEXT) || '/' || COALESCE(CAST(SUM(revision) AS TEXT), '') || '/' || COALESCE(CAST(MAX(updated_at) AS TEXT), '') FROM security_group) || ' ' ||
		(SELECT CAST(COUNT(*) AS TEXT) FROM security_group_rule) || ' ' ||
		(SELECT CAST(COUNT(*) AS TEXT) || '/' || COALESCE(CAST(SUM(revision) AS TEXT), '') || '/' || COALESCE(CAST(MAX(updated_at) AS TEXT), '') FROM address_group)`).Scan(ctx, &stamp)
	return stamp, fault.Wrap("looking for changes of security groups", err)
}

// compare compares the filters at all switches, all at the same time, and changes those that differ. It returns where it could not.
func (s *Service) compare(ctx context.Context, plugs []Plug, due map[Plug]*fabric.Filter) (map[Plug]time.Time, error) {
	by := map[string][]Plug{}
	for _, p := range plugs {
		if s.filtered(p.VLAN) {
			by[p.Switch] = append(by[p.Switch], p)
		}
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	behind := map[Plug]time.Time{}
	for sw, at := range by {
		wait.Go(func() {
			for plug, err := range s.compareAt(ctx, sw, at, due) {
				mu.Lock()
				behind[plug] = time.Now()
				errs = append(errs, fault.Wrap(fmt.Sprintf("filtering %s/%s", plug.Switch, plug.Port), err))
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	const told = 3 // of what may be the same hundred times
	return behind, errors.Join(errs[:min(len(errs), told)]...)
}

// compareAt does so at one switch.
func (s *Service) compareAt(ctx context.Context, sw string, plugs []Plug, due map[Plug]*fabric.Filter) map[Plug]error {
	failed := map[Plug]error{}
	d, err := s.Driver(ctx, sw)
	f, ok := d.(fabric.Filterer)
	if err == nil && !ok {
		return nil
	}
	ports := map[string]fabric.Port{}
	if err == nil {
		var all []fabric.Port
		all, err = d.Ports(ctx)
		for _, p := range all {
			ports[p.Name] = p
		}
	}
	for _, plug := range plugs {
		if err != nil {
			failed[plug] = err
			continue
		}
		have := ports[plug.Port]
		if have.Access != plug.VLAN || keeps(have, plug.VLAN, due[plug]) {
			continue // Place gives it a filter before it opens the VLAN
		}
		if e := f.SetFilter(ctx, plug.Port, plug.VLAN, due[plug]); e != nil {
			failed[plug] = e
			if fault.Is(e, fault.Unavailable) {
				err = e // the other ports' would take as long, and keep changes at other switches waiting
			}
		}
	}
	return failed
}
