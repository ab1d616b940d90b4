package encodetest

import (
	"errors"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
)

func TestFakePassesTheSuite(t *testing.T) {
	for _, codec := range encode.Codecs() {
		for _, price := range []encode.Price{encode.PriceFree, encode.PriceKeyframe, encode.PriceReopen} {
			t.Run(
				codec+"/"+price.String(),
				func(t *testing.T) { Run(t, New(Config{Profile: encode.Profile{Codec: codec, Price: price}})) },
			)
		}
	}
}

// broken wraps a fake's encoders so that they break one promise.
type broken struct {
	*Fake
	encode  func(e *brokenEncoder, f *capture.Frame, at time.Time, key bool) (encode.AccessUnit, error)
	setRate func(e *brokenEncoder, bitsPerSecond, fps int) error
	enlarge func(e *brokenEncoder, pictures int)
	noClose bool
	anyOpen bool
}

type brokenEncoder struct {
	encode.Encoder
	how  *broken
	unit encode.AccessUnit // scratch for the breakers
	n    int
}

func (b *broken) Open(p encode.Params) (encode.Encoder, error) {
	if b.anyOpen {
		p = params()
	}
	e, err := b.Fake.Open(p)
	if err != nil {
		return nil, err
	}
	return &brokenEncoder{Encoder: e, how: b}, nil
}

func (e *brokenEncoder) Encode(f *capture.Frame, at time.Time, key bool) (encode.AccessUnit, error) {
	e.n++
	if e.how.encode != nil {
		return e.how.encode(e, f, at, key)
	}
	return e.Encoder.Encode(f, at, key)
}

func (e *brokenEncoder) Enlarge(pictures int) {
	if e.how.enlarge != nil {
		e.how.enlarge(e, pictures)
		return
	}
	e.Encoder.Enlarge(pictures)
}

func (e *brokenEncoder) SetRate(bitsPerSecond, fps int) error {
	if e.how.setRate != nil {
		return e.how.setRate(e, bitsPerSecond, fps)
	}
	return e.Encoder.SetRate(bitsPerSecond, fps)
}

func (e *brokenEncoder) Close() error {
	if e.how.noClose {
		return nil
	}
	return e.Encoder.Close()
}

func TestSuiteCatchesEachBrokenPromise(t *testing.T) {
	type unit = encode.AccessUnit
	for name, how := range map[string]*broken{
		"first access unit starts a decoder": {
			encode: func(e *brokenEncoder, f *capture.Frame, at time.Time, key bool) (unit, error) {
				u, err := e.Encoder.Encode(f, at, key)
				u.Data = u.Data[22:] // the parameter sets
				return u, err
			},
		},
		"keyframes come on request only": {
			encode: func(e *brokenEncoder, f *capture.Frame, at time.Time, key bool) (unit, error) {
				return e.Encoder.Encode(f, at, key || e.n == 251)
			},
		},
		"slices of a picture are one access unit": {
			encode: func(e *brokenEncoder, f *capture.Frame, at time.Time, key bool) (unit, error) {
				u, err := e.Encoder.Encode(f, at, key)
				u.Data = append(u.Data, annexB(100, params(), u.Key, 1)...)
				return u, err
			},
		},
		"rate follows its target both ways": {
			setRate: func(*brokenEncoder, int, int) error { return nil },
		},
		"frame rate shares out the bitrate": {
			setRate: func(e *brokenEncoder, bitsPerSecond, _ int) error { return e.Encoder.SetRate(bitsPerSecond, fps) },
		},
		"a keyframe is enlarged once": {
			enlarge: func(*brokenEncoder, int) {},
		},
		"nil frame encodes the picture again": {
			encode: func(e *brokenEncoder, f *capture.Frame, at time.Time, key bool) (unit, error) {
				u, err := e.Encoder.Encode(f, at, key)
				u.Time = e.unit.Time
				if f != nil {
					u.Time = f.Time
				}
				e.unit = u
				return u, err
			},
		},
		"frames of any size are encoded at the size asked for": {
			encode: func(e *brokenEncoder, f *capture.Frame, at time.Time, key bool) (unit, error) {
				w, h := f.Width, f.Height
				u, err := e.Encoder.Encode(f, at, key)
				u.Width, u.Height = w, h
				return u, err
			},
		},
		"frames are released": {
			encode: func(e *brokenEncoder, f *capture.Frame, at time.Time, key bool) (unit, error) {
				return e.Encoder.Encode(f.Retain(), at, key)
			},
		},
		"access units stay as they are": {
			encode: func(e *brokenEncoder, f *capture.Frame, at time.Time, key bool) (unit, error) {
				u, err := e.Encoder.Encode(f, at, key)
				if e.unit.Data == nil {
					e.unit = u
				}
				e.unit.Data[len(e.unit.Data)-1]++
				return u, err
			},
		},
		"closed encoder refuses":     {noClose: true},
		"bad parameters are refused": {anyOpen: true},
	} {
		t.Run(name, func(t *testing.T) {
			how.Fake = New(Config{})
			for _, c := range checks {
				if c.name != name {
					continue
				}
				if err := c.run(how); err == nil {
					t.Error("the check found nothing wrong")
				}
				return
			}
			t.Error("no such check")
		})
	}
	if len(checks) != 12 {
		t.Errorf("there are %d checks; each needs its broken encoder here", len(checks))
	}
}

func TestSuiteKnowsAFrameOfVP9(t *testing.T) {
	for name, spoil := range map[string]func(*encode.AccessUnit){
		"an inter frame that calls itself a keyframe": func(u *encode.AccessUnit) { u.Data[0] |= vp9Inter },
		"a frame that is not shown":                   func(u *encode.AccessUnit) { u.Data[0] &^= vp9Shown },
		"a frame that shows another":                  func(u *encode.AccessUnit) { u.Data[0] |= vp9Again },
		"a frame of another profile":                  func(u *encode.AccessUnit) { u.Data[0] |= 0x20 },
		"two frames in one":                           func(u *encode.AccessUnit) { u.Data = append(u.Data, 0xc1) },
		"a keyframe without its sync code":            func(u *encode.AccessUnit) { u.Data[3] = 0 },
		"a keyframe of another width":                 func(u *encode.AccessUnit) { u.Width += 2 },
		"a keyframe of another height":                func(u *encode.AccessUnit) { u.Height += 2 },
		"a keyframe that was cut off":                 func(u *encode.AccessUnit) { u.Data = u.Data[:5] },
	} {
		unit := encode.AccessUnit{Data: vp9Frame(1000, params(), true, 7), Key: true, Width: width, Height: height}
		if err := checkVP9Frame(unit); err != nil {
			t.Fatal(err)
		}
		spoil(&unit)
		if err := checkVP9Frame(unit); err == nil {
			t.Errorf("%s is taken for good", name)
		}
	}
	unknown := New(Config{Profile: encode.Profile{Codec: "H261"}})
	if err := checkFirst(unknown); err == nil {
		t.Error("an encoder of a codec that nobody knows passes")
	}
}

func TestFakeFailsAndCountsAsTold(t *testing.T) {
	down := errors.New("driver down")
	f := New(Config{OnEncode: func(n int) error {
		if n == 3 {
			return down
		}
		return nil
	}})
	err := with(f, params(), func(film *film) error {
		_, _, err := film.many(2)
		if err != nil {
			return err
		}
		if _, err := film.next(true); !errors.Is(err, down) {
			t.Errorf("got %v; want the injected error", err)
		}
		if film.released != 3 {
			t.Errorf("%d of 3 frames are released", film.released)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := f.Stats(); s.Opened != 1 || s.Closed != 1 || s.Pictures != 2 || s.Keys != 1 || s.Repeats != 0 {
		t.Errorf("got %+v", s)
	}
	refuses := New(Config{OpenErr: encode.ErrNoEncoder})
	if _, err := refuses.Open(params()); !errors.Is(err, encode.ErrNoEncoder) {
		t.Errorf("got %v; want the configured error", err)
	}
}
