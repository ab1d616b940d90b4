package encode

import (
	"image"
	"slices"
)

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

// nvencHEVC, vaapiHEVC and videoToolboxHEVC are for viewers that decode HEVC. No processor encodes it in real time.
func nvencHEVC() Profile {
	p := nvenc()
	p.Name, p.Format = "hevc_nvenc", HEVC
	// NVENC's limits for HEVC by NVIDIA's support matrix.
	p.Limits = Limits{Min: image.Pt(130, 34), Max: image.Pt(8192, 8192)}
	p.set("profile", "main", "what every receiver of HEVC must decode")
	return p
}

func vaapiHEVC() Profile {
	p := vaapi()
	p.Name, p.Format = "hevc_vaapi", HEVC
	p.Limits = Limits{Min: image.Pt(128, 128), Max: image.Pt(8192, 8192)}
	p.set("profile", "main", "what every receiver of HEVC must decode")
	return p
}

func videoToolboxHEVC() Profile {
	p := videoToolbox()
	p.Name, p.Format = "hevc_videotoolbox", HEVC
	p.set("profile", "main", "what every receiver of HEVC must decode")
	return p
}

func nvencAV1() Profile {
	p := nvenc()
	p.Name, p.Format = "av1_nvenc", AV1
	p.Limits = Limits{Min: image.Pt(192, 128), Max: image.Pt(8192, 8192)}
	p.set("profile", "0", "what every receiver of AV1 must decode")
	p.set("rc", "vbr", "with cbr, libavcodec makes NVENC pad each picture to its share; the buffer bounds it too")
	p.QuantizerSteps = 4 // NVENC's go up to 255
	return p
}

func vaapiAV1() Profile {
	p := vaapi()
	p.Name, p.Format = "av1_vaapi", AV1
	p.Limits = Limits{Min: image.Pt(128, 128), Max: image.Pt(8192, 8192)}
	p.set("profile", "main", "what every receiver of AV1 must decode")
	return p
}

// set replaces an option.
func (p *Profile) set(name, value, why string) {
	p.Options = slices.DeleteFunc(p.Options, func(o Option) bool { return o.Name == name })
	p.Options = append(p.Options, Option{name, value, why})
}
