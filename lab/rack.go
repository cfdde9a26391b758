package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	"github.com/hagane-cloud/hagane/lab/bmcsim/redfish"
	"github.com/hagane-cloud/hagane/lab/client"
	"github.com/hagane-cloud/hagane/lab/ether"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/qemu"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
	"github.com/hagane-cloud/hagane/lab/vswitch"
)

const (
	maxNodes = 10000
	perRack  = 40 // machines; the next one starts a new rack

	mixAlternate, mixUEFI, mixBIOS = "alternate", "uefi", "bios"

	firmwareVersion = "2.13"
)

var mixes = map[string]bool{mixAlternate: true, mixUEFI: true, mixBIOS: true}

// rack is everything that runs in a lab.
type rack struct {
	options Options
	seed    machine.Seed
	sw      *vswitch.Switch
	nodes   []*node
	lab     client.Lab
	roads   *roads
	kinds   []Kind // that the machines get in turn; none: those that keep to the standard
	script  *inject.Script
}

// node is a machine with its BMC.
type node struct {
	machine machine.Machine
	bmc     server
	beside  server // IPMI of a BMC that speaks another protocol as well; nil when there is none
	faults  *inject.Engine
}

// build makes the switch, the machines (all off) and their BMCs.
func build(ctx context.Context, o Options, before client.Lab) (*rack, error) {
	seed := machine.Seed(o.Seed)
	r := &rack{
		options: o, seed: seed, sw: vswitch.New("lab", ether.MAC(seed.MAC("switch"))),
		lab: client.Lab{Machine: o.Machine, Seed: o.Seed, Switch: "unix://" + client.SwitchSocket(o.DataDir)},
	}
	r.sw.SetRate(int64(o.PortMbps) * 1_000_000)
	r.roads = newRoads(r)
	var err error
	if r.kinds, err = vendors(o.Vendors); err != nil {
		return nil, err
	}
	if r.script, err = inject.Load(o.Faults); err != nil {
		return nil, err
	}
	maker, err := r.maker(ctx)
	if err != nil {
		return nil, err
	}
	for i := range o.Nodes {
		if err := r.add(i, maker, before); err != nil {
			r.close()
			return nil, err
		}
	}
	return r, nil
}

// makeMachine makes a machine that is off.
type makeMachine func(spec machine.Spec, dir string, ports []*vswitch.Port) (machine.Machine, error)

func (r *rack) maker(ctx context.Context) (makeMachine, error) {
	o := r.options
	if o.Machine == Sim {
		pool := sim.NewPool()
		return func(spec machine.Spec, dir string, ports []*vswitch.Port) (machine.Machine, error) {
			return sim.New(spec, dir, ports, sim.Options{Log: o.Log, Pool: pool})
		}, nil
	}
	firmware, err := qemu.FindFirmware()
	if err != nil {
		return nil, err
	}
	if o.Mix != mixBIOS && !firmware.Has(machine.UEFI) {
		return nil, fault.Errorf(fault.Unavailable, "there is no UEFI firmware on this host: apt-get install ovmf, or take --mix bios")
	}
	accel := o.Accel
	if accel == "" {
		accel = qemu.Accelerator(ctx, firmware.QEMU, filepath.Join(client.Folder(o.DataDir), "accelerator"))
		o.Log.Info("QEMU", "accelerator", accel)
	}
	options := qemu.Options{Firmware: firmware, Accel: accel, FirmwarePXE: o.FirmwarePXE, Log: o.Log}
	return func(spec machine.Spec, dir string, ports []*vswitch.Port) (machine.Machine, error) {
		return qemu.New(spec, dir, ports, options)
	}, nil
}

// mostNICs is what ECL2.0's servers have: two of the data plane and two of the storage plane.
const mostNICs = 4

// mostDisks is how many disks fit into a machine: QEMU's have so many slots to spare.
const mostDisks = 16

// planeOf is the plane of the n-th of several NICs.
func planeOf(n, of int) string {
	if n >= (of+1)/2 {
		return "storage"
	}
	return "data"
}

// spec makes up the i-th machine.
func (r *rack) spec(i int) machine.Spec {
	o := r.options
	rackNo, slot := i/perRack+1, i%perRack+1
	name := fmt.Sprintf("r%dn%02d", rackNo, slot)
	s := machine.Spec{
		Name: name, Manufacturer: "Hagane", Product: "Lab Server R1", Serial: r.seed.Serial("HGN", name), UUID: r.seed.UUID(name),
		Mode: machine.UEFI, CPUs: o.CPUs, MemoryMB: o.MemoryMB,
		Disks: []machine.DiskSpec{{Bus: machine.Virtio, Bytes: int64(o.DiskGB) << 30, Serial: r.seed.Serial("HGD", name)}},
	}
	for n := range o.NICs {
		nic := machine.NICSpec{MAC: r.seed.MAC(fmt.Sprintf("%s/%d", name, n)), Port: fmt.Sprintf("r%dp%02d", rackNo, slot)}
		if n > 0 {
			nic.Port += string(rune('a' + n)) // r1p01, r1p01b, r1p01c …
		}
		s.NICs = append(s.NICs, nic)
	}
	if o.Mix == mixBIOS || o.Mix == mixAlternate && i%2 == 1 {
		s.Mode, s.Disks[0].Bus = machine.BIOS, machine.NVMe
	}
	for n := 1; n < o.Disks; n++ {
		d := s.Disks[0]
		d.Serial = r.seed.Serial("HGD", fmt.Sprintf("%s/%d", name, n))
		s.Disks = append(s.Disks, d)
	}
	return s
}

func (r *rack) add(i int, newMachine makeMachine, before client.Lab) error {
	spec := r.spec(i)
	var ports []*vswitch.Port
	for _, nic := range spec.NICs {
		p, err := r.sw.AddPort(nic.Port)
		if err != nil {
			return err
		}
		ports = append(ports, p)
	}
	m, err := newMachine(spec, filepath.Join(client.Folder(r.options.DataDir), "machines", spec.Name), ports)
	if err != nil {
		return err
	}
	kind, err := r.kind(i, spec)
	if err != nil {
		return errors.Join(err, m.Close())
	}
	log := r.options.Log.With("bmc", spec.Name)
	n := &node{machine: m, faults: inject.NewEngine(r.script, seedOf(r.options.Seed, i), log)}
	access := client.BMC{Driver: kind.Driver, Username: "admin", Password: r.seed.Password(spec.Name)}
	n.bmc, err = kind.open(bmcsim.Config{
		Machine: m, Address: bmcAddress(i), Port: portOf(before, spec.Name), Username: access.Username, Password: access.Password, Log: log, Faults: n.faults,
	})
	if err != nil {
		n.faults.Close()
		return errors.Join(err, m.Close())
	}
	access.Address = n.bmc.Address()
	if kind.Driver == "redfish" && len(r.kinds) > 0 {
		// Real BMCs of these vendors speak IPMI as well.
		n.beside, err = listenIPMI(bmcsim.Config{Machine: m, Address: bmcAddress(i), Username: access.Username, Password: access.Password, Log: log, Faults: n.faults})
		if err != nil {
			n.faults.Close()
			return errors.Join(err, n.bmc.Close(), m.Close())
		}
		access.IPMI = n.beside.Address()
	}
	r.nodes = append(r.nodes, n)
	r.lab.Nodes = append(r.lab.Nodes, describe(m, access))
	return nil
}

// kind returns the kind of the i-th machine's BMC: by default Redfish for UEFI and IPMI for BIOS, both keeping to the
// standard.
func (r *rack) kind(i int, spec machine.Spec) (Kind, error) {
	if len(r.kinds) > 0 {
		return r.kinds[i%len(r.kinds)], nil
	}
	if spec.Mode == machine.BIOS {
		return KindNamed("ipmi")
	}
	plain := redfish.Plain()
	return KindNamed(plain[i/2%len(plain)].Name)
}

// bmcAddress returns the i-th BMC's own loopback address.
func bmcAddress(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 77, byte(i / 250), byte(i%250 + 1)})
}

// portOf returns the port that a BMC had in an earlier run; 0 when there was none.
func portOf(before client.Lab, name string) uint16 {
	for _, n := range before.Nodes {
		if n.Name == name {
			at, err := netip.ParseAddrPort(strings.TrimPrefix(n.BMC.Address, "https://"))
			if err == nil {
				return at.Port()
			}
		}
	}
	return 0
}

func describe(m machine.Machine, access client.BMC) client.Node {
	spec := m.Spec()
	n := client.Node{
		Name: spec.Name, Mode: string(spec.Mode), Serial: spec.Serial, UUID: spec.UUID, BMC: access, Console: m.Status().Console,
	}
	for i, nic := range spec.NICs {
		n.NICs = append(n.NICs, client.NIC{MAC: nic.MAC.String(), Port: nic.Port, Plane: planeOf(i, len(spec.NICs))})
	}
	for _, d := range spec.Disks {
		n.Disks = append(n.Disks, client.Disk{Bus: string(d.Bus), Bytes: d.Bytes, Serial: d.Serial})
	}
	return n
}

// close powers all machines off and gives up all that the rack holds.
func (r *rack) close() {
	r.roads.closeAll()
	var group errgroup.Group
	for _, n := range r.nodes {
		group.Go(func() error {
			_ = n.bmc.Close() // it has ended already, unless the lab never started
			if n.beside != nil {
				_ = n.beside.Close()
			}
			n.faults.Close()
			return n.machine.Close()
		})
	}
	if err := group.Wait(); err != nil {
		r.options.Log.Warn("a machine did not stop", "err", err)
	}
}

func (r *rack) node(name string) (*node, error) {
	for _, n := range r.nodes {
		if n.machine.Spec().Name == name {
			return n, nil
		}
	}
	return nil, fault.Errorf(fault.NotFound, "the lab has no machine %s", name)
}
