//go:build cgo && !noffmpeg

package ffmpeg

/*
#include <stdlib.h>
#include <libavutil/hwcontext.h>
#include "bridge.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/asticode/go-astiav"

	"wavryhost/encode"
)

// surface is a hardware device with frames on it, for encoders that accept only those.
type surface struct {
	device   *C.AVBufferRef
	frames   *C.AVBufferRef
	frame    *astiav.Frame // on the device while it is uploaded and encoded
	refs     C.int         // references to the device while nothing else is open on it
	imported importer

	kind, name    string
	format        C.enum_AVPixelFormat // of the pixels
	width, height int
}

// surfacePool is the number of frames on the device: the current one, its reference, and two for drivers that return
// frames late.
const surfacePool = 4

// openSurface opens a device of that FFmpeg type ("vaapi") for pictures of a format. An empty name leaves the choice to
// FFmpeg. The caller must free it.
func openSurface(kind, name string, format C.enum_AVPixelFormat, width, height int) (_ *surface, err error) {
	s := &surface{kind: kind, name: name, format: format, width: width, height: height}
	defer func() {
		if err != nil {
			s.free()
		}
	}()
	deviceType := astiav.FindHardwareDeviceTypeByName(kind)
	if deviceType == astiav.HardwareDeviceTypeNone {
		return nil, fmt.Errorf("device type %s is not in this build of FFmpeg: %w", kind, encode.ErrNoEncoder)
	}
	var cname *C.char
	if name != "" {
		cname = C.CString(name)
		defer C.free(unsafe.Pointer(cname))
	}
	// The cause is in the verbose lines, after all the tried devices.
	lines, err := captured(astiav.LogLevelVerbose, func() error {
		//nolint:gocritic // cgo's check of the pointer compares it with itself
		return failure(C.av_hwdevice_ctx_create(&s.device, C.enum_AVHWDeviceType(deviceType), cname, nil, 0))
	})
	if err != nil {
		err = explained(err, lines[max(0, len(lines)-2):])
		return nil, fmt.Errorf("open %s device %q: %w: %w", kind, name, err, encode.ErrNoEncoder)
	}
	if s.frames = C.av_hwframe_ctx_alloc(s.device); s.frames == nil {
		return nil, errors.New("allocate frames on the device: out of memory")
	}
	frames := (*C.AVHWFramesContext)(unsafe.Pointer(s.frames.data))
	frames.width, frames.height = C.int(width), C.int(height)
	frames.format = C.enum_AVPixelFormat(astiav.FindPixelFormatByName(kind))
	frames.sw_format = format
	frames.initial_pool_size = surfacePool
	lines, err = captured(astiav.LogLevelWarning, func() error { return failure(C.av_hwframe_ctx_init(s.frames)) })
	if err != nil {
		err = explained(err, lines)
		return nil, fmt.Errorf("make %dx%d frames on the %s device: %w: %w", width, height, kind, err, refusal(lines))
	}
	if s.frame = astiav.AllocFrame(); s.frame == nil {
		return nil, errors.New("allocate a frame: out of memory")
	}
	s.refs = C.av_buffer_get_ref_count(s.device)
	return s, nil
}

// hold returns the picture on the device: the last imported picture, or else a copy of picture. It is valid until the
// next call.
func (s *surface) hold(picture *astiav.Frame) (*astiav.Frame, error) {
	if s.imported.picture != nil {
		return s.imported.picture, nil
	}
	return s.upload(picture)
}

// upload copies picture to the device and returns the copy.
func (s *surface) upload(picture *astiav.Frame) (*astiav.Frame, error) {
	s.frame.Unref()
	lines, err := captured(astiav.LogLevelError, func() error {
		if err := failure(C.av_hwframe_get_buffer(s.frames, (*C.AVFrame)(s.frame.UnsafePointer()), 0)); err != nil {
			return fmt.Errorf("get a frame on the device: %w", err)
		}
		return picture.TransferHardwareData(s.frame)
	})
	if err != nil {
		return nil, fmt.Errorf("upload a picture: %w", explained(err, lines))
	}
	state(s.frame)
	return s.frame, nil
}

// state states the meaning of a picture's numbers.
func state(picture *astiav.Frame) {
	picture.SetColorRange(colorRange)
	picture.SetColorSpace(colorSpace)
}

// renewed returns s, or a new surface in its place if a closed codec kept pictures on the device. libavcodec 7.1 does
// not free its reference pictures. Only closing the device frees them. Nothing may be imported.
func (s *surface) renewed() (*surface, error) {
	if C.av_buffer_get_ref_count(s.device) == s.refs {
		return s, nil
	}
	s.free()
	return openSurface(s.kind, s.name, s.format, s.width, s.height)
}

// free frees in the reverse order of openSurface, which may have stopped anywhere. It closes the device even if
// something was leaked that refers to it.
func (s *surface) free() {
	s.imported.close()
	if s.frame != nil {
		s.frame.Free()
		s.frame = nil
	}
	C.av_buffer_unref(&s.frames)    //nolint:gocritic // as above
	C.wavry_device_close(&s.device) //nolint:gocritic // as above
}

// failure returns the error that a code of FFmpeg stands for, or nil.
func failure(code C.int) error {
	if code >= 0 {
		return nil
	}
	return avError(code)
}
