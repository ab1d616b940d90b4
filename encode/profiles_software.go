package encode

func x264() Profile {
	return Profile{
		Name:   "libx264",
		Format: H264,
		Price:  PriceFree,
		// A second sliced thread gains nothing at ultrafast (4.5 ms per frame at 1080p60 with one, 4.2 to 4.5 with
		// two) and costs prediction across the slice border.
		Threads:     1,
		PixelFormat: "yuv420p",
		Finest:      12,
		Options: []Option{
			{"preset", "ultrafast", "the cheapest: 4.5 ms a frame at 1080p30 against 9.5 for veryfast"},
			{"tune", "zerolatency", "no frame is held back: no lookahead, no frame threads, rate control frame by frame"},
			{
				"x264-params", "me=umh:merange=64",
				"the wider motion search finds scrolled text: +9.4 dB at two thirds of the bits for +0.8 ms",
			},
			{"deblock", "0:0", "film takes less than half of the bits for the same picture; see Content"},
			{"g", gopX264, "keyframes on request only"},
			{"bf", "0", "a B-frame waits for the picture after it"},
			{"sc_threshold", "0", "a scene cut is no reason for a keyframe: nobody asked for one"},
			{"rc-lookahead", "0", "looking ahead means holding frames back"},
			{"forced-idr", "1", "a requested keyframe must be one that a new viewer can start at"},
			{
				"qdiff", "20",
				"with x264's 4 and a one-frame buffer, rows that one picture could not afford stay coarse in those " +
					"after it, and are taken for sharp: a still page of dense text at 4 Mbit/s 720p60 stays at 24 dB, " +
					"with 10 at 33, and reaches 40 in 1.1 s with 20; a terminal at 1 Mbit/s 1080p60 has 40 dB after 1.0 s " +
					"instead of 1.4. More gains nothing. Where the rate is far too low for text that scrolls it loses up " +
					"to 2 dB",
			},
			{"nal-hrd", "none", "HRD signaling would pad to the bitrate and fix it in the parameter sets"},
			{"thread_type", "slice", "frame threads hold one frame back for each thread; slices do not"},
		},
		// None of these holds a frame back. docs/develop/encoders.md has the curves.
		H264: []H264Options{
			{ConstrainedBaseline, []Option{
				{"profile", "baseline", "what every browser must decode (RFC 7742)"},
			}},
			{Main, []Option{
				{"profile", "main", "for decoders without the tools of high"},
				{"coder", "cabac", "arithmetic coding takes a sixth of the bits from text and film"},
			}},
			{High, []Option{
				{"profile", "high", "the highest profile for 4:2:0 that browsers decode"},
				{"coder", "cabac", "arithmetic coding takes a sixth of the bits from text and film"},
				{"8x8dct", "1", "flat areas and gradients of film take fewer coefficients"},
				{"partitions", "i4x4,i8x8", "new areas are predicted in small blocks, which text requires"},
			}},
		},
		Content: []ContentOptions{
			{ContentText, []Option{
				{"deblock", "false", "smoothed edges of letters cost 2 to 8 % of the bits"},
				{"me", "umh", "see x264-params"},
				{"merange", "64", "see x264-params"},
			}},
			{ContentMixed, []Option{
				{"deblock", "0:0", "film gains more than text loses"},
				{"me", "umh", "see x264-params"},
				{"merange", "64", "see x264-params"},
			}},
			{ContentFilm, []Option{
				{"deblock", "0:0", "without it film takes twice the bits for the same picture"},
				{"me", "dia", "the wider search saves 3 % of the bits and takes 0.6 ms more"},
				{"merange", "16", "the preset's own"},
			}},
		},
	}
}

// frameDuration is why libvpx gets the durations of pictures.
const frameDuration = "without it libavcodec states the duration of the opening's frame rate: the share of a picture " +
	"follows a change of the rate one picture late"

// vpx is for viewers without H.264. Of the codecs that all of them decode, VP8 costs half as much, but does not keep
// its rate. libvpx finds no motion as fast as scrolling text, which took five times the rate at the coarsest
// quantizer. It does not encode a picture twice, so a page that appeared at once took 30 shares of a frame. VP9 takes
// 0.8 times the rate for the former, and three shares for the latter (1280x720, 60 frames per second, 6 Mbit/s).
func vpx() Profile {
	return Profile{
		Name:   "libvpx-vp9",
		Format: VP9,
		// libavcodec passes the rate to libvpx when it opens the codec, and later changes only the largest quantizer.
		// libvpx's own function or time do change the rate, see RateByTime.
		Price:      PriceFree,
		RateByTime: true,
		// The two tile columns are encoded in parallel.
		Threads:     2,
		PixelFormat: "yuv420p",
		Finest:      10,
		Options: []Option{
			{"deadline", "realtime", "without it libvpx takes all the time that good quality needs"},
			{"cpu-used", "8", "the cheapest that libavcodec takes"},
			{
				"tune-content", "screen",
				"it finds a change of the whole picture and encodes it again within the rate: a page of text that " +
					"comes at once takes three shares of a frame instead of 37",
			},
			{
				"aq-mode", "cyclic",
				"without it pictures of scrolling text take up to 4.3 times their share of the rate, with it 2.4 " +
					"times",
			},
			{"tile-columns", "1", "a picture in two columns takes two threads"},
			{"row-mt", "1", "the threads help each other out within a column"},
			{"lag-in-frames", "0", "looking ahead means holding frames back"},
			{"auto-alt-ref", "0", "a hidden reference is an access unit without a picture"},
			{
				"max-intra-rate", "100",
				"a keyframe has the share of any picture, as with the one-frame buffer of the others; libvpx would " +
					"give the first one half of its buffer of four seconds",
			},
			{"profile", "0", "what every receiver of VP9 must decode"},
			{"flags", "+frame_duration", frameDuration},
			{"g", gopVPX, "keyframes on request only"},
			{"bf", "0", "VP9 has none"},
		},
	}
}

// aom is for text at a low rate: its palettes keep letters sharp where H.264 cannot. docs/develop/encoders.md has the
// curves. libaom is called without libavcodec, and the options are libaom's own. Delay, keyframes and rate control are
// set when it is opened.
func aom() Profile {
	return Profile{
		Name:   "libaom-av1",
		Format: AV1,
		Price:  PriceFree,
		// The two tile columns are encoded in parallel.
		Threads:     2,
		PixelFormat: "yuv420p",
		// At 0 its pictures of scrolling text have 26 dB, at 1 they have 67.
		Finest: 10,
		// With one picture, pictures of scrolling text stay coarse: the rate control is slow.
		Buffer: 6,
		Options: []Option{
			{"cpu-used", "10", "the fastest speed that all versions have"},
			{"tune-content", "screen", "the tools for screens, and the detection of a picture that is all new"},
			{"enable-palette", "1", "text and windows have few colors"},
			{"aq-mode", "3", "cyclic refresh: still parts get sharp at little cost"},
			{"tile-columns", "1", "a picture in two columns takes two threads"},
			{"row-mt", "1", "the threads help each other out within a column"},
			{"enable-tpl-model", "0", "it requires pictures to come"},
			{"deltaq-mode", "0", "it belongs to the model of pictures to come"},
			{"enable-order-hint", "0", "pictures are shown in the order in which they are encoded"},
			{"enable-obmc", "0", "motion of screens has no overlaps"},
			{"enable-global-motion", "0", "nothing on a screen turns"},
			{"enable-warped-motion", "0", "nothing on a screen turns"},
			{"coeff-cost-upd-freq", "3", "the costs of modes are computed once for a picture"},
			{"mode-cost-upd-freq", "3", "the costs of modes are computed once for a picture"},
			{"mv-cost-upd-freq", "3", "the costs of modes are computed once for a picture"},
		},
	}
}
