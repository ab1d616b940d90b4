package xproto

import (
	"context"
)

// Core requests that this package makes (X Window System Protocol, appendix B).
const (
	opGetGeometry    = 14
	opGetInputFocus  = 43
	opQueryExtension = 98
	opListExtensions = 99
)

// Extension is an extension of the server. The zero value means that the server lacks it.
type Extension struct {
	Major, FirstEvent byte
}

// Present reports whether the server has the extension.
func (e Extension) Present() bool { return e.Major != 0 }

// QueryExtension asks for an extension by its name.
func (c *Conn) QueryExtension(ctx context.Context, name string) (Extension, error) {
	c.out = append(c.out, opQueryExtension, 0)
	c.out = le.AppendUint16(c.out, uint16(2+Pad(len(name))/4))
	c.out = le.AppendUint32(c.out, uint32(len(name)))
	c.out = appendPadded(c.out, name)
	c.seq++
	b, err := c.Await(ctx, c.seq)
	if err != nil || b[8] == 0 {
		return Extension{}, err
	}
	return Extension{Major: b[9], FirstEvent: b[10]}, nil
}

// ListExtensions returns the names of all extensions.
func (c *Conn) ListExtensions(ctx context.Context) ([]string, error) {
	b, err := c.Await(ctx, c.Send(opListExtensions, 0))
	if err != nil {
		return nil, err
	}
	return parseNames(b[32:], int(b[1])), nil
}

func parseNames(b []byte, n int) []string {
	var names []string
	for range n {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			break
		}
		end := 1 + int(b[0])
		names = append(names, string(b[1:end]))
		b = b[end:]
	}
	return names
}

// Geometry returns the size of a window in pixels.
func (c *Conn) Geometry(ctx context.Context, window uint32) (width, height int, err error) {
	b, err := c.Await(ctx, c.Send(opGetGeometry, 0, window))
	if err != nil {
		return 0, 0, err
	}
	return int(le.Uint16(b[16:])), int(le.Uint16(b[18:])), nil
}

// Pair packs two 16-bit fields, signed or not.
func Pair(a, b int) uint32 { return uint32(uint16(a)) | uint32(uint16(b))<<16 }

// Pad rounds a length up to a multiple of four.
func Pad(n int) int { return (n + 3) &^ 3 }

func appendPadded(b []byte, s string) []byte {
	b = append(b, s...)
	for range Pad(len(s)) - len(s) {
		b = append(b, 0)
	}
	return b
}
