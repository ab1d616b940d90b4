package encode

import (
	"slices"

	"wavryhost/capture"
)

// Profile describes one encoder as data: its FFmpeg codec, its options for low latency, and the properties that other
// packages need.
type Profile struct {
	// Name is unique on the host: the name of the FFmpeg encoder, with the device where there are several (see On). It
	// is the name in logs and metrics.
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
	// API is FFmpeg's type of the device whose surfaces it requires ("", "vaapi"). Pictures are uploaded to them.
	API string
	// Device is the device of that type, such as /dev/dri/renderD128, or the value of DeviceOption. Empty leaves the
	// choice to FFmpeg.
	Device string
	// Surfaces are the surfaces that it reads without a copy. The trial finds them.
	Surfaces Surfaces
	// DeviceOption is the codec's option that chooses a device, for encoders without an API.
	DeviceOption string
	// RateByTime means that the encoder paces its rate by the pictures' timestamps. These are then not capture times,
	// which would give all bits saved in a pause to the picture after it. They give each picture its share. So they can
	// also change the rate of an open encoder. Such an encoder keeps its rate constant only with a minimum rate.
	RateByTime bool
	// Drops means that the encoder drops a picture that would take far more than its share. The next picture, which may
	// be the same one, is as coarse as it can be.
	Drops bool
	// QuantizerSteps is the number of steps of its quantizer that are one of Format.QP. It defaults to 1.
	QuantizerSteps int
	// Limits are the supported sizes. The proof may find narrower ones.
	Limits Limits
	// Options are the codec's private and generic options. Params and the converter determine picture size, rates, threads
	// and colors. A test checks each option against FFmpeg's own tables.
	Options []Option
	// H264 has further options for each profile of H.264 that the encoder makes. Empty means that it makes one, which
	// Options determine.
	H264 []H264Options
	// Content has options for kinds of content. An encoder is opened as for mixed content.
	Content []ContentOptions
	// Buffer is the size of the rate control's buffer in pictures. It defaults to 1, which bounds each picture to its
	// share of the rate.
	Buffer int
	// Finest is the smallest quantizer of a picture, on the codec's scale. A finer one looks the same and takes more
	// bits. 0 leaves it to the codec.
	Finest int
	// Least is the smallest share of the rate of which the encoder makes a picture. A lower rate takes fewer pictures.
	Least Share
	// Variants are settings for drivers that differ. The trial takes the first that works. None means one without
	// further settings.
	Variants []Variant
	// Variant is the variant in use; see In.
	Variant int
}

// Surfaces are the surfaces that an encoder reads without a copy: their kind, and their device if it is known. The zero
// value is none: pictures come from main memory.
type Surfaces struct {
	Kind   capture.Kind   `json:"kind"`
	Device capture.Device `json:"device"`
}

// Share is a number of bits for a picture, which depends on its size. The zero value is none.
type Share struct{ Bits, PerPixel float64 }

// Pictures returns how many pictures of a size a rate in bits per second has room for, from 1 to most.
func (s Share) Pictures(bitsPerSecond, width, height, most int) int {
	least := s.Bits + s.PerPixel*float64(width*height)
	if least <= 0 {
		return most
	}
	return max(1, min(most, int(float64(bitsPerSecond)/least)))
}

// Variant is a way to use an encoder.
type Variant struct {
	Options []Option // further ones
	Buffer  int      // Profile.Buffer
}

// In returns the profile in one of its variants.
func (p Profile) In(variant int) Profile {
	p.Variant = variant
	if variant < len(p.Variants) {
		p.Options = slices.Concat(p.Options, p.Variants[variant].Options)
		p.Buffer = p.Variants[variant].Buffer
	}
	return p
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
