// Package xprototest has what tests need to play an X server.
package xprototest

import (
	"bytes"
	"encoding/binary"
	"net"
	"time"
)

// Screen has the fields of xproto.Screen.
type Screen struct {
	Root             uint32
	Width, Height    int
	Millimeters      int
	Depth            byte
	Red, Green, Blue uint32
}

// Usual is a screen of 640x480 pixels in the usual format.
var Usual = Screen{
	Root: 77, Width: 640, Height: 480, Millimeters: 169, Depth: 24, Red: 0xff0000, Green: 0xff00, Blue: 0xff,
}

// Greeting returns the first answer of a server with these screens, whose pixels have 32 bits. Its vendor is "Us!".
func Greeting(screens ...Screen) []byte {
	le := binary.LittleEndian
	b := make([]byte, 40)
	b[0] = 1
	le.PutUint16(b[2:], 11)
	le.PutUint32(b[8:], 7)
	le.PutUint32(b[12:], 0x200000)
	le.PutUint32(b[16:], 0x1fffff)
	le.PutUint16(b[24:], 3)
	b[28], b[29] = byte(len(screens)), byte(1+len(screens))
	b = append(b, "Us!\x00"...)
	b = append(b, 1, 1, 32, 0, 0, 0, 0, 0)
	for _, s := range screens {
		b = append(b, s.Depth, 32, 32, 0, 0, 0, 0, 0)
	}
	const visual = 33
	for _, s := range screens {
		at := len(b)
		b = append(b, make([]byte, 40+8+24)...)
		screen := b[at:]
		le.PutUint32(screen, s.Root)
		le.PutUint16(screen[20:], uint16(s.Width))
		le.PutUint16(screen[22:], uint16(s.Height))
		le.PutUint16(screen[24:], uint16(s.Millimeters))
		le.PutUint32(screen[32:], visual)
		screen[38], screen[39] = s.Depth, 1
		screen[40], screen[42] = s.Depth, 1
		le.PutUint32(screen[48:], visual)
		le.PutUint32(screen[56:], s.Red)
		le.PutUint32(screen[60:], s.Green)
		le.PutUint32(screen[64:], s.Blue)
	}
	le.PutUint16(b[6:], uint16(len(b)/4-2))
	return b
}

// Script returns a connection to a server that sends these bytes, whatever it gets, and then closes.
func Script(sent []byte) net.Conn { return &script{sent: bytes.NewReader(sent)} }

type script struct {
	net.Conn
	sent *bytes.Reader
}

func (s *script) Read(b []byte) (int, error)       { return s.sent.Read(b) }
func (s *script) Write(b []byte) (int, error)      { return len(b), nil }
func (s *script) Close() error                     { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
