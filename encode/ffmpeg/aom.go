//go:build cgo && !noffmpeg

package ffmpeg

/*
#cgo pkg-config: aom
#include <stdlib.h>
#include "aom.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/asticode/go-astiav"

	"wavryhost/capture"
	"wavryhost/encode"
)

// aomName is the name of the profile that uses libaom without libavcodec.
const aomName = "libaom-av1"

// aomEncoder encodes AV1 with libaom.
type aomEncoder struct {
	profile   encode.Profile
	params    encode.Params // with the rates in force
	converter *converter
	codec     *C.wavry_aom
	why       []byte // libaom's words about a failure, as C text

	end    int64 // of the time of the previous picture
	seq    uint64
	failed error // why the encoder ended; ErrClosed after Close
}

var _ encode.Encoder = (*aomEncoder)(nil)

// openAOM opens an encoder with parameters that are valid.
func openAOM(profile encode.Profile, p encode.Params) (_ encode.Encoder, err error) {
	e := &aomEncoder{profile: profile, params: p, why: make([]byte, 512)}
	format := astiav.FindPixelFormatByName(profile.PixelFormat)
	if e.converter, err = newConverter(p.Width, p.Height, format); err != nil {
		return nil, fmt.Errorf("%s: %w", profile.Name, err)
	}
	pairs := make([]*C.char, 0, 2*len(profile.Options))
	for _, o := range profile.Options {
		pairs = append(pairs, C.CString(o.Name), C.CString(o.Value))
	}
	defer func() {
		for _, text := range pairs {
			C.free(unsafe.Pointer(text))
		}
	}()
	buffer := time.Duration(max(profile.Buffer, 1)) * time.Second / time.Duration(p.FPS)
	e.codec = C.wavry_aom_open(C.int(p.Width), C.int(p.Height), C.int(max(p.Threads, 1)), C.int64_t(p.BitsPerSecond),
		C.int(max(buffer.Milliseconds(), 1)), C.int(profile.Finest), unsafe.SliceData(pairs), C.int(len(profile.Options)),
		(*C.char)(unsafe.Pointer(&e.why[0])), C.int(len(e.why)))
	if e.codec == nil {
		e.converter.free()
		return nil, fmt.Errorf("%s: open the codec: %s", profile.Name, e.words())
	}
	return e, nil
}

// words returns libaom's words about the last failure.
func (e *aomEncoder) words() string { return C.GoString((*C.char)(unsafe.Pointer(&e.why[0]))) }

func (e *aomEncoder) Profile() encode.Profile { return e.profile }

func (e *aomEncoder) Encode(f *capture.Frame, o encode.Order) (encode.AccessUnit, error) {
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
	if err := e.converter.take(f); err != nil {
		return encode.AccessUnit{}, e.fail(err)
	}
	converted := time.Now()
	// Each picture lasts as long as its share of the rate. With capture times, the picture after a pause would get all
	// bits of the pause.
	length := max(1, int64(C.WAVRY_AOM_CLOCK/e.params.FPS))
	shares := 1
	if o.Key {
		shares = max(1, o.Shares)
	}
	var unit C.wavry_aom_unit
	code := C.wavry_aom_encode(e.codec, (*C.AVFrame)(e.converter.picture.UnsafePointer()), C.int64_t(e.end),
		C.int64_t(length), C.int(btoi(o.Key)), C.int(100*shares), &unit,
		(*C.char)(unsafe.Pointer(&e.why[0])), C.int(len(e.why))) //nolint:gocritic // cgo compares a pointer with itself
	e.end += length
	if code != 0 {
		return encode.AccessUnit{}, e.fail(errors.New(e.words()))
	}
	return encode.AccessUnit{
		Data: C.GoBytes(unsafe.Pointer(unit.data), unit.size), Key: unit.key != 0, Time: at, Seq: e.seq,
		Width: e.params.Width, Height: e.params.Height, Convert: converted.Sub(began), Encode: time.Since(converted),
		QP: e.profile.Format.QP(float64(unit.quantizer)),
	}, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (e *aomEncoder) fail(err error) error {
	e.failed = fmt.Errorf("%s: %w", e.profile.Name, err)
	return e.failed
}

func (e *aomEncoder) SetRate(r encode.Rate) error {
	if e.failed != nil {
		return e.failed
	}
	p := e.params
	p.BitsPerSecond, p.FPS = r.BitsPerSecond, r.FPS
	if err := p.Validate(); err != nil {
		return err
	}
	changed := p.BitsPerSecond != e.params.BitsPerSecond
	e.params = p
	if changed && C.wavry_aom_set_rate(e.codec, C.int64_t(min(int64(p.BitsPerSecond), maxRate))) != 0 {
		return e.fail(fmt.Errorf("libaom refuses a rate of %d bit/s", p.BitsPerSecond))
	}
	return nil
}

func (e *aomEncoder) Close() error {
	if !errors.Is(e.failed, encode.ErrClosed) {
		C.wavry_aom_close(e.codec)
		e.codec = nil
		e.converter.free()
		e.failed = fmt.Errorf("%s: %w", e.profile.Name, encode.ErrClosed)
	}
	return nil
}
