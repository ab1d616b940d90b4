package encode

import "fmt"

// The codecs, by their RTP encoding names.
const (
	CodecH264 = "H264"
	CodecHEVC = "H265"
	CodecVP9  = "VP9"
	CodecAV1  = "AV1"
)

// Chroma is the resolution of the color planes.
type Chroma uint8

// The resolutions.
const (
	Chroma420 Chroma = iota // half as wide and half as high as the picture
	Chroma444               // that of the picture
)

func (c Chroma) String() string {
	switch c {
	case Chroma420:
		return "4:2:0"
	case Chroma444:
		return "4:4:4"
	default:
		return fmt.Sprintf("chroma(%d)", uint8(c))
	}
}

// Format is what a decoder must support to decode a stream. Encoders, payload types and encodings of one format fit
// together.
type Format struct {
	Codec  string // RTP encoding name
	Chroma Chroma
	Depth  uint8 // bits of a sample
}

// The formats that have an encoder.
var (
	H264 = Format{CodecH264, Chroma420, 8}
	HEVC = Format{CodecHEVC, Chroma420, 8}
	VP9  = Format{CodecVP9, Chroma420, 8}
	AV1  = Format{CodecAV1, Chroma420, 8}
)

// Formats lists the formats, the preferred first.
func Formats() []Format { return []Format{H264, HEVC, VP9, AV1} }

// String returns the name of the codec, with what differs from the usual form of its pictures.
func (f Format) String() string {
	text := f.Codec
	if f.Chroma != Chroma420 {
		text += " " + f.Chroma.String()
	}
	if f.Depth != 8 {
		text += fmt.Sprintf(" %d-bit", f.Depth)
	}
	return text
}
