//go:build cgo && !noffmpeg

package ffmpeg

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
)

// VerifyConfig says how thoroughly to verify an encoder.
type VerifyConfig struct {
	// Opens is how often the encoder is opened and closed.
	Opens int
}

// verifySizes are the sizes at which an encoder is verified.
var verifySizes = []image.Point{
	{1280, 720}, {1366, 768}, {1920, 1080}, {2560, 1440}, {3840, 2160}, {5120, 1440}, {256, 256},
}

// Verify checks what the daemon requires of an encoder: right pictures at usual sizes, rates that are kept, and nothing
// left after closing. p are the parameters of the trial.
func Verify(ctx context.Context, f encode.Factory, p encode.Params, cfg VerifyConfig) encode.Verification {
	v := encode.Verification{Proof: Prove(ctx, f, p)}
	if !v.Proof.Usable {
		return v
	}
	if v.Proof.Price != nil {
		f = priced(f, *v.Proof.Price)
	}
	check := func(name string, what func() (string, error)) {
		c := encode.Check{Name: name}
		detail, err := what()
		switch {
		case errors.Is(err, errSkipped):
			c.Skipped, c.Detail = true, detail
		case err != nil:
			c.Failed, c.Detail = true, err.Error()
		default:
			c.Detail = detail
		}
		v.Checks = append(v.Checks, c)
	}
	for _, size := range verifySizes {
		check(fmt.Sprintf("pictures of %dx%d", size.X, size.Y), func() (string, error) {
			return verifySize(ctx, f, size, v.Proof.Limits)
		})
	}
	check("rate steps", func() (string, error) { return verifyRate(ctx, f, v.Proof.Price) })
	check("surfaces without a copy", func() (string, error) { return verifySurfaces(ctx, f, v.Proof) })
	check("opening and closing", func() (string, error) { return verifyOpens(ctx, f, p, cfg.Opens) })
	return v
}

// verifySurfaces reports what the trial found out about surfaces, and tries larger ones.
func verifySurfaces(ctx context.Context, f encode.Factory, proof encode.Proof) (string, error) {
	switch {
	case f.Profile().API == "":
		return "the encoder reads main memory only", errSkipped
	case proof.Surfaces.Kind == capture.Memory:
		return "", errors.New(proof.Uploads)
	}
	p := encode.Params{Width: 1920, Height: 1080, FPS: 60, BitsPerSecond: 12_000_000}
	if proof.Limits.Check(p.Width, p.Height) == nil {
		if err := proveSurfaces(ctx, f, p, proof.PSNR); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%v of device %d:%d", proof.Surfaces.Kind, proof.Surfaces.Device.Major,
		proof.Surfaces.Device.Minor), nil
}

// errSkipped means that a check does not apply.
var errSkipped = errors.New("skipped")

func verifySize(ctx context.Context, f encode.Factory, size image.Point, limits encode.Limits) (string, error) {
	if err := limits.Check(size.X, size.Y); err != nil {
		return err.Error(), errSkipped
	}
	p := encode.Params{Width: size.X, Height: size.Y, FPS: 60, BitsPerSecond: max(6*size.X*size.Y, 4_000_000)}
	var proof encode.Proof
	switch err := prove(ctx, f, p, &proof); {
	case errors.Is(err, encode.ErrSize): // the device did not say so before
		return err.Error(), errSkipped
	case err != nil:
		return "", err
	}
	return fmt.Sprintf("PSNR %.1f dB, first picture %v, later ones %v", proof.PSNR,
		proof.FirstFrame.Round(time.Millisecond/10), proof.MeanEncode.Round(time.Millisecond/10)), nil
}

// A rate step must reach the new rate within stepSettle. The pictures of stepLong after that are measured: they must be
// as close to their rate as those before all steps, up to stepOff. A buffer of one picture keeps encoders somewhat
// under their rate.
const (
	stepFPS    = 60
	stepSettle = 200 * time.Millisecond
	stepLong   = 500 * time.Millisecond
	stepOff    = 0.1
)

// verifyRate changes the rate of an open encoder.
func verifyRate(ctx context.Context, f encode.Factory, price *encode.Price) (string, error) {
	if price == nil || *price != encode.PriceFree {
		return "rate changes have a price", errSkipped
	}
	const first = 4_000_000
	enc, err := f.Open(encode.Params{Width: 640, Height: 360, FPS: stepFPS, BitsPerSecond: first})
	if err != nil {
		return "", err
	}
	defer func() { _ = enc.Close() }()
	source := newNoiseSource(640, 360)
	if _, _, err := source.encode(ctx, enc, stepFPS); err != nil {
		return "", err
	}
	bits, _, err := source.encode(ctx, enc, stepFPS)
	if err != nil {
		return "", err
	}
	steady, worst := float64(bits)/first, 0.0
	for _, rate := range []int{2_000_000, 6_000_000, 3_000_000, 1_500_000, first} {
		if err := enc.SetRate(encode.Rate{BitsPerSecond: rate, FPS: stepFPS}); err != nil {
			return "", fmt.Errorf("change the rate: %w", err)
		}
		_, early, err := source.encode(ctx, enc, int(stepSettle*stepFPS/time.Second))
		if err != nil {
			return "", err
		}
		count := int(stepLong * stepFPS / time.Second)
		bits, late, err := source.encode(ctx, enc, count)
		if err != nil {
			return "", err
		}
		if early || late {
			return "", fmt.Errorf("the change to %d bit/s forced a keyframe", rate)
		}
		reached := float64(bits*stepFPS) / float64(rate*count)
		off := reached/steady - 1
		if math.Abs(off) > stepOff || reached > 1+stepOff {
			return "", fmt.Errorf("%.2f of %d bit/s %v after the change; before all changes %.2f", reached, rate,
				stepSettle, steady)
		}
		worst = max(worst, math.Abs(off))
	}
	return fmt.Sprintf("%.2f of the rate, at most %.1f %% off that %v after a change, no keyframe", steady, 100*worst,
		stepSettle), nil
}

// noiseSource makes pictures that need all the bits that they may have.
type noiseSource struct {
	width, height int
	rng           *rand.Rand
	began         time.Time
	n             uint64
}

func newNoiseSource(width, height int) *noiseSource {
	rng := rand.New(rand.NewPCG(11, 12)) //nolint:gosec // a picture, not a secret
	return &noiseSource{width: width, height: height, rng: rng, began: time.Now()}
}

// encode encodes pictures, and returns their bits and whether one of them is a keyframe.
func (s *noiseSource) encode(ctx context.Context, enc encode.Encoder, count int) (bits int, key bool, err error) {
	for range count {
		if err := ctx.Err(); err != nil {
			return 0, false, context.Cause(ctx)
		}
		frame := capture.NewFrame(nil)
		frame.Width, frame.Height, frame.Stride = s.width, s.height, 4*s.width
		frame.Pix = make([]byte, frame.Stride*s.height)
		for i := range frame.Pix {
			frame.Pix[i] = byte(s.rng.Uint32()) & 0x3f
		}
		s.n++
		frame.Damage = append(frame.Damage, frame.Bounds())
		frame.Time, frame.Seq = s.began.Add(time.Duration(s.n)*time.Second/stepFPS), s.n
		unit, err := enc.Encode(frame, encode.Order{})
		if err != nil {
			return 0, false, fmt.Errorf("picture %d: %w", s.n, err)
		}
		bits, key = bits+8*len(unit.Data), key || unit.Key
	}
	return bits, key, nil
}

// openGrowth is how much memory may grow from a fifth of the opens to the last one, in bytes: what allocators keep.
const openGrowth = 16 << 20

// verifyOpens opens and closes the encoder, with two pictures each time.
func verifyOpens(ctx context.Context, f encode.Factory, p encode.Params, count int) (string, error) {
	p.Width, p.Height = 256, 256
	if limits := f.Profile().Limits; limits.Check(p.Width, p.Height) != nil {
		return "256x256 is not supported", errSkipped
	}
	var files, memory int
	for i := range count {
		if i == (count+4)/5 {
			files, memory = openFiles(), residentMemory()
		}
		if err := openOnce(ctx, f, p); err != nil {
			return "", fmt.Errorf("opening %d of %d: %w", i+1, count, err)
		}
	}
	moreFiles, moreMemory := openFiles()-files, residentMemory()-memory
	switch {
	case moreFiles > 0:
		return "", fmt.Errorf("%d opens left %d descriptors", count, moreFiles)
	case moreMemory > openGrowth:
		return "", fmt.Errorf("%d opens took %d KB of memory", count, moreMemory>>10)
	}
	return fmt.Sprintf("%d times, memory grew by %d KB", count, max(moreMemory, 0)>>10), nil
}

func openOnce(ctx context.Context, f encode.Factory, p encode.Params) (err error) {
	enc, err := f.Open(p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, enc.Close()) }()
	_, _, err = newNoiseSource(p.Width, p.Height).encode(ctx, enc, 2)
	return err
}

// openFiles returns the number of open descriptors, or 0 where that is not known.
func openFiles() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}

// residentMemory returns the memory of this process in bytes, or 0 where that is not known.
func residentMemory() int {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * os.Getpagesize()
}
