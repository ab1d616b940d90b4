package encode

import "image"

// The longest keyframe interval that each encoder supports. Keyframes are made on request only: a periodic keyframe is
// the largest frame and comes when it is not needed.
const (
	// x264's own X264_KEYINT_MAX_INFINITE. FFmpeg's default of -1 leaves x264's default of 250 frames in force.
	gopX264 = "1073741824"
	// libavcodec passes the number as NVENC's gopLength, an unsigned 32-bit value, and accepts only positive ones. It
	// is over a year at 60 frames per second.
	gopNVENC = "2147483647"
	// For VAAPI, libavcodec decides on the picture types itself, and passes the same number to the driver as
	// intra_period. Its low 16 bits are set and its double fits 32 bits, so that a driver with narrower fields still
	// sees a long period.
	gopVAAPI = "1073741823"
	// libvpx accepts an unsigned number and computes with a signed one.
	gopVPX = "2147483647"
	// VideoToolbox gets it as MaxKeyFrameInterval, a CFNumber of an int. 0 would leave the choice to the encoder.
	gopVideoToolbox = "2147483647"
)

// Profiles returns the known encoders, the preferred first. Each call makes new values.
func Profiles() []Profile {
	return []Profile{
		nvenc(), vaapi(), videoToolbox(), x264(),
		nvencHEVC(), vaapiHEVC(), videoToolboxHEVC(),
		nvencAV1(), vaapiAV1(), aom(),
		vpx(),
	}
}

// FindProfile returns the profile of that name.
func FindProfile(name string) (Profile, bool) {
	for _, p := range Profiles() {
		if p.Name == name {
			return p, true
		}
	}
	return Profile{}, false
}

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
			{"g", gopVPX, "keyframes on request only"},
			{"bf", "0", "VP9 has none"},
		},
	}
}

func nvenc() Profile {
	return Profile{
		Name:     "h264_nvenc",
		Format:   H264,
		Hardware: true,
		// libavcodec as released sets forceIDR with every rate change. With our patch the trial finds that changes are free.
		Price: PriceKeyframe,
		// NVENC's limits for H.264 by NVIDIA's support matrix. If a card has narrower ones, its first refusal shows
		// that.
		Limits:      Limits{Min: image.Pt(146, 50), Max: image.Pt(4096, 4096)},
		PixelFormat: "nv12",
		// libavcodec would take the first card only, however many there are.
		DeviceOption: "gpu",
		Options: []Option{
			{"preset", "p1", "the fastest preset"},
			{"tune", "ull", "ultra low latency: strict rate control frame by frame, which the one-frame buffer relies on"},
			{"profile", "baseline", "what every browser must decode (RFC 7742)"},
			{"rc", "cbr", "with a one-frame buffer it keeps keyframes near the size of others (35 KB against 245 KB)"},
			{"zerolatency", "1", "no reordering delay"},
			{"delay", "0", "the default hands frames out only when all surfaces are in flight"},
			{"rc-lookahead", "0", "looking ahead means holding frames back"},
			{"g", gopNVENC, "keyframes on request only"},
			{"bf", "0", "a B-frame waits for the picture after it"},
			{"forced-idr", "1", "a forced picture would else be a plain I-frame, at which a new viewer cannot start"},
		},
	}
}

func vaapi() Profile {
	return Profile{
		Name:     "h264_vaapi",
		Format:   H264,
		Hardware: true,
		// libavcodec as released builds the rate parameters when it opens the codec and cannot change them. With our patch
		// the trial finds that changes are free.
		Price: PriceReopen,
		// The common limits of Intel's and AMD's drivers for H.264.
		Limits:      Limits{Min: image.Pt(128, 128), Max: image.Pt(4096, 4096)},
		PixelFormat: "vaapi",
		API:         "vaapi",
		Options: []Option{
			{"profile", "constrained_baseline", "what every browser must decode (RFC 7742)"},
			{"low_power", "0", "the low-power entry point lacks rate control on many systems unless extra firmware is loaded"},
			{"async_depth", "1", "the default of 2 returns each frame one call late"},
			{"g", gopVAAPI, "keyframes on request only"},
			{"bf", "0", "a B-frame waits for the picture after it; libavcodec's default here is 2"},
		},
		Variants: []Variant{
			{Options: []Option{{"rc_mode", "CBR", "its buffer of one picture bounds each of them"}}},
			{Options: []Option{{"rc_mode", "VBR", "for drivers that refuse CBR, or so small a buffer with it"}}},
			{Buffer: 60, Options: []Option{{
				"rc_mode", "CBR", "for drivers that refuse a buffer of one picture; the pacer holds larger pictures",
			}}},
		},
	}
}

func videoToolbox() Profile {
	return Profile{
		Name:     "h264_videotoolbox",
		Format:   H264,
		Hardware: true,
		// libavcodec sets the rate properties only when it makes the session.
		Price:       PriceReopen,
		PixelFormat: "nv12",
		Options: []Option{
			{"profile", "constrained_baseline", "what every browser must decode (RFC 7742)"},
			{"realtime", "1", "without it the system may finish frames late to save power"},
			{"prio_speed", "1", "speed before quality, where the device knows the property"},
			{"allow_sw", "0", "libx264 is the better software encoder"},
			{"flags", "+low_delay", "libavcodec turns low_delay into the system's low-latency rate control"},
			{"g", gopVideoToolbox, "keyframes on request only"},
			{"bf", "0", "a B-frame waits for the picture after it"},
		},
	}
}
