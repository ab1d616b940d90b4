package peer

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// maxPassed bounds a packet that one daemon passes to the other, in bytes, with the address that it came from.
const maxPassed = 8192

// Loan is the media sockets of a daemon that another one takes over from. Both write to them. Once diverted, the other
// one reads them, and passes the packets on that are for peers of this one.
type Loan struct {
	// Sockets are the UDP sockets. Listener is that of MediaTCPPort, nil for none.
	Sockets  []LentSocket
	Listener *net.TCPListener
}

// LentSocket is a UDP socket on loan.
type LentSocket struct {
	*net.UDPConn
	lent *lent
}

// Lend returns the media sockets. All peers continue to use them.
func (n *Network) Lend() Loan {
	l := Loan{Listener: n.listener}
	if n.port == nil {
		return l
	}
	n.port.mu.Lock()
	defer n.port.mu.Unlock()
	for _, a := range n.port.order {
		s := n.port.sockets[a].lent
		inner := s.PacketConn
		if h, ok := inner.(*heir); ok {
			inner = h.PacketConn
		}
		if udp, ok := inner.(*net.UDPConn); ok {
			l.Sockets = append(l.Sockets, LentSocket{udp, s})
		}
	}
	return l
}

// passedPath returns the path of the socket in a folder by which packets of a lent socket are passed on.
func passedPath(dir string, i int) string {
	return filepath.Join(dir, "media-"+strconv.Itoa(i)+".sock")
}

// Divert reads the packets from Unix sockets in a folder from now on, by which the other daemon passes them on.
func (l Loan) Divert(dir string) error {
	for i, s := range l.Sockets {
		from, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: passedPath(dir, i), Net: "unixgram"})
		if err != nil {
			l.Return()
			return err
		}
		s.lent.divert(from)
	}
	return nil
}

// Return makes this daemon read its sockets again.
func (l Loan) Return() {
	for _, s := range l.Sockets {
		s.lent.restore()
	}
}

// Retire closes the listener of MediaTCPPort. Its connections stay.
func (l Loan) Retire() error {
	if l.Listener == nil {
		return nil
	}
	return l.Listener.Close()
}

// lent is a UDP socket whose packets may come from another daemon.
type lent struct {
	net.PacketConn

	// own is held while the socket itself is read.
	own    sync.Mutex
	from   atomic.Pointer[net.UnixConn] // nil: from the socket itself
	closed atomic.Bool
	buffer []byte // of the reader of from
}

// divert returns when nothing reads the socket itself any more.
func (l *lent) divert(from *net.UnixConn) {
	l.from.Store(from)
	_ = l.SetReadDeadline(time.Now()) // wakes the reader; a closed socket has none
	l.own.Lock()
	defer l.own.Unlock()
}

func (l *lent) restore() {
	_ = l.SetReadDeadline(time.Time{})
	if from := l.from.Swap(nil); from != nil {
		_ = from.Close() // wakes the reader
	}
}

// Close implements net.PacketConn.
func (l *lent) Close() error {
	l.closed.Store(true)
	err := l.PacketConn.Close()
	l.restore()
	return err
}

// ReadFrom implements net.PacketConn. It has one caller at a time.
func (l *lent) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		from := l.from.Load()
		if from == nil {
			n, address, err := l.readOwn(b)
			if errors.Is(err, os.ErrDeadlineExceeded) && !l.closed.Load() {
				continue // it was diverted or restored just now
			}
			return n, address, err
		}
		if l.buffer == nil {
			l.buffer = make([]byte, maxPassed)
		}
		n, err := from.Read(l.buffer)
		if err != nil {
			if l.closed.Load() {
				return 0, nil, net.ErrClosed
			}
			l.from.CompareAndSwap(from, nil)
			_ = l.SetReadDeadline(time.Time{})
			continue
		}
		if address, packet, ok := unpack(l.buffer[:n]); ok {
			return copy(b, packet), net.UDPAddrFromAddrPort(address), nil
		}
	}
}

// readOwn reads the socket itself.
func (l *lent) readOwn(b []byte) (int, net.Addr, error) {
	l.own.Lock()
	defer l.own.Unlock()
	if l.from.Load() != nil {
		return 0, nil, os.ErrDeadlineExceeded
	}
	return l.PacketConn.ReadFrom(b)
}

// pack writes a packet and the address that it came from into b, which has room for them.
func pack(b []byte, from netip.AddrPort, packet []byte) ([]byte, error) {
	address, err := from.MarshalBinary()
	if err != nil {
		return nil, err
	}
	if len(address) > math.MaxUint8 {
		return nil, fmt.Errorf("address of %d bytes; a packet is passed on with at most %d", len(address), math.MaxUint8)
	}
	b = append(b[:0], byte(len(address)))
	return append(append(b, address...), packet...), nil
}

// unpack reads what pack has written.
func unpack(b []byte) (from netip.AddrPort, packet []byte, ok bool) {
	if len(b) == 0 {
		return from, nil, false
	}
	end := 1 + int(b[0]) // a byte holds no sum above 255
	if len(b) < end {
		return from, nil, false
	}
	err := from.UnmarshalBinary(b[1:end])
	return from, b[end:], err == nil
}
