//go:build cgo && !noffmpeg

package ffmpeg

/*
#include <stdlib.h>
#include "bridge.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/asticode/go-astiav"

	"wavryhost/capture"
	"wavryhost/encode"
)

// The meaning of the pictures' numbers, for the receiver's conversion back. libyuv's matrix is BT.601 limited; the
// display's own primaries and transfer curve are sRGB's.
const (
	colorSpace     = astiav.ColorSpaceSmpte170M
	colorRange     = astiav.ColorRangeMpeg
	colorPrimaries = astiav.ColorPrimariesBt709
	colorTransfer  = astiav.ColorTransferCharacteristicIec6196621
)

// maxRate is the highest rate that is requested of a codec, in bits per second: the largest of H.264's levels.
const maxRate int64 = 800_000_000

// qpScale is FF_QP2LAMBDA, the unit in which encoders report their quantizer.
const qpScale = 118

type encoder struct {
	profile encode.Profile
	log     *slog.Logger
	codec   *astiav.Codec
	params  encode.Params // with the rates in force
	openFPS int           // the frame rate that the open codec uses for its shares
	ration  ration        // for encoders that need it
	surplus surplus       // for encoders that leave some of their rate

	converter *converter
	surface   *surface // nil for encoders that accept pictures in main memory
	checker   *checker // nil for encoders on the processor
	context   *astiav.CodecContext
	packet    *C.AVPacket
	why       []byte // FFmpeg's log of the last encode, as C text

	rekey     bool           // the next picture must be a keyframe
	reopen    bool           // the codec refused its rate while open
	content   encode.Content // that it is tuned for
	untunable bool           // this libavcodec is not the expected one
	larger    int            // number of pictures whose bits the current keyframe may use, if more than one
	start     time.Time
	pts       int64
	end       int64 // of the time of the previous picture, with a ration
	seq       uint64
	failed    error // why the encoder ended; ErrClosed after Close
}

var _ encode.Encoder = (*encoder)(nil)

// open opens the codec with e.params. closeCodec frees what it allocates.
func (e *encoder) open() (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", e.profile.Name, err)
			e.closeCodec()
		}
	}()
	if e.surface != nil {
		if err := e.surface.save(e.converter.picture); err != nil {
			return err
		}
		if e.surface, err = e.surface.renewed(); err != nil {
			return err
		}
	}
	if e.packet = C.av_packet_alloc(); e.packet == nil {
		return errors.New("allocate a packet: out of memory")
	}
	if e.context = astiav.AllocCodecContext(e.codec); e.context == nil {
		return errors.New("allocate a codec context: out of memory")
	}
	e.openFPS, e.ration = e.params.FPS, newRation(e.params.BitsPerSecond, e.params.FPS, e.profile.Buffer)
	c := e.context
	c.SetWidth(e.params.Width)
	c.SetHeight(e.params.Height)
	c.SetPixelFormat(astiav.FindPixelFormatByName(e.profile.PixelFormat))
	c.SetTimeBase(astiav.NewRational(1, clock))
	c.SetFramerate(astiav.NewRational(e.openFPS, 1))
	c.SetColorSpace(colorSpace)
	c.SetColorRange(colorRange)
	c.SetColorPrimaries(colorPrimaries)
	c.SetColorTransferCharacteristic(colorTransfer)
	if e.params.Threads > 0 {
		c.SetThreadCount(e.params.Threads)
	}
	e.applyRate()
	if e.surface != nil {
		ctx := (*C.AVCodecContext)(c.UnsafePointer())
		if ctx.hw_frames_ctx = C.av_buffer_ref(e.surface.frames); ctx.hw_frames_ctx == nil {
			return errors.New("refer to the frames of the device: out of memory")
		}
	}
	// libyuv averages each 2x2 block.
	if err := setOption(c, "chroma_sample_location", "center"); err != nil {
		return err
	}
	if e.profile.DeviceOption != "" && e.profile.Device != "" {
		if err := setOption(c, e.profile.DeviceOption, e.profile.Device); err != nil {
			return err
		}
	}
	if e.profile.Finest > 0 {
		if err := setOption(c, "qmin", strconv.Itoa(e.profile.Finest)); err != nil {
			return err
		}
	}
	for _, o := range e.profile.OptionsWithin(e.params.H264) {
		if err := setOption(c, o.Name, o.Value); err != nil {
			return err
		}
	}
	if level := e.level(); level > 0 {
		if err := setOption(c, "level", strconv.Itoa(level)); err != nil {
			return err
		}
	}
	lines, err := captured(astiav.LogLevelWarning, func() error { return c.Open(e.codec, nil) })
	switch {
	case err != nil && e.profile.Hardware:
		return fmt.Errorf("open the codec: %w: %w", explained(err, lines), refusal(lines))
	case err != nil:
		return fmt.Errorf("open the codec: %w", explained(err, lines))
	case len(lines) > 0 && e.larger <= 1: // x264 says that one picture's share of the rate exceeds its level
		e.log.Warn("encoder opened with complaints", "text", strings.Join(lines, "; "))
	}
	e.tuneFor(e.content)
	return nil
}

// level returns the level to state in the stream, or 0 to leave it to the encoder. The level of HEVC that libavcodec
// chooses for VAAPI does not depend on the frame rate, so it can be too low.
func (e *encoder) level() int {
	switch codec := e.profile.Format.Codec; {
	case codec == encode.CodecH264:
		return e.params.Level
	case codec == encode.CodecHEVC && e.profile.API != "":
		return int(encode.LevelOf(codec, encode.Stream{
			Width: e.params.Width, Height: e.params.Height, FPS: e.params.FPS, BitsPerSecond: e.params.BitsPerSecond,
		}).IDC)
	}
	return 0
}

// tuneFor tunes the open codec for a kind of content. Without that it works as for mixed content.
func (e *encoder) tuneFor(c encode.Content) {
	e.content = c
	if err := e.tune(c); err != nil {
		e.untunable = true
		e.log.Warn("encoder cannot be tuned for its content", "err", err)
	}
}

func setOption(c *astiav.CodecContext, name, value string) error {
	cname, cvalue := C.CString(name), C.CString(value)
	defer C.free(unsafe.Pointer(cname))
	defer C.free(unsafe.Pointer(cvalue))
	if code := C.wavry_set_option((*C.AVCodecContext)(c.UnsafePointer()), cname, cvalue); code < 0 {
		return fmt.Errorf("set option %s=%s: %w", name, value, avError(code))
	}
	return nil
}

// applyRate puts the rates of e.params into the codec context: constant rate with a buffer of one frame, which bounds
// each picture to its share of the rate. The codec distributes its rate by the frame rate of its opening. So a lower
// frame rate is set as a higher rate, and each of the fewer pictures gets its larger share.
func (e *encoder) applyRate() {
	total := e.surplus.request(int64(e.params.BitsPerSecond))
	perFrame := total / int64(e.params.FPS)
	rate := total * int64(e.openFPS) / int64(e.params.FPS)
	e.context.SetBitRate(rate)
	e.context.SetRateControlMaxRate(rate)
	if e.profile.RateByTime {
		e.context.SetRateControlMinRate(rate)
	}
	// x264 counts in whole kilobits and refuses a buffer smaller than one frame.
	e.context.SetRateControlBufferSize((int(perFrame)*max(e.profile.Buffer, 1)/1000 + 1) * 1000)
}

func (e *encoder) Profile() encode.Profile { return e.profile }

func (e *encoder) Encode(f *capture.Frame, o encode.Order) (encode.AccessUnit, error) {
	if e.failed != nil {
		if f != nil {
			f.Release()
		}
		return encode.AccessUnit{}, e.failed
	}
	began, at := time.Now(), o.Time
	if f != nil {
		at, e.seq = f.Time, f.Seq
	}
	if err := e.take(f); err != nil {
		return encode.AccessUnit{}, e.fail(err)
	}
	converted := time.Now()
	if e.reopen {
		if err := e.renew(); err != nil {
			return encode.AccessUnit{}, err
		}
	}
	key := o.Key || e.rekey
	encodeOne := e.encode
	if o.Content != encode.ContentUnknown && o.Content != e.content {
		e.tuneFor(o.Content)
	}
	if e.larger = e.shares(o); key && e.larger > 1 {
		encodeOne = e.encodeLarger
	}
	data, isKey, qp, err := encodeOne(at, key)
	if err != nil {
		return encode.AccessUnit{}, e.fail(err)
	}
	if err := e.check(data, isKey, at); err != nil {
		return encode.AccessUnit{}, e.fail(err)
	}
	complaint := e.complaint()
	e.rekey = false
	if rateRefused.MatchString(complaint) {
		e.reopen, e.profile.Price = true, encode.PriceReopen
	}
	return encode.AccessUnit{
		Data: data, Key: isKey, Time: at, Seq: e.seq, Width: e.params.Width, Height: e.params.Height,
		Convert: converted.Sub(began), Encode: time.Since(converted), QP: qp, Complaint: complaint,
	}, nil
}

// check checks a picture of a device. What it finds in pictures between keyframes, it returns with a later one.
func (e *encoder) check(data []byte, isKey bool, at time.Time) error {
	if e.checker == nil {
		return nil
	}
	if isKey {
		return e.checker.key(data, at)
	}
	e.checker.sample(data, at)
	return e.checker.damage()
}

// complaint returns what FFmpeg logged as errors during the last encode.
func (e *encoder) complaint() string {
	if e.why[0] == 0 {
		return ""
	}
	return strings.Join(logLines(C.GoString((*C.char)(unsafe.Pointer(&e.why[0])))), "; ")
}

// encode encodes the picture of the surface or the converter.
func (e *encoder) encode(at time.Time, key bool) (data []byte, isKey bool, qp float64, err error) {
	picture := e.converter.picture
	if e.surface != nil {
		if picture, err = e.surface.hold(picture); err != nil {
			return nil, false, 0, err
		}
	}
	code, quality := e.submit(picture, at, key)
	if code == C.WAVRY_HELD_BACK && e.profile.Drops {
		code, quality = e.submit(picture, at, key) // it makes the dropped picture at its coarsest
	}
	switch {
	case code == C.WAVRY_HELD_BACK:
		return nil, false, 0, errors.New("encode: the encoder holds frames back")
	case code < 0:
		err := avError(code)
		if why := e.complaint(); why != "" {
			err = fmt.Errorf("%s: %w", why, err)
		}
		return nil, false, 0, fmt.Errorf("encode: %w", err)
	}
	isKey = e.packet.flags&C.AV_PKT_FLAG_KEY != 0
	e.ration.took(8 * int(e.packet.size))
	shares := 8 * float64(e.packet.size) * float64(e.params.FPS) / float64(e.params.BitsPerSecond)
	if e.fills() && !isKey && e.surplus.took(shares) {
		e.applyRate()
	}
	data = C.GoBytes(unsafe.Pointer(e.packet.data), e.packet.size)
	quantizer := float64(quality) / qpScale / float64(max(e.profile.QuantizerSteps, 1))
	return data, isKey, e.profile.Format.QP(quantizer), nil
}

// submit hands a picture to the codec. A negative code is an error, or WAVRY_HELD_BACK.
func (e *encoder) submit(picture *astiav.Frame, at time.Time, key bool) (code, quality C.int) {
	e.pts = e.next(at)
	if e.profile.RateByTime {
		length := e.ration.length()
		e.end = e.pts + length
		(*C.AVFrame)(picture.UnsafePointer()).duration = C.int64_t(length)
	}
	var ckey C.int
	if key {
		ckey = 1
	}
	code = C.wavry_encode((*C.AVCodecContext)(e.context.UnsafePointer()), (*C.AVFrame)(picture.UnsafePointer()),
		e.packet, C.int64_t(e.pts), ckey, &quality, (*C.char)(unsafe.Pointer(&e.why[0])), C.int(len(e.why)))
	return code, quality
}

// encodeLarger encodes the converter's picture as a keyframe of e.larger pictures' bits. The buffer of an open x264
// holds one picture's bits, however large it is made later, and that of libvpx is of the opening, too: only a new one
// is larger.
func (e *encoder) encodeLarger(at time.Time, key bool) (data []byte, isKey bool, qp float64, err error) {
	own := e.params
	e.params.BitsPerSecond *= e.larger
	e.closeCodec()
	err = e.open()
	e.params, e.larger = own, 1
	if err != nil {
		return nil, false, 0, err
	}
	data, isKey, qp, err = e.encode(at, key)
	e.deal()
	return data, isKey, qp, err
}

// next returns the timestamp of the picture with that capture time. Timestamps must rise strictly.
func (e *encoder) next(at time.Time) int64 {
	if e.profile.RateByTime {
		return e.end // libvpx measures a picture from the end of the previous one
	}
	if e.start.IsZero() {
		e.start = at
	}
	return max(e.pts+1, at.Sub(e.start).Microseconds())
}

func (e *encoder) fail(err error) error {
	e.failed = fmt.Errorf("%s: %w", e.profile.Name, err)
	return e.failed
}

func (e *encoder) SetRate(r encode.Rate) error {
	if e.failed != nil {
		return e.failed
	}
	p := e.params
	p.BitsPerSecond, p.FPS = r.BitsPerSecond, r.FPS
	if err := p.Validate(); err != nil {
		return err
	}
	if p == e.params {
		return nil
	}
	e.params = p
	if e.profile.Price != encode.PriceReopen {
		e.deal()
		return nil
	}
	return e.renew()
}

// renew opens the codec again, with the rates of e.params.
func (e *encoder) renew() error {
	e.closeCodec()
	if err := e.open(); err != nil {
		e.failed = err
		return err
	}
	e.rekey, e.reopen = true, false
	return nil
}

// rateRefused matches what libavcodec logs when a card refuses another rate although it supports that. libavcodec
// takes the rate for set, and does not try again. The picture has the former rate.
var rateRefused = regexp.MustCompile(`failed to reconfigure nvenc`)

// deal applies the rates of e.params to an encoder that accepts them while it is open.
func (e *encoder) deal() {
	if e.profile.RateByTime {
		e.setTimedRate()
		return
	}
	e.applyRate()
}

// fills reports whether the encoder leaves some of its rate, and can be asked for more at no price.
func (e *encoder) fills() bool {
	return e.profile.Price == encode.PriceFree && !e.profile.Hardware && !e.profile.RateByTime
}

// shares returns how many pictures' bits a keyframe may use. A device takes too long to open for a larger keyframe.
func (e *encoder) shares(o encode.Order) int {
	if e.profile.Price != encode.PriceFree || e.profile.Hardware {
		return 1
	}
	return min(o.Shares, int(maxRate/int64(e.params.BitsPerSecond)))
}

func (e *encoder) Close() error {
	if !errors.Is(e.failed, encode.ErrClosed) {
		e.free()
		e.failed = fmt.Errorf("%s: %w", e.profile.Name, encode.ErrClosed)
	}
	return nil
}

// free frees in the reverse order of Open, which may have stopped anywhere.
func (e *encoder) free() {
	e.closeCodec()
	if e.checker != nil {
		e.checker.close()
	}
	if e.surface != nil {
		e.surface.free()
	}
	if e.converter != nil {
		e.converter.free()
	}
}

// closeCodec frees what open allocated. It does nothing a second time.
func (e *encoder) closeCodec() {
	if e.context != nil {
		e.context.Free()
		e.context = nil
	}
	C.av_packet_free(&e.packet) //nolint:gocritic // cgo's check of the pointer compares it with itself
}
