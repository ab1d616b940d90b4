package x11

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// errTimeout and errWoken are how conn.wait comes back without an event.
var (
	errTimeout = errors.New("x11: timeout")
	errWoken   = errors.New("x11: woken")
)

// lossError is a connection that cannot be used any more.
type lossError struct{ err error }

func (e lossError) Error() string { return e.err.Error() }
func (e lossError) Unwrap() error { return e.err }

// requestError is the server's answer to a request that it could not do.
type requestError struct{ code, major, minor byte }

var errorNames = []string{
	"", "Request", "Value", "Window", "Pixmap", "Atom", "Cursor", "Font", "Match", "Drawable", "Access", "Alloc", "Colormap",
	"GContext", "IDChoice", "Name", "Length", "Implementation",
}

func (e requestError) Error() string {
	name := fmt.Sprintf("error %d", e.code)
	if int(e.code) < len(errorNames) {
		name = "Bad" + errorNames[e.code]
	}
	return fmt.Sprintf("X request %d.%d: %s", e.major, e.minor, name)
}

func parseError(b []byte) requestError {
	return requestError{code: b[1], minor: b[8], major: b[10]}
}

// Kinds of a message from the server, its first byte.
const (
	kindError   = 0
	kindReply   = 1
	kindGeneric = 35 // an event with a body
)

// replyLimit is how long a reply, or the next part of one, may take. The connection is given up then.
const replyLimit = 10 * time.Second

// errSilent is a server that does not do what it is asked.
var errSilent = fmt.Errorf("it has not answered for %v", replyLimit)

// errTooLong is a reply that is not kept.
var errTooLong = errors.New("x11: a reply is too long")

// maxBody bounds a reply that is kept whole: the damaged region's and the cursor's.
const maxBody = 16 << 20

// conn is a connection to an X server for one goroutine, which sends requests and reads replies and events itself: there
// is no reader beside it to hand anything over. wake and close may be called by others.
type conn struct {
	nc      net.Conn
	name    displayName
	setup   setup
	onEvent func(event []byte)

	out    []byte // requests not yet sent
	seq    uint16 // of the request last put in out
	nextID uint32

	checked  uint16 // the request whose error is wanted though it has no reply
	checkErr error

	in   []byte // in[r:w] is read and not yet used
	r, w int
	skip int // bytes of an unwanted reply still to come

	born     time.Time
	answered atomic.Int64 // when the last part of a reply came, in nanoseconds after born

	mu       sync.Mutex // guards what wake touches, and the order of its deadline and arm's
	woken    bool
	deadline time.Time // in force
}

func newConn(nc net.Conn, d displayName, s setup) *conn {
	return &conn{born: time.Now(), nc: nc, name: d, setup: s, in: make([]byte, 64<<10), onEvent: func([]byte) {}}
}

// hear notes that the server does what it is asked. Events do not show that: they come while another client has grabbed the server.
func (c *conn) hear() { c.answered.Store(int64(time.Since(c.born))) }

func (c *conn) heard() time.Time { return c.born.Add(time.Duration(c.answered.Load())) }

func (c *conn) close() { c.nc.Close() }

// id returns a new resource id. A Source uses a handful, and at each resize one more, of the two million a client has.
func (c *conn) id() uint32 {
	c.nextID++
	return c.setup.idBase | c.nextID&c.setup.idMask
}

// send puts a request of 32-bit words in line and returns its sequence number. data is the header's second byte: the
// minor opcode for an extension's requests.
func (c *conn) send(op, data byte, words ...uint32) uint16 {
	c.out = append(c.out, op, data)
	c.out = le.AppendUint16(c.out, uint16(1+len(words)))
	for _, w := range words {
		c.out = le.AppendUint32(c.out, w)
	}
	c.seq++
	return c.seq
}

// flush sends the requests in line.
func (c *conn) flush() error {
	if err := c.nc.SetWriteDeadline(time.Now().Add(replyLimit)); err != nil {
		return lossError{err}
	}
	_, err := c.nc.Write(c.out)
	c.out = c.out[:0]
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errSilent
	}
	if err != nil {
		return lossError{err}
	}
	return nil
}

// await flushes, then reads until the reply to request seq, which it returns; it is valid until the next read.
// Events on the way are handed to onEvent. When ctx ends first, the reply is dropped when it comes.
func (c *conn) await(ctx context.Context, seq uint16) ([]byte, error) {
	body, err := c.awaitHead(ctx, seq)
	if err != nil {
		return nil, err
	}
	if body > maxBody {
		c.drop(32, body)
		return nil, fmt.Errorf("%w: %d bytes", errTooLong, body)
	}
	if err := c.fillReply(ctx, 32+body); err != nil {
		return nil, err
	}
	reply := c.in[c.r : c.r+32+body]
	c.r += 32 + body
	return reply, nil
}

// check waits until a request that has no reply is done and returns its error.
func (c *conn) check(ctx context.Context, seq uint16) error {
	c.checked, c.checkErr = seq, nil
	if _, err := c.await(ctx, c.send(opGetInputFocus, 0)); err != nil {
		return err
	}
	return c.checkErr
}

// awaitHead is await but for the reply's body: the head lies at in[r:], and how many bytes follow it is returned.
func (c *conn) awaitHead(ctx context.Context, seq uint16) (int, error) {
	if err := c.flush(); err != nil {
		return 0, err
	}
	limit := time.Now().Add(replyLimit)
	for {
		kind, body, err := c.peek(limit)
		if errors.Is(err, errWoken) || errors.Is(err, errTimeout) {
			if err := expired(ctx, limit); err != nil {
				return 0, err
			}
			continue
		}
		if err != nil {
			return 0, err
		}
		of := le.Uint16(c.in[c.r+2:])
		if of == seq && kind <= kindReply {
			c.hear()
		}
		switch {
		case kind == kindReply && of == seq:
			return body, nil
		case kind == kindError && of == seq:
			e := parseError(c.in[c.r:])
			c.drop(32, 0)
			return 0, e
		default:
			if err := c.consume(kind, body); err != nil {
				return 0, err
			}
		}
	}
}

// wait reads one message and hands it to onEvent if it is an event. It returns errTimeout at the deadline, unless that is
// zero, and errWoken after wake.
func (c *conn) wait(deadline time.Time) error {
	kind, body, err := c.peek(deadline)
	if err != nil {
		return err
	}
	return c.consume(kind, body)
}

// consume deals with the message at in[r:] that nobody awaits.
func (c *conn) consume(kind byte, body int) error {
	switch {
	case kind > kindReply:
		c.onEvent(c.in[c.r : c.r+32+body])
	case kind == kindError && le.Uint16(c.in[c.r+2:]) == c.checked:
		c.checkErr = parseError(c.in[c.r:])
	}
	// Else it is the reply to a request that was given up, or the error of one whose failing changes nothing.
	c.drop(32, body)
	return nil
}

// drop passes over a head that is in the buffer and a body that may not be.
func (c *conn) drop(head, body int) {
	c.r += head
	have := min(body, c.w-c.r)
	c.r += have
	c.skip = body - have
}

// peek waits until a message's head, and an event's body, is in the buffer.
func (c *conn) peek(deadline time.Time) (kind byte, body int, err error) {
	for c.skip > 0 {
		if err := c.fill(1, deadline); err != nil {
			return 0, 0, err
		}
		c.drop(0, c.skip)
	}
	if err := c.fill(32, deadline); err != nil {
		return 0, 0, err
	}
	kind = c.in[c.r] & 0x7f // the top bit marks events that other clients made
	if kind == kindReply || kind == kindGeneric {
		body = 4 * int(le.Uint32(c.in[c.r+4:]))
	}
	if kind == kindGeneric {
		if body > maxBody {
			return 0, 0, lossError{fmt.Errorf("x11: an event of %d bytes", body)}
		}
		if err := c.fill(32+body, deadline); err != nil {
			return 0, 0, err
		}
	}
	return kind, body, nil
}

// fillReply is fill for a reply that is on its way: a wake does not stop it.
func (c *conn) fillReply(ctx context.Context, n int) error {
	limit := time.Now().Add(replyLimit)
	for {
		err := c.fill(n, limit)
		if !errors.Is(err, errWoken) && !errors.Is(err, errTimeout) {
			c.hear()
			return err
		}
		if err := expired(ctx, limit); err != nil {
			return err
		}
	}
}

// expired returns why a reply is waited for no longer, or nil.
func expired(ctx context.Context, limit time.Time) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !time.Now().Before(limit):
		return lossError{errSilent}
	}
	return nil
}

// fill reads until n bytes are in the buffer.
func (c *conn) fill(n int, deadline time.Time) error {
	for c.w-c.r < n {
		if c.r == c.w {
			c.r, c.w = 0, 0
		}
		if len(c.in)-c.r < n {
			to := c.in
			if len(to) < n {
				to = make([]byte, n+n/4)
			}
			c.w = copy(to, c.in[c.r:c.w])
			c.in, c.r = to, 0
		}
		m, err := c.read(c.in[c.w:], deadline)
		c.w += m
		if err != nil {
			return err
		}
	}
	return nil
}

// read reads what the socket has.
func (c *conn) read(p []byte, deadline time.Time) (int, error) {
	if err := c.arm(deadline); err != nil {
		return 0, err
	}
	n, err := c.nc.Read(p)
	switch {
	case n > 0 || err == nil:
		return n, nil
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return 0, lossError{err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.woken {
		c.woken = false
		return 0, errWoken
	}
	return 0, errTimeout
}

func (c *conn) arm(deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.woken {
		c.woken = false
		return errWoken
	}
	if c.deadline.Equal(deadline) {
		return nil
	}
	c.deadline = deadline
	if err := c.nc.SetReadDeadline(deadline); err != nil {
		return lossError{err}
	}
	return nil
}

// wake makes the wait under way, or the one to come, return errWoken.
func (c *conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.woken = true
	c.deadline = time.Unix(1, 0)
	// An error means that the socket is closed, and the reader knows.
	_ = c.nc.SetReadDeadline(c.deadline)
}
