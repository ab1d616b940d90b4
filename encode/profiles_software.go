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
		// With half of it, pictures are blank and stay so: docs/develop/encoders.md.
		Least: Share{Bits: 3000, PerPixel: 0.0065},
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
			{"sc_threshold", "0", "keyframes are made on request only, also at a scene cut"},
			{"rc-lookahead", "0", "looking ahead means holding frames back"},
			{"forced-idr", "1", "a new viewer must be able to start at a requested keyframe"},
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
	"follows a change of the rate one picture late, and one of the frame rate a second late in VP8"

// vp9 is for viewers without H.264.
func vp9() Profile {
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

// vp8 is for viewers that decode no other codec. Its largest quantizer is finer than that of the others. So a page of
// text that comes at once takes 11 shares of 1 Mbit/s or 2.4 of 4 Mbit/s. Text that jumps by more than 32 rows takes
// twice its rate of 4 Mbit/s (1280x720, 60 frames per second).
func vp8() Profile {
	return Profile{
		Name:   "libvpx",
		Format: VP8,
		// As for VP9.
		Price:      PriceFree,
		RateByTime: true,
		// The threads of libvpx for VP8 wait for each other in busy loops: on a busy machine two took up to 182 ms for a
		// picture, and one took 16.
		Threads:     1,
		PixelFormat: "yuv420p",
		Finest:      10,
		// With one picture two thirds of the rate are used, and with two a change of the rate is off by 17 %. With three
		// it is off by 1.2 %, and the largest picture is no larger.
		Buffer: 3,
		Drops:  true,
		Options: []Option{
			{"deadline", "realtime", "without it libvpx takes all the time that good quality needs"},
			{
				"cpu-used", "-6",
				"the fastest that predicts motion from neighbors: at -8 text that scrolls by 16 rows takes seven times its " +
					"rate; -4 finds 64 rows instead of 32 for twice the processor time. Numbers above 0 would choose the " +
					"speed by the load of the machine",
			},
			{
				"screen-content-mode", "2",
				"it drops a picture that is all new and far too large, and makes the next one as coarse as it can: a page " +
					"after a sharp one takes 31 shares of 1 Mbit/s instead of 110",
			},
			{
				"error-resilient", "0",
				"pictures without the statistics of earlier ones take up to 9 % more bits, and a viewer that lost a " +
					"picture waits for a retransmission or a keyframe anyway",
			},
			{"lag-in-frames", "0", "looking ahead means holding frames back"},
			{"auto-alt-ref", "0", "a hidden reference is an access unit without a picture"},
			{
				"max-intra-rate", "100",
				"a keyframe has the share of any picture; libvpx would give the first one half of its buffer of four " +
					"seconds",
			},
			{"profile", "0", "the filters for sharp pictures, which every receiver of VP8 must decode"},
			{"flags", "+frame_duration", frameDuration},
			{"g", gopVPX, "keyframes on request only"},
			{"bf", "0", "VP8 has none"},
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
