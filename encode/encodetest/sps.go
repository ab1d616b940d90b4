package encodetest

import (
	"errors"
	"fmt"
)

// SPS is what the sequence parameter set of an H.264 stream states (H.264, section 7.3.2.1.1).
type SPS struct {
	Profile, Constraints, Level byte // as in profile-level-id
	Width, Height               int  // of the picture, after cropping
	References                  int  // max_num_ref_frames
	// Bounded reports whether the stream bounds what a decoder holds back: Reordered pictures, of Buffered ones.
	Bounded             bool
	Reordered, Buffered int
}

// ID returns the stated profile-level-id.
func (s SPS) ID() string { return fmt.Sprintf("%02x%02x%02x", s.Profile, s.Constraints, s.Level) }

var errNoSPS = errors.New("no sequence parameter set")

// ReadSPS returns the first sequence parameter set of a byte stream of H.264 (annex B).
func ReadSPS(stream []byte) (SPS, error) {
	for _, nal := range splitAnnexB(stream) {
		if nal[0]&0x1f == 7 {
			return parseSPS(nal)
		}
	}
	return SPS{}, errNoSPS
}

// Profiles whose parameter sets state the form of the samples.
var statesChroma = map[byte]bool{100: true, 110: true, 122: true, 244: true, 44: true, 83: true, 86: true, 118: true}

func parseSPS(nal []byte) (s SPS, err error) {
	r := &bitReader{data: unescape(nal[1:])}
	s.Profile, s.Constraints, s.Level = byte(r.bits(8)), byte(r.bits(8)), byte(r.bits(8))
	r.golomb() // seq_parameter_set_id
	chroma := 1
	if statesChroma[s.Profile] {
		if chroma = r.golomb(); chroma == 3 {
			r.bits(1) // separate_colour_plane_flag
		}
		r.golomb() // bit_depth_luma_minus8
		r.golomb() // bit_depth_chroma_minus8
		r.bits(1)  // qpprime_y_zero_transform_bypass_flag
		if r.bits(1) != 0 {
			return s, errors.New("sequence parameter set with a scaling matrix")
		}
	}
	r.golomb() // log2_max_frame_num_minus4
	switch r.golomb() {
	case 0:
		r.golomb() // log2_max_pic_order_cnt_lsb_minus4
	case 1:
		return s, errors.New("sequence parameter set with pic_order_cnt_type 1")
	}
	s.References = r.golomb()
	r.bits(1) // gaps_in_frame_num_value_allowed_flag
	s.Width, s.Height = 16*(r.golomb()+1), 16*(r.golomb()+1)
	if r.bits(1) == 0 { // frame_mbs_only_flag
		return s, errors.New("sequence parameter set of interlaced pictures")
	}
	r.bits(1) // direct_8x8_inference_flag
	if r.bits(1) != 0 {
		unit := 2 // samples of 4:2:0
		if chroma != 1 {
			return s, fmt.Errorf("chroma_format_idc %d; want 1", chroma)
		}
		s.Width -= unit * (r.golomb() + r.golomb())
		s.Height -= unit * (r.golomb() + r.golomb())
	}
	if r.bits(1) != 0 {
		r.usability(&s)
	}
	return s, r.err
}

// usability reads the parameters of annex E, as far as the bounds of the decoder's buffer.
func (r *bitReader) usability(s *SPS) {
	if r.bits(1) != 0 && r.bits(8) == 255 { // aspect_ratio_idc
		r.bits(32)
	}
	if r.bits(1) != 0 {
		r.bits(1) // overscan_appropriate_flag
	}
	if r.bits(1) != 0 { // video_signal_type_present_flag
		r.bits(4)
		if r.bits(1) != 0 {
			r.bits(24)
		}
	}
	if r.bits(1) != 0 { // chroma_loc_info_present_flag
		r.golomb()
		r.golomb()
	}
	if r.bits(1) != 0 { // timing_info_present_flag
		r.bits(32)
		r.bits(32)
		r.bits(1)
	}
	hrd := 0
	for range 2 { // of NAL units, and of slices
		if r.bits(1) != 0 {
			hrd++
			r.hrd()
		}
	}
	if hrd > 0 {
		r.bits(1) // low_delay_hrd_flag
	}
	r.bits(1) // pic_struct_present_flag
	if s.Bounded = r.bits(1) != 0; !s.Bounded {
		return
	}
	r.bits(1) // motion_vectors_over_pic_boundaries_flag
	for range 4 {
		r.golomb()
	}
	s.Reordered, s.Buffered = r.golomb(), r.golomb()
}

// hrd skips the parameters of a hypothetical reference decoder.
func (r *bitReader) hrd() {
	count := r.golomb() + 1
	r.bits(8)
	for range min(count, 32) {
		r.golomb()
		r.golomb()
		r.bits(1)
	}
	r.bits(20)
}

// unescape removes the bytes that keep start codes out of a NAL unit.
func unescape(nal []byte) []byte {
	var out []byte
	zeros := 0
	for _, b := range nal {
		if zeros >= 2 && b == 3 {
			zeros = 0
			continue
		}
		if zeros++; b != 0 {
			zeros = 0
		}
		out = append(out, b)
	}
	return out
}

// bitReader reads bits, the highest first. After its end it returns zeros.
type bitReader struct {
	data []byte
	at   int
	err  error
}

func (r *bitReader) bits(n int) (v int) {
	for range n {
		v <<= 1
		if r.at/8 >= len(r.data) {
			r.err = errors.New("sequence parameter set is cut short")
			continue
		}
		v |= int(r.data[r.at/8]>>(7-r.at%8)) & 1
		r.at++
	}
	return v
}

// golomb reads an unsigned Exp-Golomb code. Its sign does not matter here.
func (r *bitReader) golomb() int {
	zeros := 0
	for r.err == nil && zeros < 32 && r.bits(1) == 0 {
		zeros++
	}
	return 1<<zeros - 1 + r.bits(zeros)
}
