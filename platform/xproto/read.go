package xproto

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Kinds of messages from the server: the first byte.
const (
	kindError = 0
	kindReply = 1
	// KindGeneric is the kind of events with a body. Its second byte is the extension's major opcode.
	KindGeneric = 35
)

const (
	// maxBody bounds a message that is kept whole. The longest in use are a cursor and a region.
	maxBody = 16 << 20
	// maxWords is the longest message that an int of 32 bits can count in bytes. No server sends one.
	maxWords = (1<<31 - 1 - 32) / 4
)

// Kind returns the kind of an event. The top bit of its first byte marks events sent by other clients.
func Kind(event []byte) byte { return event[0] & 0x7f }

// Await sends the queued requests, then reads until the reply to request seq, and returns it. It has 32 bytes at
// least, and is valid until the next read. OnEvent gets the events in between. If ctx ends first and Wake is called,
// the reply is dropped when it comes.
func (c *Conn) Await(ctx context.Context, seq uint16) ([]byte, error) {
	body, err := c.awaitHead(ctx, seq)
	if err != nil {
		return nil, err
	}
	if body > maxBody {
		c.drop(32, body)
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLong, body)
	}
	if err := c.fillReply(ctx, 32+body); err != nil {
		return nil, err
	}
	reply := c.in[c.r : c.r+32+body]
	c.r += 32 + body
	return reply, nil
}

// AwaitRows is Await for a reply whose body is n rows of width bytes. It reads them into dst, stride bytes apart.
func (c *Conn) AwaitRows(ctx context.Context, seq uint16, dst []byte, stride, width, n int) error {
	body, err := c.awaitHead(ctx, seq)
	if err != nil {
		return err
	}
	if body != width*n {
		c.drop(32, body)
		return fmt.Errorf("xproto: the server sends %d bytes for %d rows of %d", body, n, width)
	}
	c.r += 32
	return c.rows(ctx, dst, stride, width, n)
}

// Check waits until a request without a reply is done, and returns its error.
func (c *Conn) Check(ctx context.Context, seq uint16) error {
	c.checked, c.checkErr = seq, nil
	if err := c.Sync(ctx); err != nil {
		return err
	}
	return c.checkErr
}

// Sync waits until the server has executed all requests.
func (c *Conn) Sync(ctx context.Context) error {
	_, err := c.Await(ctx, c.Send(opGetInputFocus, 0))
	return err
}

// Wait reads one message and passes it to OnEvent if it is an event. It returns ErrTimeout at the deadline, if that is
// not zero, and ErrWoken after Wake.
func (c *Conn) Wait(deadline time.Time) error {
	kind, body, err := c.peek(deadline)
	if err != nil {
		return err
	}
	return c.consume(kind, body)
}

// awaitHead is Await without the reply's body. The head lies at in[r:]; the result is the number of bytes that follow.
func (c *Conn) awaitHead(ctx context.Context, seq uint16) (int, error) {
	if err := c.flush(); err != nil {
		return 0, err
	}
	limit := time.Now().Add(c.ReplyLimit)
	for {
		kind, body, err := c.peek(limit)
		if errors.Is(err, ErrWoken) || errors.Is(err, ErrTimeout) {
			if err := c.expired(ctx, limit); err != nil {
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

// consume handles a message at in[r:] that no call awaits.
func (c *Conn) consume(kind byte, body int) error {
	switch {
	case kind > kindReply:
		c.OnEvent(c.in[c.r : c.r+32+body])
	case kind == kindError && le.Uint16(c.in[c.r+2:]) == c.checked:
		c.checkErr = parseError(c.in[c.r:])
	case kind == kindError:
		c.Refused++
	}
	// Otherwise it is the reply to an abandoned request.
	c.drop(32, body)
	return nil
}

// drop skips a head that is in the buffer, and a body that may not be.
func (c *Conn) drop(head, body int) {
	c.r += head
	have := min(body, c.w-c.r)
	c.r += have
	c.skip = body - have
}

// peek waits until the head of a message, and the body of an event, are in the buffer.
func (c *Conn) peek(deadline time.Time) (kind byte, body int, err error) {
	for c.skip > 0 {
		if err := c.fill(1, deadline); err != nil {
			return 0, 0, err
		}
		c.drop(0, c.skip)
	}
	if err := c.fill(32, deadline); err != nil {
		return 0, 0, err
	}
	kind = Kind(c.in[c.r:])
	if kind != kindReply && kind != KindGeneric {
		return kind, 0, nil
	}
	words := le.Uint32(c.in[c.r+4:])
	if words > maxWords || kind == KindGeneric && 4*words > maxBody {
		return 0, 0, LostError{fmt.Errorf("xproto: a message of %d words", words)}
	}
	body = 4 * int(words)
	if kind == KindGeneric {
		return kind, body, c.fill(32+body, deadline)
	}
	return kind, body, nil
}

// fillReply is fill for a reply that is on its way. A wake does not stop it.
func (c *Conn) fillReply(ctx context.Context, n int) error {
	limit := time.Now().Add(c.ReplyLimit)
	for {
		err := c.fill(n, limit)
		if !errors.Is(err, ErrWoken) && !errors.Is(err, ErrTimeout) {
			c.hear()
			return err
		}
		if err := c.expired(ctx, limit); err != nil {
			return err
		}
	}
}

// expired returns why a reply is no longer awaited, or nil.
func (c *Conn) expired(ctx context.Context, limit time.Time) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !time.Now().Before(limit):
		return LostError{SilentError{c.ReplyLimit}}
	}
	return nil
}

// rows reads n rows of width bytes each into dst, stride bytes apart. If ctx ends first, the rest is skipped later.
func (c *Conn) rows(ctx context.Context, dst []byte, stride, width, n int) error {
	if width == stride {
		stride, width, n = width*n, width*n, 1
	}
	left := width * n
	for y := range n {
		row := dst[y*stride : y*stride+width]
		for len(row) > 0 {
			m := copy(row, c.in[c.r:c.w])
			c.r += m
			if m == 0 {
				to := row
				if len(row) < len(c.in) {
					to = c.in
				}
				var err error
				limit := time.Now().Add(c.ReplyLimit)
				m, err = c.read(to, limit)
				if len(row) < len(c.in) {
					c.r, c.w = 0, m
					m = 0
				}
				if err != nil && !errors.Is(err, ErrWoken) && !errors.Is(err, ErrTimeout) {
					return err
				}
				if err == nil {
					c.hear()
				} else if err := c.expired(ctx, limit); err != nil {
					c.skip = left
					return err
				}
			}
			row = row[m:]
			left -= m
		}
	}
	return nil
}

// fill reads until n bytes are in the buffer.
func (c *Conn) fill(n int, deadline time.Time) error {
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
func (c *Conn) read(p []byte, deadline time.Time) (int, error) {
	if err := c.arm(deadline); err != nil {
		return 0, err
	}
	n, err := c.nc.Read(p)
	switch {
	case n > 0 || err == nil:
		return n, nil
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return 0, LostError{err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.woken {
		c.woken = false
		return 0, ErrWoken
	}
	return 0, ErrTimeout
}

func (c *Conn) arm(deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.woken {
		c.woken = false
		return ErrWoken
	}
	if c.deadline.Equal(deadline) {
		return nil
	}
	c.deadline = deadline
	if err := c.nc.SetReadDeadline(deadline); err != nil {
		return LostError{err}
	}
	return nil
}
