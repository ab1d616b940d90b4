// Package encode is the contract between frames and access units: the encoder, its parameters, and the known encoders
// as data (profiles). It is plain Go; encode/ffmpeg implements it.
package encode

import (
	"errors"
	"fmt"
	"time"

	"wavryhost/capture"
)

var (
	// ErrNoEncoder means that an encoder is not available: not built in, no device, or no driver.
	ErrNoEncoder = errors.New("encode: encoder not available")
	// ErrBusy means that the device runs its maximum number of encodes. The encoder works again once one of them ends.
	ErrBusy = errors.New("encode: no room for another encode")
	// ErrSize means that the encoder does not support pictures of this size.
	ErrSize = errors.New("encode: picture size not supported")
	// ErrOutput means that what an encoder made does not decode.
	ErrOutput = errors.New("encode: output does not decode")
	// ErrSurface means that the pixels of a frame cannot be read where they are. Frames in main memory can be encoded.
	ErrSurface = errors.New("encode: surface cannot be read")
	// ErrClosed is returned by an encoder's methods after Close.
	ErrClosed = errors.New("encode: encoder closed")
)

// MinSide and MaxSide bound the sides of an encoded picture, in pixels.
const (
	MinSide = 16
	MaxSide = 8192
)

// Params are the parameters for opening an encoder.
type Params struct {
	// Width and Height are the size of the encoded picture in pixels, even, at least 16. Frames of another size are
	// scaled.
	Width, Height int
	// FPS is the highest requested frame rate. It sizes the buffer of the rate control.
	FPS int
	// BitsPerSecond is the initial rate.
	BitsPerSecond int
	// Threads is the number of threads of a software encoder. It defaults to the profile's.
	Threads int
	// Level is the H.264 level_idc to state in the stream, or 0 for the required one.
	Level int
	// H264 is the highest H.264 profile that the stream may use, or 0 for no limit.
	H264 H264Profile
}

// Validate returns an error that names the first field that cannot work.
func (p Params) Validate() error {
	switch {
	case p.Width < MinSide || p.Width%2 != 0 || p.Width > MaxSide:
		return fmt.Errorf("encode: width %d is not an even number from %d to %d", p.Width, MinSide, MaxSide)
	case p.Height < MinSide || p.Height%2 != 0 || p.Height > MaxSide:
		return fmt.Errorf("encode: height %d is not an even number from %d to %d", p.Height, MinSide, MaxSide)
	case p.FPS < 1 || p.FPS > 240:
		return fmt.Errorf("encode: frame rate %d is not from 1 to 240", p.FPS)
	case p.BitsPerSecond < 1000:
		return fmt.Errorf("encode: bitrate %d is under 1000 bits per second", p.BitsPerSecond)
	case p.Level < 0 || p.Level > 62:
		return fmt.Errorf("encode: level %d is not from 0 to 62", p.Level)
	case p.Threads < 0:
		return fmt.Errorf("encode: thread count %d is negative", p.Threads)
	}
	return nil
}

// Order says how to encode a picture.
type Order struct {
	// Time is the capture time of the previous picture, which is encoded again. With a frame it is ignored.
	Time time.Time
	// Key requests a keyframe.
	Key bool
	// Shares is the number of pictures whose bits a keyframe may use, if more than one. All later pictures have their
	// own share again. Devices, and encoders whose rate changes have a price, ignore it.
	Shares int
	// Content is the kind of content, or ContentUnknown to keep the settings.
	Content Content
}

// Rate is a target of the rate control.
type Rate struct {
	BitsPerSecond int
	FPS           int // pictures per second, which share the bits
}

// Encoder turns frames into access units. One goroutine makes all calls.
type Encoder interface {
	// Encode encodes f as the next picture, as the order says. It releases f once its pixels are converted, and in any
	// case before it returns. If f has the size of the previous frame, only f.Damage is converted; the first frame,
	// and each frame of a new size, is converted as a whole. A nil f encodes the previous picture again, which refines
	// it.
	//
	// Every call returns one access unit: encoders here have no delay. After an error the encoder can only be closed.
	Encode(f *capture.Frame, o Order) (AccessUnit, error)
	// SetRate requests another rate from the next picture on. Profile().Price says what this costs.
	SetRate(Rate) error
	// Profile describes the encoder.
	Profile() Profile
	// Close frees the encoder. A second Close does nothing.
	Close() error
}

// AccessUnit is one encoded picture.
type AccessUnit struct {
	// Data is the picture in the form of its codec. H.264 and HEVC: NAL units in Annex B form, with parameter sets if
	// Key is set. VP9 and VP8: one visible frame. AV1: a temporal unit of one visible frame, with a sequence header if
	// Key is set. It is never written to again, so it may be kept and shared.
	Data []byte
	// Format is its format. Encoders leave it out; who distributes the units knows it.
	Format Format
	Key    bool
	// Time is the capture time of the frame.
	Time time.Time
	// Seq is the frame's number, or the previous one's if a picture was encoded again.
	Seq           uint64
	Width, Height int // pixels
	// Convert and Encode are the durations of the two steps.
	Convert, Encode time.Duration
	// QP is the mean quantizer of the picture on H.264's scale, or 0 if the encoder does not report it. See Format.QP.
	QP float64
	// Complaint is what the encoder logged as errors although it made the picture, for example that it refused a rate.
	Complaint string
}

// Price is the cost of changing the bitrate of an open encoder.
type Price uint8

// The prices.
const (
	// PriceFree: in place, from the next picture on, no keyframe.
	PriceFree Price = iota
	// PriceKeyframe: in place, but each change forces a keyframe.
	PriceKeyframe
	// PriceReopen: the encoder must be reopened, which makes a keyframe and a gap.
	PriceReopen
)

func (p Price) String() string {
	switch p {
	case PriceFree:
		return "free"
	case PriceKeyframe:
		return "keyframe"
	case PriceReopen:
		return "reopen"
	default:
		return fmt.Sprintf("price(%d)", uint8(p))
	}
}

// Factory opens encoders of one profile.
type Factory interface {
	Profile() Profile
	// Open returns an encoder. The error wraps ErrNoEncoder when this system has no such encoder, ErrBusy when the
	// device runs its maximum number of encodes, and ErrSize when it does not support the size, in any case for one
	// out of Profile().Limits.
	Open(Params) (Encoder, error)
}
