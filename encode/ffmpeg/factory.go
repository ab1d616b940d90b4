//go:build cgo && !noffmpeg

package ffmpeg

// #include <libavutil/pixfmt.h>
import "C"

import (
	"fmt"
	"log/slog"

	"github.com/asticode/go-astiav"

	"wavryhost/encode"
)

type factory struct {
	profile encode.Profile
	log     *slog.Logger
}

// New returns a factory of encoders of that profile. It touches no device before Open.
func New(profile encode.Profile, log *slog.Logger) encode.Factory {
	return &factory{profile: profile, log: log.With("encoder", profile.Name)}
}

// changed returns the factory of the same encoders with a changed profile, where that is possible.
func changed(f encode.Factory, change func(*encode.Profile)) encode.Factory {
	own, ok := f.(*factory)
	if !ok {
		return f
	}
	other := *own
	change(&other.profile)
	return &other
}

// priced returns the factory of the same encoders with another price of a rate change.
func priced(f encode.Factory, price encode.Price) encode.Factory {
	return changed(f, func(p *encode.Profile) { p.Price = price })
}

func (f *factory) Profile() encode.Profile { return f.profile }

func (f *factory) Open(p encode.Params) (_ encode.Encoder, err error) {
	if err = p.Validate(); err != nil {
		return nil, err
	}
	if err = f.profile.Limits.Check(p.Width, p.Height); err != nil {
		return nil, fmt.Errorf("%s: %w", f.profile.Name, err)
	}
	if p.Threads == 0 {
		p.Threads = f.profile.Threads
	}
	if f.profile.Name == aomName {
		return openAOM(f.profile, p)
	}
	codec := astiav.FindEncoderByName(f.profile.Encoder())
	if codec == nil {
		return nil, fmt.Errorf("%s: not in this build of FFmpeg: %w", f.profile.Name, encode.ErrNoEncoder)
	}
	e := &encoder{profile: f.profile, log: f.log, codec: codec, params: p, why: make([]byte, 512)}
	defer func() {
		if err != nil {
			e.free()
		}
	}()

	format := astiav.FindPixelFormatByName(f.profile.PixelFormat)
	if f.profile.API != "" {
		format = astiav.PixelFormatNv12 // what is uploaded
	}
	if e.converter, err = newConverter(p.Width, p.Height, format); err != nil {
		return nil, fmt.Errorf("%s: %w", f.profile.Name, err)
	}
	if f.profile.API != "" {
		e.surface, err = openSurface(f.profile.API, f.profile.Device, C.AV_PIX_FMT_NV12, p.Width, p.Height)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.profile.Name, err)
		}
	}
	if err = e.open(); err != nil {
		return nil, err
	}
	if f.profile.Hardware {
		e.checker = newChecker(f.profile.Format, p.Width, p.Height)
	}
	return e, nil
}
