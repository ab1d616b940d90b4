package api

import (
	"net"
	"sync"
)

// limitListener accepts only so many connections at a time. Further ones wait in the kernel's backlog.
type limitListener struct {
	net.Listener
	slots  chan struct{} // one element for each open connection; full blocks Accept
	closed chan struct{}
	once   sync.Once
}

var _ net.Listener = (*limitListener)(nil)

func newLimitListener(ln net.Listener, most int) *limitListener {
	return &limitListener{Listener: ln, slots: make(chan struct{}, most), closed: make(chan struct{})}
}

func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitConn{Conn: c, release: func() { <-l.slots }}, nil
}

func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitConn struct {
	net.Conn
	once    sync.Once
	release func()
}

func (c *limitConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.release)
	return err
}
