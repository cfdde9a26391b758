package trunk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/ether"
)

// ours is how the MAC addresses of all our stations begin: what is for others never leaves the kernel.
const ours = 0x02<<8 | 'H'

// offloadLen is the length of the header that comes before each frame (struct virtio_net_hdr): what the NIC, or a sender on this host, left to be done.
const offloadLen = 10

// socketBuffer is how many bytes of frames wait for us in the kernel, if the host allows as many (net.core.rmem_max).
const socketBuffer = 4 << 20

// socket is a packet socket on a NIC. Any number of goroutines may send, and one receives.
type socket struct {
	*os.File
	conn      syscall.RawConn
	buf, side []byte
}

// Rights returns a Denied fault when this process may not use NICs as trunks.
func Rights() error {
	fd, err := newSocket()
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// newSocket makes a packet socket that is bound to nothing yet.
func newSocket() (fd int, err error) {
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EPERM) {
		return 0, fault.E(fault.Denied, "a trunk needs the right to packet sockets: AmbientCapabilities=CAP_NET_RAW in the systemd unit, or setcap cap_net_raw+ep on the program", err)
	}
	if err != nil {
		return 0, fault.E(fault.Unavailable, "making a packet socket", err)
	}
	return fd, nil
}

// openSocket opens a packet socket on a NIC.
func openSocket(nic *net.Interface) (*socket, error) {
	doing := "opening a packet socket on " + nic.Name
	fd, err := newSocket()
	if err != nil {
		return nil, err
	}
	if err := prepare(fd, nic.Index); err != nil {
		return nil, fault.E(fault.Unavailable, doing, errors.Join(err, unix.Close(fd)))
	}
	f := os.NewFile(uintptr(fd), "packet socket on "+nic.Name)
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, fault.E(fault.Internal, doing, errors.Join(err, f.Close()))
	}
	return &socket{File: f, conn: conn, buf: make([]byte, offloadLen+ether.MaxFrame), side: make([]byte, unix.CmsgSpace(int(unsafe.Sizeof(unix.TpacketAuxdata{}))))}, nil
}

// prepare sets what the socket tells and takes, and only then binds it, so that no frame comes before. Sources: packet(7); PACKET_IGNORE_OUTGOING
// is Linux 4.20's.
func prepare(fd, index int) error {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketBuffer) // less will do
	filter := admit()
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}); err != nil {
		return fmt.Errorf("setting the filter: %w", err)
	}
	for _, o := range []struct {
		name   string
		option int
	}{{"PACKET_AUXDATA", unix.PACKET_AUXDATA}, {"PACKET_VNET_HDR", unix.PACKET_VNET_HDR}, {"PACKET_IGNORE_OUTGOING", unix.PACKET_IGNORE_OUTGOING}} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, o.option, 1); err != nil {
			return fmt.Errorf("setting %s: %w", o.name, err)
		}
	}
	// Our stations have MACs that the NIC does not know of. It forgets this with the socket.
	promiscuous := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &promiscuous); err != nil {
		return fmt.Errorf("making the interface promiscuous: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: network16(unix.ETH_P_ALL), Ifindex: index}); err != nil {
		return fmt.Errorf("binding it: %w", err)
	}
	return nil
}

// network16 is a number of two bytes in network order, as the kernel reads it.
func network16(n uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], n)
	return binary.NativeEndian.Uint16(b[:])
}

// admit is the socket's filter (BPF): IPv4 and ARP, to one of our stations or to more than one. Tags are no part of what it sees.
func admit() []unix.SockFilter {
	const (
		half, octet = unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
		equal, bits = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		end         = unix.BPF_RET | unix.BPF_K
		whole       = 1 << 18 // bytes, more than any frame has
	)
	return []unix.SockFilter{
		{Code: half, K: 12},
		{Code: equal, K: ether.TypeIPv4, Jt: 1},
		{Code: equal, K: ether.TypeARP, Jf: 5},
		{Code: octet, K: 0},
		{Code: bits, K: 1, Jt: 2}, // a multicast
		{Code: half, K: 0},
		{Code: equal, K: ours, Jf: 1},
		{Code: end, K: whole},
		{Code: end, K: 0},
	}
}

// receive returns the next frame as it would be on the wire, without its tag, and the VLAN of the tag; 0 is none. A frame that is not for us
// is nil. An error is the socket's end: ENETDOWN when the interface goes down or away.
func (s *socket) receive() (vlan int, frame []byte, err error) {
	var n, told, flags int
	if err := s.conn.Read(func(fd uintptr) bool {
		n, told, flags, _, err = unix.Recvmsg(int(fd), s.buf, s.side, 0)
		return !errors.Is(err, unix.EAGAIN)
	}); err != nil {
		return 0, nil, err // it was closed
	}
	switch {
	case errors.Is(err, unix.EINTR), errors.Is(err, unix.EINVAL): // the latter: a frame whose offload the header has no word for
		return 0, nil, nil
	case err != nil:
		return 0, nil, err
	case n < offloadLen+ether.HeaderLen || flags&unix.MSG_TRUNC != 0:
		return 0, nil, nil
	}
	vlan, ok := tagOf(s.side[:told])
	if !ok {
		return 0, nil, nil
	}
	frame = slices.Clone(s.buf[offloadLen:n])
	if !finish(frame, s.buf[:offloadLen]) {
		return 0, nil, nil
	}
	return vlan, frame, nil
}

// tagOf reads the VLAN that the kernel took off a frame; 0 is none, or only a priority. ok is false for a tag that is not IEEE 802.1Q's.
func tagOf(side []byte) (vlan int, ok bool) {
	messages, err := unix.ParseSocketControlMessage(side)
	if err != nil {
		return 0, false
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < int(unsafe.Sizeof(unix.TpacketAuxdata{})) {
			continue
		}
		a := (*unix.TpacketAuxdata)(unsafe.Pointer(&m.Data[0]))
		if a.Status&unix.TP_STATUS_VLAN_VALID == 0 {
			return 0, true
		}
		if a.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 && a.Vlan_tpid != ether.TypeVLAN {
			return 0, false
		}
		return int(a.Vlan_tci & 0x0fff), true
	}
	return 0, false
}

// send sends a frame with the tag of a VLAN; 0 is none. It waits while the NIC can not keep up. A frame that can not be sent is lost, as on a
// real wire: that the NIC is gone is heard by whoever receives.
func (s *socket) send(vlan int, frame []byte) {
	if len(frame) < ether.HeaderLen {
		return
	}
	out := make([]byte, offloadLen, offloadLen+ether.TagLen+len(frame)) // nothing is left to be done
	if vlan != 0 {
		frame = ether.Tag(frame, vlan)
	}
	_, _ = s.Write(append(out, frame...))
}
