//go:build cgo && !noffmpeg

package ffmpeg

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/asticode/go-astiav"

	"wavryhost/capture"
	"wavryhost/encode"
)

const (
	proveFrames = 16 // enough for drivers that fail only once their frame pool has gone around
	proveKey    = 8  // the frame that is requested as a keyframe
	proveRate   = 12 // the frame before which the rate is halved
	// provePSNR is the least PSNR of each picture, in dB. The test picture reaches over 30 at a tenth of a bit per
	// pixel. A wrong color matrix, swapped planes or a shifted picture give under 20.
	provePSNR = 24
)

// Prove opens an encoder, encodes moving frames with it, decodes them and compares the pictures. Then it measures the
// cost of encoding, and of a device also the cost of a rate change and the supported sizes.
func Prove(ctx context.Context, f encode.Factory, p encode.Params) encode.Proof {
	proof := encode.Proof{Profile: f.Profile().Name, Variant: f.Profile().Variant}
	if err := prove(ctx, f, p, &proof); err != nil {
		proof.Why, proof.Failure = err.Error(), encode.FailureOf(err)
		return proof
	}
	proof.Usable = true
	// The tests of this package prove what a rate change costs with the encoders on the processor. With devices it
	// depends on the card and its driver.
	if f.Profile().Hardware {
		if found, err := price(ctx, f, p); err == nil {
			proof.Price = &found
		}
	}
	if f.Profile().API != "" {
		if err := proveSurfaces(ctx, f, p, proof.PSNR); err != nil {
			proof.Uploads = err.Error()
		} else {
			proof.Surfaces = encode.Surfaces{Kind: capture.DMA, Device: deviceOf(f.Profile().Device)}
		}
	}
	proof.Limits = sizes(ctx, f, p)
	// A working encoder is used, measured or not. The tried one is closed, because hardware may have room for only
	// one.
	if perMegapixel, err := measure(ctx, f, p.Threads, measureLong); err == nil {
		proof.PerMegapixel = perMegapixel
	}
	return proof
}

func prove(ctx context.Context, f encode.Factory, p encode.Params, proof *encode.Proof) (err error) {
	began := time.Now()
	enc, err := f.Open(p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, enc.Close()) }()
	dec, err := newDecoder(f.Profile().Format.Codec)
	if err != nil {
		return err
	}
	defer dec.free()

	pix := make([]byte, 4*p.Width*p.Height)
	var busy time.Duration
	for n := range proveFrames {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("stopped at frame %d: %w", n, context.Cause(ctx))
		}
		if n == proveRate {
			if err := enc.SetRate(encode.Rate{BitsPerSecond: p.BitsPerSecond / 2, FPS: p.FPS}); err != nil {
				return fmt.Errorf("change the rate: %w", err)
			}
		}
		drawMoving(pix, p.Width, p.Height, n)
		frame := capture.NewFrame(nil)
		frame.Pix, frame.Stride, frame.Width, frame.Height = pix, 4*p.Width, p.Width, p.Height
		frame.Damage = append(frame.Damage, frame.Bounds())
		frame.Time, frame.Seq = began.Add(time.Duration(n)*time.Second/time.Duration(p.FPS)), uint64(n+1)

		unit, err := enc.Encode(frame, encode.Order{Key: n == proveKey})
		if err != nil {
			return fmt.Errorf("frame %d: %w", n, err)
		}
		if n == 0 {
			proof.FirstFrame = time.Since(began)
		} else {
			busy += unit.Convert + unit.Encode
		}
		if unit.Complaint != "" {
			proof.Complaint = unit.Complaint
		}
		if err := checkKey(n, unit.Key, f.Profile().Price); err != nil {
			return err
		}
		psnr, err := dec.score(n, unit.Data, pix, p.Width, p.Height)
		if err != nil {
			return err
		}
		if proof.PSNR == 0 || psnr < proof.PSNR {
			proof.PSNR = psnr
		}
		if psnr < provePSNR {
			return fmt.Errorf("frame %d decodes to another picture: PSNR %.1f dB; want at least %d", n, psnr, provePSNR)
		}
	}
	proof.MeanEncode = busy / (proveFrames - 1)
	return nil
}

// score decodes frame n, and returns its PSNR in dB against the pixels that it is of.
func (d *decoder) score(n int, unit, pix []byte, width, height int) (psnr float64, err error) {
	picture, err := d.decode(unit)
	if err != nil {
		return 0, fmt.Errorf("frame %d does not decode: %w", n, err)
	}
	if psnr, err = picture.psnr(pix, width, height); err != nil {
		return 0, fmt.Errorf("frame %d: %w", n, err)
	}
	return psnr, nil
}

// checkKey checks that frame n is a keyframe exactly when it should be.
func checkKey(n int, key bool, price encode.Price) error {
	switch {
	case n == 0 && !key:
		return errors.New("the first frame is no keyframe")
	case n == proveKey && !key:
		return fmt.Errorf("frame %d is no keyframe, although it was requested", n)
	// The second is from an encoder that was opened again, because it refused the rate for the first.
	case (n == proveRate || n == proveRate+1) && price != encode.PriceFree, n == 0, n == proveKey:
		return nil
	case key:
		return fmt.Errorf("frame %d is a keyframe without a request", n)
	}
	return nil
}

// drawMoving draws a smooth gradient with moving colored blocks, whose place identifies the frame.
func drawMoving(pix []byte, width, height, n int) {
	for y := range height {
		row := pix[4*width*y : 4*width*(y+1)]
		for x := range width {
			row[4*x], row[4*x+1], row[4*x+2] = byte(255*x/width), byte(255*y/height), byte(128-100*x/width)
		}
	}
	size := min(width, height) / 4
	for i, colour := range [...][3]byte{{30, 30, 220}, {40, 200, 40}, {220, 60, 30}, {235, 235, 235}} {
		left := (i*width/4 + n*size/4) % (width - size + 1)
		top := (i*height/4 + n*size/8) % (height - size + 1)
		for y := top; y < top+size; y++ {
			row := pix[4*(width*y+left) : 4*(width*y+left+size)]
			for x := range size {
				copy(row[4*x:], colour[:])
			}
		}
	}
}

// decoder decodes one picture per access unit.
type decoder struct {
	context *astiav.CodecContext
	packet  *astiav.Packet
	frame   *astiav.Frame
}

func newDecoder(name string) (_ *decoder, err error) {
	id, ok := map[string]astiav.CodecID{
		encode.CodecH264: astiav.CodecIDH264, encode.CodecHEVC: astiav.CodecIDHevc,
		encode.CodecVP9: astiav.CodecIDVp9, encode.CodecAV1: astiav.CodecIDAv1,
		encode.CodecVP8: astiav.CodecIDVp8,
	}[name]
	if !ok {
		return nil, fmt.Errorf("no decoder of %q is known to prove encoders with", name)
	}
	codec := astiav.FindDecoder(id)
	if codec == nil {
		return nil, fmt.Errorf("no %s decoder in this build of FFmpeg to prove encoders with", name)
	}
	d := &decoder{context: astiav.AllocCodecContext(codec), packet: astiav.AllocPacket(), frame: astiav.AllocFrame()}
	d.context.SetThreadCount(1) // frame threads would return pictures late
	d.context.SetFlags(d.context.Flags().Add(astiav.CodecContextFlagLowDelay))
	lines, err := captured(astiav.LogLevelWarning, func() error { return d.context.Open(codec, nil) })
	if err != nil {
		d.free()
		return nil, fmt.Errorf("open the %s decoder: %w", name, explained(err, lines))
	}
	return d, nil
}

func (d *decoder) free() {
	d.frame.Free()
	d.packet.Free()
	d.context.Free()
}

// decode returns the picture of one access unit.
func (d *decoder) decode(unit []byte) (picture, error) {
	var p picture
	lines, err := captured(astiav.LogLevelWarning, func() error {
		d.packet.Unref()
		if err := d.packet.FromData(unit); err != nil {
			return err
		}
		if err := d.context.SendPacket(d.packet); err != nil {
			return err
		}
		d.frame.Unref()
		return d.context.ReceiveFrame(d.frame)
	})
	switch {
	case err != nil:
		return p, explained(err, lines)
	case len(lines) > 0: // the decoder conceals damage and only reports it
		return p, errors.New(strings.Join(lines, "; "))
	case d.frame.PixelFormat() != astiav.PixelFormatYuv420P:
		return p, fmt.Errorf("pixel format %s", d.frame.PixelFormat())
	}
	p.width, p.height = d.frame.Width(), d.frame.Height()
	if p.data, err = d.frame.Data().Bytes(1); err != nil {
		return p, fmt.Errorf("read the picture: %w", err)
	}
	return p, nil
}
