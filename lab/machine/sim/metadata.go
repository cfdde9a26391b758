package sim

import (
	"bufio"
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/agent/configdrive"
	"github.com/hagane-cloud/hagane/lab/netstack"
	"github.com/hagane-cloud/hagane/osimage/instance"
)

// settings is what a config drive asks for, as far as the small operating system goes.
type settings struct {
	hostname string
	keys     []string // authorized_keys lines
	userData []byte
	links    []link
	mounts   []instance.Mount
}

// link is an address on an untagged interface.
type link struct {
	mac     string
	addr    netip.Prefix
	gateway netip.Addr
	mtu     int
}

func readSettings(drive configdrive.Drive) (settings, error) {
	i, err := instance.Parse(drive)
	if err != nil {
		return settings{}, err
	}
	s := settings{hostname: i.Hostname, keys: i.Keys, userData: i.UserData, mounts: i.Mounts}
	for _, n := range i.NICs {
		for _, addr := range n.Addresses {
			if n.VLAN != 0 || !addr.Addr().Is4() {
				continue // the lab's small system uses no others
			}
			l := link{mac: n.MAC, addr: addr, mtu: n.MTU}
			for _, r := range n.Routes {
				if r.To.Bits() == 0 && r.To.Addr().Is4() {
					l.gateway = r.Via
				}
			}
			s.links = append(s.links, l)
		}
	}
	return s, nil
}

// metadataAddress is where clouds answer a server's questions about itself.
var metadataAddress = netip.MustParsePrefix("169.254.169.254/32")

const maxMetadata = 1 << 20

// metadata asks the cloud for a path, over the first NIC that is up.
func (o *system) metadata(ctx context.Context, path string) (text string, status uint32) {
	for _, n := range o.nics {
		if n.host == nil {
			continue
		}
		client := &http.Client{Transport: &http.Transport{DialContext: n.host.DialContext}}
		defer client.CloseIdleConnections()
		body, err := fetch(ctx, client, "http://"+metadataAddress.Addr().String()+"/"+strings.TrimPrefix(path, "/"), maxMetadata)
		if err != nil {
			return err.Error() + "\n", 22
		}
		return string(body), 0
	}
	return "no NIC is up\n", 7
}

// connectTime is how long a connection within the lab may take, and a greeting on it.
const connectTime = time.Second

// connect connects to a TCP port, over the NIC that is on the address's network or else the first one that is up, and prints the
// line with which it is greeted.
func (o *system) connect(ctx context.Context, address string) (text string, status uint32) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err.Error() + "\n", 2
	}
	var host *netstack.Host
	for _, n := range o.nics {
		if n.host != nil && (host == nil || n.host.Address().Contains(to.Addr())) {
			host = n.host
		}
	}
	if host == nil {
		return "no NIC is up\n", 7
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	conn, err := host.DialContext(ctx, "tcp", address)
	if err != nil {
		return err.Error() + "\n", 7
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetReadDeadline(time.Now().Add(connectTime))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "connected, but not greeted: " + err.Error() + "\n", 28
	}
	return line, 0
}
