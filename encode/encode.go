// Package encode is the contract between frames and access units: what an encoder is, what it is asked for, and the
// profiles, as data, of the encoders that this project knows. It is plain Go; encode/ffmpeg implements it.
package encode

import (
	"errors"
	"fmt"
	"time"

	"wavryhost/capture"
)

var (
	// ErrNoEncoder means that an encoder is not to be had here: not built in, no device, no driver.
	ErrNoEncoder = errors.New("encode: encoder not available")
	// ErrBusy means that the device does as many encodes as it can: the encoder works once one of them ends.
	ErrBusy = errors.New("encode: no room for another encode")
	// ErrSize means that the encoder takes no picture of the size.
	ErrSize = errors.New("encode: picture size not supported")
	// ErrClosed is returned by an encoder's methods after Close.
	ErrClosed = errors.New("encode: encoder closed")
)

// Params is what an encoder is opened with.
type Params struct {
	// Width and Height are the encoded picture's, in pixels, even, at least 16. Frames of another size are scaled.
	Width, Height int
	// FPS is the highest frame rate that will be asked for. It sizes the rate control's buffer.
	FPS int
	// BitsPerSecond is the rate to begin with.
	BitsPerSecond int
	// Threads is how many threads a software encoder may use. It defaults to what the profile says.
	Threads int
	// Level is the level_idc of H.264 that the stream states, 0 for the one that it needs.
	Level int
}

// Validate returns an error that names the first field that cannot work.
func (p Params) Validate() error {
	switch {
	case p.Width < 16 || p.Width%2 != 0 || p.Width > 8192:
		return fmt.Errorf("encode: width %d is not an even number from 16 to 8192", p.Width)
	case p.Height < 16 || p.Height%2 != 0 || p.Height > 8192:
		return fmt.Errorf("encode: height %d is not an even number from 16 to 8192", p.Height)
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

// Encoder turns frames into access units. One goroutine makes all calls on it.
type Encoder interface {
	// Encode encodes f as the next picture, a keyframe when key is set. It releases f as soon as its pixels are
	// converted, in any case before it returns. Only f.Damage is converted when f has the size of the frame before; the
	// first frame, and each of a new size, is converted whole. A nil f encodes the previous picture once more, which
	// refines it; then at must be its capture time, and with a frame at is ignored.
	//
	// Every call yields one access unit: encoders here have no delay. After an error the encoder may only be closed.
	Encode(f *capture.Frame, at time.Time, key bool) (AccessUnit, error)
	// SetRate asks for another bitrate, in bits per second, from the next picture on, and for a rate control buffer
	// sized for fps pictures a second. What that costs is Profile().Price.
	SetRate(bitsPerSecond, fps int) error
	// Enlarge lets the next keyframe have the bits of so many pictures; all after it have their own share again. Encoders
	// whose rate changes have a price do nothing.
	Enlarge(pictures int)
	// Profile tells what the encoder is.
	Profile() Profile
	// Close frees the encoder. A second Close does nothing.
	Close() error
}

// AccessUnit is one encoded picture.
type AccessUnit struct {
	// Data is the picture in its codec's form. H.264: NAL units in Annex B form, parameter sets included when Key is set.
	// VP9: one frame that is shown. It is never written to again and may be kept and shared.
	Data []byte
	Key  bool
	// Time is the capture time of the frame, carried over.
	Time time.Time
	// Seq is the frame's, or the previous one's when a picture was encoded again.
	Seq           uint64
	Width, Height int // pixels
	// Convert and Encode are what the two steps took.
	Convert, Encode time.Duration
	// QP is the mean quantizer of the picture on its codec's scale, 0 when the encoder does not tell.
	QP float64
	// Complaint is what the encoder logged as errors though it made the picture, such as that it did not take a rate.
	Complaint string
}

// Price is what changing an open encoder's bitrate costs.
type Price uint8

// The prices.
const (
	// PriceFree: in place, from the next picture on, no keyframe.
	PriceFree Price = iota
	// PriceKeyframe: in place, but each change forces a keyframe.
	PriceKeyframe
	// PriceReopen: the encoder has to be opened anew, which makes a keyframe and a gap.
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
	// Open returns an encoder, or an error that wraps ErrNoEncoder when this system has none of the kind, ErrBusy when the
	// device does as many encodes as it can, and ErrSize when it takes no such picture.
	Open(Params) (Encoder, error)
}
