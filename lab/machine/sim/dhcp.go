package sim

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/netstack"
)

// patience is how long the firmware waits for an answer to each of its tries.
var patience = []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}

// lease is what a DHCP server said.
type lease struct {
	addr    netip.Prefix
	gateway netip.Addr
	server  netip.Addr
	file    string
	by      string // the DHCP server
}

// askDHCP gets a lease as iPXE does and gives the host its address.
func (g *guest) askDHCP(ctx context.Context, n *nic, host *netstack.Host) (lease, error) {
	conn, err := host.ListenPacket(dhcpv4.ClientPort)
	if err != nil {
		return lease{}, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	discover, err := dhcpv4.NewDiscovery(n.spec.MAC, g.asIPXE()...)
	if err != nil {
		return lease{}, fault.E(fault.Internal, "make a DHCP discover", err)
	}
	offer, err := exchange(ctx, conn, discover, dhcpv4.MessageTypeOffer)
	if err != nil {
		return lease{}, err
	}
	request, err := dhcpv4.NewRequestFromOffer(offer, g.asIPXE()...)
	if err != nil {
		return lease{}, fault.E(fault.Internal, "make a DHCP request", err)
	}
	ack, err := exchange(ctx, conn, request, dhcpv4.MessageTypeAck)
	if err != nil {
		return lease{}, err
	}
	got, err := leaseOf(ack)
	if err != nil {
		return lease{}, err
	}
	return got, host.SetAddress(got.addr, got.gateway)
}

// asIPXE returns the options by which DHCP servers know iPXE and the firmware below it.
func (g *guest) asIPXE() []dhcpv4.Modifier {
	arch, vendor := iana.INTEL_X86PC, "PXEClient:Arch:00000:UNDI:002001"
	if g.mode == machine.UEFI {
		arch, vendor = iana.EFI_X86_64, "PXEClient:Arch:00007:UNDI:003010"
	}
	uuid, _ := hex.DecodeString(strings.ReplaceAll(g.spec.UUID, "-", ""))
	return []dhcpv4.Modifier{
		dhcpv4.WithBroadcast(true),
		dhcpv4.WithUserClass("iPXE", false),
		dhcpv4.WithOption(dhcpv4.OptClassIdentifier(vendor)),
		dhcpv4.WithOption(dhcpv4.OptClientArch(arch)),
		dhcpv4.WithGeneric(dhcpv4.OptionClientMachineIdentifier, append([]byte{0}, uuid...)),
		dhcpv4.WithGeneric(dhcpv4.GenericOptionCode(175), []byte{0x13, 1, 1}), // iPXE's own option: it has HTTP
	}
}

// exchange sends a message until an answer of the kind comes.
func exchange(ctx context.Context, conn net.PacketConn, msg *dhcpv4.DHCPv4, want dhcpv4.MessageType) (*dhcpv4.DHCPv4, error) {
	for _, wait := range patience {
		if ctx.Err() != nil {
			break
		}
		if _, err := conn.WriteTo(msg.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpv4.ServerPort}); err != nil {
			return nil, fault.E(fault.Internal, "send a DHCP message", err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		answer, err := receive(conn, msg.TransactionID, want)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) && !timedOut(err) {
			return answer, err
		}
	}
	return nil, fault.Errorf(fault.Unavailable, "no DHCP server answered the %s", msg.MessageType())
}

func receive(conn net.PacketConn, id dhcpv4.TransactionID, want dhcpv4.MessageType) (*dhcpv4.DHCPv4, error) {
	buf := make([]byte, 2048)
	for {
		size, _, err := conn.ReadFrom(buf)
		if err != nil {
			return nil, err
		}
		answer, err := dhcpv4.FromBytes(buf[:size])
		if err != nil || answer.TransactionID != id {
			continue
		}
		switch answer.MessageType() {
		case want:
			return answer, nil
		case dhcpv4.MessageTypeNak:
			return nil, fault.Errorf(fault.Conflict, "the DHCP server refused the address: %s", answer.Message())
		}
	}
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func leaseOf(ack *dhcpv4.DHCPv4) (lease, error) {
	addr, ok := netip.AddrFromSlice(ack.YourIPAddr.To4())
	if !ok || addr.IsUnspecified() {
		return lease{}, fault.Errorf(fault.Unavailable, "the DHCP server gave no address")
	}
	bits, _ := ack.SubnetMask().Size()
	if ack.SubnetMask() == nil || bits == 0 {
		return lease{}, fault.Errorf(fault.Unavailable, "the DHCP server gave no subnet mask")
	}
	l := lease{addr: netip.PrefixFrom(addr, bits), file: ack.BootFileNameOption(), by: ack.ServerIdentifier().String()}
	if l.file == "" {
		l.file = ack.BootFileName
	}
	if routers := ack.Router(); len(routers) > 0 {
		l.gateway, _ = netip.AddrFromSlice(routers[0].To4())
	}
	if server := ack.ServerIPAddr.To4(); server != nil && binary.BigEndian.Uint32(server) != 0 {
		l.server, _ = netip.AddrFromSlice(server)
	}
	return l, nil
}
