//go:build cgo && !noffmpeg

package ffmpeg

/*
#cgo pkg-config: x264
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
