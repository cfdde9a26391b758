// Package netboot is the DHCP agent: on each of the cloud's own networks it gives addresses to the
// machines that are enrolled, tells their firmware what to boot, serves boot files by TFTP and HTTP, and takes
// the calls of the agent in the ramdisk. It answers no machine that it does not know. On tenants' networks it gives
// servers the addresses of their ports, and their metadata.
package netboot

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/node"

	"golang.org/x/sync/errgroup"
)

// Nodes is what netboot asks of the nodes.
type Nodes interface {
	Known(ctx context.Context, mac string) (bool, error)
	BootFor(ctx context.Context, mac string) (node.Boot, error)
	Claim(ctx context.Context, c protocol.Claim) (protocol.Claimed, error)
	Await(ctx context.Context, token string, b protocol.Beat) (*protocol.Order, error)
	KeepLog(ctx context.Context, token, text string) error
	MayRead(ctx context.Context, token, imageID string) error
	Writes(ctx context.Context, token string) (image string, err error)
}

// Wire is a foothold on a network: where its packets and connections come from. A real network's is the
// operating system's; the lab's is a user-space one.
type Wire interface {
	ListenPacket(port int) (net.PacketConn, error)
	Listen(port int) (net.Listener, error)
}

// Options are what a Server works with.
type Options struct {
	Network string       // its name: provisioning or cleaning
	Address netip.Prefix // ours on it, with the range that is given out
	DB      *db.DB
	Nodes   Nodes
	Images  *image.Service
	Files   Files
	// Silent answers no DHCP and no TFTP: for networks whose machines all boot from media that their BMCs show.
	Silent bool
	Log    *slog.Logger
}

// Files are where boot files lie on disk; all are read at each request, so that they can be replaced.
type Files struct {
	Kernel    string // the ramdisk's
	Initramfs string
	BIOS      string // iPXE for BIOS (undionly.kpxe)
	UEFI      string // iPXE for UEFI (snponly.efi)
}

// Server serves one network.
type Server struct {
	Options
	waves *waves
}

// New makes a server.
func New(o Options) *Server { return &Server{o, newWaves()} }

// The well-known ports.
const (
	portDHCP = 67
	portTFTP = 69
	portHTTP = 80
)

// BaseURL is where a network's HTTP service is reached from that network.
func BaseURL(address netip.Prefix) string { return "http://" + address.Addr().String() }

// AgentAPI is the base URL of the agent's calls on a network.
func AgentAPI(address netip.Prefix) string { return BaseURL(address) + agentPath }

// Serve answers on a wire until ctx ends or the wire breaks.
func (s *Server) Serve(ctx context.Context, w Wire) error {
	web, err := w.Listen(portHTTP)
	if err != nil {
		return fault.Wrap("listening for HTTP", err)
	}
	g, gctx := errgroup.WithContext(ctx)
	if !s.Silent {
		if err := s.answerFirmware(gctx, g, w); err != nil {
			return errors.Join(err, web.Close())
		}
	}
	hs := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return gctx }}
	g.Go(func() error { return hs.Serve(web) })
	g.Go(func() error {
		<-gctx.Done()
		_ = hs.Close()
		return nil
	})
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return fault.E(fault.Unavailable, "serving the "+s.Network+" network", err)
	}
	return nil
}

// answerFirmware answers DHCP and TFTP in the group until ctx ends.
func (s *Server) answerFirmware(ctx context.Context, g *errgroup.Group, w Wire) error {
	dhcp, err := w.ListenPacket(portDHCP)
	if err != nil {
		return fault.Wrap("listening for DHCP", err)
	}
	tftp, err := w.ListenPacket(portTFTP)
	if err != nil {
		return errors.Join(fault.Wrap("listening for TFTP", err), dhcp.Close())
	}
	ts := s.tftpServer()
	g.Go(func() error { return serveDHCP(ctx, dhcp, s.Log, s.answer) })
	g.Go(func() error { return ts.Serve(located{tftp, s.Address.Addr()}) })
	g.Go(func() error {
		<-ctx.Done()
		_ = dhcp.Close()
		_ = tftp.Close()
		ts.Shutdown()
		return nil
	})
	return nil
}

// located is a packet connection that knows its own address: the TFTP server wants to see one.
type located struct {
	net.PacketConn
	addr netip.Addr
}

func (l located) LocalAddr() net.Addr {
	return &net.UDPAddr{IP: l.addr.AsSlice(), Port: portTFTP}
}
