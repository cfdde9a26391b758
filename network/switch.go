package network

import (
	"context"
	"fmt"
	"strings"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network/fabric"
)

// SetSwitch makes a switch known, or changes how to reach it.
func (s *Service) SetSwitch(ctx context.Context, sw Switch, password string) error {
	if strings.TrimSpace(sw.Name) == "" || len(sw.Name) > 255 {
		return fault.Field("name", "must have 1 to 255 characters")
	}
	if sw.Driver == "" || sw.Address == "" {
		return fault.Field("driver", "a switch needs a driver and an address")
	}
	if err := s.checkSwitch(ctx, sw, password); err != nil {
		return err
	}
	sw.CreatedAt = db.Now()
	sw.Password = s.Box.Seal("switch/"+sw.Name, []byte(password))
	err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&sw).On("CONFLICT (name) DO UPDATE").Set("driver = EXCLUDED.driver").Set("address = EXCLUDED.address").
			Set("username = EXCLUDED.username").Set("password = EXCLUDED.password").Exec(ctx)
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.switches[sw.Name]; old != nil {
		delete(s.switches, sw.Name)
		_ = old.Close() // it may be unreachable: that is why it is changed
	}
	return err
}

// checkSwitch has the driver look at what it would be given. It does not reach out.
func (s *Service) checkSwitch(ctx context.Context, sw Switch, password string) error {
	if s.Open == nil {
		return nil // a tool that knows no drivers
	}
	d, err := s.Open(ctx, sw.access(password))
	if err != nil {
		return err
	}
	return d.Close()
}

// access is how the driver reaches a switch.
func (sw Switch) access(password string) fabric.Access {
	return fabric.Access{Driver: sw.Driver, Address: sw.Address, Username: sw.Username, Password: password}
}

// Switches returns all switches.
func (s *Service) Switches(ctx context.Context) ([]Switch, error) {
	var all []Switch
	return all, fault.Wrap("listing switches", s.DB.Read().NewSelect().Model(&all).Order("name").Scan(ctx))
}

// Driver returns the open driver of a switch.
func (s *Service) Driver(ctx context.Context, name string) (fabric.Driver, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.switches[name]; d != nil {
		return d, nil
	}
	var sw Switch
	err := s.DB.Read().NewSelect().Model(&sw).Where("name = ?", name).Scan(ctx)
	if db.None(err) {
		return nil, fault.Errorf(fault.Unavailable, "no switch %q is known; register it", name)
	}
	if err != nil {
		return nil, fault.E(fault.Internal, "reading switch "+name, err)
	}
	password, err := s.Box.Open("switch/"+name, sw.Password)
	if err != nil {
		return nil, err
	}
	d, err := s.Open(ctx, sw.access(string(password)))
	if err != nil {
		return nil, err
	}
	s.switches[name] = d
	return d, nil
}

// VLANOf reads on which VLAN a switch port is; 0 is none.
func (s *Service) VLANOf(ctx context.Context, sw, port string) (int, error) {
	d, err := s.Driver(ctx, sw)
	if err != nil {
		return 0, err
	}
	p, err := d.Port(ctx, port)
	return p.Access, fault.Wrap(fmt.Sprintf("reading %s/%s", sw, port), err)
}

// Linked reports whether something is plugged into a switch port and answers.
func (s *Service) Linked(ctx context.Context, sw, port string) (bool, error) {
	d, err := s.Driver(ctx, sw)
	if err != nil {
		return false, err
	}
	p, err := d.Port(ctx, port)
	return p.Link, err
}

// Close ends the sessions with all switches.
func (s *Service) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, d := range s.switches {
		_ = d.Close()
		delete(s.switches, name)
	}
}
