package encode

import "fmt"

// The codecs, by their RTP encoding names.
const (
	CodecH264 = "H264"
	CodecHEVC = "H265"
	CodecVP9  = "VP9"
	CodecAV1  = "AV1"
	CodecVP8  = "VP8"
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
	VP8  = Format{CodecVP8, Chroma420, 8}
)

// Formats lists the formats, the preferred first.
func Formats() []Format { return []Format{H264, HEVC, VP9, AV1, VP8} }

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

// QP converts a mean quantizer of the codec to H.264's scale, on which pictures with equal numbers look about alike. 0
// stands for an unknown one.
func (f Format) QP(quantizer float64) float64 {
	// Two points make the line. Pages of text look alike at 14 in H.264, at 12 of 63 in VP9 and AV1, and at 15 in VP8. A
	// terminal has 28.5 dB during typing at 36 in H.264, 46 in VP9 and 59 in AV1. VP8 is as coarse as that at 56, on
	// average over the scenes (docs/develop/encoders.md).
	const sharp, coarse = 14, 36
	qp := quantizer
	switch {
	case quantizer == 0:
		return 0
	case f.Codec == CodecVP9:
		qp = sharp + (quantizer-12)*(coarse-sharp)/(46-12)
	case f.Codec == CodecAV1:
		qp = sharp + (quantizer-12)*(coarse-sharp)/(59-12)
	case f.Codec == CodecVP8:
		qp = sharp + (quantizer-15)*(coarse-sharp)/(56-15)
	}
	return min(max(qp, 1), 51) // x264 reckons beyond 51 when a picture must shrink further
}
