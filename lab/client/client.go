// Package client is what a running lab says of itself, and how to ask it: the file lab.json in the data
// folder and the control API on the socket beside it. The demo and tests use it.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// The paths of a lab below the data folder.
const (
	folder     = "lab"
	fileLab    = "lab.json"
	fileSocket = "lab.sock"
	fileSwitch = "switch.sock"
)

// Folder returns the lab's folder in a data folder.
func Folder(data string) string { return filepath.Join(data, folder) }

// File returns the path of lab.json.
func File(data string) string { return filepath.Join(data, folder, fileLab) }

// Socket returns the path of the control API's socket.
func Socket(data string) string { return filepath.Join(data, folder, fileSocket) }

// SwitchSocket returns the path of the switch's socket.
func SwitchSocket(data string) string { return filepath.Join(data, folder, fileSwitch) }

// Lab is a running lab, as lab.json has it.
type Lab struct {
	Machine  string `json:"machine"` // sim or qemu
	Seed     uint64 `json:"seed"`
	Switch   string `json:"switch"`   // address of the switch, unix:///…
	Enrolled bool   `json:"enrolled"` // the cloud knows all nodes
	Nodes    []Node `json:"nodes"`
}

// Node is a machine and how to reach its BMC.
type Node struct {
	Name    string `json:"name"`
	Mode    string `json:"mode"` // uefi or bios
	Serial  string `json:"serial"`
	UUID    string `json:"uuid"`
	BMC     BMC    `json:"bmc"`
	NICs    []NIC  `json:"nics"`
	Disks   []Disk `json:"disks"`
	Console string `json:"console"` // file
}

// BMC is how to reach a BMC.
type BMC struct {
	Driver   string `json:"driver"`  // redfish, ipmi, ribcl, wsman or scci
	Address  string `json:"address"` // URL; ipmi: host:port
	Username string `json:"username"`
	Password string `json:"password"`
	IPMI     string `json:"ipmi,omitempty"` // host:port, of a BMC that speaks IPMI beside another protocol
}

// NIC is a network interface and its switch port.
type NIC struct {
	MAC  string `json:"mac"`
	Port string `json:"port"`
	// Plane is data or storage. The first NIC is that which boots over the network.
	Plane string `json:"plane"`
}

// Disk is a disk.
type Disk struct {
	Bus    string `json:"bus"`
	Bytes  int64  `json:"bytes"`
	Serial string `json:"serial"`
}

// Machine is how a machine is doing.
type Machine struct {
	Name       string    `json:"name"`
	On         bool      `json:"on"`
	Since      time.Time `json:"since"`
	Boots      int       `json:"boots"`
	BootedFrom string    `json:"booted_from"`
	Mode       string    `json:"mode"`
	Boot       string    `json:"boot"` // the override in force
	Persistent bool      `json:"persistent"`
	Ended      string    `json:"ended,omitempty"` // why it was last off
	Console    string    `json:"console"`
}

// Forward asks for a road into a VLAN.
type Forward struct {
	VLAN    int    `json:"vlan"`
	Address string `json:"address"` // to reach, IPv4
	Port    int    `json:"port"`
	Source  string `json:"source"` // address that the lab takes in the VLAN, with its prefix length: 10.0.0.250/24
}

// Forwarded is an open road.
type Forwarded struct {
	ID     string `json:"id"`
	Listen string `json:"listen"` // 127.0.0.1:PORT; connections to it reach the address
}

// Read reads lab.json in a data folder. It returns NotFound when no lab has started there.
func Read(data string) (Lab, error) {
	var l Lab
	text, err := os.ReadFile(File(data))
	if os.IsNotExist(err) {
		return l, fault.Errorf(fault.NotFound, "no lab runs in %s: start one with hagane lab --data %s", data, data)
	}
	if err != nil {
		return l, fault.E(fault.Internal, "read lab.json", err)
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return l, fault.E(fault.Internal, "read lab.json", err)
	}
	return l, nil
}

// Client asks a lab's control API.
type Client struct{ http *http.Client }

// New returns a client of the lab in a data folder. It does not reach out yet.
func New(data string) *Client {
	socket := Socket(data)
	return &Client{&http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Machines returns how all machines are doing, by name.
func (c *Client) Machines(ctx context.Context) ([]Machine, error) {
	var list struct {
		Machines []Machine `json:"machines"`
	}
	err := c.do(ctx, http.MethodGet, "/machines", nil, &list)
	return list.Machines, err
}

// Machine returns how one machine is doing.
func (c *Client) Machine(ctx context.Context, name string) (Machine, error) {
	var m Machine
	err := c.do(ctx, http.MethodGet, "/machines/"+url.PathEscape(name), nil, &m)
	return m, err
}

// Blank has a disk read from end to end.
func (c *Client) Blank(ctx context.Context, name string, disk int) (machine.Blankness, error) {
	var b machine.Blankness
	err := c.do(ctx, http.MethodGet, fmt.Sprintf("/machines/%s/disk/%d/blank", url.PathEscape(name), disk), nil, &b)
	return b, err
}

// Console returns what a machine wrote to its serial console from a byte offset on.
func (c *Client) Console(ctx context.Context, name string, from int64) ([]byte, error) {
	var text bytes.Buffer
	err := c.do(ctx, http.MethodGet, "/machines/"+url.PathEscape(name)+"/console?from="+strconv.FormatInt(from, 10), nil, &text)
	return text.Bytes(), err
}

// Forward opens a road into a VLAN; it stays open until Unforward or the end of the lab.
func (c *Client) Forward(ctx context.Context, f Forward) (Forwarded, error) {
	var got Forwarded
	err := c.do(ctx, http.MethodPost, "/forward", f, &got)
	return got, err
}

// Unforward closes a road and its connections.
func (c *Client) Unforward(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/forward/"+url.PathEscape(id), nil, nil)
}

// do exchanges one request; an out of type *bytes.Buffer takes the body as it is.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fault.E(fault.Internal, "write the request", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://lab"+path, bytes.NewReader(body))
	if err != nil {
		return fault.E(fault.Internal, "make the request", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fault.E(fault.Unavailable, "reach the lab; is `hagane lab` running?", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode >= http.StatusBadRequest {
		return refusal(res)
	}
	switch to := out.(type) {
	case nil:
		return nil
	case *bytes.Buffer:
		_, err = to.ReadFrom(res.Body)
	default:
		err = json.NewDecoder(res.Body).Decode(out)
	}
	if err != nil {
		return fault.E(fault.Unavailable, "read the lab's answer", err)
	}
	return nil
}

func refusal(res *http.Response) error {
	var said struct {
		Error string `json:"error"`
	}
	_ = json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&said)
	kind := fault.Unavailable
	switch res.StatusCode {
	case http.StatusBadRequest:
		kind = fault.Invalid
	case http.StatusNotFound:
		kind = fault.NotFound
	case http.StatusConflict:
		kind = fault.Conflict
	}
	if said.Error == "" {
		said.Error = "the lab answered " + res.Status
	}
	return fault.Errorf(kind, "%s", said.Error)
}
