package encode

import "testing"

func TestLevelsOfStreams(t *testing.T) {
	for _, c := range []struct {
		stream Stream
		want   uint8
	}{
		{Stream{640, 480, 30, 2_000_000}, 30},
		{Stream{1280, 720, 30, 10_000_000}, 31},
		{Stream{1280, 720, 60, 10_000_000}, 32},
		{Stream{1280, 720, 30, 20_000_000}, 32},
		{Stream{1920, 1080, 30, 20_000_000}, 40},
		{Stream{1920, 1080, 60, 20_000_000}, 42},
		{Stream{2560, 1440, 60, 20_000_000}, 51},
		{Stream{3840, 2160, 30, 20_000_000}, 51},
		{Stream{3840, 2160, 60, 20_000_000}, 52},
		{Stream{7680, 2160, 60, 20_000_000}, 60},
		{Stream{8192, 64, 30, 20_000_000}, 51}, // 512 macroblocks wide: the frame would fit into level 3.1
		{Stream{8192, 8192, 240, 20_000_000}, 62},
	} {
		if got := LevelOf(CodecH264, c.stream).IDC; got != c.want {
			t.Errorf("%+v: level %d; want %d", c.stream, got, c.want)
		}
	}
}

// The levels by which decoders of the other codecs are sold: 3.1 is 720p30, 4.1 is 1080p60, 5.1 is 2160p60.
func TestLevelsOfOtherCodecs(t *testing.T) {
	for _, c := range []struct {
		stream    Stream
		hevc, av1 uint8
	}{
		{Stream{320, 240, 30, 1_000_000}, 60, 0},
		{Stream{1280, 720, 30, 2_000_000}, 93, 5},
		{Stream{1280, 720, 60, 2_000_000}, 120, 8},
		{Stream{1920, 1080, 60, 20_000_000}, 123, 9},
		{Stream{3840, 2160, 60, 20_000_000}, 153, 13},
		{Stream{8192, 8192, 240, 20_000_000}, 186, 18},
	} {
		if hevc, av1 := LevelOf(CodecHEVC, c.stream).IDC, LevelOf(CodecAV1, c.stream).IDC; hevc != c.hevc || av1 != c.av1 {
			t.Errorf("%+v: HEVC %d, AV1 %d; want %d, %d", c.stream, hevc, av1, c.hevc, c.av1)
		}
	}
}

func TestLevelByIDC(t *testing.T) {
	for idc, want := range map[uint8]uint8{0: 10, 10: 10, 31: 31, 33: 32, 62: 62, 255: 62} {
		if got := LevelByIDC(CodecH264, idc).IDC; got != want {
			t.Errorf("level_idc %d: level %d; want %d", idc, got, want)
		}
	}
}

func TestBothDecodersBoundTheStream(t *testing.T) {
	one := DecoderLimits{Macroblocks: 396, FPS: 30, Level: 31}
	other := DecoderLimits{Macroblocks: 1620, BitsPerSecond: 1_000_000, Level: 20}
	want := DecoderLimits{Macroblocks: 396, FPS: 30, BitsPerSecond: 1_000_000, Level: 20}
	if got := one.And(other); got != want {
		t.Errorf("got %+v; want %+v", got, want)
	}
	got := want.Bound(Stream{1920, 1080, 60, 20_000_000})
	if n := Macroblocks(got.Width, got.Height); n > 396 || n < 300 || got.FPS != 30 || got.BitsPerSecond != 1_000_000 {
		t.Errorf("1920x1080 becomes %+v, %d macroblocks", got, n)
	}
}
