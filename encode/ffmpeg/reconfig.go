//go:build cgo && !noffmpeg

package ffmpeg

/*
#cgo pkg-config: x264 vpx
#include <stdlib.h>
#include "reconfig.h"
*/
import "C"

import (
	"fmt"
	"unsafe"

	"wavryhost/encode"
)

// tune applies the options for a kind of content to the open codec. libavcodec has no way to do so: x264's own function
// is called with the parameters that libavcodec keeps.
func (e *encoder) tune(c encode.Content) error {
	options := e.profile.OptionsFor(c)
	if len(options) == 0 || e.untunable {
		return nil
	}
	pairs := make([]*C.char, 0, 2*len(options))
	defer func() {
		for _, p := range pairs {
			C.free(unsafe.Pointer(p))
		}
	}()
	for _, o := range options {
		pairs = append(pairs, C.CString(o.Name), C.CString(o.Value))
	}
	code := C.wavry_x264_set((*C.AVCodecContext)(e.context.UnsafePointer()), unsafe.SliceData(pairs),
		C.int(len(options)))
	if code < 0 {
		return fmt.Errorf("set options for %v: %w", c, avError(code))
	}
	return nil
}

// setTimedRate changes the rate of an encoder that paces its rate by time. libavcodec hands libvpx no other rate, so
// libvpx's own function is called. Where that is not possible, the pictures' durations change the rate.
func (e *encoder) setTimedRate() {
	code := C.wavry_vpx_set_rate((*C.AVCodecContext)(e.context.UnsafePointer()), C.int64_t(e.params.BitsPerSecond))
	if code == 0 {
		e.ration.opened = e.params.BitsPerSecond
	}
	e.ration.set(e.params.BitsPerSecond, e.params.FPS)
}
