package peer

import (
	"fmt"
	"strconv"

	"wavryhost/encode"
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
	profileBaseline = 66
	profileMain     = 77
	profileExtended = 88
	profileHigh     = 100
	profileHigh10   = 110
	profileHigh422  = 122
	profileHigh444  = 244

	constraintOfBaseline = 0x80 // constraint_set0_flag: with profile 77, constrained baseline
	constraintBaseline   = 0x40 // constraint_set1_flag: with profile 66, constrained baseline
	constraintIntra      = 0x10 // constraint_set3_flag: with the profiles above high, intra pictures only
)

// h264 returns the highest profile of this host's streams that a decoder of the profile must decode (RFC 6184, table 5;
// H.264, annex A.2), or 0 if it need not decode any.
func (p profileLevel) h264() encode.H264Profile {
	switch p.profile {
	case profileBaseline, profileExtended:
		return encode.ConstrainedBaseline
	case profileMain:
		if p.constraints&constraintOfBaseline != 0 {
			return encode.ConstrainedBaseline
		}
		return encode.Main
	case profileHigh:
		return encode.High
	case profileHigh10, profileHigh422, profileHigh444:
		if p.constraints&constraintIntra != 0 {
			return 0
		}
		return encode.High
	default:
		return 0
	}
}

// rank says how well a decoder of the profile suits this host's streams. 1 is the best: a higher profile takes fewer
// bits for the same picture. Among equal ones, browsers decode the commonest in hardware. 0 means that the decoder need
// not decode any stream of this host.
func (p profileLevel) rank() int {
	switch p.h264() {
	case encode.High:
		if p.profile == profileHigh {
			return 1
		}
		return 2
	case encode.Main:
		return 3
	case encode.ConstrainedBaseline:
		if p.profile == profileBaseline && p.constraints&constraintBaseline == 0 || p.profile == profileExtended {
			return 5
		}
		return 4
	default:
		return 0
	}
}
