package encode

import (
	"image"
	"slices"
)

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

// nvencHEVC, vaapiHEVC and videoToolboxHEVC are for viewers that decode HEVC. No processor encodes it in real time.
func nvencHEVC() Profile {
	p := nvenc()
	p.Name, p.Format = "hevc_nvenc", HEVC
	// NVENC's limits for HEVC by NVIDIA's support matrix.
	p.Limits = Limits{Min: image.Pt(130, 34), Max: image.Pt(8192, 8192)}
	p.profile("main", "what every receiver of HEVC must decode")
	return p
}

func vaapiHEVC() Profile {
	p := vaapi()
	p.Name, p.Format = "hevc_vaapi", HEVC
	p.Limits = Limits{Min: image.Pt(128, 128), Max: image.Pt(8192, 8192)}
	p.profile("main", "what every receiver of HEVC must decode")
	return p
}

func videoToolboxHEVC() Profile {
	p := videoToolbox()
	p.Name, p.Format = "hevc_videotoolbox", HEVC
	p.profile("main", "what every receiver of HEVC must decode")
	return p
}

func nvencAV1() Profile {
	p := nvenc()
	p.Name, p.Format = "av1_nvenc", AV1
	p.Limits = Limits{Min: image.Pt(192, 128), Max: image.Pt(8192, 8192)}
	p.profile("0", "what every receiver of AV1 must decode")
	return p
}

func vaapiAV1() Profile {
	p := vaapi()
	p.Name, p.Format = "av1_vaapi", AV1
	p.Limits = Limits{Min: image.Pt(128, 128), Max: image.Pt(8192, 8192)}
	p.profile("main", "what every receiver of AV1 must decode")
	return p
}

// profile replaces the codec's profile.
func (p *Profile) profile(value, why string) {
	p.Options = slices.DeleteFunc(p.Options, func(o Option) bool { return o.Name == "profile" })
	p.Options = append(p.Options, Option{"profile", value, why})
}
