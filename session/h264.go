package session

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// profileLevel is the profile-level-id of H.264 (RFC 6184, section 8.1).
type profileLevel struct {
	profile, constraints, level uint8
}

// parseProfileLevel reads a profile-level-id.
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
	constraintIntra    = 0x10 // constraint_set3_flag: with the profiles above high, intra pictures alone
)

// rank says how well a decoder of that profile suits the constrained baseline stream that this host sends: 1 is the best, 0 is a decoder that need not
// take the stream. Decoders of all other profiles must (H.264, annex A.2).
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

// level is what a stream of a level may have at most (H.264, table A-1).
type level struct {
	idc       uint8
	perSecond int // macroblocks
	perFrame  int // macroblocks
}

// levels are those that can be answered, lowest first. Level 1b is left to 1.
var levels = []level{
	{10, 1_485, 99},
	{11, 3_000, 396},
	{12, 6_000, 396},
	{13, 11_880, 396},
	{20, 11_880, 396},
	{21, 19_800, 792},
	{22, 20_250, 1_620},
	{30, 40_500, 1_620},
	{31, 108_000, 3_600},
	{32, 216_000, 5_120},
	{40, 245_760, 8_192},
	{41, 245_760, 8_192},
	{42, 522_240, 8_704},
	{50, 589_824, 22_080},
	{51, 983_040, 36_864},
	{52, 2_073_600, 36_864},
	{60, 4_177_920, 139_264},
	{61, 8_355_840, 139_264},
	{62, 16_711_680, 139_264},
}

// levelOf returns the lowest level that has room for pictures of a size at a rate, the highest where none has.
func levelOf(width, height, fps int) level {
	for _, l := range levels {
		if (limits{macroblocks: l.perFrame, perSecond: l.perSecond}).admits(width, height, fps) {
			return l
		}
	}
	return levels[len(levels)-1]
}

// levelNamed returns the level of that number, the next lower one where there is none.
func levelNamed(idc uint8) level {
	at := levels[0]
	for _, l := range levels {
		if l.idc <= idc {
			at = l
		}
	}
	return at
}

// limits is what a viewer's decoder takes at most; zero fields hold nothing down.
type limits struct {
	macroblocks int // of a picture
	perSecond   int // macroblocks
	fps         int
}

// blocks returns how many macroblocks of 16x16 pixels cover n pixels.
func blocks(n int) int { return (n + 15) / 16 }

// admits reports whether pictures of a size at a rate are within the limits.
func (l limits) admits(width, height, fps int) bool {
	w, h := blocks(width), blocks(height)
	if l.macroblocks > 0 {
		// Neither side may be longer than this (H.264, annex A.3.1; RFC 9628, section 5).
		if side := int(math.Sqrt(float64(8 * l.macroblocks))); w*h > l.macroblocks || w > side || h > side {
			return false
		}
	}
	return (l.perSecond == 0 || w*h*fps <= l.perSecond) && (l.fps == 0 || fps <= l.fps)
}

// scale returns the largest fraction of a picture's size that is within the limits.
func (l limits) scale(width, height int) float64 {
	if l.macroblocks == 0 || l.admits(width, height, 0) {
		return 1
	}
	// The sides are rounded up to whole macroblocks, so that the exact fraction has to be searched for.
	low, high := 0.0, 1.0
	for range 20 {
		if f := (low + high) / 2; l.admits(int(math.Round(float64(width)*f)), int(math.Round(float64(height)*f)), 0) {
			low = f
		} else {
			high = f
		}
	}
	return low
}

// rate returns the highest frame rate for pictures of a size, at least 1.
func (l limits) rate(width, height, fps int) int {
	if l.perSecond > 0 {
		fps = min(fps, l.perSecond/max(blocks(width)*blocks(height), 1))
	}
	if l.fps > 0 {
		fps = min(fps, l.fps)
	}
	return max(fps, 1)
}

// parameters are those of an fmtp line, names in lower case.
type parameters map[string]string

func (p parameters) read(text string) {
	for one := range strings.SplitSeq(text, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(one), "=")
		if key != "" {
			p[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
}

// number returns a positive parameter, 0 where it is missing or is none.
func (p parameters) number(key string) int {
	n, err := strconv.ParseUint(p[key], 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}
