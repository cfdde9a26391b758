package ipmi

import (
	"errors"
	"net"
	"sync"
)

// line is the socket to a BMC. The library sends a datagram again that was not answered in time, as a new command: a slow
// BMC would carry a reset out twice. While a line is strict, a datagram goes out once, however often it is written. The
// library's own patience can not be changed for that: it keeps sessions alive in a goroutine that reads it.
type line struct {
	net.Conn

	mu   sync.Mutex
	sent map[string]bool // while strict
}

// strict begins and ends that datagrams go out once only.
func (l *line) strict(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = nil
	if on {
		l.sent = map[string]bool{}
	}
}

// Write sends a datagram.
func (l *line) Write(b []byte) (int, error) {
	l.mu.Lock()
	again := l.sent[string(b)]
	if l.sent != nil {
		l.sent[string(b)] = true
	}
	l.mu.Unlock()
	if again {
		return len(b), nil
	}
	return l.Conn.Write(b)
}

// errOver is what a line says when it is closed, though it is. The library forgets a connection that closes well, and then falls over the
// gap, or opens another one, when its goroutine that keeps the session alive is just asking. One that it keeps refuses to be written to.
var errOver = errors.New("ipmi: the line is closed")

// Close closes the socket, and returns errOver.
func (l *line) Close() error { return errors.Join(errOver, l.Conn.Close()) }

// dialer makes the line of one client.
type dialer struct {
	address string
	line    *line // once it is there
}

// Dial opens the socket. The library's own word for the address does not do for IPv6.
func (d *dialer) Dial(network, _ string) (net.Conn, error) {
	conn, err := net.Dial(network, d.address)
	if err != nil {
		return nil, err
	}
	d.line = &line{Conn: conn}
	return d.line, nil
}
