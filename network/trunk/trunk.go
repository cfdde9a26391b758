// Package trunk is the cloud's foothold on a real fabric: a NIC of the host that is a trunk to the switches (IEEE 802.1Q). It is
// a fabric.Uplinker: a cable in a VLAN is a share of one packet socket on the NIC, so that the host's own addresses, routes and
// VLAN interfaces are neither needed nor touched. The DHCP agent serves networks over it.
package trunk

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network/fabric"
)

// Spec says which NIC is a trunk.
type Spec struct {
	NIC    string
	Native int // the VLAN of untagged frames; 0: they are dropped
}

// Parse reads NIC or NIC:VLAN, such as eth1 or eth1:7. Its errors are Invalid faults.
func Parse(text string) (Spec, error) {
	const longest = 15 // IFNAMSIZ, without the zero at the end
	name, native, tagged := strings.Cut(text, ":")
	if name == "" || len(name) > longest || strings.ContainsAny(name, "/ \t\n") {
		return Spec{}, fault.Field("trunk", "%q is no network interface: eth1 is one, and eth1:7 one with the native VLAN 7", text)
	}
	s := Spec{NIC: name}
	if !tagged {
		return s, nil
	}
	var err error
	if s.Native, err = strconv.Atoi(native); err != nil || s.Native < 1 || s.Native > fabric.MaxVLAN {
		return Spec{}, fault.Field("trunk", "%q has the native VLAN %q: 1 to %d are VLANs", text, native, fabric.MaxVLAN)
	}
	return s, nil
}

// Trunk is a NIC of the host. It may be down or away: cables can be had again when it is back.
type Trunk struct {
	Spec
	log *slog.Logger

	mu      sync.Mutex
	wire    *wire            // nil while nothing is plugged in
	station net.HardwareAddr // of the NIC, when it was last there
	trouble string           // why the NIC can not be used, as it was told
}

var _ fabric.Uplinker = (*Trunk)(nil)

// New returns a trunk. It does not look at the NIC yet.
func New(s Spec, log *slog.Logger) *Trunk { return &Trunk{Spec: s, log: log} }

// Uplink returns a cable in a VLAN for one station; those of one VLAN reach each other. It ends when the NIC goes down or away, and then it is asked for anew:
// until the NIC is back that is an Unavailable fault.
func (t *Trunk) Uplink(_ context.Context, vlan int) (io.ReadWriteCloser, error) {
	if vlan < 1 || vlan > fabric.MaxVLAN {
		return nil, fault.Field("vlan", "%d is no VLAN: 1 to %d are", vlan, fabric.MaxVLAN)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wire == nil || t.wire.lost() {
		if t.wire != nil {
			t.trouble = "it was lost"
		}
		w, err := t.open()
		t.tell(err)
		if err != nil {
			return nil, err
		}
		t.wire = w
	}
	return t.wire.plug(vlan)
}

// MAC is our address on a network: always the same on one NIC, so that neighbours' tables stay true, and another one on every other, so
// that several agents may stand on one fabric.
func (t *Trunk) MAC(network string) net.HardwareAddr {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := sha256.Sum256([]byte(t.station.String() + "/" + network))
	return net.HardwareAddr{ours >> 8, ours & 0xff, sum[0], sum[1], sum[2], sum[3]}
}

// Close ends all cables and waits for what carried them.
func (t *Trunk) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wire != nil {
		t.wire.end(net.ErrClosed)
		t.wire.wait.Wait()
	}
	return nil
}

// open opens the packet socket on the NIC.
func (t *Trunk) open() (*wire, error) {
	if t.wire != nil {
		t.wire.wait.Wait()
		t.wire = nil
	}
	nic, err := net.InterfaceByName(t.NIC)
	if err != nil {
		return nil, fault.E(fault.Unavailable, fmt.Sprintf("there is no network interface %s; it is tried again", t.NIC), err)
	}
	const need = 1500 // MTU of what is served
	switch {
	case len(nic.HardwareAddr) != 6:
		return nil, fault.Errorf(fault.Unavailable, "the network interface %s is no Ethernet: name one that is a trunk to the switches", t.NIC)
	case nic.Flags&net.FlagUp == 0:
		return nil, fault.Errorf(fault.Unavailable, "the network interface %s is down: ip link set %s up", t.NIC, t.NIC)
	case nic.MTU < need:
		return nil, fault.Errorf(fault.Unavailable, "the network interface %s carries %d bytes, and the cloud's networks need %d: ip link set %s mtu %d", t.NIC, nic.MTU, need, t.NIC, need)
	}
	s, err := openSocket(nic)
	if err != nil {
		return nil, err
	}
	t.station = nic.HardwareAddr
	return newWire(s, t.Native, func(err error) {
		t.log.Warn("a trunk is lost, and its networks are not served until it is back", "nic", t.NIC, "error", err)
	}), nil
}

// tell logs what is wrong with the NIC when that has changed.
func (t *Trunk) tell(err error) {
	trouble := ""
	if err != nil {
		trouble = err.Error()
	}
	switch {
	case trouble == t.trouble:
		return
	case err != nil:
		t.log.Warn("a trunk can not be used", "nic", t.NIC, "error", err)
	default:
		t.log.Info("a trunk can be used again", "nic", t.NIC)
	}
	t.trouble = trouble
}
