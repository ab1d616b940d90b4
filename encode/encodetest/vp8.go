package encodetest

import (
	"bytes"
	"errors"
	"fmt"

	"wavryhost/encode"
)

// The frame tag of VP8 (RFC 6386, section 9.1), and the bytes after it in a keyframe.
const (
	vp8TagSize   = 3
	vp8Inter     = 1 // set in pictures that refer to others
	vp8Version   = 7 << 1
	vp8Shown     = 1 << 4
	vp8PartShift = 5 // above are 19 bits: the size of the first partition
	vp8KeyHeader = vp8TagSize + 7
	vp8Scale     = 3 << 14 // of a side: the receiver would enlarge the picture
)

var vp8StartCode = []byte{0x9d, 0x01, 0x2a}

// vp8Frame returns a VP8 frame: its header up to the size, then only a number.
func vp8Frame(size int, p encode.Params, key bool, number byte) []byte {
	header := vp8TagSize
	if key {
		header = vp8KeyHeader
	}
	rest := max(size-header, 16)
	tag := vp8Shown | rest/2<<vp8PartShift
	if !key {
		tag |= vp8Inter
	}
	unit := []byte{byte(tag), byte(tag >> 8), byte(tag >> 16)}
	if key {
		unit = append(unit, vp8StartCode...)
		unit = append(unit, byte(p.Width), byte(p.Width>>8), byte(p.Height), byte(p.Height>>8))
	}
	return append(unit, bytes.Repeat([]byte{number}, rest)...)
}

// checkVP8Frame checks a VP8 access unit: one visible frame, which contains the size if it is a keyframe.
func checkVP8Frame(unit encode.AccessUnit) error {
	data := unit.Data
	if len(data) < vp8TagSize {
		return fmt.Errorf("frame of %d bytes", len(data))
	}
	tag := int(data[0]) | int(data[1])<<8 | int(data[2])<<16
	header := vp8TagSize
	if unit.Key {
		header = vp8KeyHeader
	}
	switch first := tag >> vp8PartShift; {
	case tag&vp8Version != 0:
		return fmt.Errorf("frame begins with %02x; want version 0", data[0])
	case (tag&vp8Inter == 0) != unit.Key:
		return fmt.Errorf("frame begins with %02x in an access unit with key %v", data[0], unit.Key)
	case tag&vp8Shown == 0:
		return errors.New("access unit has 0 pictures; want 1: the frame is not shown")
	case len(data) < header || first > len(data)-header:
		return fmt.Errorf("frame of %d bytes has a first partition of %d", len(data), first)
	case !unit.Key:
		return nil
	case !bytes.Equal(data[vp8TagSize:][:len(vp8StartCode)], vp8StartCode):
		return fmt.Errorf("keyframe begins with % x; want a start code", data[:vp8KeyHeader])
	}
	w, h := int(data[6])|int(data[7])<<8, int(data[8])|int(data[9])<<8
	if w != unit.Width || h != unit.Height { // with a scale neither is equal
		return fmt.Errorf("keyframe of %dx%d, scale %d and %d, in an access unit of %dx%d", w&^vp8Scale, h&^vp8Scale,
			w>>14, h>>14, unit.Width, unit.Height)
	}
	return nil
}
