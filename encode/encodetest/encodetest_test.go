package encodetest

import (
	"errors"
	"image"
	"testing"

	"wavryhost/capture"
	"wavryhost/encode"
)

func TestFakePassesTheSuite(t *testing.T) {
	for _, format := range encode.Formats() {
		for _, price := range []encode.Price{encode.PriceFree, encode.PriceKeyframe, encode.PriceReopen} {
			if price != encode.PriceFree && format != encode.H264 { // the price has nothing to do with the format
				continue
			}
			t.Run(
				format.String()+"/"+price.String(),
				func(t *testing.T) { Run(t, New(Config{Profile: encode.Profile{Format: format, Price: price}})) },
			)
		}
	}
}

// broken wraps a fake's encoders so that they break one promise.
type broken struct {
	*Fake
	encode  func(e *brokenEncoder, f *capture.Frame, o encode.Order) (encode.AccessUnit, error)
	setRate func(e *brokenEncoder, r encode.Rate) error
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

func (e *brokenEncoder) Encode(f *capture.Frame, o encode.Order) (encode.AccessUnit, error) {
	e.n++
	if e.how.encode != nil {
		return e.how.encode(e, f, o)
	}
	return e.Encoder.Encode(f, o)
}

func (e *brokenEncoder) SetRate(r encode.Rate) error {
	if e.how.setRate != nil {
		return e.how.setRate(e, r)
	}
	return e.Encoder.SetRate(r)
}

func (e *brokenEncoder) Close() error {
	if e.how.noClose {
		return nil
	}
	return e.Encoder.Close()
}

func TestSuiteCatchesEachBrokenPromise(t *testing.T) {
	type unit = encode.AccessUnit
	breaks := map[string]*broken{
		"first access unit starts a decoder": {
			encode: func(e *brokenEncoder, f *capture.Frame, o encode.Order) (unit, error) {
				u, err := e.Encoder.Encode(f, o)
				u.Data = u.Data[22:] // the parameter sets
				return u, err
			},
		},
		"keyframes come on request only": {
			encode: func(e *brokenEncoder, f *capture.Frame, o encode.Order) (unit, error) {
				o.Key = o.Key || e.n == 251
				return e.Encoder.Encode(f, o)
			},
		},
		"slices of a picture are one access unit": {
			encode: func(e *brokenEncoder, f *capture.Frame, o encode.Order) (unit, error) {
				u, err := e.Encoder.Encode(f, o)
				u.Data = append(u.Data, annexB(100, params(), u.Key, 1)...)
				return u, err
			},
		},
		"rate follows its target both ways": {
			setRate: func(*brokenEncoder, encode.Rate) error { return nil },
		},
		"frame rate shares out the bitrate": {
			setRate: func(e *brokenEncoder, r encode.Rate) error {
				r.FPS = fps
				return e.Encoder.SetRate(r)
			},
		},
		"a keyframe is enlarged once": {
			encode: func(e *brokenEncoder, f *capture.Frame, o encode.Order) (unit, error) {
				o.Shares = 0
				return e.Encoder.Encode(f, o)
			},
		},
		"nil frame encodes the picture again": {
			encode: func(e *brokenEncoder, f *capture.Frame, o encode.Order) (unit, error) {
				u, err := e.Encoder.Encode(f, o)
				u.Time = e.unit.Time
				if f != nil {
					u.Time = f.Time
				}
				e.unit = u
				return u, err
			},
		},
		"frames of any size are encoded at the size asked for": {
			encode: func(e *brokenEncoder, f *capture.Frame, o encode.Order) (unit, error) {
				w, h := f.Width, f.Height
				u, err := e.Encoder.Encode(f, o)
				u.Width, u.Height = w, h
				return u, err
			},
		},
		"frames are released": {
			encode: func(e *brokenEncoder, f *capture.Frame, o encode.Order) (unit, error) {
				return e.Encoder.Encode(f.Retain(), o)
			},
		},
		"access units stay as they are": {
			encode: func(e *brokenEncoder, f *capture.Frame, o encode.Order) (unit, error) {
				u, err := e.Encoder.Encode(f, o)
				if e.unit.Data == nil {
					e.unit = u
				}
				e.unit.Data[len(e.unit.Data)-1]++
				return u, err
			},
		},
		"closed encoder refuses":              {noClose: true},
		"bad parameters are refused":          {anyOpen: true},
		"sizes out of its limits are refused": {anyOpen: true},
	}
	for name, how := range breaks {
		t.Run(name, func(t *testing.T) {
			limits := encode.Limits{Min: image.Pt(64, 64), Max: image.Pt(640, 640)}
			how.Fake = New(Config{Profile: encode.Profile{Limits: limits}})
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
	for _, c := range checks {
		if breaks[c.name] == nil {
			t.Errorf("%q is not tested with an encoder that breaks it", c.name)
		}
	}
}

func TestSuiteKnowsAFrameOfVP9(t *testing.T) {
	spoiled := map[string]func(*encode.AccessUnit){
		"an inter frame that calls itself a keyframe": func(u *encode.AccessUnit) { u.Data[0] |= vp9Inter },
		"a frame that is not shown":                   func(u *encode.AccessUnit) { u.Data[0] &^= vp9Shown },
		"a frame that shows another":                  func(u *encode.AccessUnit) { u.Data[0] |= vp9Again },
		"a frame of another profile":                  func(u *encode.AccessUnit) { u.Data[0] |= 0x20 },
		"two frames in one":                           func(u *encode.AccessUnit) { u.Data = append(u.Data, 0xc1) },
		"a keyframe without its sync code":            func(u *encode.AccessUnit) { u.Data[3] = 0 },
		"a keyframe of another width":                 func(u *encode.AccessUnit) { u.Width += 2 },
		"a keyframe of another height":                func(u *encode.AccessUnit) { u.Height += 2 },
		"a keyframe that was cut off":                 func(u *encode.AccessUnit) { u.Data = u.Data[:5] },
	}
	checkSpoiled(t, encode.VP9, spoiled)
}

func TestSuiteKnowsAFrameOfVP8(t *testing.T) {
	spoiled := map[string]func(*encode.AccessUnit){
		"an inter frame that calls itself a keyframe": func(u *encode.AccessUnit) { u.Data[0] |= vp8Inter },
		"a frame that is not shown":                   func(u *encode.AccessUnit) { u.Data[0] &^= vp8Shown },
		"a frame of another version":                  func(u *encode.AccessUnit) { u.Data[0] |= 2 },
		"a frame that lacks its end":                  func(u *encode.AccessUnit) { u.Data = u.Data[:200] },
		"a keyframe without its start code":           func(u *encode.AccessUnit) { u.Data[4] = 0 },
		"a keyframe of another width":                 func(u *encode.AccessUnit) { u.Width += 2 },
		"a keyframe of another height":                func(u *encode.AccessUnit) { u.Height += 2 },
		"a keyframe that is to be enlarged":           func(u *encode.AccessUnit) { u.Data[7] |= 0x40 },
		"a keyframe that was cut off":                 func(u *encode.AccessUnit) { u.Data = u.Data[:8] },
		"a frame without a tag":                       func(u *encode.AccessUnit) { u.Data = u.Data[:2] },
	}
	checkSpoiled(t, encode.VP8, spoiled)
}

// checkSpoiled checks that the check of a format accepts a keyframe, and none that is spoiled.
func checkSpoiled(t *testing.T, format encode.Format, spoiled map[string]func(*encode.AccessUnit)) {
	t.Helper()
	stream := bitstreams[format]
	for name, spoil := range spoiled {
		unit := encode.AccessUnit{Data: stream.unit(1000, params(), true, 7), Key: true, Width: width, Height: height}
		if err := stream.check(unit); err != nil {
			t.Fatal(err)
		}
		spoil(&unit)
		if err := stream.check(unit); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestSuiteKnowsItsFormats(t *testing.T) {
	unknown := New(Config{Profile: encode.Profile{Format: encode.Format{Codec: "H261", Depth: 8}}})
	if err := checkFirst(unknown); err == nil {
		t.Error("an encoder of an unknown format passes")
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
