// Package netstack is a TCP/IP host in user space on an Ethernet segment: the network stack of
// gVisor between frames on the one side and Go's net interfaces on the other. It needs no rights
// and touches no interface of the machine it runs on. The cloud serves DHCP, TFTP and HTTP on it to
// the lab's machines, simulated machines boot and run on it, and the lab forwards connections
// through it.
package netstack

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/ether"
)

const (
	nicID      = 1
	defaultMTU = 1500
	queueDepth = 64 // frames on the way out
)

// Config is a host's place on its segment.
type Config struct {
	MAC     net.HardwareAddr
	Addr    netip.Prefix // IPv4 address with its subnet; the zero value leaves the host without one
	Gateway netip.Addr   // default gateway; the zero value: none
	MTU     int          // of the network layer, bytes; 0 is 1500
	Verify  bool         // check sums of what comes: the segment is no memory
}

// Host is a station on an Ethernet segment. Its methods may be called by many goroutines.
type Host struct {
	stack *stack.Stack
	link  *link
	done  chan struct{}
	once  sync.Once
	wait  sync.WaitGroup
	close func() error

	mu   sync.Mutex // guards what follows
	addr netip.Prefix
	err  error
}

// New returns a host on a byte stream that carries frames in QEMU's framing. The host owns the
// stream and closes it.
func New(frames io.ReadWriteCloser, c Config) (*Host, error) {
	h, err := newHost(c)
	if err != nil {
		_ = frames.Close()
		return nil, err
	}
	h.close = frames.Close
	h.wait.Go(func() { h.end(h.link.out.Run(frames)) })
	h.wait.Go(func() { h.end(h.read(frames)) })
	return h, nil
}

// NewOn returns a host whose frames go to the given sink, without a stream in between; frames for it
// are handed to Deliver.
func NewOn(out ether.Sink, c Config) (*Host, error) {
	h, err := newHost(c)
	if err != nil {
		return nil, err
	}
	h.close = func() error { return nil }
	h.wait.Go(func() { h.link.out.Pump(out) })
	return h, nil
}

func newHost(c Config) (*Host, error) {
	if len(c.MAC) != 6 {
		return nil, fault.Field("mac", "%q is no Ethernet address", c.MAC)
	}
	if c.MTU == 0 {
		c.MTU = defaultMTU
	}
	h := &Host{
		stack: stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
			HandleLocal:        true,
		}),
		link: newLink(c),
		done: make(chan struct{}),
	}
	if err := h.tune(); err != nil {
		h.stack.Destroy()
		return nil, err
	}
	if terr := h.stack.CreateNIC(nicID, h.link); terr != nil {
		h.stack.Destroy()
		return nil, internal("create the interface", terr)
	}
	if err := h.SetAddress(c.Addr, c.Gateway); err != nil {
		h.stack.Destroy()
		return nil, err
	}
	return h, nil
}

// tune sets what bulk transfers need: large windows that grow by themselves, and selective acknowledgement.
func (h *Host) tune() error {
	sack := tcpip.TCPSACKEnabled(true)
	grow := tcpip.TCPModerateReceiveBufferOption(true)
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: 256 << 10, Max: 4 << 20}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: 256 << 10, Max: 4 << 20}
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &grow, &receive, &send} {
		if terr := h.stack.SetTransportProtocolOption(tcp.ProtocolNumber, option); terr != nil {
			return internal("tune TCP", terr)
		}
	}
	return nil
}

// Deliver takes a frame from the segment.
func (h *Host) Deliver(frame []byte) bool { return h.link.deliver(frame) }

func (h *Host) read(frames io.Reader) error {
	in := ether.NewReader(frames)
	for {
		frame, err := in.Next()
		if err != nil {
			return err
		}
		h.link.deliver(frame)
	}
}

// end notes why the segment is gone and wakes the other half.
func (h *Host) end(err error) {
	h.once.Do(func() {
		h.mu.Lock()
		h.err = err
		h.mu.Unlock()
		h.link.out.Close()
		_ = h.close()
		close(h.done)
	})
}

// Done is closed when the host has lost its segment or was closed.
func (h *Host) Done() <-chan struct{} { return h.done }

// Err returns why the segment was lost; nil while it is there and after Close.
func (h *Host) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// Close takes the host off its segment, breaks its connections and waits for its goroutines.
func (h *Host) Close() error {
	h.end(nil)
	h.wait.Wait()
	h.stack.Destroy()
	return nil
}

// internal turns an error of the stack into a fault.
func internal(doing string, terr tcpip.Error) error {
	return fault.E(fault.Internal, doing, errors.New(terr.String()))
}
