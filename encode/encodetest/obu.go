package encodetest

import (
	"bytes"
	"errors"
	"fmt"

	"wavryhost/encode"
)

// Types of open bitstream units (AV1 specification, section 6.2.2).
const (
	obuSequence  = 1
	obuDelimiter = 2
	obuHeader    = 3
	obuFrame     = 6
	obuHasSize   = 1 << 1 // in the first byte of a unit
)

// The beginning of a frame's header (AV1 specification, section 5.9.2).
const (
	av1Again = 1 << 7 // it shows a frame that was sent before
	av1Type  = 3 << 5 // 0 for a keyframe
	av1Inter = 1 << 5
	av1Shown = 1 << 4
)

// av1Unit returns a temporal unit: a delimiter, a sequence header before a keyframe, and a frame of a number only.
func av1Unit(size int, _ encode.Params, key bool, number byte) []byte {
	unit := obu(nil, obuDelimiter, nil)
	header := byte(av1Shown | av1Inter)
	if key {
		unit, header = obu(unit, obuSequence, []byte{0, 0, 0, 0x24, 0xc4, 0xff, 0xdf}), av1Shown
	}
	return obu(unit, obuFrame, append([]byte{header}, bytes.Repeat([]byte{number}, max(size-len(unit)-4, 16))...))
}

// obu appends a unit to others.
func obu(units []byte, kind byte, payload []byte) []byte {
	units = append(units, kind<<3|obuHasSize)
	n := len(payload)
	for ; n >= 0x80; n >>= 7 {
		units = append(units, byte(n)|0x80)
	}
	return append(append(units, byte(n)), payload...)
}

// checkAV1 checks an AV1 access unit: a temporal unit of one shown frame, with a sequence header if it is a keyframe.
func checkAV1(unit encode.AccessUnit) error {
	frames, sequence := 0, false
	for data := unit.Data; len(data) > 0; {
		kind, payload, rest, err := splitOBU(data)
		if err != nil {
			return err
		}
		data = rest
		switch kind {
		case obuSequence:
			sequence = true
		case obuHeader, obuFrame:
			frames++
			switch first := payload[0]; {
			case first&av1Again != 0:
				return errors.New("access unit shows a picture that was sent before")
			case first&av1Shown == 0:
				return errors.New("the frame is not shown")
			case (first&av1Type == 0) != unit.Key:
				return fmt.Errorf("frame of type %d in an access unit with key %v", first&av1Type>>5, unit.Key)
			}
		}
	}
	if frames != 1 {
		return fmt.Errorf("access unit has %d pictures; want 1", frames)
	}
	if unit.Key && !sequence {
		return errors.New("keyframe without a sequence header")
	}
	return nil
}

// splitOBU splits the first unit from others. Its payload is not empty, except that of a delimiter.
func splitOBU(data []byte) (kind byte, payload, rest []byte, err error) {
	kind = data[0] >> 3 & 15
	if data[0]&0x84 != 0 || data[0]&obuHasSize == 0 {
		return 0, nil, nil, fmt.Errorf("unit begins with %02x; want a size and no layer", data[0])
	}
	size, at := 0, 1
	for shift := 0; ; shift += 7 {
		if at >= len(data) || shift > 28 {
			return 0, nil, nil, errors.New("unit is cut in its size")
		}
		size |= int(data[at]&0x7f) << shift
		at++
		if data[at-1]&0x80 == 0 {
			break
		}
	}
	if size > len(data)-at || size == 0 && kind != obuDelimiter {
		return 0, nil, nil, fmt.Errorf("unit of type %d has %d of %d bytes", kind, len(data)-at, size)
	}
	return kind, data[at : at+size], data[at+size:], nil
}
