package kms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"wavryhost/platform/descriptors"
)

const (
	// answerTime is the time in which the helper must answer. The kernel waits up to 3 s for a graphics card.
	answerTime = 4 * time.Second
	// graceTime is the time for an answer whose caller has given up. Without an answer the connection is lost. A busy
	// machine may let the helper wait for longer than a fifth of a second.
	graceTime = time.Second
)

// ErrSilent means that the helper does not answer in time.
var ErrSilent = errors.New("kms: the helper does not answer")

var errGivenUp = errors.New("kms: the helper did not answer before its caller gave up")

// Conn is a connection to the helper. One goroutine at a time may use it, except Close.
type Conn struct {
	conn   *net.UnixConn
	broken error // why it is not used any more
	buf    []byte
}

// Dial connects to the helper. The error wraps fs.ErrNotExist or syscall.ECONNREFUSED if there is none.
func Dial(ctx context.Context, socket string) (*Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unixpacket", socket)
	if err != nil {
		return nil, fmt.Errorf("kms: connect to the helper: %w", err)
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.New("kms: no Unix socket")
	}
	return &Conn{conn: conn, buf: make([]byte, maxAnswer)}, nil
}

// Outputs lists the outputs with a monitor.
func (c *Conn) Outputs(ctx context.Context) ([]Output, error) {
	a, files, err := c.ask(ctx, request{})
	descriptors.Close(files)
	if err != nil {
		return nil, err
	}
	return a.Outputs, nil
}

// Look returns what an output shows, and the files of its buffers, which the caller must close. A wait for a change
// takes a twentieth of a second at most. When ctx ends, a helper that works still answers. Otherwise the connection is
// lost.
func (c *Conn) Look(ctx context.Context, q Query) (*Scanout, []*os.File, error) {
	a, files, err := c.ask(ctx, request{Query: &q})
	if err == nil && a.Scanout == nil {
		err = fmt.Errorf("%w: an answer without an output", ErrProtocol)
	}
	if err != nil {
		descriptors.Close(files)
		return nil, nil, err
	}
	return a.Scanout, files, nil
}

// ask sends a request and returns its answer. A request without an answer, and an answer that is not understood, end
// the connection: the next answer could not be told from the missing one.
func (c *Conn) ask(ctx context.Context, r request) (answer, []*os.File, error) {
	switch {
	case c.broken != nil:
		return answer{}, nil, c.broken
	case ctx.Err() != nil:
		return answer{}, nil, ctx.Err()
	}
	message, err := json.Marshal(r)
	if err != nil {
		return answer{}, nil, err
	}
	if len(message) > maxRequest {
		return answer{}, nil, fmt.Errorf("%w: a request of %d bytes", ErrAbsent, len(message))
	}
	limit := time.Now().Add(answerTime)
	if d, ok := ctx.Deadline(); ok && d.Add(graceTime).Before(limit) {
		limit = d.Add(graceTime)
	}
	if err := c.conn.SetDeadline(limit); err != nil {
		return answer{}, nil, c.lose(ctx, err)
	}
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Now().Add(graceTime)) })()
	}
	sent := descriptors.Send(c.conn, message, nil)
	// A helper that has ended the connection may have said why before.
	n, files, err := descriptors.Receive(c.conn, c.buf, maxFiles, "DMA-BUF")
	if err != nil {
		if sent != nil {
			err = sent
		}
		return answer{}, nil, c.lose(ctx, err)
	}
	a, err := parseAnswer(c.buf[:n], len(files))
	if err != nil {
		descriptors.Close(files)
		if errors.Is(err, ErrProtocol) {
			c.broken = err
			_ = c.conn.Close()
		}
		return answer{}, nil, err
	}
	return a, files, nil
}

// parseAnswer reads an answer that came with a number of files. It returns the error that the answer has.
func parseAnswer(b []byte, files int) (a answer, err error) {
	if err := json.Unmarshal(b, &a); err != nil {
		return answer{}, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if err := a.err(); err != nil {
		return answer{}, err
	}
	if len(a.Outputs) > maxOutputs {
		return answer{}, fmt.Errorf("%w: %d outputs", ErrProtocol, len(a.Outputs))
	}
	if a.Scanout != nil {
		if err := a.Scanout.check(files); err != nil {
			return answer{}, err
		}
	}
	return a, nil
}

// lose ends the connection, and returns why.
func (c *Conn) lose(ctx context.Context, err error) error {
	_ = c.conn.Close()
	late := errors.Is(err, os.ErrDeadlineExceeded)
	limit, limited := ctx.Deadline()
	switch {
	case late && limited && !time.Now().Before(limit), ctx.Err() != nil:
		<-ctx.Done() // after its deadline, it ends as soon as its timer runs; the caller compares the error with its own
		c.broken = errGivenUp
		return ctx.Err()
	case late:
		err = fmt.Errorf("%w within %v", ErrSilent, answerTime)
	case errors.Is(err, io.EOF):
		err = errors.New("kms: the helper has ended the connection")
	default:
		err = fmt.Errorf("kms: the helper is lost: %w", err)
	}
	c.broken = err
	return err
}

// Close ends the connection. Other calls then fail.
func (c *Conn) Close() { _ = c.conn.Close() }
