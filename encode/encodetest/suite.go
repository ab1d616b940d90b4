package encodetest

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
)

// Run checks that the encoders of f keep the promises of encode.Encoder. It opens several, one after the other.
func Run(t *testing.T, f encode.Factory) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			if err := c.run(f); err != nil {
				t.Error(err)
			}
		})
	}
}

// A check returns what is wrong with an encoder. Checks return errors instead of failing tests, so that they can be
// tested with encoders that break one promise each.
type check struct {
	name string
	run  func(encode.Factory) error
}

var checks = []check{
	{"first access unit starts a decoder", checkFirst},
	{"keyframes come on request only", checkKeys},
	{"slices of a picture are one access unit", checkSlices},
	{"rate follows its target both ways", checkRate},
	{"frame rate shares out the bitrate", checkFrameRate},
	{"a keyframe is enlarged once", checkEnlarge},
	{"nil frame encodes the picture again", checkRepeat},
	{"frames of any size are encoded at the size asked for", checkSizes},
	{"frames are released", checkRelease},
	{"access units stay as they are", checkImmutable},
	{"closed encoder refuses", checkClosed},
	{"bad parameters are refused", checkParams},
	{"sizes out of its limits are refused", checkLimits},
}

const (
	width, height = 320, 180
	fps           = 30
	// Of the film libvpx makes 0.2 Mbit/s of VP8 at its coarsest quantizer, more than any other encoder. At the finest,
	// keyframes have 60 kbit and more. Half of the rate, and one and a half shares of it, must lie between them.
	rate = 660_000
	// With the full contrast VP8 would take 0.7 Mbit/s at least.
	contrast = 3
)

func params() encode.Params {
	return encode.Params{Width: width, Height: height, FPS: fps, BitsPerSecond: rate}
}

// film makes frames and feeds them to one encoder.
type film struct {
	enc      encode.Encoder
	start    time.Time
	n        uint64
	released int
}

// with opens an encoder, runs do and closes the encoder.
func with(f encode.Factory, p encode.Params, do func(*film) error) (err error) {
	if _, ok := bitstreams[f.Profile().Format]; !ok {
		return fmt.Errorf("format %v is not one of %v", f.Profile().Format, encode.Formats())
	}
	enc, err := f.Open(p)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer func() { err = errors.Join(err, enc.Close()) }()
	return do(&film{enc: enc, start: time.Now()})
}

// frame returns the next frame: patches that change from frame to frame without a predictable pattern, so that an
// encoder needs all available bits. Patches of a whole transform block would need hardly any.
func (f *film) frame(width, height int) *capture.Frame {
	f.n++
	frame := capture.NewFrame(func(*capture.Frame) { f.released++ })
	frame.Width, frame.Height, frame.Stride = width, height, 4*width+64
	frame.Pix = make([]byte, frame.Stride*height)
	for y := range height {
		row := frame.Pix[y*frame.Stride:][:frame.Stride]
		if y%7 != 0 { // within a patch; the race detector makes it costly to draw each row
			copy(row, frame.Pix[(y-1)*frame.Stride:])
			continue
		}
		for x := range width {
			hash := (uint32(x/7)<<20 ^ uint32(y/7)<<10 ^ uint32(f.n)) * 2654435761
			hash = (hash ^ hash>>15) * 2246822519
			grey := byte(hash>>24) / contrast
			row[4*x], row[4*x+1], row[4*x+2] = grey, grey, grey
		}
	}
	frame.Damage = append(frame.Damage, frame.Bounds())
	frame.Time, frame.Seq = f.at(f.n), f.n
	return frame
}

func (f *film) at(n uint64) time.Time { return f.start.Add(time.Duration(n) * time.Second / fps) }

// next encodes the next frame, as a keyframe if key is set.
func (f *film) next(key bool) (encode.AccessUnit, error) { return f.encode(encode.Order{Key: key}) }

// encode encodes the next frame and makes the checks that apply to every access unit.
func (f *film) encode(o encode.Order) (encode.AccessUnit, error) {
	unit, err := f.enc.Encode(f.frame(width, height), o)
	if err != nil {
		return unit, fmt.Errorf("frame %d: %w", f.n, err)
	}
	if err := f.checkUnit(unit, f.at(f.n)); err != nil {
		return unit, fmt.Errorf("frame %d: %w", f.n, err)
	}
	return unit, nil
}

// many encodes n frames. It returns their bits and the number of keyframes.
func (f *film) many(n int) (bits, keys int, err error) {
	for range n {
		unit, err := f.next(false)
		if err != nil {
			return 0, 0, err
		}
		bits += 8 * len(unit.Data)
		if unit.Key {
			keys++
		}
	}
	return bits, keys, nil
}

func (f *film) checkUnit(unit encode.AccessUnit, at time.Time) error {
	switch {
	case !unit.Time.Equal(at):
		return fmt.Errorf("access unit has time %v; want %v", unit.Time, at)
	case unit.Seq != f.n:
		return fmt.Errorf("access unit has number %d; want %d", unit.Seq, f.n)
	case unit.Width != width || unit.Height != height:
		return fmt.Errorf("access unit is %dx%d; want %dx%d", unit.Width, unit.Height, width, height)
	case unit.Convert < 0 || unit.Encode < 0:
		return fmt.Errorf("steps took %v and %v", unit.Convert, unit.Encode)
	}
	return bitstreams[f.enc.Profile().Format].check(unit)
}

func checkFirst(f encode.Factory) error {
	return with(f, params(), func(film *film) error {
		unit, err := film.next(false)
		if err != nil {
			return err
		}
		if !unit.Key {
			return errors.New("first access unit is no keyframe")
		}
		return nil
	})
}

func checkKeys(f encode.Factory) error {
	return with(f, params(), func(film *film) error {
		for n := range 300 {
			asked := n == 100 || n == 101 || n == 200
			unit, err := film.next(asked)
			if err != nil {
				return err
			}
			if want := asked || n == 0; unit.Key != want {
				return fmt.Errorf("frame %d has key %v; want %v", n, unit.Key, want)
			}
		}
		return nil
	})
}

func checkSlices(f encode.Factory) error {
	p := params()
	p.Threads = 2 // a software encoder then cuts each picture in two
	return with(f, p, func(film *film) error {
		_, _, err := film.many(10)
		return err
	})
}

// The allowed share of the target for a second of busy content. With a buffer of one frame, no picture may exceed its
// share, so an encoder must aim below it: x264 uses 80 to 90 percent, and 59 percent with pictures as small as here and
// the high profile.
const leastUsed, mostUsed = 0.55, 1.15

// settling is the number of pictures after which a rate control must use a new rate. It learns by pictures, regardless
// of time, and some raise the rate carefully. They must lower it at once.
const settling = 60

// holds checks that frames obey the given rate: a second of them uses no more from the first half of a second on, and
// no less once the rate control has settled.
func holds(film *film, bitsPerSecond, fps int) error {
	if _, _, err := film.many(fps / 2); err != nil {
		return err
	}
	bits, _, err := film.many(fps)
	if err != nil {
		return err
	}
	if got := float64(bits) / float64(bitsPerSecond); got > mostUsed {
		return fmt.Errorf("the first second at %d bit/s and %d frames took %d bits", bitsPerSecond, fps, bits)
	}
	if _, _, err := film.many(max(0, settling-fps/2-fps)); err != nil {
		return err
	}
	if bits, _, err = film.many(fps); err != nil {
		return err
	}
	if got := float64(bits) / float64(bitsPerSecond); got < leastUsed || got > mostUsed {
		return fmt.Errorf("a second at %d bit/s and %d frames took %d bits", bitsPerSecond, fps, bits)
	}
	return nil
}

func checkRate(f encode.Factory) error {
	return with(f, params(), func(film *film) error {
		if err := holds(film, rate, fps); err != nil {
			return err
		}
		for _, r := range []int{rate / 2, 2 * rate, rate} {
			if err := film.enc.SetRate(encode.Rate{BitsPerSecond: r, FPS: fps}); err != nil {
				return fmt.Errorf("set rate: %w", err)
			}
			unit, err := film.next(false)
			if err != nil {
				return err
			}
			if unit.Key && f.Profile().Price == encode.PriceFree {
				return fmt.Errorf("change to %d bit/s made a keyframe; its price is %v", r, f.Profile().Price)
			}
			if !unit.Key && f.Profile().Price == encode.PriceReopen {
				return errors.New("reopened encoder went on without a keyframe")
			}
			if err := holds(film, r, fps); err != nil {
				return err
			}
		}
		// A request for the current rate changes nothing, whatever a change costs.
		if err := film.enc.SetRate(encode.Rate{BitsPerSecond: rate, FPS: fps}); err != nil {
			return fmt.Errorf("set the same rate: %w", err)
		}
		if _, keys, err := film.many(1); err != nil || keys != 0 {
			return fmt.Errorf("the same rate again: %d keyframes, error %w", keys, err)
		}
		return nil
	})
}

func checkFrameRate(f encode.Factory) error {
	return with(f, params(), func(film *film) error {
		for _, n := range []int{fps / 2, fps} {
			if err := film.enc.SetRate(encode.Rate{BitsPerSecond: rate, FPS: n}); err != nil {
				return fmt.Errorf("set rate: %w", err)
			}
			if err := holds(film, rate, n); err != nil {
				return err
			}
		}
		return nil
	})
}

func checkEnlarge(f encode.Factory) error {
	const larger = 6
	return with(f, params(), func(film *film) error {
		if _, _, err := film.many(fps); err != nil {
			return err
		}
		plain, err := film.next(true)
		if err != nil {
			return err
		}
		if _, _, err := film.many(fps); err != nil {
			return err
		}
		// Only keyframes are meant.
		other, err := film.encode(encode.Order{Shares: larger})
		if err != nil {
			return err
		}
		between := 8 * len(other.Data)
		key, err := film.encode(encode.Order{Key: true, Shares: larger})
		if err != nil {
			return err
		}
		after, _, err := film.many(fps)
		if err != nil {
			return err
		}
		again, err := film.next(true)
		if err != nil {
			return err
		}
		const share = rate / fps
		large, small := 8*len(key.Data), 8*max(len(plain.Data), len(again.Data))
		free := f.Profile().Price == encode.PriceFree
		switch {
		case free && large < share*3/2: // libvpx uses less than half of the allowed bits
			return fmt.Errorf("enlarged keyframe has %d bits; want about %d", large, larger*share)
		case !free && large > 2*small:
			return fmt.Errorf("keyframe has %d bits, others %d; a change has a price, want the same", large, small)
		case between > 2*share, after > fps*share*3/2, free && 8*len(again.Data) > large*9/10:
			return fmt.Errorf(
				"pictures before it had %d bits, after it %d, the next keyframe %d; want shares of %d", between, after/fps,
				8*len(again.Data), share,
			)
		}
		return nil
	})
}

func checkRepeat(f encode.Factory) error {
	err := with(f, params(), func(film *film) error {
		if _, err := film.enc.Encode(nil, encode.Order{Time: film.start}); err == nil {
			return errors.New("nil frame before the first is encoded; want an error")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return with(f, params(), func(film *film) error {
		if _, err := film.next(false); err != nil {
			return err
		}
		for n := range 3 {
			at := film.at(film.n).Add(time.Duration(n+1) * 10 * time.Millisecond)
			unit, err := film.enc.Encode(nil, encode.Order{Time: at, Key: n == 2})
			if err != nil {
				return fmt.Errorf("repeat %d: %w", n, err)
			}
			if err := film.checkUnit(unit, at); err != nil {
				return fmt.Errorf("repeat %d: %w", n, err)
			}
			if unit.Key != (n == 2) {
				return fmt.Errorf("repeat %d has key %v", n, unit.Key)
			}
		}
		return nil
	})
}

func checkSizes(f encode.Factory) error {
	return with(f, params(), func(film *film) error {
		for _, size := range [][2]int{
			{width, height},
			{2 * width, 2 * height},
			{100, 75},
			{width + 1, height + 1},
			{width, height},
		} {
			unit, err := film.enc.Encode(film.frame(size[0], size[1]), encode.Order{})
			if err != nil {
				return fmt.Errorf("frame of %dx%d: %w", size[0], size[1], err)
			}
			if err := film.checkUnit(unit, film.at(film.n)); err != nil {
				return fmt.Errorf("frame of %dx%d: %w", size[0], size[1], err)
			}
			if unit.Key != (film.n == 1) {
				return fmt.Errorf("frame of %dx%d has key %v", size[0], size[1], unit.Key)
			}
		}
		return nil
	})
}

func checkRelease(f encode.Factory) error {
	return with(f, params(), func(film *film) error {
		for n := 1; n <= 3; n++ {
			if _, err := film.next(false); err != nil {
				return err
			}
			if film.released != n {
				return fmt.Errorf("%d of %d frames are released", film.released, n)
			}
		}
		if err := film.enc.Close(); err != nil {
			return fmt.Errorf("close: %w", err)
		}
		if _, err := film.next(false); err == nil || film.released != 4 {
			return fmt.Errorf("closed encoder: error %w, %d of 4 frames are released", err, film.released)
		}
		return nil
	})
}

func checkImmutable(f encode.Factory) error {
	return with(f, params(), func(film *film) error {
		first, err := film.next(false)
		if err != nil {
			return err
		}
		kept := bytes.Clone(first.Data)
		if _, _, err := film.many(5); err != nil {
			return err
		}
		if err := film.enc.Close(); err != nil {
			return fmt.Errorf("close: %w", err)
		}
		if !bytes.Equal(kept, first.Data) {
			return errors.New("the first access unit has changed")
		}
		return nil
	})
}

func checkClosed(f encode.Factory) error {
	return with(f, params(), func(film *film) error {
		for range 2 {
			if err := film.enc.Close(); err != nil {
				return fmt.Errorf("close: %w", err)
			}
		}
		if _, err := film.next(false); !errors.Is(err, encode.ErrClosed) {
			return fmt.Errorf("encode after close: %w; want ErrClosed", err)
		}
		if err := film.enc.SetRate(encode.Rate{BitsPerSecond: rate / 2, FPS: fps}); !errors.Is(err, encode.ErrClosed) {
			return fmt.Errorf("set rate after close: %w; want ErrClosed", err)
		}
		return nil
	})
}

func checkParams(f encode.Factory) error {
	for _, change := range []func(*encode.Params){
		func(p *encode.Params) { p.Width = 321 },
		func(p *encode.Params) { p.Height = 0 },
		func(p *encode.Params) { p.FPS = 0 },
		func(p *encode.Params) { p.BitsPerSecond = -1 },
		func(p *encode.Params) { p.Threads = -1 },
	} {
		p := params()
		change(&p)
		if enc, err := f.Open(p); err == nil {
			return errors.Join(fmt.Errorf("opened with %+v", p), enc.Close())
		}
	}
	return with(f, params(), func(film *film) error {
		for _, r := range []encode.Rate{{FPS: fps}, {BitsPerSecond: rate}, {BitsPerSecond: rate, FPS: -1}} {
			if err := film.enc.SetRate(r); err == nil {
				return fmt.Errorf("took a rate of %+v", r)
			}
		}
		if _, err := film.next(false); err != nil {
			return fmt.Errorf("after refused rates: %w", err)
		}
		return nil
	})
}

func checkLimits(f encode.Factory) error {
	limits := f.Profile().Limits
	for _, size := range []image.Point{
		{limits.Min.X - 2, height},
		{width, limits.Min.Y - 2},
		{limits.Max.X + 2, height},
		{width, limits.Max.Y + 2},
	} {
		p := params()
		p.Width, p.Height = size.X, size.Y
		if p.Validate() != nil || limits.Check(p.Width, p.Height) == nil {
			continue // this side has no limit of its own
		}
		enc, err := f.Open(p)
		if err == nil {
			return errors.Join(fmt.Errorf("opened at %v; its limits are %v", size, limits), enc.Close())
		}
		refused, ok := errors.AsType[*encode.SizeError](err)
		if !ok || encode.FailureOf(err) != encode.FailureSize {
			return fmt.Errorf("open at %v: %w; want a SizeError", size, err)
		}
		if refused.Limits != (encode.Limits{}) && refused.Limits.Check(p.Width, p.Height) == nil {
			return fmt.Errorf("open at %v is refused with limits %v, which include it", size, refused.Limits)
		}
	}
	return nil
}
