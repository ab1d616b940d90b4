package peer

import (
	"fmt"
	"strconv"
)

// profileLevel is the profile-level-id of H.264 (RFC 6184, section 8.1).
type profileLevel struct {
	profile, constraints, level uint8
}

// parseProfileLevel parses a profile-level-id.
func parseProfileLevel(text string) (profileLevel, bool) {
	n, err := strconv.ParseUint(text, 16, 24)
	if err != nil || len(text) != 6 {
		return profileLevel{}, false
	}
	return profileLevel{uint8(n >> 16), uint8(n >> 8), uint8(n)}, true
}

func (p profileLevel) String() string {
	return fmt.Sprintf("%02x%02x%02x", p.profile, p.constraints, p.level)
}

// The profiles, by profile_idc (H.264, annex A).
const (
	profileBaseline    = 66
	profileMain        = 77
	profileExtended    = 88
	profileHigh        = 100
	profileHigh10      = 110
	profileHigh422     = 122
	profileHigh444     = 244
	constraintBaseline = 0x40 // constraint_set1_flag: with profile 66, constrained baseline
	constraintIntra    = 0x10 // constraint_set3_flag: with the profiles above high, intra pictures only
)

// rank says how well a decoder of the profile suits the constrained baseline stream that this host sends. 1 is the
// best. 0 means that the decoder need not decode the stream; decoders of all other profiles must (H.264, annex A.2).
func (p profileLevel) rank() int {
	switch p.profile {
	case profileBaseline:
		if p.constraints&constraintBaseline != 0 {
			return 1
		}
		return 2
	case profileMain, profileExtended:
		return 3
	case profileHigh:
		return 4
	case profileHigh10, profileHigh422, profileHigh444:
		if p.constraints&constraintIntra != 0 {
			return 0
		}
		return 5
	default:
		return 0
	}
}
