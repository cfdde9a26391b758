package main

import (
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
)

// cable is between a process and its database, and can be pulled: what was sent stays on the way, and nothing is refused.
type cable struct {
	*net.UnixListener
	server string // the database's socket

	mu     sync.Mutex
	pulled chan struct{} // closed while the cable is in
	conns  map[net.Conn]bool
}

// newCable makes a cable to the database at dsn, and returns it and the URL of its other end.
func newCable(t *testing.T, dsn string) (*cable, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	const socket = ".s.PGSQL.5432"
	q := u.Query()
	c := &cable{server: filepath.Join(q.Get("host"), socket), conns: map[net.Conn]bool{}}
	dir := t.TempDir()
	if c.UnixListener, err = net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, socket)}); err != nil {
		t.Fatal(err)
	}
	c.plug()
	go c.accept()
	t.Cleanup(func() { _ = c.Close(); c.plug(); c.drop() })
	q.Set("host", dir)
	u.RawQuery = q.Encode()
	return c, u.String()
}

// pull takes the cable out: nothing passes in either direction until plug.
func (c *cable) pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = make(chan struct{})
}

// plug puts the cable in. What was connected before is broken, as it is after minutes.
func (c *cable) plug() {
	c.mu.Lock()
	was := c.pulled
	in := make(chan struct{})
	close(in)
	c.pulled = in
	c.mu.Unlock()
	if was != nil {
		select {
		case <-was:
		default:
			close(was)
			c.drop()
		}
	}
}

// drop breaks all connections.
func (c *cable) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		_ = conn.Close()
	}
	clear(c.conns)
}

func (c *cable) accept() {
	for {
		near, err := c.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("unix", c.server)
		if err != nil {
			_ = near.Close()
			continue
		}
		c.mu.Lock()
		c.conns[near], c.conns[far] = true, true
		c.mu.Unlock()
		go c.carry(near, far)
		go c.carry(far, near)
	}
}

func (c *cable) carry(to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		c.mu.Lock()
		in := c.pulled
		c.mu.Unlock()
		<-in
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
