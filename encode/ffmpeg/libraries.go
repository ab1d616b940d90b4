//go:build cgo && !noffmpeg

package ffmpeg

/*
#include <stdint.h>
#include <aom/aom_codec.h>
#include <libavcodec/avcodec.h>
#include <libavutil/avutil.h>
#include <libyuv/version.h>
#include <vpx/vpx_codec.h>
#include <x264.h>
*/
import "C"

import (
	"fmt"
	"strconv"
	"strings"
)

// Libraries returns the libraries that this program is linked with.
func Libraries() []Library {
	packed := func(v C.unsigned) string { return fmt.Sprintf("%d.%d.%d", v>>16, v>>8&0xff, v&0xff) }
	return []Library{
		{"FFmpeg", C.GoString(C.av_version_info())},
		{"libavcodec", packed(C.avcodec_version())},
		{"libavutil", packed(C.avutil_version())},
		{"x264", strings.TrimSpace(C.X264_POINTVER)}, // the library has no function for it
		{"libvpx", strings.TrimPrefix(C.GoString(C.vpx_codec_version_str()), "v")},
		{"libaom", strings.TrimPrefix(C.GoString(C.aom_codec_version_str()), "v")},
		{"libyuv", strconv.Itoa(C.LIBYUV_VERSION)},
	}
}
