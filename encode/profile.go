package encode

// The codecs, by their RTP encoding names.
const (
	H264 = "H264"
	VP9  = "VP9"
)

// Codecs lists the codecs, the preferred first.
func Codecs() []string { return []string{H264, VP9} }

// Profile describes one encoder as data: which FFmpeg codec it is, how it is set up for latency, and what the rest of
// the system must know of it.
type Profile struct {
	// Name is the FFmpeg encoder's name, and the name in configuration, logs and metrics.
	Name string
	// Codec is what it makes, one of Codecs.
	Codec string
	// Hardware tells whether it needs a device.
	Hardware bool
	// Price is what a bitrate change costs.
	Price Price
	// Threads is the default thread count, 0 where it has no meaning.
	Threads int
	// PixelFormat is the FFmpeg name of the pixel format handed to the encoder ("yuv420p", "nv12", "vaapi").
	PixelFormat string
	// Device is the FFmpeg hardware device type it needs ("", "cuda", "vaapi", "videotoolbox").
	Device string
	// MinRate sets the rate as the least one too, without which libvpx does not keep it constant.
	MinRate bool
	// RateByTime tells that the encoder deals out its rate by the pictures' timestamps. They are then not the time of
	// capture, by which the picture after a pause would get all the bits that the pause has saved, but give each picture
	// its share; and so they change the rate of an encoder that is open.
	RateByTime bool
	// Limits are the sizes that it takes. The proof may find them to be narrower.
	Limits Limits
	// Options are the codec's options, its private ones and the generic ones, by FFmpeg's names. Picture size, rates,
	// threads and colours are set from Params and by the converter, not here. A test checks each option against FFmpeg's
	// own tables.
	Options map[string]string
	// Reasons tells why each option has its value.
	Reasons map[string]string
}
