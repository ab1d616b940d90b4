package wlproto

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

// The object that every connection has, and its requests and events.
const (
	displayID = 1

	displaySync        = 0
	displayGetRegistry = 1

	displayError    = 0
	displayDeleteID = 1

	firstServerID = 0xff000000
)

// writeLimit bounds the wait for a compositor that takes no requests.
const writeLimit = 2 * time.Second

// Handler gets the events of an object. It must not read from the connection; it may send requests.
type Handler func(event uint16, a *Args)

// Conn is a connection to a compositor for one goroutine. That goroutine sends requests and reads events itself. Other
// goroutines may call Wake, Heard and Close.
type Conn struct {
	nc *net.UnixConn

	out   []byte // requests not yet sent
	files []int  // their descriptors

	objects map[uint32]Handler // nil for destroyed objects whose ID is still in use
	free    []uint32           // IDs that may be used again
	next    uint32
	globals map[uint32]Global
	lost    error

	in   []byte // in[r:w] is read and not yet consumed
	r, w int

	born  time.Time
	heard atomic.Int64 // when the compositor last sent anything, in nanoseconds after born

	mu    sync.Mutex // guards woken, and the order of its deadline and Wait's
	woken bool

	// OnGlobal is called when a global comes or goes, after Dial. It may be nil.
	OnGlobal func(g Global, gone bool)
}

// Global is an object that the compositor offers.
type Global struct {
	Name      uint32
	Interface string
	Version   uint32
}

// Dial connects to the compositor of a socket, and learns its globals.
func Dial(ctx context.Context, path string) (*Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", path, err)
	}
	c := newConn(nc.(*net.UnixConn)) //nolint:forcetypeassert // the network is unix
	defer context.AfterFunc(ctx, c.Wake)()
	registry := c.New(c.registryEvent)
	c.Send(displayID, displayGetRegistry, registry)
	if err := c.Sync(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to %s: %w", path, err)
	}
	return c, nil
}

func newConn(nc *net.UnixConn) *Conn {
	c := &Conn{
		nc: nc, objects: make(map[uint32]Handler), next: displayID + 1, globals: make(map[uint32]Global),
		in: make([]byte, 2*maxMessage), born: time.Now(),
	}
	c.objects[displayID] = c.displayEvent
	return c
}

func (c *Conn) displayEvent(event uint16, a *Args) {
	switch event {
	case displayError:
		e := RefusedError{Object: a.Uint(), Code: a.Uint(), Text: a.Text()}
		_ = c.fail(e)
	case displayDeleteID:
		id := a.Uint()
		if h, ok := c.objects[id]; ok && h == nil && id != displayID {
			delete(c.objects, id)
			c.free = append(c.free, id)
		}
	}
}

const registryID = displayID + 1

func (c *Conn) registryEvent(event uint16, a *Args) {
	switch name := a.Uint(); event {
	case 0:
		g := Global{Name: name, Interface: a.Text(), Version: a.Uint()}
		if len(c.globals) >= maxObjects {
			_ = c.fail(fmt.Errorf("%w: too many globals", errGarbage))
			return
		}
		c.globals[name] = g
		if c.OnGlobal != nil {
			c.OnGlobal(g, false)
		}
	case 1:
		g, ok := c.globals[name]
		delete(c.globals, name)
		if ok && c.OnGlobal != nil {
			c.OnGlobal(g, true)
		}
	}
}

// Global returns a global of an interface.
func (c *Conn) Global(iface string) (Global, bool) {
	var found Global
	for _, g := range c.globals {
		if g.Interface == iface && (found.Name == 0 || g.Name < found.Name) {
			found = g
		}
	}
	return found, found.Name != 0
}

// Bind makes an object of a global, of the given version at most. It returns the object and its version.
func (c *Conn) Bind(g Global, version uint32, h Handler) (id, bound uint32) {
	bound = min(version, g.Version)
	id = c.New(h)
	c.Send(registryID, 0, g.Name, g.Interface, bound, id)
	return id, bound
}

// New returns the ID of a new object. A request that creates it must follow at once.
func (c *Conn) New(h Handler) uint32 {
	if h == nil {
		h = func(uint16, *Args) {}
	}
	var id uint32
	if n := len(c.free); n > 0 {
		id, c.free = c.free[n-1], c.free[:n-1]
	} else {
		id = c.next
		c.next++
		if len(c.objects) >= maxObjects {
			_ = c.fail(errors.New("too many objects"))
		}
	}
	c.objects[id] = h
	return id
}

// Forget ends the events of an object that a request has destroyed. Its ID is used again once the compositor agrees.
func (c *Conn) Forget(id uint32) {
	if _, ok := c.objects[id]; ok {
		c.objects[id] = nil
	}
}

// Send queues a request. Arguments are of type uint32, int32, string or File. The queue is sent by Wait.
func (c *Conn) Send(object uint32, request uint16, args ...any) {
	at := len(c.out)
	c.out = le.AppendUint32(c.out, object)
	c.out = le.AppendUint32(c.out, 0)
	for _, arg := range args {
		switch v := arg.(type) {
		case uint32:
			c.out = le.AppendUint32(c.out, v)
		case int32:
			c.out = le.AppendUint32(c.out, uint32(v))
		case string:
			c.out = le.AppendUint32(c.out, uint32(len(v)+1))
			c.out = append(c.out, v...)
			c.out = append(c.out, make([]byte, 4-len(v)%4)...)
		case File:
			c.files = append(c.files, int(v))
		default:
			panic(fmt.Sprintf("wlproto: argument of type %T", arg))
		}
	}
	le.PutUint32(c.out[at+4:], uint32(len(c.out)-at)<<16|uint32(request))
}

// Flush sends the queued requests. Files may be closed after it.
func (c *Conn) Flush() error {
	if c.lost != nil {
		return LostError{c.lost}
	}
	if len(c.out) == 0 {
		return nil
	}
	err := c.nc.SetWriteDeadline(time.Now().Add(writeLimit))
	if err == nil {
		var n int
		if n, _, err = c.nc.WriteMsgUnix(c.out, rights(c.files), nil); err == nil && n < len(c.out) {
			_, err = c.nc.Write(c.out[n:])
		}
	}
	c.out, c.files = c.out[:0], c.files[:0]
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return c.fail(ErrSilent)
	case err != nil:
		// The reason may be among what the compositor sent before.
		_ = c.nc.SetReadDeadline(time.Now())
		for c.fill() == nil && c.lost == nil {
			_ = c.dispatch()
		}
		return c.fail(err)
	}
	return nil
}

// fail marks the connection as lost. The first reason stays.
func (c *Conn) fail(err error) error {
	if c.lost == nil {
		c.lost = err
	}
	return LostError{c.lost}
}

// Wait sends what is queued, and handles the events that came, or else the next ones. It returns ErrTimeout
// at the deadline, which may be zero for none, and ErrWoken after a Wake.
func (c *Conn) Wait(deadline time.Time) error {
	if err := c.Flush(); err != nil {
		return err
	}
	c.mu.Lock()
	woken := c.woken
	c.woken = false
	err := c.nc.SetReadDeadline(deadline)
	c.mu.Unlock()
	switch {
	case woken:
		return ErrWoken
	case err != nil:
		return c.fail(err)
	}
	err = c.fill()
	switch {
	case err == nil:
		return c.dispatch()
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return c.fail(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.woken || deadline.IsZero() || time.Now().Before(deadline) { // the deadline was Wake's
		c.woken = false
		return ErrWoken
	}
	return ErrTimeout
}

// fill reads what has come. Descriptors that come along are dropped by the kernel: no event in use has any.
func (c *Conn) fill() error {
	if c.r > 0 {
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
	}
	n, err := c.nc.Read(c.in[c.w:])
	if n > 0 {
		c.w += n
		c.heard.Store(int64(time.Since(c.born)))
		return nil
	}
	return err
}

// dispatch handles all complete messages.
func (c *Conn) dispatch() error {
	for c.w-c.r >= 8 {
		b := c.in[c.r:c.w]
		object, head := le.Uint32(b), le.Uint32(b[4:])
		size := int(head >> 16)
		if size < 8 || size%4 != 0 || size > maxMessage {
			return c.fail(fmt.Errorf("%w: %d bytes for object %d", errGarbage, size, object))
		}
		if len(b) < size {
			break
		}
		c.r += size
		h, known := c.objects[object]
		if !known && object < firstServerID {
			return c.fail(fmt.Errorf("%w: event of object %d, which does not exist", errGarbage, object))
		}
		if h == nil {
			continue
		}
		a := Args{b: b[8:size]}
		h(uint16(head), &a)
		if a.bad {
			return c.fail(fmt.Errorf("%w: event %d of object %d is too short", errGarbage, uint16(head), object))
		}
		if c.lost != nil {
			return LostError{c.lost}
		}
	}
	return nil
}

// Sync waits until the compositor has handled all requests.
func (c *Conn) Sync(ctx context.Context) error {
	done := false
	c.Ping(func() { done = true })
	return c.Until(ctx, func() bool { return done })
}

// Ping asks for an answer, and calls answered with it.
func (c *Conn) Ping(answered func()) {
	id := c.New(nil)
	c.objects[id] = func(uint16, *Args) {
		c.Forget(id)
		answered()
	}
	c.Send(displayID, displaySync, id)
}

// Until handles events until done reports true, ctx ends, or the compositor has been silent for OpenTimeout. The caller
// has Wake called when ctx ends.
func (c *Conn) Until(ctx context.Context, done func() bool) error {
	limit := time.Now().Add(OpenTimeout)
	for !done() {
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrSilent, ctx.Err())
		}
		err := c.Wait(limit)
		switch {
		case errors.Is(err, ErrTimeout):
			return c.fail(ErrSilent)
		case err != nil && !errors.Is(err, ErrWoken):
			return err
		}
	}
	return nil
}

// Heard returns the time of the last sign of the compositor.
func (c *Conn) Heard() time.Time { return c.born.Add(time.Duration(c.heard.Load())) }

// Wake makes the current or the next Wait return ErrWoken.
func (c *Conn) Wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.woken = true
	// An error means that the socket is closed. The reader finds out.
	_ = c.nc.SetReadDeadline(time.Unix(1, 0))
}

// Close ends the connection. A method that waits returns a LostError.
func (c *Conn) Close() { _ = c.nc.Close() }

// Objects returns the number of objects that exist.
func (c *Conn) Objects() int { return len(c.objects) }
