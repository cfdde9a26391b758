package netboot

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/hagane-cloud/hagane/fault"
)

const clientPort = 68

// serveDHCP answers what answer has an answer to until the connection is closed.
func serveDHCP(ctx context.Context, conn net.PacketConn, log *slog.Logger, answer func(context.Context, *dhcpv4.DHCPv4) (*dhcpv4.DHCPv4, error)) error {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		req, err := dhcpv4.FromBytes(buf[:n])
		if err != nil || req.OpCode != dhcpv4.OpcodeBootRequest {
			continue // noise
		}
		resp, err := answer(ctx, req)
		if err != nil {
			log.Warn("a DHCP request was not answered", "mac", req.ClientHWAddr, "error", err)
			continue
		}
		if resp == nil {
			continue
		}
		if _, err := conn.WriteTo(resp.ToBytes(), destination(req, from)); err != nil && ctx.Err() == nil {
			log.Warn("a DHCP answer was not sent", "mac", req.ClientHWAddr, "error", err)
		}
	}
}

// destination is where an answer goes (RFC 2131, section 4.1).
func destination(req *dhcpv4.DHCPv4, from net.Addr) net.Addr {
	switch {
	case req.GatewayIPAddr != nil && !req.GatewayIPAddr.IsUnspecified():
		return &net.UDPAddr{IP: req.GatewayIPAddr, Port: portDHCP}
	case req.ClientIPAddr != nil && !req.ClientIPAddr.IsUnspecified() && !req.IsBroadcast():
		return from
	}
	return &net.UDPAddr{IP: net.IPv4bcast, Port: clientPort}
}

// answer makes the answer to a request; nil when there is none to be given.
func (s *Server) answer(ctx context.Context, req *dhcpv4.DHCPv4) (*dhcpv4.DHCPv4, error) {
	mac := req.ClientHWAddr.String()
	known, err := s.Nodes.Known(ctx, mac)
	if err != nil {
		return nil, err
	}
	if !known {
		s.Log.Debug("a DHCP request of an unknown machine", "network", s.Network, "mac", mac)
		return nil, nil
	}
	kind := answerTo(req, s.Address.Addr())
	if kind == dhcpv4.MessageTypeNone {
		return nil, nil
	}
	addr, err := s.lease(ctx, mac)
	if err != nil {
		return nil, err
	}
	if refuses(req, kind, addr) {
		return s.reply(req, dhcpv4.MessageTypeNak, netip.Addr{})
	}
	return s.reply(req, kind, addr)
}

// answerTo is the kind of answer that a request to a server with an address gets; MessageTypeNone is none.
func answerTo(req *dhcpv4.DHCPv4, us netip.Addr) dhcpv4.MessageType {
	switch req.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		return dhcpv4.MessageTypeOffer
	case dhcpv4.MessageTypeRequest, dhcpv4.MessageTypeNone:
		if id := req.ServerIdentifier(); id != nil && !id.IsUnspecified() && !id.Equal(us.AsSlice()) {
			return dhcpv4.MessageTypeNone // it took another server's offer
		}
		return dhcpv4.MessageTypeAck
	case dhcpv4.MessageTypeInform:
		return dhcpv4.MessageTypeAck
	}
	return dhcpv4.MessageTypeNone // decline and release: the address stays with the MAC
}

// refuses reports whether a client asks for another address than the one that it has.
func refuses(req *dhcpv4.DHCPv4, kind dhcpv4.MessageType, addr netip.Addr) bool {
	wanted := req.RequestedIPAddress()
	return kind == dhcpv4.MessageTypeAck && wanted != nil && !wanted.IsUnspecified() && !wanted.Equal(addr.AsSlice())
}

func (s *Server) reply(req *dhcpv4.DHCPv4, kind dhcpv4.MessageType, addr netip.Addr) (*dhcpv4.DHCPv4, error) {
	us := net.IP(s.Address.Addr().AsSlice())
	mods := []dhcpv4.Modifier{dhcpv4.WithMessageType(kind), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(us))}
	if addr.IsValid() {
		mods = append(mods,
			dhcpv4.WithYourIP(addr.AsSlice()),
			dhcpv4.WithNetmask(net.CIDRMask(s.Address.Bits(), 32)),
			dhcpv4.WithRouter(us),
			dhcpv4.WithLeaseTime(uint32(leaseTime/time.Second)))
		mods = append(mods, s.boot(req)...)
	}
	resp, err := dhcpv4.NewReplyFromRequest(req, mods...)
	return resp, fault.Wrap("making a DHCP answer", err)
}

// boot tells firmware what to load. First comes iPXE from our TFTP server, or by HTTP where the
// firmware can; then iPXE asks again and gets its script.
func (s *Server) boot(req *dhcpv4.DHCPv4) []dhcpv4.Modifier {
	class := req.ClassIdentifier()
	us := net.IP(s.Address.Addr().AsSlice())
	file := func(name string) []dhcpv4.Modifier {
		return []dhcpv4.Modifier{dhcpv4.WithServerIP(us), func(d *dhcpv4.DHCPv4) { d.BootFileName = name },
			dhcpv4.WithOption(dhcpv4.OptTFTPServerName(us.String())), dhcpv4.WithOption(dhcpv4.OptBootFileName(name))}
	}
	if isIPXE(req) {
		return file(BaseURL(s.Address) + "/boot/" + strings.ReplaceAll(req.ClientHWAddr.String(), ":", "-"))
	}
	arch := iana.INTEL_X86PC
	if archs := req.ClientArch(); len(archs) > 0 {
		arch = archs[0]
	}
	switch {
	case strings.HasPrefix(class, "HTTPClient"):
		// UEFI HTTP boot (UEFI 2.10, section 24.7) takes no answer without this class.
		return append(file(BaseURL(s.Address)+"/boot/ipxe.efi"), dhcpv4.WithOption(dhcpv4.OptClassIdentifier("HTTPClient")))
	case !strings.HasPrefix(class, "PXEClient"):
		return nil // an operating system, such as the agent's
	case arch == iana.INTEL_X86PC:
		return file(nameBIOS)
	case arch == iana.EFI_X86_64 || arch == iana.EFI_BC:
		return file(nameUEFI)
	}
	s.Log.Warn("no boot file for this architecture", "mac", req.ClientHWAddr, "arch", arch)
	return nil
}

// isIPXE recognises iPXE by its user class, or by the option in which it tells its features.
func isIPXE(req *dhcpv4.DHCPv4) bool {
	const features = 175
	for _, c := range req.UserClass() {
		if c == "iPXE" {
			return true
		}
	}
	return string(req.Options.Get(dhcpv4.OptionUserClassInformation)) == "iPXE" || req.Options.Has(dhcpv4.GenericOptionCode(features))
}
