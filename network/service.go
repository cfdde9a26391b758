package network

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network/fabric"
	"github.com/hagane-cloud/hagane/secret"
)

// System is one of the cloud's own networks, in which agents are at work.
type System struct {
	Name string // provisioning or cleaning
	VLAN int
}

// Options are what a Service works with.
type Options struct {
	DB             *db.DB
	Box            *secret.Box
	Open           fabric.Opener
	VLANLo, VLANHi int // for tenants' networks, inclusive
	Systems        []System
}

// Service keeps networks and plugs switch ports.
type Service struct {
	Options
	mu       sync.Mutex
	switches map[string]fabric.Driver // open ones, by name
}

// NewService makes the service.
func NewService(o Options) *Service {
	return &Service{Options: o, switches: map[string]fabric.Driver{}}
}

// Owner says whose things a call may see: those of a project, or all when it is "".
type Owner string

// own restricts a query to what an owner may see.
func (o Owner) own(q *bun.SelectQuery) *bun.SelectQuery {
	if o == "" {
		return q
	}
	return q.Where("project_id = ?", o)
}

func checkText(name, description string) error {
	if len(name) > 255 {
		return fault.Field("name", "must have at most 255 bytes")
	}
	if len(description) > 255 {
		return fault.Field("description", "must have at most 255 bytes")
	}
	return nil
}

const defaultMTU = 1500

// CreateNetwork makes a network with a VLAN of its own.
func (s *Service) CreateNetwork(ctx context.Context, n Network) (Network, error) {
	if err := checkText(n.Name, n.Description); err != nil {
		return n, err
	}
	if n.Plane == "" {
		n.Plane = Data
	}
	if n.Plane != Data && n.Plane != Storage {
		return n, fault.Field("plane", "must be data or storage")
	}
	if n.MTU == 0 {
		n.MTU = defaultMTU
	}
	n.ID, n.CreatedAt, n.UpdatedAt, n.Revision = uuid.NewString(), db.Now(), db.Now(), 1
	const tries = 5 // another network may take the VLAN between our look and our insert
	for range tries {
		err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
			vlan, err := s.freeVLAN(ctx, tx)
			if err != nil {
				return err
			}
			n.VLAN = vlan
			_, err = tx.NewInsert().Model(&n).Exec(ctx)
			return err
		})
		if !db.Duplicate(err) {
			return n, err
		}
	}
	return n, fault.Errorf(fault.Unavailable, "many networks are made at the same time; try again")
}

// freeVLAN returns the lowest VLAN of the tenants' range that no network has.
func (s *Service) freeVLAN(ctx context.Context, tx db.Tx) (int, error) {
	var used []int
	if err := tx.NewSelect().Model((*Network)(nil)).Column("vlan").Order("vlan").Scan(ctx, &used); err != nil {
		return 0, err
	}
	for _, sys := range s.Systems {
		used = append(used, sys.VLAN)
	}
	slices.Sort(used)
	vlan := s.VLANLo
	for _, u := range used {
		if u == vlan {
			vlan++
		}
	}
	if vlan > s.VLANHi {
		return 0, fault.Errorf(fault.Conflict, "all VLANs from %d to %d are in use; the operator can widen the range", s.VLANLo, s.VLANHi)
	}
	return vlan, nil
}

// Network returns one network that owner may see; shared ones are everybody's.
func (s *Service) Network(ctx context.Context, o Owner, id string) (Network, error) {
	var n Network
	err := s.DB.Read().NewSelect().Model(&n).Where("id = ?", id).Scan(ctx)
	if db.None(err) || (err == nil && o != "" && n.ProjectID != string(o) && !n.Shared) {
		return n, fault.Errorf(fault.NotFound, "no network %s", id)
	}
	return n, fault.Wrap("reading network "+id, err)
}

// Networks returns the networks that owner may see.
func (s *Service) Networks(ctx context.Context, o Owner) ([]Network, error) {
	var ns []Network
	q := s.DB.Read().NewSelect().Model(&ns).OrderExpr("created_at, id")
	if o != "" {
		q = q.Where("project_id = ? OR shared", o)
	}
	return ns, fault.Wrap("listing networks", q.Scan(ctx))
}

// UpdateNetwork writes what a tenant may change of a network: name, description, admin state, sharing and tags.
func (s *Service) UpdateNetwork(ctx context.Context, n Network) (Network, error) {
	if err := checkText(n.Name, n.Description); err != nil {
		return n, err
	}
	n.Revision, n.UpdatedAt = n.Revision+1, db.Now()
	return n, s.write(ctx, &n, n.ID, "name", "description", "admin_up", "shared", "tags", "revision", "updated_at")
}

func (s *Service) write(ctx context.Context, model any, id string, columns ...string) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model(model).Column(columns...).Where("id = ?", id).Exec(ctx)
		return err
	})
}

// DeleteNetwork forgets a network with its subnets. Ports on it are a Conflict.
func (s *Service) DeleteNetwork(ctx context.Context, o Owner, id string) error {
	n, err := s.Network(ctx, o, id)
	if err != nil {
		return err
	}
	if o != "" && n.ProjectID != string(o) {
		return fault.Errorf(fault.Denied, "the network is shared by another project")
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		count, err := tx.NewSelect().Model((*Port)(nil)).Where("network_id = ?", id).Count(ctx)
		if err != nil {
			return err
		}
		if count > 0 {
			return fault.Errorf(fault.Conflict, "the network has %d ports in use; delete them, or the servers that they belong to, first", count)
		}
		if _, err := tx.NewDelete().Model((*Subnet)(nil)).Where("network_id = ?", id).Exec(ctx); err != nil {
			return err
		}
		_, err = tx.NewDelete().Model((*Network)(nil)).Where("id = ?", id).Exec(ctx)
		return err
	})
}

// randomMAC returns a locally administered unicast address.
func randomMAC() string {
	mac := make(net.HardwareAddr, 6)
	_, _ = rand.Read(mac)
	mac[0] = mac[0]&^1 | 2
	return mac.String()
}

// SystemVLAN returns the VLAN of one of the cloud's own networks.
func (s *Service) SystemVLAN(_ context.Context, name string) (int, error) {
	for _, sys := range s.Systems {
		if sys.Name == name {
			return sys.VLAN, nil
		}
	}
	return 0, fault.Errorf(fault.Internal, "no system network %q", name)
}

// SetSwitch makes a switch known, or changes how to reach it.
func (s *Service) SetSwitch(ctx context.Context, sw Switch, password string) error {
	if strings.TrimSpace(sw.Name) == "" || len(sw.Name) > 255 {
		return fault.Field("name", "must have 1 to 255 characters")
	}
	if sw.Driver == "" || sw.Address == "" {
		return fault.Field("driver", "a switch needs a driver and an address")
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
	d, err := s.Open(ctx, fabric.Access{Driver: sw.Driver, Address: sw.Address, Username: sw.Username, Password: string(password)})
	if err != nil {
		return nil, err
	}
	s.switches[name] = d
	return d, nil
}

// Place makes a switch port an access port of a VLAN; 0 isolates it. It acts only on a difference and reads back.
func (s *Service) Place(ctx context.Context, sw, port string, vlan int) error {
	d, err := s.Driver(ctx, sw)
	if err != nil {
		return err
	}
	want := fabric.Config{Access: vlan}
	have, err := d.Port(ctx, port)
	if err != nil {
		return fault.Wrap(fmt.Sprintf("reading %s/%s", sw, port), err)
	}
	if have.Equal(want) {
		return nil
	}
	return d.SetPort(ctx, port, want)
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
