package host

import (
	"context"
	"net"
	"net/url"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// Nearby is the network on which the cloud is reached at a URL, as it is used to give images to other agents and to take
// them.
type Nearby struct{ API string }

// Listen accepts TCP connections to the address that the machine calls the cloud from, and no other, at a free port.
func (n Nearby) Listen() (net.Listener, error) {
	at, err := url.Parse(n.API)
	if err != nil {
		return nil, fault.E(fault.Invalid, "reading the cloud's URL", err)
	}
	port := at.Port()
	if port == "" {
		port = "80"
	}
	probe, err := net.Dial("udp", net.JoinHostPort(at.Hostname(), port)) // nothing is sent: the kernel chooses the address
	if err != nil {
		return nil, fault.E(fault.Unavailable, "looking for the address on the provisioning network", err)
	}
	local, _, err := net.SplitHostPort(probe.LocalAddr().String())
	_ = probe.Close()
	if err != nil {
		return nil, fault.E(fault.Internal, "looking for the address on the provisioning network", err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(local, "0"))
	if err != nil {
		return nil, fault.E(fault.Unavailable, "listening on the provisioning network", err)
	}
	return l, nil
}

// DialContext connects to another machine on it.
func (n Nearby) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext(ctx, network, address)
}
