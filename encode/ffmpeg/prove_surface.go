//go:build cgo && !noffmpeg

package ffmpeg

/*
#include "import.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/asticode/go-astiav"

	"wavryhost/capture"
	"wavryhost/encode"
)

const (
	// surfaceFrames is the number of surfaces that the trial imports.
	surfaceFrames = 6
	// surfacePSNR is the PSNR of pictures with the right colors, in dB. A driver that guesses the matrix gives 30 at
	// most.
	surfacePSNR = 32
	// surfaceLoss is what the device's own conversion may lose against that of the processor, in dB.
	surfaceLoss = 3
)

// proveSurfaces checks that the encoder reads surfaces of its device as well as pictures in main memory, which had a
// PSNR of psnr. The device itself makes the surfaces, as a compositor on it would.
func proveSurfaces(ctx context.Context, f encode.Factory, p encode.Params, psnr float64) (err error) {
	source, err := openSurface(f.Profile().API, f.Profile().Device, C.AV_PIX_FMT_BGR0, p.Width, p.Height)
	if err != nil {
		return err
	}
	defer source.free()
	enc, err := changed(f, func(p *encode.Profile) { p.Surfaces.Kind = capture.DMA }).Open(p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, enc.Close()) }()
	dec, err := newDecoder(f.Profile().Format.Codec)
	if err != nil {
		return err
	}
	defer dec.free()
	least := math.Min(psnr-surfaceLoss, surfacePSNR)
	pix := make([]byte, 4*p.Width*p.Height)
	for n := range surfaceFrames {
		if err := ctx.Err(); err != nil {
			return err
		}
		drawMoving(pix, p.Width, p.Height, n)
		frame, err := source.export(pix)
		if err != nil {
			return err
		}
		frame.Time, frame.Seq = time.Now(), uint64(n+1)
		unit, err := enc.Encode(frame, encode.Order{})
		if err != nil {
			return err
		}
		switch got, err := dec.score(n, unit.Data, pix, p.Width, p.Height); {
		case err != nil:
			return err
		case got < least:
			return fmt.Errorf("frame %d of a surface decodes to another picture: PSNR %.1f dB; want at least %.1f", n, got,
				least)
		}
	}
	return nil
}

// export returns a frame with pixels in the memory of the device.
func (s *surface) export(pix []byte) (*capture.Frame, error) {
	picture, err := newPicture(s.width, s.height, astiav.PixelFormatBgr0)
	if err != nil {
		return nil, err
	}
	defer picture.Free()
	if err := picture.Data().SetBytes(pix, 1); err != nil {
		return nil, fmt.Errorf("fill a picture: %w", err)
	}
	uploaded, err := s.upload(picture)
	if err != nil {
		return nil, err
	}
	var exported *C.AVFrame
	var c C.struct_wavry_dmabuf
	lines, err := captured(astiav.LogLevelWarning, func() error {
		//nolint:gocritic // cgo's check of the pointer compares it with itself
		return failure(C.wavry_export((*C.AVFrame)(uploaded.UnsafePointer()), &exported, &c))
	})
	if err != nil {
		return nil, fmt.Errorf("hand a picture on the device to others: %w", explained(err, lines))
	}
	to := &capture.DMABuf{FourCC: uint32(c.fourcc), Modifier: uint64(c.modifier), Ready: -1}
	for i := range int(c.planes) {
		to.Planes = append(to.Planes, capture.Plane{
			FD: int(c.fd[i]), Offset: uint32(c.offset[i]), Stride: uint32(c.stride[i]),
		})
	}
	frame := capture.NewSurfaceFrame(to, &capture.Copier{Copy: func(capture.Surface, []byte, int) error {
		return errors.New("a surface of a trial is not copied")
	}}, func(*capture.Frame) {
		C.av_frame_free(&exported) //nolint:gocritic // as above
	})
	frame.Width, frame.Height = s.width, s.height
	frame.Damage = append(frame.Damage, frame.Bounds())
	return frame, nil
}
