package encode

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
		vp9(), vp8(),
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
