//go:build cgo && !noffmpeg

package ffmpeg

import (
	"errors"
	"fmt"

	"github.com/asticode/go-astiav"

	"wavryhost/encode"
)

// surface is a hardware device with frames on it, for encoders that accept only those.
type surface struct {
	device *astiav.HardwareDeviceContext
	frames *astiav.HardwareFramesContext
	frame  *astiav.Frame // on the device while it is uploaded and encoded
}

// surfacePool is the number of frames on the device: the current one, its reference, and two for drivers that return
// frames late.
const surfacePool = 4

// openSurface opens a device of that FFmpeg type ("vaapi"). An empty name leaves the choice to FFmpeg. The caller must
// free it.
func openSurface(kind, name string, width, height int) (_ *surface, err error) {
	s := &surface{}
	defer func() {
		if err != nil {
			s.free()
		}
	}()
	deviceType := astiav.FindHardwareDeviceTypeByName(kind)
	if deviceType == astiav.HardwareDeviceTypeNone {
		return nil, fmt.Errorf("device type %s is not in this build of FFmpeg: %w", kind, encode.ErrNoEncoder)
	}
	// The cause is in the verbose lines, after all the tried devices.
	lines, err := captured(astiav.LogLevelVerbose, func() (err error) {
		s.device, err = astiav.CreateHardwareDeviceContext(deviceType, name, nil, 0)
		return err
	})
	if err != nil {
		err = explained(err, lines[max(0, len(lines)-2):])
		return nil, fmt.Errorf("open %s device %q: %w: %w", kind, name, err, encode.ErrNoEncoder)
	}
	if s.frames = astiav.AllocHardwareFramesContext(s.device); s.frames == nil {
		return nil, errors.New("allocate frames on the device: out of memory")
	}
	s.frames.SetWidth(width)
	s.frames.SetHeight(height)
	s.frames.SetHardwarePixelFormat(astiav.FindPixelFormatByName(kind))
	s.frames.SetSoftwarePixelFormat(astiav.PixelFormatNv12)
	s.frames.SetInitialPoolSize(surfacePool)
	lines, err = captured(astiav.LogLevelWarning, s.frames.Initialize)
	if err != nil {
		err = explained(err, lines)
		return nil, fmt.Errorf("make %dx%d frames on the %s device: %w: %w", width, height, kind, err, refusal(lines))
	}
	if s.frame = astiav.AllocFrame(); s.frame == nil {
		return nil, errors.New("allocate a frame: out of memory")
	}
	return s, nil
}

// upload copies picture to the device and returns the copy, which is valid until the next upload.
func (s *surface) upload(picture *astiav.Frame) (*astiav.Frame, error) {
	s.frame.Unref()
	if err := s.frame.AllocHardwareBuffer(s.frames); err != nil {
		return nil, fmt.Errorf("get a frame on the device: %w", err)
	}
	if err := picture.TransferHardwareData(s.frame); err != nil {
		return nil, fmt.Errorf("upload a picture: %w", err)
	}
	s.frame.SetColorRange(colorRange)
	s.frame.SetColorSpace(colorSpace)
	return s.frame, nil
}

// free frees in the reverse order of openSurface, which may have stopped anywhere.
func (s *surface) free() {
	if s.frame != nil {
		s.frame.Free()
	}
	if s.frames != nil {
		s.frames.Free()
	}
	if s.device != nil {
		s.device.Free()
	}
}
