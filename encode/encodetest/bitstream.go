package encodetest

import (
	"bytes"
	"errors"
	"fmt"

	"wavryhost/encode"
)

// A bitstream is the form of a codec's access units: how the fake makes them, and what the suite checks.
type bitstream struct {
	// unit returns an access unit of about that many bytes. It has the right form and no decodable content.
	unit func(size int, p encode.Params, key bool, number byte) []byte
	// check returns what is wrong with an access unit.
	check func(encode.AccessUnit) error
}

var bitstreams = map[encode.Format]bitstream{
	encode.H264: {annexB, checkAnnexB},
	encode.HEVC: {hevcUnit, checkHEVC},
	encode.AV1:  {av1Unit, checkAV1},
	encode.VP9:  {vp9Frame, checkVP9Frame},
	encode.VP8:  {vp8Frame, checkVP8Frame},
}

// annexB returns an H.264 access unit with two slices. The parameter sets are of a constrained baseline stream; the
// slices contain only a number.
func annexB(size int, _ encode.Params, key bool, number byte) []byte {
	var unit []byte
	slice := byte(0x41) // nal_ref_idc 2, nal_unit_type 1
	if key {
		unit = append(unit, 0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 0xd9, 0x00, 0x50, 0x05, 0xbb)
		unit = append(unit, 0, 0, 0, 1, 0x68, 0xcb, 0x83, 0xcb, 0x20)
		slice = 0x65 // nal_ref_idc 3, nal_unit_type 5
	}
	half := max((size-len(unit))/2, 16)
	for _, first := range [...]byte{0x88, 0x44} { // first_mb_in_slice 0, then 1
		start := len(unit)
		unit = append(unit, 0, 0, 1, slice, first)
		for len(unit)-start < half {
			unit = append(unit, number|0x80) // never zero, so that no start code appears
		}
	}
	return unit
}

// checkAnnexB checks an H.264 access unit: a byte stream of one picture, with parameter sets if it is a keyframe.
func checkAnnexB(unit encode.AccessUnit) error {
	if !bytes.HasPrefix(unit.Data, []byte{0, 0, 1}) && !bytes.HasPrefix(unit.Data, []byte{0, 0, 0, 1}) {
		return fmt.Errorf("access unit begins with % x; want a start code", unit.Data[:min(4, len(unit.Data))])
	}
	pictures, sps, pps := 0, false, false
	for _, nal := range splitAnnexB(unit.Data) {
		switch kind := nal[0] & 0x1f; kind {
		case 1, 5:
			if (kind == 5) != unit.Key {
				return fmt.Errorf("slice of type %d in an access unit with key %v", kind, unit.Key)
			}
			if len(nal) > 1 && nal[1]&0x80 != 0 { // first_mb_in_slice is 0: ue(v) begins with a one
				pictures++
			}
		case 7:
			sps = true
		case 8:
			pps = true
		}
	}
	if pictures != 1 {
		return fmt.Errorf("access unit has %d pictures; want 1", pictures)
	}
	if unit.Key && (!sps || !pps) {
		return fmt.Errorf("keyframe with SPS %v, PPS %v; want both", sps, pps)
	}
	return nil
}

// splitAnnexB returns the NAL units of a byte stream (H.264, annex B), none of them empty.
func splitAnnexB(data []byte) [][]byte {
	var nals [][]byte
	startCode := []byte{0, 0, 1}
	for at := bytes.Index(data, startCode); at >= 0; {
		data = data[at+3:]
		at = bytes.Index(data, startCode)
		nal := data
		if at >= 0 {
			nal = data[:at]
		}
		if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 {
			nals = append(nals, nal)
		}
	}
	return nals
}

// The first byte of a VP9 frame of profile 0 (VP9 bitstream specification, section 6.2), and the bytes after it in a
// keyframe.
const (
	vp9Marker    = 0x80 // and no bit of the profile
	vp9Again     = 1 << 3
	vp9Inter     = 1 << 2
	vp9Shown     = 1 << 1
	vp9KeyHeader = 9 // bytes: the first one, a sync code, four bits of colors, 16 each of width and height
)

var vp9Sync = []byte{0x49, 0x83, 0x42}

// vp9Frame returns a VP9 frame: its header up to the size, then only a number.
func vp9Frame(size int, p encode.Params, key bool, number byte) []byte {
	unit := []byte{vp9Marker | vp9Shown | vp9Inter}
	if key {
		w, h := p.Width-1, p.Height-1
		unit = append([]byte{vp9Marker | vp9Shown}, vp9Sync...)
		const colours = 2 << 1 // BT.601, limited range
		unit = append(unit, byte(colours<<4|w>>12), byte(w>>4), byte(w<<4|h>>12), byte(h>>4), byte(h<<4))
	}
	number = number&0x7f | 1 // neither the marker of an index of several frames, nor the zero that is padding
	return append(unit, bytes.Repeat([]byte{number}, max(size-len(unit), 16))...)
}

// checkVP9Frame checks a VP9 access unit: one visible frame, which contains the size if it is a keyframe.
func checkVP9Frame(unit encode.AccessUnit) error {
	data := unit.Data
	if len(data) < 2 {
		return fmt.Errorf("frame of %d bytes", len(data))
	}
	// The last byte of several frames in one is the marker of their index (annex B of the specification).
	first, last := data[0], data[len(data)-1]
	switch {
	case first&0xf0 != vp9Marker:
		return fmt.Errorf("frame begins with %02x; want the marker and profile 0", first)
	case first&vp9Again != 0:
		return errors.New("access unit has 0 pictures; want 1: it shows one that was sent before")
	case (first&vp9Inter == 0) != unit.Key:
		return fmt.Errorf("frame begins with %02x in an access unit with key %v", first, unit.Key)
	case first&vp9Shown == 0:
		return errors.New("access unit has 0 pictures; want 1: the frame is not shown")
	case last&0xe0 == 0xc0:
		return fmt.Errorf("access unit has %d frames; want 1", last&7+1)
	case !unit.Key:
		return nil
	case len(data) < vp9KeyHeader || !bytes.Equal(data[1:4], vp9Sync):
		return fmt.Errorf("keyframe begins with % x; want a sync code", data[:min(4, len(data))])
	}
	w := 1 + (int(data[4])<<12|int(data[5])<<4|int(data[6])>>4)&0xffff
	h := 1 + (int(data[6])<<12|int(data[7])<<4|int(data[8])>>4)&0xffff
	if w != unit.Width || h != unit.Height {
		return fmt.Errorf("keyframe of %dx%d in an access unit of %dx%d", w, h, unit.Width, unit.Height)
	}
	return nil
}

// Unit returns an access unit of a format with about that many bytes. It has the right form and no decodable content.
func Unit(format encode.Format, size int, key bool) []byte {
	return bitstreams[format].unit(size, encode.Params{Width: width, Height: height}, key, 1)
}
