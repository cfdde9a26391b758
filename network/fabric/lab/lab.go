// Package lab is the fabric driver for the switch of the lab (package lab/vswitch): HTTP with JSON on a
// unix socket. The cloud also plugs its own network stack into the switch through it.
package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network/fabric"
)

const exchange = 10 * time.Second // the longest that one request takes

// Driver configures the lab's switch.
type Driver struct {
	socket string
	client *http.Client
}

var (
	_ fabric.Driver   = (*Driver)(nil)
	_ fabric.Uplinker = (*Driver)(nil)
	_ fabric.Filterer = (*Driver)(nil)
	_ fabric.Opener   = Open
)

// Open returns a driver for the switch at a.Address (unix:///absolute/path). It does not reach out yet.
func Open(_ context.Context, a fabric.Access) (fabric.Driver, error) {
	u, err := url.Parse(a.Address)
	if err != nil || u.Scheme != "unix" || u.Host != "" || !strings.HasPrefix(u.Path, "/") {
		return nil, fault.Field("address", "%q is no address of a lab's switch: unix:///absolute/path/switch.sock is one", a.Address)
	}
	d := &Driver{socket: u.Path}
	d.client = &http.Client{
		Timeout:   exchange,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.dial(ctx) }},
	}
	return d, nil
}

func (d *Driver) dial(ctx context.Context) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", d.socket)
}

// port is a port in the switch's own words.
type port struct {
	Name   string `json:"name,omitempty"`
	Access int    `json:"access"`
	Tagged []int  `json:"tagged,omitempty"`
	Up     bool   `json:"up,omitempty"`
	Uplink bool   `json:"uplink,omitempty"`

	Filters map[int]string `json:"filters,omitempty"`
}

func (p port) port() fabric.Port {
	return fabric.Port{Name: p.Name, Config: fabric.Config{Access: p.Access, Tagged: p.Tagged}, Link: p.Up, Filters: p.Filters}
}

// Ports reads all ports but the uplinks.
func (d *Driver) Ports(ctx context.Context) ([]fabric.Port, error) {
	var list struct {
		Ports []port `json:"ports"`
	}
	if err := d.do(ctx, http.MethodGet, "/ports", nil, &list); err != nil {
		return nil, err
	}
	all := make([]fabric.Port, 0, len(list.Ports))
	for _, p := range list.Ports {
		if !p.Uplink {
			all = append(all, p.port())
		}
	}
	return all, nil
}

// Port reads one port.
func (d *Driver) Port(ctx context.Context, name string) (fabric.Port, error) {
	var p port
	if err := d.do(ctx, http.MethodGet, "/ports/"+url.PathEscape(name), nil, &p); err != nil {
		return fabric.Port{}, err
	}
	return p.port(), nil
}

// SetPort makes a port carry c and reads it back.
func (d *Driver) SetPort(ctx context.Context, name string, c fabric.Config) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := d.do(ctx, http.MethodPut, "/ports/"+url.PathEscape(name), port{Access: c.Access, Tagged: c.Tagged}, nil); err != nil {
		return err
	}
	got, err := d.Port(ctx, name)
	if err != nil {
		return fault.Wrap("read the port back", err)
	}
	return got.Matches(c)
}

// filter is a filter with the sum that the switch is to show with its ports.
type filter struct {
	Sum string `json:"sum"`
	fabric.Filter
}

// SetFilter changes a filter of a port and reads it back.
func (d *Driver) SetFilter(ctx context.Context, name string, vlan int, f *fabric.Filter) error {
	if err := fabric.CheckFilter(vlan, f); err != nil {
		return err
	}
	path := "/ports/" + url.PathEscape(name) + "/filters"
	var err error
	if f == nil {
		err = d.do(ctx, http.MethodDelete, fmt.Sprintf("%s/%d", path, vlan), nil, nil)
	} else {
		err = d.do(ctx, http.MethodPut, fmt.Sprintf("%s/%d", path, vlan), filter{f.Sum(), *f}, nil)
	}
	if err != nil {
		return err
	}
	var have struct {
		Filters map[int]filter `json:"filters"`
	}
	if err := d.do(ctx, http.MethodGet, path, nil, &have); err != nil {
		return fault.Wrap("read the port's filters back", err)
	}
	var got *fabric.Filter
	if one, ok := have.Filters[vlan]; ok {
		got = &one.Filter
	}
	return fabric.Keeps(name, vlan, got, f)
}

// Close drops idle connections. Uplinks stay until they are closed.
func (d *Driver) Close() error {
	d.client.CloseIdleConnections()
	return nil
}

// Uplink plugs the caller into a VLAN. Ending ctx afterwards does not unplug it.
func (d *Driver) Uplink(ctx context.Context, vlan int) (io.ReadWriteCloser, error) {
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "reach the lab's switch; is `hagane lab` running?", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	rest, err := upgrade(ctx, conn, vlan)
	if !stop() && err == nil {
		err = fault.E(fault.Unavailable, "plug into the lab's switch", ctx.Err())
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &cable{Conn: conn, rest: rest}, nil
}

func upgrade(ctx context.Context, conn net.Conn, vlan int) (*bufio.Reader, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://switch/uplink/%d", vlan), nil)
	if err != nil {
		return nil, fault.E(fault.Internal, "ask for an uplink", err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "ethernet")
	if err := req.Write(conn); err != nil {
		return nil, fault.E(fault.Unavailable, "ask the lab's switch for an uplink", err)
	}
	read := bufio.NewReader(conn)
	res, err := http.ReadResponse(read, req)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "ask the lab's switch for an uplink", err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		defer func() { _ = res.Body.Close() }()
		return nil, refusal(res)
	}
	return read, nil
}

// cable is a connection of which the first frames may have been read ahead.
type cable struct {
	net.Conn
	rest *bufio.Reader
}

// Read returns what was read ahead first.
func (c *cable) Read(b []byte) (int, error) {
	if c.rest != nil {
		if n := c.rest.Buffered(); n > 0 {
			return c.rest.Read(b[:min(n, len(b))])
		}
		c.rest = nil
	}
	return c.Conn.Read(b)
}

// do exchanges one request; in and out may be nil.
func (d *Driver) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fault.E(fault.Internal, "write the request", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://switch"+path, body)
	if err != nil {
		return fault.E(fault.Internal, "make the request", err)
	}
	res, err := d.client.Do(req)
	if err != nil {
		return fault.E(fault.Unavailable, "reach the lab's switch; is `hagane lab` running?", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return refusal(res)
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 64<<20)).Decode(out); err != nil {
		return fault.E(fault.Unavailable, "read the answer of the lab's switch", err)
	}
	return nil
}

// refusal turns an error answer into a fault.
func refusal(res *http.Response) error {
	var said struct {
		Error string `json:"error"`
	}
	err := json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&said)
	if said.Error == "" {
		err = errors.Join(err, errors.New(res.Status))
		said.Error = "the lab's switch refused"
	} else {
		err = nil
	}
	kind := fault.Unavailable
	switch res.StatusCode {
	case http.StatusBadRequest:
		kind = fault.Invalid
	case http.StatusNotFound:
		kind = fault.NotFound
	case http.StatusConflict:
		kind = fault.Conflict
	}
	return fault.E(kind, said.Error, err)
}
