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

// conn.wait returns errTimeout and errWoken when it has no event.
var (
	errTimeout = errors.New("x11: timeout")
	errWoken   = errors.New("x11: woken")
)

// lossError means that the connection is unusable.
type lossError struct{ err error }

func (e lossError) Error() string { return e.err.Error() }
func (e lossError) Unwrap() error { return e.err }

// requestError is the server's error for a request.
type requestError struct{ code, major, minor byte }

var errorNames = []string{
	"",
	"Request",
	"Value",
	"Window",
	"Pixmap",
	"Atom",
	"Cursor",
	"Font",
	"Match",
	"Drawable",
	"Access",
	"Alloc",
	"Colormap",
	"GContext",
	"IDChoice",
	"Name",
	"Length",
	"Implementation",
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

// Kinds of messages from the server: the first byte.
const (
	kindError   = 0
	kindReply   = 1
	kindGeneric = 35 // an event with a body
)

// replyLimit bounds the wait for a reply, or for its next part. After that the connection is given up.
const replyLimit = 10 * time.Second

// errSilent means that the server does not execute requests.
var errSilent = fmt.Errorf("it has not answered for %v", replyLimit)

// errTooLong means that a reply is too long to keep.
var errTooLong = errors.New("x11: a reply is too long")

// maxBody bounds a reply that is kept whole: the damaged region and the cursor.
const maxBody = 16 << 20

// conn is a connection to an X server for one goroutine. That goroutine sends requests and reads replies and events
// itself, so no reader needs to hand anything over. Other goroutines may call wake and close.
type conn struct {
	nc      net.Conn
	name    displayName
	setup   setup
	onEvent func(event []byte)

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

	mu       sync.Mutex // guards the state of wake, and the order of its deadline and arm's
	woken    bool
	deadline time.Time // in force
}

func newConn(nc net.Conn, d displayName, s setup) *conn {
	return &conn{born: time.Now(), nc: nc, name: d, setup: s, in: make([]byte, 64<<10), onEvent: func([]byte) {}}
}

// hear records that the server executes requests. Events do not show that: they also come while another client has
// grabbed the server.
func (c *conn) hear() { c.answered.Store(int64(time.Since(c.born))) }

func (c *conn) heard() time.Time { return c.born.Add(time.Duration(c.answered.Load())) }

func (c *conn) close() { c.nc.Close() }

// id returns a new resource ID. A client has two million; a Source uses a handful, plus one at each resize.
func (c *conn) id() uint32 {
	c.nextID++
	return c.setup.idBase | c.nextID&c.setup.idMask
}

// send queues a request of 32-bit words and returns its sequence number. data is the second byte of the header: the
// minor opcode for requests of an extension.
func (c *conn) send(op, data byte, words ...uint32) uint16 {
	c.out = append(c.out, op, data)
	c.out = le.AppendUint16(c.out, uint16(1+len(words)))
	for _, w := range words {
		c.out = le.AppendUint32(c.out, w)
	}
	c.seq++
	return c.seq
}

// flush sends the queued requests.
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

// await flushes, then reads until the reply to request seq, and returns it. The reply is valid until the next read.
// onEvent gets the events in between. If ctx ends first, the reply is dropped when it comes.
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

// check waits until a request without a reply is done, and returns its error.
func (c *conn) check(ctx context.Context, seq uint16) error {
	c.checked, c.checkErr = seq, nil
	if _, err := c.await(ctx, c.send(opGetInputFocus, 0)); err != nil {
		return err
	}
	return c.checkErr
}

// awaitHead is await without the reply's body. The head lies at in[r:]; the result is the number of bytes that follow.
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

// wait reads one message and passes it to onEvent if it is an event. It returns errTimeout at the deadline, if that is
// not zero, and errWoken after wake.
func (c *conn) wait(deadline time.Time) error {
	kind, body, err := c.peek(deadline)
	if err != nil {
		return err
	}
	return c.consume(kind, body)
}

// consume handles a message at in[r:] that no call awaits.
func (c *conn) consume(kind byte, body int) error {
	switch {
	case kind > kindReply:
		c.onEvent(c.in[c.r : c.r+32+body])
	case kind == kindError && le.Uint16(c.in[c.r+2:]) == c.checked:
		c.checkErr = parseError(c.in[c.r:])
	}
	// Otherwise it is the reply to an abandoned request, or an error that changes nothing.
	c.drop(32, body)
	return nil
}

// drop skips a head that is in the buffer, and a body that may not be.
func (c *conn) drop(head, body int) {
	c.r += head
	have := min(body, c.w-c.r)
	c.r += have
	c.skip = body - have
}

// peek waits until the head of a message, and the body of an event, are in the buffer.
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
	kind = c.in[c.r] & 0x7f // the top bit marks events sent by other clients
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

// fillReply is fill for a reply that is on its way. A wake does not stop it.
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

// expired returns why a reply is no longer awaited, or nil.
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

// read reads from the socket what is there.
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

// wake makes the current or the next wait return errWoken.
func (c *conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.woken = true
	c.deadline = time.Unix(1, 0)
	// An error means that the socket is closed. The reader finds out.
	_ = c.nc.SetReadDeadline(c.deadline)
}
