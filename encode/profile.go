package encode

// Profile describes one encoder as data: its FFmpeg codec, its options for low latency, and the properties that other
// packages need.
type Profile struct {
	// Name is the name of the FFmpeg encoder, and the name in configuration, logs and metrics.
	Name string
	// Format is one of Formats.
	Format Format
	// Hardware reports whether it requires a device.
	Hardware bool
	// Price is the cost of a bitrate change.
	Price Price
	// Threads is the default number of threads, or 0 if it has no meaning.
	Threads int
	// PixelFormat is FFmpeg's name of the encoder's pixel format ("yuv420p", "nv12", "vaapi").
	PixelFormat string
	// Device is the FFmpeg type of the required hardware device ("", "cuda", "vaapi", "videotoolbox").
	Device string
	// MinRate sets the minimum rate to the rate too. Without it libvpx does not keep the rate constant.
	MinRate bool
	// RateByTime means that the encoder paces its rate by the pictures' timestamps. These are then not capture times,
	// which would give all bits saved in a pause to the picture after it. They give each picture its share. So they can
	// also change the rate of an open encoder.
	RateByTime bool
	// Limits are the supported sizes. The proof may find narrower ones.
	Limits Limits
	// Options are the codec's private and generic options. Params and the converter determine picture size, rates, threads
	// and colors. A test checks each option against FFmpeg's own tables.
	Options []Option
}

// Option is an option of an FFmpeg codec.
type Option struct {
	Name, Value string // by FFmpeg's tables
	Why         string // it has this value
}

// Option returns the value of an option, or "" if it is not set.
func (p Profile) Option(name string) string {
	for _, o := range p.Options {
		if o.Name == name {
			return o.Value
		}
	}
	return ""
}
