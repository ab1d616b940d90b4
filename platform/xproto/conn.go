package xproto

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// replyLimit is the default of Conn.ReplyLimit. Servers pause for seconds while a driver or a disk does.
const replyLimit = 10 * time.Second

// Conn is a connection to an X server for one goroutine. That goroutine sends requests and reads replies and events
// itself, so no reader needs to hand anything over. Other goroutines may call Wake, Heard and Close.
type Conn struct {
	Setup  Setup
	Screen Screen // the screen in the display's name

	// OnEvent gets the events, while a method reads. It must not send requests or read. The event is valid until it
	// returns.
	OnEvent func(event []byte)
	// Refused counts the requests that the server refused, except awaited and checked ones.
	Refused int
	// ReplyLimit bounds the wait for a reply, or for its next part. After that the connection is lost. It defaults to
	// 10 s.
	ReplyLimit time.Duration

	nc    net.Conn
	local bool

	out    []byte // requests not yet sent
	seq    uint16 // the last request in out
	nextID uint32

	checked  uint16 // the request without a reply whose error is wanted
	checkErr error

	in   []byte // in[r:w] is read and not yet consumed
	r, w int
	skip int // bytes of an unwanted reply that are still to come

	born     time.Time
	answered atomic.Int64 // when the last part of a reply came, in nanoseconds after born

	mu       sync.Mutex // guards the state of Wake, and the order of its deadline and arm's
	woken    bool
	deadline time.Time // in force
}

func newConn(nc net.Conn) *Conn {
	return &Conn{
		OnEvent: func([]byte) {}, ReplyLimit: replyLimit, nc: nc, in: make([]byte, 64<<10), born: time.Now(),
	}
}

// Local reports whether the server is certainly on this machine. A TCP connection to the loopback interface may be the
// end of a tunnel.
func (c *Conn) Local() bool { return c.local }

// Heard returns the time of the last sign that the server executes requests. Events do not show that: they also come
// while another client has grabbed the server.
func (c *Conn) Heard() time.Time { return c.born.Add(time.Duration(c.answered.Load())) }

func (c *Conn) hear() { c.answered.Store(int64(time.Since(c.born))) }

// Close ends the connection. A method that reads returns a LostError.
func (c *Conn) Close() { c.nc.Close() }

// Wake makes the current or the next Wait return ErrWoken. A method that waits for a reply looks at its context.
func (c *Conn) Wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.woken = true
	c.deadline = time.Unix(1, 0)
	// An error means that the socket is closed. The reader finds out.
	_ = c.nc.SetReadDeadline(c.deadline)
}

// NewID returns a new resource ID. A client has two million and the server's numbers are not reused.
func (c *Conn) NewID() uint32 {
	c.nextID++
	return c.Setup.idBase | c.nextID&c.Setup.idMask
}

// Send queues a request of 32-bit words and returns its sequence number. data is the second byte of the header: the
// minor opcode for requests of an extension. The queue is sent when a reply is awaited.
func (c *Conn) Send(op, data byte, words ...uint32) uint16 {
	c.out = append(c.out, op, data)
	c.out = le.AppendUint16(c.out, uint16(1+len(words)))
	for _, w := range words {
		c.out = le.AppendUint32(c.out, w)
	}
	c.seq++
	return c.seq
}

// flush sends the queued requests.
func (c *Conn) flush() error {
	if err := c.nc.SetWriteDeadline(time.Now().Add(c.ReplyLimit)); err != nil {
		return LostError{err}
	}
	_, err := c.nc.Write(c.out)
	c.out = c.out[:0]
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = SilentError{c.ReplyLimit}
	}
	if err != nil {
		return LostError{err}
	}
	return nil
}
