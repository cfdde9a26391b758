package ipmi

import (
	"context"
	"net"
	"strconv"
	"strings"

	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
)

// deafSocket is a UDP socket that loses datagrams: all while the BMC is away, and the answers to exchanges that are to get none.
type deafSocket struct {
	*net.UDPConn
	bmc *BMC
}

// ReadFrom reads the next datagram that the BMC takes notice of.
func (s *deafSocket) ReadFrom(buf []byte) (int, net.Addr, error) {
	for {
		n, addr, err := s.UDPConn.ReadFrom(buf)
		if err != nil {
			return n, addr, err
		}
		if s.bmc.away() || s.full(buf[:n], addr) {
			continue
		}
		return n, addr, nil
	}
}

// full answers an Open Session Request as a BMC without room for another session does, where the script says so.
func (s *deafSocket) full(packet []byte, addr net.Addr) bool {
	const header, payload, openRequest, openResponse, noRoom = 16, 5, 0x10, 0x11, 0x01
	if len(packet) < header+8 || packet[0] != 0x06 || packet[payload]&0x3f != openRequest {
		return false
	}
	d := s.bmc.config.Faults.Decide(inject.Exchange{Protocol: "ipmi", Target: "Open Session", On: s.bmc.machine.Status().On})
	if d.LosesAnswer() {
		return true
	}
	if !d.Sessions {
		return false
	}
	out := append([]byte(nil), packet[:header]...) // RMCP and an empty session
	out[payload] = openResponse
	out[14], out[15] = 8, 0 // bytes that follow
	out = append(out, packet[header], noRoom, 0, 0)
	out = append(out, packet[header+4:header+8]...) // the console's session id
	_, _ = s.UDPConn.WriteTo(out, addr)             // a datagram may be lost
	return true
}

// Read would read around the loss.
func (s *deafSocket) Read(buf []byte) (int, error) {
	n, _, err := s.ReadFrom(buf)
	return n, err
}

// WriteTo sends an answer, unless it is to be lost. The server answers one exchange after another for each client.
func (s *deafSocket) WriteTo(data []byte, addr net.Addr) (int, error) {
	if s.bmc.away() || s.bmc.lose.CompareAndSwap(true, false) {
		return len(data), nil
	}
	return s.UDPConn.WriteTo(data, addr)
}

// changes are the commands that change something; rules may ask for that.
var changes = map[string]bool{
	types.CommandChassisControl.Name: true, types.CommandChassisIdentify.Name: true, types.CommandSetSystemBootOptions.Name: true, types.CommandColdReset.Name: true,
	types.CommandWarmReset.Name: true, types.CommandClearSEL.Name: true, types.CommandSetUsername.Name: true, types.CommandSetUserPassword.Name: true,
	types.CommandSetUserAccess.Name: true, types.CommandActivatePayload.Name: true, types.CommandDeactivatePayload.Name: true,
}

// misbehave plays the BMC's script around each command.
func (b *BMC) misbehave(next handlers.Handler) handlers.Handler {
	return handlers.HandlerFunc(func(ctx context.Context, h *handlers.HandlerContext, req []byte) ([]byte, types.CompletionCode, error) {
		b.commandsSeen.Add(1)
		name := h.Command.Name
		d := b.config.Faults.Decide(inject.Exchange{Protocol: "ipmi", Write: changes[name], Target: name, On: b.machine.Status().On})
		ctx = inject.With(ctx, d)
		if d.Done {
			_, _, _ = next.Handle(ctx, h, req)
		}
		if !b.config.Faults.Play(ctx, d) {
			b.lose.Store(true)
			return nil, types.CodeNodeBusy, nil
		}
		if d.Code != "" {
			if code, err := strconv.ParseUint(strings.TrimPrefix(d.Code, "0x"), 16, 8); err == nil {
				return nil, types.CompletionCode(code), nil
			}
		}
		if d.Nothing && changes[name] {
			return nil, types.CodeOK, nil
		}
		out, code, err := next.Handle(ctx, h, req)
		if code == types.CodeOK && changes[name] {
			b.config.Faults.Changed()
		}
		return out, code, err
	})
}

// Commands returns how many commands the BMC has seen.
func (b *BMC) Commands() int64 { return b.commandsSeen.Load() }
