package netstack

import (
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/hagane-cloud/hagane/lab/ether"
)

// link is the stack's Ethernet interface. It queues what goes out, so that the stack never runs
// into the receiver's code under its own locks.
type link struct {
	out    *ether.Writer
	verify bool // check sums of what comes

	mu         sync.RWMutex
	dispatcher stack.NetworkDispatcher
	mac        tcpip.LinkAddress
	mtu        uint32
}

var _ stack.LinkEndpoint = (*link)(nil)

func newLink(c Config) *link {
	return &link{out: ether.NewWriter(queueDepth), verify: c.Verify, mac: tcpip.LinkAddress(c.MAC), mtu: uint32(c.MTU)}
}

// deliver hands a frame from the segment to the stack if it is for this station.
func (l *link) deliver(frame []byte) bool {
	if len(frame) < ether.HeaderLen {
		return false
	}
	l.mu.RLock()
	dispatcher, mac := l.dispatcher, l.mac
	l.mu.RUnlock()
	dst := ether.Dst(frame)
	kind := packetType(dst, mac)
	if dispatcher == nil || kind == tcpip.PacketOtherHost {
		return true
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	defer pkt.DecRef()
	if !l.ParseHeader(pkt) {
		return false
	}
	pkt.PktType = kind
	dispatcher.DeliverNetworkPacket(tcpip.NetworkProtocolNumber(ether.Type(frame)), pkt)
	return true
}

func packetType(dst ether.MAC, mac tcpip.LinkAddress) tcpip.PacketType {
	switch {
	case tcpip.LinkAddress(dst[:]) == header.EthernetBroadcastAddress:
		return tcpip.PacketBroadcast
	case dst.Multicast():
		return tcpip.PacketMulticast
	case tcpip.LinkAddress(dst[:]) == mac:
		return tcpip.PacketHost
	}
	return tcpip.PacketOtherHost
}

// WritePackets sends packets that carry their Ethernet header already. A frame for which there is no room is
// lost, as on a real wire: TCP sends it again.
func (l *link) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		frame := make([]byte, 0, pkt.Size())
		for _, part := range pkt.AsSlices() {
			frame = append(frame, part...)
		}
		l.out.Deliver(frame)
	}
	return pkts.Len(), nil
}

// MTU returns the largest network packet, in bytes.
func (l *link) MTU() uint32 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.mtu
}

// SetMTU changes the largest network packet.
func (l *link) SetMTU(mtu uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mtu = mtu
}

// MaxHeaderLength returns the room that the Ethernet header needs.
func (l *link) MaxHeaderLength() uint16 { return header.EthernetMinimumSize }

// LinkAddress returns the station's MAC address.
func (l *link) LinkAddress() tcpip.LinkAddress {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.mac
}

// SetLinkAddress changes the station's MAC address.
func (l *link) SetLinkAddress(mac tcpip.LinkAddress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mac = mac
}

// Capabilities says that neighbours are found by ARP and, where the segment is memory, that received check sums need no look.
func (l *link) Capabilities() stack.LinkEndpointCapabilities {
	if l.verify {
		return stack.CapabilityResolutionRequired
	}
	return stack.CapabilityResolutionRequired | stack.CapabilityRXChecksumOffload
}

// Attach sets the receiver of packets.
func (l *link) Attach(dispatcher stack.NetworkDispatcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dispatcher = dispatcher
}

// IsAttached reports whether there is a receiver.
func (l *link) IsAttached() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.dispatcher != nil
}

// Wait returns at once: the goroutines belong to the Host.
func (l *link) Wait() {}

// ARPHardwareType returns Ethernet.
func (l *link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// AddHeader puts the Ethernet header before a packet.
func (l *link) AddHeader(pkt *stack.PacketBuffer) {
	head := header.Ethernet(pkt.LinkHeader().Push(header.EthernetMinimumSize))
	head.Encode(&header.EthernetFields{
		SrcAddr: pkt.EgressRoute.LocalLinkAddress,
		DstAddr: pkt.EgressRoute.RemoteLinkAddress,
		Type:    pkt.NetworkProtocolNumber,
	})
}

// ParseHeader takes the Ethernet header off a packet.
func (l *link) ParseHeader(pkt *stack.PacketBuffer) bool {
	_, ok := pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	return ok
}

// Close refuses further frames.
func (l *link) Close() { l.out.Close() }

// SetOnCloseAction does nothing: there is no device to destroy.
func (l *link) SetOnCloseAction(func()) {}
