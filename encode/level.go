package encode

import "math"

// Stream is the largest video stream that a decoder must take: its picture size in pixels, frame rate and bitrate.
type Stream struct {
	Width, Height int
	FPS           int
	BitsPerSecond int
}

// Level holds the limits of a level of a codec, in macroblocks of H.264.
type Level struct {
	IDC                  uint8 // how SDP states it: level_idc of H.264, level-id of HEVC, level-idx of AV1
	MacroblocksPerSecond int
	Macroblocks          int // per picture
	BitsPerSecond        int
}

// levels returns the levels of a codec, the lowest first.
func levels(codec string) []Level {
	switch codec {
	case CodecHEVC:
		return levelsHEVC
	case CodecAV1:
		return levelsAV1
	default:
		return levelsH264
	}
}

// levelsH264 are from H.264, table A-1, without level 1b.
var levelsH264 = []Level{
	{10, 1_485, 99, 64_000},
	{11, 3_000, 396, 192_000},
	{12, 6_000, 396, 384_000},
	{13, 11_880, 396, 768_000},
	{20, 11_880, 396, 2_000_000},
	{21, 19_800, 792, 4_000_000},
	{22, 20_250, 1_620, 4_000_000},
	{30, 40_500, 1_620, 10_000_000},
	{31, 108_000, 3_600, 14_000_000},
	{32, 216_000, 5_120, 20_000_000},
	{40, 245_760, 8_192, 20_000_000},
	{41, 245_760, 8_192, 50_000_000},
	{42, 522_240, 8_704, 50_000_000},
	{50, 589_824, 22_080, 135_000_000},
	{51, 983_040, 36_864, 240_000_000},
	{52, 2_073_600, 36_864, 240_000_000},
	{60, 4_177_920, 139_264, 240_000_000},
	{61, 8_355_840, 139_264, 480_000_000},
	{62, 16_711_680, 139_264, 800_000_000},
}

// samples is the number of luma samples of a macroblock.
const samples = 16 * 16

// levelsHEVC are from H.265, tables A.8 and A.9, in the main tier.
var levelsHEVC = []Level{
	{30, 552_960 / samples, 36_864 / samples, 128_000},
	{60, 3_686_400 / samples, 122_880 / samples, 1_500_000},
	{63, 7_372_800 / samples, 245_760 / samples, 3_000_000},
	{90, 16_588_800 / samples, 552_960 / samples, 6_000_000},
	{93, 33_177_600 / samples, 983_040 / samples, 10_000_000},
	{120, 66_846_720 / samples, 2_228_224 / samples, 12_000_000},
	{123, 133_693_440 / samples, 2_228_224 / samples, 20_000_000},
	{150, 267_386_880 / samples, 8_912_896 / samples, 25_000_000},
	{153, 534_773_760 / samples, 8_912_896 / samples, 40_000_000},
	{156, 1_069_547_520 / samples, 8_912_896 / samples, 60_000_000},
	{183, 2_139_095_040 / samples, 35_651_584 / samples, 120_000_000},
	{186, 4_278_190_080 / samples, 35_651_584 / samples, 240_000_000},
}

// levelsAV1 are from the AV1 specification, annex A.3, in the main tier, with their rates of display.
var levelsAV1 = []Level{
	{0, 4_423_680 / samples, 147_456 / samples, 1_500_000},
	{1, 8_363_520 / samples, 278_784 / samples, 3_000_000},
	{4, 19_975_680 / samples, 665_856 / samples, 6_000_000},
	{5, 31_950_720 / samples, 1_065_024 / samples, 10_000_000},
	{8, 70_778_880 / samples, 2_359_296 / samples, 12_000_000},
	{9, 141_557_760 / samples, 2_359_296 / samples, 20_000_000},
	{12, 267_386_880 / samples, 8_912_896 / samples, 30_000_000},
	{13, 534_773_760 / samples, 8_912_896 / samples, 40_000_000},
	{14, 1_069_547_520 / samples, 8_912_896 / samples, 60_000_000},
	{17, 2_139_095_040 / samples, 35_651_584 / samples, 100_000_000},
	{18, 4_278_190_080 / samples, 35_651_584 / samples, 160_000_000},
}

// LevelOf returns the lowest level of a codec that a stream fits, or the highest level if it fits none.
func LevelOf(codec string, s Stream) Level {
	list := levels(codec)
	for _, l := range list {
		limits := DecoderLimits{Macroblocks: l.Macroblocks, MacroblocksPerSecond: l.MacroblocksPerSecond}
		if limits.Admits(s.Width, s.Height, s.FPS) && s.BitsPerSecond <= l.BitsPerSecond {
			return l
		}
	}
	return list[len(list)-1]
}

// LevelByIDC returns the level of a codec with a number. For an unknown one it returns the next lower level.
func LevelByIDC(codec string, idc uint8) Level {
	list := levels(codec)
	at := list[0]
	for _, l := range list {
		if l.IDC <= idc {
			at = l
		}
	}
	return at
}

// DecoderLimits are the limits of a viewer's decoder. A zero field means no limit.
type DecoderLimits struct {
	Macroblocks          int // per picture
	MacroblocksPerSecond int
	FPS                  int
	BitsPerSecond        int
	// Level is the highest H.264 level_idc that the stream may state.
	Level int
	// H264 is the highest H.264 profile of the decoder.
	H264 H264Profile
}

// And returns the limits of a stream for both decoders.
func (l DecoderLimits) And(o DecoderLimits) DecoderLimits {
	return DecoderLimits{
		Macroblocks:          lowest(l.Macroblocks, o.Macroblocks),
		MacroblocksPerSecond: lowest(l.MacroblocksPerSecond, o.MacroblocksPerSecond),
		FPS:                  lowest(l.FPS, o.FPS),
		BitsPerSecond:        lowest(l.BitsPerSecond, o.BitsPerSecond),
		Level:                lowest(l.Level, o.Level),
		H264:                 lowest(l.H264, o.H264),
	}
}

// lowest returns the lower of two limits. 0 means no limit.
func lowest[T int | H264Profile](a, b T) T {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// Macroblocks returns the number of macroblocks, 16x16 pixels each, of a picture.
func Macroblocks(width, height int) int { return blocks(width) * blocks(height) }

// blocks returns the number of macroblocks along a side of n pixels.
func blocks(n int) int { return (n + 15) / 16 }

// Admits reports whether the decoder takes pictures of a size at a frame rate.
func (l DecoderLimits) Admits(width, height, fps int) bool {
	n := Macroblocks(width, height)
	if l.Macroblocks > 0 {
		// The number of macroblocks bounds each side, too (H.264, annex A.3.1; RFC 9628, section 5).
		side := int(math.Sqrt(float64(8 * l.Macroblocks)))
		if n > l.Macroblocks || blocks(width) > side || blocks(height) > side {
			return false
		}
	}
	return (l.MacroblocksPerSecond == 0 || n*fps <= l.MacroblocksPerSecond) && (l.FPS == 0 || fps <= l.FPS)
}

// Scale returns the largest fraction of a picture size that the decoder takes.
func (l DecoderLimits) Scale(width, height int) float64 {
	if l.Macroblocks == 0 || l.Admits(width, height, 0) {
		return 1
	}
	// Sides are rounded up to whole macroblocks, so the fraction has no closed form.
	low, high := 0.0, 1.0
	for range 20 {
		f := (low + high) / 2
		if l.Admits(int(math.Round(float64(width)*f)), int(math.Round(float64(height)*f)), 0) {
			low = f
		} else {
			high = f
		}
	}
	return low
}

// Rate returns the highest frame rate up to fps that the decoder takes for a picture size. It is at least 1.
func (l DecoderLimits) Rate(width, height, fps int) int {
	if l.MacroblocksPerSecond > 0 {
		fps = min(fps, l.MacroblocksPerSecond/max(Macroblocks(width, height), 1))
	}
	if l.FPS > 0 {
		fps = min(fps, l.FPS)
	}
	return max(fps, 1)
}

// Bound returns the largest stream up to s that the decoder takes.
func (l DecoderLimits) Bound(s Stream) Stream {
	f := l.Scale(s.Width, s.Height)
	s.Width, s.Height = int(float64(s.Width)*f), int(float64(s.Height)*f)
	s.FPS = l.Rate(s.Width, s.Height, s.FPS)
	s.BitsPerSecond = lowest(s.BitsPerSecond, l.BitsPerSecond)
	return s
}
