package encodetest

import (
	"bytes"
	"fmt"

	"wavryhost/encode"
)

// Types of NAL units (H.265, table 7-1).
const (
	hevcTrail    = 1  // a picture that refers to others
	hevcIDR      = 19 // a picture at which a decoder can start
	hevcIDRLast  = 21 // the last type of such pictures
	hevcSlices   = 32 // types below are slices
	hevcVPS      = 32
	hevcSPS      = 33
	hevcPPS      = 34
	hevcTemporal = 1 // second byte of the header: layer 0, temporal layer 0
)

// hevcUnit returns an HEVC access unit: parameter sets before a keyframe, and two slices of a number only.
func hevcUnit(size int, _ encode.Params, key bool, number byte) []byte {
	var unit []byte
	kind := byte(hevcTrail)
	if key {
		for _, set := range []byte{hevcVPS, hevcSPS, hevcPPS} {
			unit = append(unit, 0, 0, 0, 1, set<<1, hevcTemporal, 0xac)
		}
		kind = hevcIDR
	}
	half := max((size-len(unit))/2, 16)
	for _, first := range [...]byte{0x80, 0x01} { // first_slice_segment_in_pic_flag
		unit = append(unit, 0, 0, 1, kind<<1, hevcTemporal, first)
		unit = append(unit, bytes.Repeat([]byte{number | 0x80}, half)...) // never zero: no start code
	}
	return unit
}

// checkHEVC checks an HEVC access unit: a byte stream of one picture, with parameter sets if it is a keyframe.
func checkHEVC(unit encode.AccessUnit) error {
	if !bytes.HasPrefix(unit.Data, []byte{0, 0, 1}) && !bytes.HasPrefix(unit.Data, []byte{0, 0, 0, 1}) {
		return fmt.Errorf("access unit begins with % x; want a start code", unit.Data[:min(4, len(unit.Data))])
	}
	pictures := 0
	sets := make(map[byte]bool)
	for _, nal := range splitAnnexB(unit.Data) {
		switch kind := nal[0] >> 1 & 0x3f; {
		case kind < hevcSlices:
			if key := kind >= hevcIDR && kind <= hevcIDRLast; key != unit.Key {
				return fmt.Errorf("slice of type %d in an access unit with key %v", kind, unit.Key)
			}
			if len(nal) > 2 && nal[2]&0x80 != 0 {
				pictures++
			}
		default:
			sets[kind] = true
		}
	}
	if pictures != 1 {
		return fmt.Errorf("access unit has %d pictures; want 1", pictures)
	}
	if unit.Key && (!sets[hevcVPS] || !sets[hevcSPS] || !sets[hevcPPS]) {
		return fmt.Errorf("keyframe with parameter sets %v; want VPS, SPS and PPS", sets)
	}
	return nil
}
