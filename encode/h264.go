package encode

import (
	"fmt"
	"slices"
)

// H264Profile is a profile of H.264. A decoder of one also decodes the lower ones. The zero value means that the
// profile is not limited.
type H264Profile uint8

// The profiles, the lowest first.
const (
	// ConstrainedBaseline is what every WebRTC receiver must decode (RFC 7742).
	ConstrainedBaseline H264Profile = iota + 1
	// Main adds arithmetic coding (CABAC).
	Main
	// High adds transforms and intra prediction of 8x8 samples.
	High
)

func (p H264Profile) String() string {
	switch p {
	case 0:
		return ""
	case ConstrainedBaseline:
		return "constrained baseline"
	case Main:
		return "main"
	case High:
		return "high"
	default:
		return fmt.Sprintf("profile(%d)", uint8(p))
	}
}

// H264Options are the options with which an encoder makes a profile of H.264.
type H264Options struct {
	Profile H264Profile
	Options []Option
}

// H264Within returns the highest profile that the encoder can make for a decoder of a profile. It is 0 if the encoder
// always makes the same one.
func (p Profile) H264Within(most H264Profile) H264Profile {
	return p.h264Within(most).Profile
}

// OptionsWithin returns all options of the encoder for a decoder of a profile of H.264.
func (p Profile) OptionsWithin(most H264Profile) []Option {
	return slices.Concat(p.Options, p.h264Within(most).Options)
}

func (p Profile) h264Within(most H264Profile) (best H264Options) {
	for _, o := range p.H264 {
		if o.Profile > best.Profile && (most == 0 || o.Profile <= most) {
			best = o
		}
	}
	return best
}
