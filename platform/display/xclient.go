package display

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"net"
	"time"
)

// client is a connection to an X server with the few requests for painting. One goroutine uses it.
type client struct {
	conn       net.Conn
	out        *bufio.Writer
	root       uint32
	depth      byte
	width      int
	height     int
	base, next uint32 // of resource numbers
}

// Request codes and values of the X protocol, version 11.
const (
	opChangeWindowAttributes = 2
	opGetInputFocus          = 43
	opCreatePixmap           = 53
	opFreePixmap             = 54
	opCreateGC               = 55
	opClearArea              = 61
	opPutImage               = 72

	formatZPixmap        = 2
	attrBackgroundPixmap = 1

	// maxRequest is the request size that every server accepts, in bytes.
	maxRequest = 65535 * 4
	// connectTime bounds the setup of the connection, and each wait for an answer.
	connectTime = 5 * time.Second
)

var (
	errSetup = errors.New("malformed set-up")
	// errPixels is returned for servers whose pixels are not four bytes, blue first.
	errPixels = errors.New("the root window's pixels are of an unknown format")
)

// dialX connects to a local X server. The connection ends with ctx.
func dialX(ctx context.Context, socket string, cookie []byte) (_ *client, err error) {
	dialer := net.Dialer{Timeout: connectTime}
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("display: connect: %w", err)
	}
	c := &client{conn: conn, out: bufio.NewWriterSize(conn, 64<<10)}
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	_ = conn.SetDeadline(time.Now().Add(connectTime))
	hello := []byte{'l', 0, 11, 0, 0, 0, byte(len(cookieProtocol)), 0, byte(len(cookie)), 0, 0, 0}
	hello = append(pad(append(hello, cookieProtocol...)), cookie...)
	if _, err := conn.Write(pad(hello)); err != nil {
		return nil, fmt.Errorf("display: connect: %w", err)
	}
	var head [8]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, fmt.Errorf("display: connect: %w", err)
	}
	body := make([]byte, 4*int(binary.LittleEndian.Uint16(head[6:])))
	if _, err := io.ReadFull(conn, body); err != nil {
		return nil, fmt.Errorf("display: connect: %w", err)
	}
	if head[0] != 1 {
		return nil, fmt.Errorf("display: refused by the X server: %q", body[:min(int(head[1]), len(body))])
	}
	if err := c.readSetup(body); err != nil {
		return nil, fmt.Errorf("display: connect: %w", err)
	}
	return c, nil
}

// pad fills to a multiple of four bytes.
func pad(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }

// readSetup reads the server's description of itself and of its first screen.
func (c *client) readSetup(b []byte) error {
	const fixed, format, screen = 32, 8, 40
	if len(b) < fixed {
		return errSetup
	}
	little := b[22] == 0
	c.base = binary.LittleEndian.Uint32(b[4:])
	vendor, formats := int(binary.LittleEndian.Uint16(b[16:])), int(b[21])
	at := fixed + (vendor+3)&^3
	if b[20] == 0 || len(b) < at+formats*format+screen {
		return errSetup
	}
	bits := map[byte]byte{} // of a pixel, by its depth
	for range formats {
		bits[b[at]] = b[at+1]
		at += format
	}
	s := b[at:]
	c.root = binary.LittleEndian.Uint32(s)
	c.width, c.height = int(binary.LittleEndian.Uint16(s[20:])), int(binary.LittleEndian.Uint16(s[22:]))
	c.depth = s[38]
	if !little || c.depth != 24 || bits[c.depth] != 32 {
		return errPixels
	}
	return nil
}

// id returns a new resource ID.
func (c *client) id() uint32 {
	c.next++
	return c.base + c.next
}

// request writes one request: its code, its second byte, and its arguments. flush returns errors of the writer.
func (c *client) request(op, detail byte, args ...uint32) { c.requestData(op, detail, nil, args...) }

func (c *client) requestData(op, detail byte, data []byte, args ...uint32) {
	head := []byte{op, detail, 0, 0}
	for _, a := range args {
		head = binary.LittleEndian.AppendUint32(head, a)
	}
	binary.LittleEndian.PutUint16(head[2:], uint16((len(head)+len(data))/4))
	_, _ = c.out.Write(head)
	_, _ = c.out.Write(data)
}

// two packs two 16-bit numbers.
func two(a, b int) uint32 { return uint32(uint16(a)) | uint32(uint16(b))<<16 }

// put copies a rectangle of a picture to the same place of a drawable.
func (c *client) put(drawable, gc uint32, img *image.RGBA, r image.Rectangle) {
	r = r.Intersect(img.Rect)
	if r.Empty() {
		return
	}
	rows := (maxRequest - 24) / (r.Dx() * 4)
	for top := r.Min.Y; top < r.Max.Y; top += rows {
		band := image.Rect(r.Min.X, top, r.Max.X, min(top+rows, r.Max.Y))
		data := make([]byte, 0, band.Dx()*band.Dy()*4)
		for y := band.Min.Y; y < band.Max.Y; y++ {
			line := img.Pix[img.PixOffset(band.Min.X, y):]
			for x := 0; x < band.Dx()*4; x += 4 {
				data = append(data, line[x+2], line[x+1], line[x], 0)
			}
		}
		c.requestData(opPutImage, formatZPixmap, data,
			drawable, gc, two(band.Dx(), band.Dy()), two(band.Min.X, band.Min.Y), uint32(c.depth)<<8)
	}
}

// flush sends the written requests and waits until the server has executed them. It returns the server's first error.
func (c *client) flush() error {
	c.request(opGetInputFocus, 0)
	_ = c.conn.SetDeadline(time.Now().Add(connectTime))
	if err := c.out.Flush(); err != nil {
		return fmt.Errorf("display: send to the X server: %w", err)
	}
	var first error
	for {
		var b [32]byte
		if _, err := io.ReadFull(c.conn, b[:]); err != nil {
			return fmt.Errorf("display: read from the X server: %w", err)
		}
		switch b[0] {
		case 0: // an error
			if first == nil {
				first = fmt.Errorf("display: X error %d in request %d", b[1], b[10])
			}
		case 1: // the answer
			return first
		}
	}
}
