package pipeline

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

func TestAViewerOfAnotherCodecMakesTheOthersMeet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := openRig(t, 60, encoderOf(encode.H264, nil), encoderOf(encode.VP9, nil))
		var all []*fakeViewer
		for i, bits := range []int{500_000, 2_000_000, 8_000_000} {
			v := newFakeViewer()
			v.demand.BitsPerSecond = bits
			v.subscribe(th.encodings.list[i])
			all = append(all, v)
		}
		th.live(time.Second)
		if n := th.encodings.active(); n != 3 {
			t.Fatalf("%d encodes for three rates; want 3", n)
		}
		late := newFakeViewer()
		late.subscribe(th.Pick(encode.VP9, 2_000_000))
		th.live(time.Second)
		if n := th.encodings.active(); n != 3 {
			t.Errorf("%d encodes with a viewer of another codec; want 3", n)
		}
		if got := late.encoding().Status().Encoder; got != "fake VP9" {
			t.Errorf("the late viewer is on an encode by %q", got)
		}
		for _, v := range append(all, late) {
			before, _ := v.got()
			th.live(100 * time.Millisecond)
			if after, _ := v.got(); after == before {
				t.Error("a viewer gets no pictures")
			}
			v.decodable(t)
		}
		for _, v := range all {
			if v.encoding().format != encode.H264 {
				t.Errorf("a viewer came to an encoding of %s", v.encoding().format)
			}
		}
		// When it has left, its encoding is free for them again.
		late.encoding().Unsubscribe(late)
		th.live(2 * time.Second)
		if n := th.encodings.active(); n != 3 || all[0].encoding() == all[1].encoding() ||
			all[1].encoding() == all[2].encoding() {
			t.Errorf("%d encodes for three rates afterwards; want 3", n)
		}
		th.close(t)
	})
}

func TestAFailingEncoderIsReplacedWithinItsCodec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := func(name string) func(*encodetest.Config) {
			return func(c *encodetest.Config) {
				c.Profile.Name = name
				c.OnEncode = func(n int) error {
					if n > 10 {
						return errTest
					}
					return nil
				}
			}
		}
		h264 := encoderOf(encode.H264, nil)
		th := openRig(t, 60, encoderOf(encode.VP9, failing("first")), h264, encoderOf(encode.VP9, failing("second")))
		a, b := newFakeViewer(), newFakeViewer()
		a.subscribe(th.Pick(encode.H264, 2_000_000))
		b.subscribe(th.Pick(encode.VP9, 2_000_000))
		move(th.screen, time.Second)
		for _, c := range []struct{ from, to string }{{"first", "second"}} {
			if n := testutil.ToFloat64(th.met.fallbacks.WithLabelValues(encode.CodecVP9, c.from, c.to,
				FallbackError.String())); n != 1 {
				t.Errorf("counted %v fallbacks from %s to %s; want 1", n, c.from, c.to)
			}
		}
		if s := h264.Stats(); s.Opened != 1 || s.Keys != 1 {
			t.Errorf("H264: %d encoders, %d keyframes; want 1 and 1", s.Opened, s.Keys)
		}
		if n, _ := a.got(); n < 50 {
			t.Errorf("the viewer of H264 got %d pictures in a second", n)
		}
		for _, au := range b.pictures(0) {
			if au.Data[0]&0xf0 != 0x80 {
				t.Fatalf("the viewer of VP9 got a picture that begins with %02x", au.Data[0])
			}
		}
		th.close(t)
	})
}

func TestACodecWithoutEncodersStandsAndHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := openRig(t, 60, encoderOf(encode.H264, nil))
		a, b := newFakeViewer(), newFakeViewer()
		a.subscribe(th.Pick(encode.H264, 2_000_000))
		b.subscribe(th.Pick(encode.VP9, 2_000_000)) // the encoders were proved again, and all VP9 encoders failed
		move(th.screen, time.Second)
		if n, _ := a.got(); n < 50 {
			t.Errorf("the viewer of H264 got %d pictures in a second", n)
		}
		if n, _ := b.got(); n != 0 || !b.encoding().Status().Stuck {
			t.Errorf("the viewer of VP9 got %d pictures; want its encoding stuck", n)
		}
		th.close(t)
	})
}

func TestTheRateOfADearEncoderIsHeldBackForItsOwnViewersOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dear := encoderOf(encode.VP9, func(c *encodetest.Config) { c.Profile.Price = encode.PriceReopen })
		th := openRig(t, 60, encoderOf(encode.H264, nil), dear)
		a, b := newFakeViewer(), newFakeViewer()
		a.subscribe(th.Pick(encode.H264, 2_000_000))
		b.subscribe(th.Pick(encode.VP9, 2_000_000))
		move(th.screen, 100*time.Millisecond)
		if a.last().Price != adapt.PriceFree || b.last().Price != adapt.PriceReopen {
			t.Errorf("the viewers reckon with prices %v and %v", a.last().Price, b.last().Price)
		}
		for _, v := range []*fakeViewer{a, b} {
			v.set(func(a *Demand) { a.BitsPerSecond = a.BitsPerSecond * 21 / 20 })
		}
		move(th.screen, 100*time.Millisecond)
		if x, y := a.encoding().Status().BitsPerSecond, b.encoding().Status().BitsPerSecond; x <= y {
			t.Errorf("rates %d and %d after a twentieth more; want the free one changed alone", x, y)
		}
		th.close(t)
	})
}

func TestEncoderPoolKeepsCodecsApart(t *testing.T) {
	r := newEncoderPool([]encode.Factory{encoderOf(encode.VP9, nil), encoderOf(encode.H264, nil)}, unlimited)
	if got := r.formats(); !slices.Equal(got, []encode.Format{encode.H264, encode.VP9}) {
		t.Errorf("got %v; want the preferred codec first", got)
	}
	now := time.Now()
	for _, format := range []encode.Format{encode.H264, encode.VP9} {
		if p, ok := r.best(now, format); !ok || p.Format != format || len(r.order(now, format)) != 1 {
			t.Errorf("%s: the best is %+v, %v", format, p, ok)
		}
	}
	r.replace([]encode.Factory{encoderOf(encode.H264, nil)})
	if _, ok := r.best(now, encode.VP9); ok || !slices.Equal(r.formats(), []encode.Format{encode.H264}) {
		t.Errorf("got %v; want what was taken away gone", r.formats())
	}
}
