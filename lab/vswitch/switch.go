// Package vswitch is the lab's switch: a VLAN-aware Ethernet bridge in user space with named ports,
// and the control API by which the cloud configures it. A port starts isolated: nothing passes
// until somebody puts it into a VLAN, as the cloud demands of the real switches it drives. A port may have
// a filter for a VLAN, which knows the flows that it let through.
//
// package lab owns the switch and plugs machines in; the cloud reaches it through network/fabric/lab.
package vswitch

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/ether"
)

// MaxVLAN is the highest VLAN number that can be used (IEEE 802.1Q reserves 4095).
const MaxVLAN = 4094

// Switch forwards frames between ports of one VLAN. The zero value is not usable; see New.
type Switch struct {
	name string
	mac  ether.MAC
	rate int64 // bits a second of links that come up, each way; 0: as fast as can be
	now  func() time.Time

	mu      sync.RWMutex
	ports   map[string]*Port
	members map[int][]*Port // by VLAN, ports that are up, in order of plugging
	table   map[station]*Port
	uplinks int
}

// station is a MAC address within a VLAN: the key under which a port is learnt.
type station struct {
	vlan int
	mac  ether.MAC
}

// New returns a switch without ports. The name is its LLDP chassis id.
func New(name string, mac ether.MAC) *Switch {
	return &Switch{
		name: name, mac: mac, now: time.Now,
		ports: make(map[string]*Port), members: make(map[int][]*Port), table: make(map[station]*Port),
	}
}

// SetRate sets how fast links are that come up from now on: bits a second, each way; 0 is as fast as can be.
func (s *Switch) SetRate(bits int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rate = bits
}

// Name returns the switch's name.
func (s *Switch) Name() string { return s.name }

// AddPort makes a port: isolated and without link.
func (s *Switch) AddPort(name string) (*Port, error) {
	if name == "" || strings.ContainsAny(name, "/?# ") {
		return nil, fault.Field("name", "%q can not name a switch port: leave out blanks and slashes", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addPort(name)
}

func (s *Switch) addPort(name string) (*Port, error) {
	if s.ports[name] != nil {
		return nil, fault.Errorf(fault.Conflict, "the switch has a port %s already", name)
	}
	p := &Port{owner: s, name: name}
	s.ports[name] = p
	return p, nil
}

// AddUplink makes a port in one VLAN under a fresh name, for a host that comes and goes. It speaks no LLDP.
func (s *Switch) AddUplink(vlan int) (*Port, error) {
	if err := checkVLAN(vlan); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uplinks++
	p, err := s.addPort(fmt.Sprintf("uplink-%d-%d", vlan, s.uplinks))
	if err != nil {
		return nil, err
	}
	p.uplink, p.config = true, Config{Access: vlan}
	return p, nil
}

// RemovePort unplugs a port and takes it away.
func (s *Switch) RemovePort(p *Port) {
	p.Unplug()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ports, p.name)
}

// Port returns the port of that name, or a NotFound fault.
func (s *Switch) Port(name string) (*Port, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p := s.ports[name]; p != nil {
		return p, nil
	}
	return nil, fault.Errorf(fault.NotFound, "the switch %s has no port %s", s.name, name)
}

// Ports returns all ports by name.
func (s *Switch) Ports() []*Port {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*Port, 0, len(s.ports))
	for _, p := range s.ports {
		all = append(all, p)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].name < all[j].name })
	return all
}

// Announce sends LLDP out of every port that is up; the owner calls it every few seconds.
func (s *Switch) Announce() {
	for _, p := range s.Ports() {
		p.announce()
	}
}

// join enters a port into its VLANs; leave takes it out and forgets what was learnt there. Both need mu held.
func (s *Switch) join(p *Port) {
	for _, vlan := range p.config.vlans() {
		s.members[vlan] = append(slices.Clip(s.members[vlan]), p)
	}
}

func (s *Switch) leave(p *Port) {
	for _, vlan := range p.config.vlans() {
		rest := slices.DeleteFunc(slices.Clone(s.members[vlan]), func(m *Port) bool { return m == p })
		s.members[vlan] = rest
		if len(rest) == 0 {
			delete(s.members, vlan)
		}
	}
	for key, at := range s.table {
		if at == p {
			delete(s.table, key)
		}
	}
}

// learn notes behind which port a station is.
func (s *Switch) learn(key station, p *Port) {
	if key.mac.Multicast() {
		return
	}
	s.mu.RLock()
	known := s.table[key] == p
	s.mu.RUnlock()
	if known {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.sink != nil && p.config.carries(key.vlan) { // the port may have moved since the frame came in
		s.table[key] = p
	}
}

func checkVLAN(vlan int) error {
	if vlan < 1 || vlan > MaxVLAN {
		return fault.Field("vlan", "%d is no VLAN: 1 to %d are", vlan, MaxVLAN)
	}
	return nil
}
