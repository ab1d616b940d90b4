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
	bitrate   int // kilobits per second
}

// levels are those that can be answered, lowest first. Level 1b is left to 1.
var levels = []level{
	{10, 1_485, 99, 64},
	{11, 3_000, 396, 192},
	{12, 6_000, 396, 384},
	{13, 11_880, 396, 768},
	{20, 11_880, 396, 2_000},
	{21, 19_800, 792, 4_000},
	{22, 20_250, 1_620, 4_000},
	{30, 40_500, 1_620, 10_000},
	{31, 108_000, 3_600, 14_000},
	{32, 216_000, 5_120, 20_000},
	{40, 245_760, 8_192, 20_000},
	{41, 245_760, 8_192, 50_000},
	{42, 522_240, 8_704, 50_000},
	{50, 589_824, 22_080, 135_000},
	{51, 983_040, 36_864, 240_000},
	{52, 2_073_600, 36_864, 240_000},
	{60, 4_177_920, 139_264, 240_000},
	{61, 8_355_840, 139_264, 480_000},
	{62, 16_711_680, 139_264, 800_000},
}

// largest is the most that a stream may come to be.
type largest struct{ width, height, fps, bitrate int }

// levelOf returns the lowest level that has room for a stream, the highest where none has.
func levelOf(s largest) level {
	for _, l := range levels {
		if (limits{macroblocks: l.perFrame, perSecond: l.perSecond}).admits(s.width, s.height, s.fps) && s.bitrate <= 1000*l.bitrate {
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
	bitrate     int // bits per second
	level       int // level_idc, which a stream of H.264 may state at most
}

// and returns what keeps both.
func (l limits) and(o limits) limits {
	return limits{
		macroblocks: lowest(l.macroblocks, o.macroblocks), perSecond: lowest(l.perSecond, o.perSecond), fps: lowest(l.fps, o.fps),
		bitrate: lowest(l.bitrate, o.bitrate), level: lowest(l.level, o.level),
	}
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

// bound applies the limits to what a viewer asks for of a display's picture.
func (l limits) bound(a *ask, width, height int) {
	a.scale = min(a.scale, l.scale(width, height))
	if l.fps != 0 || l.perSecond != 0 {
		a.fps = l.rate(int(float64(width)*a.scale), int(float64(height)*a.scale), a.fps)
	}
	a.bitrate = min(a.bitrate, orMost(l.bitrate))
	a.limits = l
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
