package xproto

import (
	"encoding/binary"
	"errors"
	"math"
)

var le = binary.LittleEndian

// Setup is the server's description of itself at the start of a connection.
type Setup struct {
	Vendor   string
	Release  uint32 // the vendor's number
	LSBFirst bool   // the byte order of pictures
	Formats  []Format
	Screens  []Screen

	idBase, idMask uint32
}

// Format is the memory layout of pictures of one depth.
type Format struct{ Depth, BitsPerPixel, ScanlinePad byte }

// Screen is a screen of the server. All screens share one pointer, which is on one of them.
type Screen struct {
	Root             uint32
	Width, Height    int // pixels, when the connection was opened
	Millimeters      int // its width
	Depth            byte
	Red, Green, Blue uint32 // of the root window's visual
}

// DPI is its resolution in dots per inch. It is the usual 96 if the server says nothing, or nearly that: it knows whole
// millimeters only, and many changes of the size must not add up to another resolution.
func (s Screen) DPI() float64 {
	const usual, near = 96, 0.05
	dpi := float64(s.Width) * millimeters / float64(max(1, s.Millimeters))
	if s.Millimeters == 0 || math.Abs(dpi/usual-1) < near {
		return usual
	}
	return dpi
}

var errShort = errors.New("the server's greeting is cut short")

// parseSetup reads the body of a successful connection setup, from its first byte.
func parseSetup(b []byte) (Setup, error) {
	if len(b) < 40 {
		return Setup{}, errShort
	}
	s := Setup{Release: le.Uint32(b[8:]), idBase: le.Uint32(b[12:]), idMask: le.Uint32(b[16:]), LSBFirst: b[30] == 0}
	vendor, screens, formats := int(le.Uint16(b[24:])), int(b[28]), int(b[29])
	b = b[40:]
	if len(b) < Pad(vendor)+8*formats {
		return Setup{}, errShort
	}
	s.Vendor = string(b[:vendor])
	b = b[Pad(vendor):]
	for range formats {
		s.Formats = append(s.Formats, Format{Depth: b[0], BitsPerPixel: b[1], ScanlinePad: b[2]})
		b = b[8:]
	}
	for range screens {
		if len(b) < 40 {
			return Setup{}, errShort
		}
		sc := Screen{
			Root: le.Uint32(b), Width: int(le.Uint16(b[20:])), Height: int(le.Uint16(b[22:])),
			Millimeters: int(le.Uint16(b[24:])), Depth: b[38],
		}
		visual, depths := le.Uint32(b[32:]), int(b[39])
		b = b[40:]
		for range depths {
			if len(b) < 8 {
				return Setup{}, errShort
			}
			n := int(le.Uint16(b[2:]))
			b = b[8:]
			if len(b) < 24*n {
				return Setup{}, errShort
			}
			for range n {
				if le.Uint32(b) == visual {
					sc.Red, sc.Green, sc.Blue = le.Uint32(b[8:]), le.Uint32(b[12:]), le.Uint32(b[16:])
				}
				b = b[24:]
			}
		}
		s.Screens = append(s.Screens, sc)
	}
	return s, nil
}
