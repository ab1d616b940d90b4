//go:build linux

// Package wlprototest has a Wayland compositor for tests. It has outputs and clients that capture them, and no windows.
package wlprototest

import (
	"encoding/binary"
	"image"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

var le = binary.LittleEndian

// Output is an output of the compositor. A test changes it by Compositor.Set.
type Output struct {
	Name          string
	X, Y          int
	Width, Height int
	Transform     uint32
	Scale         int
}

// Config says what the compositor offers.
type Config struct {
	// Globals are interfaces and their versions. A wl_output is offered for each of Outputs besides.
	Globals map[string]uint32
	Outputs []Output
	// Format is the format of wl_shm for pictures. It defaults to XRGB8888.
	Format uint32
	// NoPointer means that the seat has no pointer.
	NoPointer bool
	// OnRequest is called for each request, and reports whether the compositor is to handle it. It may be nil.
	OnRequest func(c *Client, iface string, op uint16, body []byte) bool
}

// Screencopy and ImageCopy are the globals of the two protocols for capture.
func Screencopy(version uint32) map[string]uint32 {
	return map[string]uint32{"wl_shm": 1, "zwlr_screencopy_manager_v1": version}
}

// ImageCopy returns the globals of ext-image-copy-capture-v1.
func ImageCopy() map[string]uint32 {
	return map[string]uint32{
		"wl_shm": 1, "ext_image_copy_capture_manager_v1": 1, "ext_output_image_capture_source_manager_v1": 1,
	}
}

// Compositor is a compositor for tests.
type Compositor struct {
	Socket string

	cfg      Config
	listener *net.UnixListener
	wg       sync.WaitGroup

	mu      sync.Mutex
	globals []global
	names   uint32
	clients map[*Client]bool
}

type global struct {
	name    uint32
	iface   string
	version uint32
	output  *screen
}

// screen is an output with its picture.
type screen struct {
	Output
	pix     []byte // blue, green, red, 0, and alpha for cursors
	gone    bool
	cursor  bool    // it is the image of one
	pointer *cursor // of an output
}

// New starts a compositor, which ends with the test.
func New(tb testing.TB, cfg Config) *Compositor {
	tb.Helper()
	if cfg.Format == 0 {
		cfg.Format = 1
	}
	c := &Compositor{
		Socket: filepath.Join(tb.TempDir(), "wayland-7"), cfg: cfg, clients: make(map[*Client]bool),
	}
	for iface, version := range cfg.Globals {
		c.names++
		c.globals = append(c.globals, global{name: c.names, iface: iface, version: version})
	}
	for _, o := range cfg.Outputs {
		c.add(o)
	}
	var err error
	if c.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: c.Socket}); err != nil {
		tb.Fatal(err)
	}
	c.wg.Go(func() {
		for {
			conn, err := c.listener.AcceptUnix()
			if err != nil {
				return
			}
			c.accept(conn)
		}
	})
	tb.Cleanup(c.Stop)
	return c
}

// Stop ends the compositor, as a crash would.
func (c *Compositor) Stop() {
	_ = c.listener.Close()
	c.mu.Lock()
	for client := range c.clients {
		_ = client.conn.Close()
	}
	c.mu.Unlock()
	c.wg.Wait()
}

func (c *Compositor) accept(conn *net.UnixConn) {
	client := newClient(c, conn)
	c.mu.Lock()
	c.clients[client] = true
	c.mu.Unlock()
	c.wg.Go(func() {
		client.serve()
		c.mu.Lock()
		delete(c.clients, client)
		c.mu.Unlock()
	})
}

func (c *Compositor) add(o Output) global {
	if o.Scale == 0 {
		o.Scale = 1
	}
	c.names++
	g := global{
		name: c.names, iface: "wl_output", version: 4,
		output: &screen{Output: o, pix: make([]byte, 4*max(0, o.Width*o.Height)), pointer: newCursor()},
	}
	c.globals = append(c.globals, g)
	return g
}

// Add adds an output.
func (c *Compositor) Add(o Output) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.add(o)
	for client := range c.clients {
		client.announce(g)
	}
}

// Remove takes an output away.
func (c *Compositor) Remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, g := range c.globals {
		if g.output == nil || g.output.Name != name {
			continue
		}
		g.output.gone = true
		c.globals = append(c.globals[:i:i], c.globals[i+1:]...)
		for client := range c.clients {
			for _, id := range client.registries {
				client.event(id, 1, g.name)
			}
			client.progress()
		}
		return
	}
}

// Set changes an output. A new size clears its picture.
func (c *Compositor) Set(o Output) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.find(o.Name)
	if o.Scale == 0 {
		o.Scale = 1
	}
	if s.Width != o.Width || s.Height != o.Height {
		s.pix = make([]byte, 4*o.Width*o.Height)
	}
	s.Output = o
	for client := range c.clients {
		client.resized(s)
	}
}

func (c *Compositor) find(name string) *screen {
	for _, g := range c.globals {
		if g.output != nil && g.output.Name == name {
			return g.output
		}
	}
	panic("wlprototest: no output " + name)
}

// Fill paints a rectangle of an output's picture, before its transform.
func (c *Compositor) Fill(name string, r image.Rectangle, color uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.find(name)
	r = r.Intersect(image.Rect(0, 0, s.Width, s.Height))
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			le.PutUint32(s.pix[4*(y*s.Width+x):], color&0xffffff)
		}
	}
	for client := range c.clients {
		client.damaged(s, r)
	}
}

// pool is memory of a client.
type pool struct{ mem []byte }

// buffer is a wl_buffer.
type buffer struct {
	pool                          *pool
	offset, width, height, stride int
}

func mapPool(fd, size int) *pool {
	defer func() { _ = unix.Close(fd) }()
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil
	}
	return &pool{mem}
}

// Hook replaces Config.OnRequest.
func (c *Compositor) Hook(h func(c *Client, iface string, op uint16, body []byte) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cfg.OnRequest = h
}
