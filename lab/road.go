package lab

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/client"
	"github.com/hagane-cloud/hagane/lab/netstack"
	"github.com/hagane-cloud/hagane/lab/vswitch"
)

const dialTimeout = 10 * time.Second

// roads are the ways into VLANs that the lab holds open. Each is a TCP port on the host's loopback and a
// host of its own in the VLAN.
type roads struct {
	rack *rack

	mu   sync.Mutex
	next int
	all  map[string]*road
}

func newRoads(r *rack) *roads { return &roads{rack: r, all: make(map[string]*road)} }

// road forwards TCP connections to one address in a VLAN.
type road struct {
	target   netip.AddrPort
	listener net.Listener
	port     *vswitch.Port
	host     *netstack.Host
	remove   func(*vswitch.Port)
	log      *slog.Logger
	cancel   context.CancelFunc
	wait     sync.WaitGroup
}

func (s *roads) open(f client.Forward) (client.Forwarded, error) {
	source, err := netip.ParsePrefix(f.Source)
	if err != nil || !source.Addr().Is4() {
		return client.Forwarded{}, fault.Field("source", "%q is no IPv4 address with a prefix length, such as 10.0.0.250/24", f.Source)
	}
	target, err := netip.ParseAddr(f.Address)
	if err != nil || !source.Contains(target) || target == source.Addr() {
		return client.Forwarded{}, fault.Field("address", "%q is no other address within %s", f.Address, source.Masked())
	}
	if f.Port < 1 || f.Port > 65535 {
		return client.Forwarded{}, fault.Field("port", "%d is no TCP port", f.Port)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		return client.Forwarded{}, fault.Errorf(fault.Conflict, "the lab is stopping")
	}
	s.next++
	id := strconv.Itoa(s.next)
	d, err := s.build(f.VLAN, source, netip.AddrPortFrom(target, uint16(f.Port)), id)
	if err != nil {
		return client.Forwarded{}, err
	}
	s.all[id] = d
	return client.Forwarded{ID: id, Listen: d.listener.Addr().String()}, nil
}

func (s *roads) build(vlan int, source netip.Prefix, target netip.AddrPort, id string) (*road, error) {
	port, err := s.rack.sw.AddUplink(vlan)
	if err != nil {
		return nil, err
	}
	host, err := netstack.NewOn(port, netstack.Config{MAC: s.rack.seed.MAC(fmt.Sprintf("road %s %s", source, id)), Addr: source})
	if err != nil {
		s.rack.sw.RemovePort(port)
		return nil, err
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		s.rack.sw.RemovePort(port)
		_ = host.Close()
		return nil, fault.E(fault.Unavailable, "open a port", err)
	}
	port.Plug(host)
	ctx, cancel := context.WithCancel(context.Background())
	d := &road{
		target: target, listener: listener, port: port, host: host, remove: s.rack.sw.RemovePort, cancel: cancel,
		log: s.rack.options.Log.With("road", target, "vlan", vlan),
	}
	d.wait.Go(func() { d.accept(ctx) })
	return d, nil
}

func (s *roads) close(id string) error {
	s.mu.Lock()
	d := s.all[id]
	delete(s.all, id)
	s.mu.Unlock()
	if d == nil {
		return fault.Errorf(fault.NotFound, "the lab has no road %s", id)
	}
	d.close()
	return nil
}

func (s *roads) closeAll() {
	s.mu.Lock()
	all := s.all
	s.all = nil
	s.mu.Unlock()
	for _, d := range all {
		d.close()
	}
}

func (d *road) close() {
	d.cancel()
	_ = d.listener.Close()
	d.wait.Wait()
	d.remove(d.port)
	_ = d.host.Close()
}

func (d *road) accept(ctx context.Context) {
	for {
		near, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.wait.Go(func() { d.carry(ctx, near) })
	}
}

// carry joins a connection with one to the target until both directions have ended.
func (d *road) carry(ctx context.Context, near net.Conn) {
	defer func() { _ = near.Close() }()
	dial, cancel := context.WithTimeout(ctx, dialTimeout)
	far, err := d.host.DialContext(dial, "tcp", d.target.String())
	cancel()
	if err != nil {
		d.log.Debug("the target does not answer", "err", err)
		return
	}
	defer func() { _ = far.Close() }()
	stop := context.AfterFunc(ctx, func() {
		_ = near.Close()
		_ = far.Close()
	})
	defer stop()
	back := make(chan struct{})
	go func() {
		defer close(back)
		pour(near, far)
	}()
	pour(far, near)
	<-back
}

// pour copies until from ends and then ends the other side's reading.
func pour(to, from net.Conn) {
	_, err := io.Copy(to, from)
	half, ok := to.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		_ = to.Close()
		_ = from.Close()
	}
}
